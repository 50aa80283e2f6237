/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * BPF programs of the kernel by id: what another's is called.
 */
#ifndef TPS_PROGRAM_H
#define TPS_PROGRAM_H

#include <linux/types.h>

#define TPS_PROGRAM_NAME 16

/* -EPERM without CAP_SYS_ADMIN. */
int tps_program_name(__u32 id, char ret_name[TPS_PROGRAM_NAME]);

/* `'name' (id 12)`, or `id 12` when the name may not be asked. */
#define TPS_PROGRAM_TEXT 48
const char *tps_program_print(__u32 id, char ret_text[TPS_PROGRAM_TEXT]);

#endif
