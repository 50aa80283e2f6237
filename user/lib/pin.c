// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pins below the root. A gate is made when its meta says so, which is written last.
 */
#include "pin.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

int tps_pin_replace(const char *root, const char *name, int fd)
{
	char next[PATH_MAX], path[PATH_MAX];
	int err = pin_path(root, TPS_PIN_NEXT, next);

	if (!err)
		err = pin_path(root, name, path);
	if (err)
		return err;
	unlink(next); /* one that was killed left it */
	err = bpf_obj_pin(fd, next);
	if (!err && rename(next, path)) {
		err = -errno;
		unlink(next);
	}
	return err;
}

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
	pin_remove(root, TPS_PIN_NEXT);
	if (!pin_path(root, TPS_PIN_LINKS, path))
		rmdir(path);
}

int tps_pins_meta(const char *root, struct tps_meta *ret_meta)
{
	_cleanup_close_ int fd = tps_pin_open(root, tps_map_name(TPS_MAP_meta), true);
	_cleanup_free_ void *value = NULL;
	struct bpf_map_info info = {};
	__u32 size = sizeof(info);
	struct tps_meta meta;
	int err;

	if (fd < 0)
		return fd;
	err = bpf_obj_get_info_by_fd(fd, &info, &size);
	if (err)
		return err;
	value = calloc(1, info.value_size > sizeof(meta) ? info.value_size : sizeof(meta));
	if (!value)
		return -ENOMEM;
	err = bpf_map_lookup_elem(fd, &(__u32){0}, value);
	if (err)
		return err;
	memcpy(&meta, value, sizeof(meta));
	if (!meta.magic)
		return -ENOENT;
	*ret_meta = meta;
	return 0;
}
