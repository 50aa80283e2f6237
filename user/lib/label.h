/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The words of the contract as text, and back: every table is made from an X-list of tps/abi.h.
 */
#ifndef TPS_LABEL_H
#define TPS_LABEL_H

#include <tps/abi.h>

enum tps_reason_class {
	TPS_CLASS_pass,
	TPS_CLASS_verdict,
	TPS_CLASS_order,
	TPS_CLASS_unproven,
	TPS_CLASS_undecided,
	TPS_CLASS_note,
	TPS_CLASS_error,
};

/* NULL for a value that the list does not have. */
const char *tps_protocol_text(unsigned int protocol);
const char *tps_mode_text(unsigned int mode);
const char *tps_refusal_text(unsigned int refusal);
const char *tps_placement_text(unsigned int placement);
const char *tps_xdp_mode_text(unsigned int mode);
const char *tps_verdict_text(unsigned int verdict);
const char *tps_action_text(unsigned int action);
const char *tps_reason_text(unsigned int reason);
const char *tps_reason_help(unsigned int reason);
const char *tps_verdict_help(unsigned int verdict);
enum tps_reason_class tps_reason_class(unsigned int reason);

/* The value of that text, or -ENOENT. */
int tps_protocol_find(const char *text);
int tps_mode_find(const char *text);
int tps_refusal_find(const char *text);
int tps_placement_find(const char *text);
int tps_xdp_mode_find(const char *text);

/* All texts of one list, `http, tls, tcp, udp`: for an error that names what there is. */
const char *tps_protocol_list(void);
const char *tps_mode_list(void);
const char *tps_refusal_list(void);
const char *tps_placement_list(void);
const char *tps_xdp_mode_list(void);

#endif
