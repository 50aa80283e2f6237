/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where selftest takes place: two network namespaces of its own, a veth pair between them, a server
 * in the one and clients in the other. Knows no limit.
 */
#ifndef TPSCTL_SELFTEST_LAB_H
#define TPSCTL_SELFTEST_LAB_H

#include <stdbool.h>

#include "why.h"

#define LAB_ROOT "/run/tps-selftest"
#define LAB_SECRET "/run/tps-selftest.secret"
#define LAB_LOCK "/run/tps-selftest.one" /* one selftest at a time */
#define LAB_SERVER "tps-selftest-server" /* network namespaces, and what is in them */
#define LAB_CLIENT "tps-selftest-client"
#define LAB_DEVICE "server0"
#define LAB_SERVER_ADDRESS "198.51.100.1" /* RFC 5737 */
#define LAB_CLIENT_ADDRESS "198.51.100.2"
#define LAB_PORT 8080   /* the listener's */
#define LAB_BESIDE 8081 /* no listener's */

#define LAB_CONNECTIONS_MAX 16

struct lab {
	int listen_fd, beside_fd;
	int served_fd[LAB_CONNECTIONS_MAX];
	int connections;
	int requests; /* that the server has seen */
	bool is_last; /* the last answer said that its connection ends */
};

/* Lay the lab; what an earlier one left behind goes first. On failure it is to be taken down all
 * the same. */
int lab_up(struct lab *lab, struct tps_why *why);
/* Everything that bears the lab's names goes, whoever made it. */
void lab_down(struct lab *lab);

/* A connection of a client's, or -errno. */
int lab_connect(int port);
/* A request on it, with an API key unless that is NULL: 0 or -errno. */
int lab_send(int fd, const char *key);
/* Serve, until there is an answer to it: its status, or -errno; -ETIMEDOUT after @patience_ms. */
int lab_await(struct lab *lab, int fd, int patience_ms);

/* Run a program with @words, separated by single blanks, quietly: 0, or -EPROTO when it says that
 * it failed; what it said is lost unless @is_loud. */
int lab_run(const char *program, const char *words, bool is_loud);

/* A signal wants it to end: what waits returns -EINTR from now on. */
void lab_interrupt(void);
bool lab_is_interrupted(void);

#endif
