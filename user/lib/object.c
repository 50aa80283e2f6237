// SPDX-License-Identifier: GPL-2.0-only
/*
 * The gate's object as this program carries it, from the generated skeleton.
 */
#include "object.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include <bpf/bpf.h>

#include "tps.skel.h"

#define OLDEST_MAJOR 6
#define OLDEST_MINOR 1

_Static_assert(sizeof(TPS_VERSION) <= TPS_VERSION_LEN, "meta has room for the version");

struct bpf_object *tps_object_open(int *ret_err, struct tps_why *why)
{
	LIBBPF_OPTS(bpf_object_open_opts, options, .object_name = "tps");
	size_t size;
	const void *bytes = tps_bpf__elf_bytes(&size);
	struct bpf_object *object = bpf_object__open_mem(bytes, size, &options);

	if (!object) {
		*ret_err = -errno;
		tps_why_say(why, *ret_err, "the gate's object cannot be read: %s",
			    strerror(-*ret_err));
	}
	return object;
}

struct bpf_map *tps_object_map(const struct bpf_object *object, enum tps_map map)
{
	return bpf_object__find_map_by_name(object, tps_map_name(map));
}

int tps_kernel_check(struct tps_why *why)
{
	int major = 0, minor = 0;
	struct utsname kernel;

	if (uname(&kernel) || sscanf(kernel.release, "%d.%d", &major, &minor) != 2)
		return 0; /* loading tells */
	if (major > OLDEST_MAJOR || (major == OLDEST_MAJOR && minor >= OLDEST_MINOR))
		return 0;
	return tps_why_say(why, -EOPNOTSUPP, "kernel '%s': tps needs Linux %d.%d or later",
			   kernel.release, OLDEST_MAJOR, OLDEST_MINOR);
}

static int load_failed(int err, struct tps_why *why)
{
	if (err == -EPERM || err == -EACCES)
		return tps_why_say(why, err,
				   "the kernel refused the gate: %s; loading it needs CAP_BPF, "
				   "CAP_NET_ADMIN and CAP_PERFMON (root)",
				   strerror(-err));
	if (err == -ENOMEM || err == -E2BIG)
		return tps_why_say(why, err,
				   "the gate does not fit in memory: %s; one that is made takes "
				   "smaller maps by --capacity MAP=N",
				   strerror(-err));
	return tps_why_say(why, err, "the kernel refused the gate: %s; tpsctl -v says more",
			   strerror(-err));
}

int tps_object_load(struct bpf_object *object, struct tps_why *why)
{
	int err = tps_kernel_check(why);

	if (err)
		return err;
	err = bpf_object__load(object);
	return err ? load_failed(err, why) : 0;
}

int tps_object_program(const struct bpf_object *object, const char *name)
{
	const struct bpf_program *program = bpf_object__find_program_by_name(object, name);
	_cleanup_close_ int fd = -1;
	struct bpf_prog_info info = {};
	__u32 size = sizeof(info);
	int err;

	if (!program)
		return -ENOENT;
	fd = fcntl(bpf_program__fd(program), F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	err = bpf_obj_get_info_by_fd(fd, &info, &size);
	if (err)
		return err;
	/* Where libbpf's trial of names fails, which it does for want of memory alone, it loads
	 * without them; by its name the filter is told from another's (egress.c). */
	return strcmp(info.name, name) ? -ENOMEM : TAKE_FD(fd);
}

/* FNV-1a over the whole file. Never 0. */
static __u64 object_hash(void)
{
	__u64 hash = 0xcbf29ce484222325ULL;
	size_t size;
	const unsigned char *bytes = tps_bpf__elf_bytes(&size);

	for (size_t i = 0; i < size; i++)
		hash = (hash ^ bytes[i]) * 0x100000001b3ULL;
	return hash ? hash : 1;
}

void tps_object_sign(struct tps_meta *meta)
{
	memset(meta->version, 0, sizeof(meta->version));
	strcpy(meta->version, TPS_VERSION);
	meta->object_hash = object_hash();
}

bool tps_object_signed(const struct tps_meta *meta)
{
	return meta->object_hash == object_hash();
}
