// SPDX-License-Identifier: GPL-2.0-only
/*
 * BPF programs of the kernel by id.
 */
#include "program.h"

#include <stdio.h>
#include <string.h>

#include <bpf/bpf.h>

#include "cleanup.h"

int tps_program_name(__u32 id, char ret_name[TPS_PROGRAM_NAME])
{
	_cleanup_close_ int fd = bpf_prog_get_fd_by_id(id);
	struct bpf_prog_info info = {};
	__u32 size = sizeof(info);
	int err;

	if (fd < 0)
		return fd;
	err = bpf_obj_get_info_by_fd(fd, &info, &size);
	if (err)
		return err;
	snprintf(ret_name, TPS_PROGRAM_NAME, "%s", info.name);
	return 0;
}

const char *tps_program_print(__u32 id, char ret_text[TPS_PROGRAM_TEXT])
{
	char name[TPS_PROGRAM_NAME];

	if (tps_program_name(id, name))
		snprintf(ret_text, TPS_PROGRAM_TEXT, "id %u", id);
	else
		snprintf(ret_text, TPS_PROGRAM_TEXT, "'%s' (id %u)", name, id);
	return ret_text;
}
