// SPDX-License-Identifier: GPL-2.0-only
/*
 * Verbs that go on until a signal.
 */
#include "live.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <bpf/bpf.h>

#include "ban.h"

#define CHECK_NS 1000000000ULL

static volatile sig_atomic_t is_over;

static void end(int signal)
{
	(void)signal;
	is_over = 1;
}

int live_open(const struct session *session, struct tps_gate **ret_gate, struct tps_why *why)
{
	struct sigaction action = {.sa_handler = end};
	int err = gate_open(session, TPS_READ, ret_gate, why);

	if (err)
		return err;
	tps_gate_unlock(*ret_gate);
	tps_gate_close_programs(*ret_gate);
	/* No SA_RESTART: a sleep ends. */
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	return 0;
}

bool live_is_over(void)
{
	return is_over;
}

void live_sleep(unsigned int ms)
{
	struct timespec time = {ms / 1000, ms % 1000 * 1000000L};

	if (!is_over)
		nanosleep(&time, NULL);
}

static __u32 map_id(int fd)
{
	struct bpf_map_info info = {};
	__u32 size = sizeof(info);

	return fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &size) ? 0 : info.id;
}

int live_check(const struct tps_gate *gate, struct tps_why *why)
{
	static __u64 checked_ns;
	_cleanup_close_ int fd = -1;
	__u64 now_ns = tps_now_ns();
	char path[PATH_MAX];

	if (now_ns < checked_ns + CHECK_NS)
		return 0;
	checked_ns = now_ns;
	snprintf(path, sizeof(path), "%s/%s", gate->root, tps_map_name(TPS_MAP_control));
	fd = bpf_obj_get(path);
	if (map_id(fd) == map_id(gate->map_fd[TPS_MAP_control]))
		return 0;
	return tps_why_say(why, -ESTALE,
			   fd < 0 ? "the gate at '%s' has been forgotten"
				  : "another gate is at '%s' now: begin again",
			   gate->root);
}

int seconds_parse(const char *what, const char *text, double min, double max, double *ret_seconds,
		  struct tps_why *why)
{
	size_t digits = strspn(text, "0123456789");
	size_t rest = text[digits] == '.' ? strspn(text + digits + 1, "0123456789") : 0;
	double seconds;

	if (digits && digits < 7 && rest < 4 && !text[digits + (rest ? rest + 1 : 0)]) {
		seconds = strtod(text, NULL);
		if (seconds >= min && seconds <= max) {
			*ret_seconds = seconds;
			return 0;
		}
	}
	return tps_why_say(why, -EINVAL, "%s '%s': expected seconds, %g to %g, such as 2 or 0.5",
			   what, text, min, max);
}

bool line_json(json_t *object)
{
	_cleanup_json_ json_t *taken = object;

	json_dumpf(taken, stdout, JSON_COMPACT);
	putchar('\n');
	return !fflush(stdout);
}
