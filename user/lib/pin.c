// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pins below the root. A gate is made when its meta says so, which is written last.
 */
#include "pin.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "gate.h"

static int pin_path(const char *root, const char *name, char ret_path[PATH_MAX])
{
	return snprintf(ret_path, PATH_MAX, "%s/%s", root, name) < PATH_MAX ? 0 : -ENAMETOOLONG;
}

int tps_pin_open(const char *root, const char *name, bool only_read)
{
	LIBBPF_OPTS(bpf_obj_get_opts, options, .file_flags = only_read ? BPF_F_RDONLY : 0);
	char path[PATH_MAX];
	int err = pin_path(root, name, path);

	return err ? err : bpf_obj_get_opts(path, &options);
}

int tps_pin_make(const char *root, const char *name, int fd)
{
	char path[PATH_MAX];
	int err = pin_path(root, name, path);

	return err ? err : bpf_obj_pin(fd, path);
}

static void pin_remove(const char *root, const char *name)
{
	char path[PATH_MAX];

	if (!pin_path(root, name, path))
		unlink(path);
}

/* Maps, programs and the directory of links; meta first, so that what is half removed counts as
 * half made. */
int tps_pin_links_make(const char *root)
{
	char path[PATH_MAX];
	int err = pin_path(root, TPS_PIN_LINKS, path);

	if (!err && mkdir(path, 0700) && errno != EEXIST)
		err = -errno;
	return err;
}

void tps_pins_remove(const char *root)
{
	char path[PATH_MAX];

	for (int map = 0; map < TPS_MAP_MAX; map++)
		pin_remove(root, tps_map_name(map));
	pin_remove(root, TPS_PIN_GATE);
	pin_remove(root, TPS_PIN_EGRESS);
	if (!pin_path(root, TPS_PIN_LINKS, path))
		rmdir(path);
}

bool tps_pins_are_made(const char *root)
{
	_cleanup_close_ int fd = tps_pin_open(root, "meta", true);
	struct tps_meta meta = {};

	return fd >= 0 && !bpf_map_lookup_elem(fd, &(__u32){0}, &meta) && meta.magic == TPS_MAGIC;
}
