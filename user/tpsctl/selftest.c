// SPDX-License-Identifier: GPL-2.0-only
/*
 * selftest: this program makes a gate of its own, in network namespaces of its own, and shows step
 * by step that it does what the manual says; then that nothing else was touched. What it sets there
 * it sets by its own verbs.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "control.h"
#include "counts.h"
#include "netns.h"
#include "root.h"
#include "selftest_lab.h"
#include "verbs.h"

#define ITSELF "/proc/self/exe"
#define BURST 3
#define LOCK_TRIES 300 /* in half a minute, as libtps waits for a lock; a selftest takes less */
#define ANSWER_MS 2000
#define SILENCE_MS 100 /* a refusal by drop: less than TCP waits before it sends again */

struct selftest {
	struct session *session;
	struct lab lab;
	struct tps_why why; /* what was wanted and found where it failed */
	json_t *proved;
	int fd; /* the client's connection, or -1 */
};

/* ---- steps */

/* `tpsctl --root LAB_ROOT WORDS...` */
static int tpsctl(struct selftest *self, const char *words)
{
	char line[512];
	int err = -EINTR;

	snprintf(line, sizeof(line), "--root " LAB_ROOT " %s", words);
	if (!lab_is_interrupted())
		err = lab_run(ITSELF, line, true);
	return err ? tps_why_say(&self->why, err, "tpsctl %s: %s", words,
				 err == -EPROTO ? "failed" : strerror(-err))
		   : 0;
}

static void hang_up(struct selftest *self)
{
	if (self->fd >= 0)
		close(self->fd);
	self->fd = -1;
}

/* A request on the connection that there is, or on a new one. */
static int ask(struct selftest *self, const char *key)
{
	int status;

	if (self->fd < 0)
		self->fd = lab_connect(LAB_PORT);
	status = lab_send(self->fd, key);
	if (!status)
		status = lab_await(&self->lab, self->fd, ANSWER_MS);
	if (self->lab.is_last)
		hang_up(self);
	return status;
}

/* @count requests, each with that status. */
static int expect(struct selftest *self, int count, const char *key, int wanted)
{
	for (int i = 0; i < count; i++) {
		int status = ask(self, key);

		if (status == wanted)
			continue;
		if (status < 0)
			return tps_why_say(&self->why, status,
					   "request %d of %d: wanted a %d, got none: %s", i + 1,
					   count, wanted, strerror(-status));
		return tps_why_say(&self->why, -EPROTO, "request %d of %d: wanted a %d, got a %d",
				   i + 1, count, wanted, status);
	}
	return 0;
}

static int expect_served(struct selftest *self, int requests)
{
	if (self->lab.requests == requests)
		return 0;
	return tps_why_say(&self->why, -EPROTO, "the server was to see %d requests, and saw %d",
			   requests, self->lab.requests);
}

static int prove_loads(struct selftest *self)
{
	return tpsctl(self, "attach " LAB_DEVICE " --netns " LAB_SERVER " --secret " LAB_SECRET
			    " --capacity callers=64 --capacity sources4=64 --capacity sources6=64 "
			    "--capacity keys=64 --capacity hosts=64 --capacity bans=64 "
			    "--capacity strangers=1024 --capacity flows=1024 "
			    "--capacity handshakes=64 --capacity spliced=64");
}

static int prove_sets(struct selftest *self)
{
	int err = tpsctl(self, "set tier selftest --rate 1/h --burst 3");

	if (!err)
		err = tpsctl(self, "set default-tier selftest");
	return err ? err : tpsctl(self, "set listener selftest --port 8080 --protocol http");
}

static int prove_allows(struct selftest *self)
{
	int err = expect(self, BURST, NULL, 200);

	return err ? err : expect_served(self, BURST);
}

/* On the connection that those went on before. */
static int prove_answers(struct selftest *self)
{
	int err = expect(self, 2, NULL, 429);

	if (!err && self->fd < 0)
		err = tps_why_say(&self->why, -EPROTO, "the answer ended the connection");
	return err ? err : expect_served(self, BURST);
}

static int prove_knows_keys(struct selftest *self)
{
	static const char key[] = "selftest-key-of-no-value";
	_cleanup_close_ int fd =
		open(LAB_SECRET ".key", O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
	int err = fd < 0 || write(fd, key, sizeof(key) - 1) != sizeof(key) - 1 ? -EIO : 0;

	if (!err)
		err = tpsctl(self, "set caller selftest --rate 1/h --burst 2 --key-file " LAB_SECRET
				   ".key");
	unlink(LAB_SECRET ".key");
	if (!err)
		err = expect(self, 2, key, 200);
	if (!err)
		err = expect(self, 1, key, 429);
	return err ? err : expect_served(self, BURST + 2);
}

static int prove_observes(struct selftest *self)
{
	int err = tpsctl(self, "observe");

	if (!err)
		err = expect(self, 1, NULL, 200);
	if (!err)
		err = tpsctl(self, "enforce");
	return err ? err : expect(self, 1, NULL, 429);
}

static int prove_pauses(struct selftest *self)
{
	int err = tpsctl(self, "pause");

	if (!err)
		err = expect(self, 2, NULL, 200);
	if (!err)
		err = tpsctl(self, "resume");
	return err ? err : expect(self, 1, NULL, 429);
}

static int prove_bans(struct selftest *self)
{
	int err =
		tpsctl(self, "set caller banned --rate 1/h --burst 2 --source " LAB_CLIENT_ADDRESS);

	if (!err)
		err = expect(self, 1, NULL, 200);
	if (!err)
		err = tpsctl(self, "ban " LAB_CLIENT_ADDRESS);
	if (!err)
		err = lab_send(self->fd, NULL);
	if (!err && lab_await(&self->lab, self->fd, SILENCE_MS) != -ETIMEDOUT)
		err = tps_why_say(&self->why, -EPROTO, "a banned request was answered");
	if (!err)
		err = tpsctl(self, "unban " LAB_CLIENT_ADDRESS);
	if (!err && lab_await(&self->lab, self->fd, ANSWER_MS) != 200)
		err = tps_why_say(&self->why, -EPROTO, "no longer banned, it was not served");
	return err ? err : tpsctl(self, "delete caller banned");
}

static int prove_counts(struct selftest *self)
{
	/* of the steps above, in the order of the verdicts: allowed, refused, banned, would */
	static const __u64 wanted[TPS_VERDICT_MAX] = {BURST + 2 + 2, 2 + 1 + 1 + 1, 1, 1};
	_cleanup_free_ struct tps_totals *totals = calloc(TPS_LISTENERS_MAX, sizeof(*totals));
	_cleanup_gate_ struct tps_gate *gate = NULL;
	__u64 found[TPS_VERDICT_MAX] = {};
	int err = totals ? tps_gate_open(LAB_ROOT, TPS_READ, &gate, &self->why) : -ENOMEM;

	if (!err)
		err = tps_totals_read(gate, totals);
	if (err)
		return err;
	for (int tier = 0; tier < TPS_TIERS_MAX; tier++) {
		for (int verdict = 0; verdict < TPS_VERDICT_MAX; verdict++)
			found[verdict] += totals[1].verdicts[tier][verdict];
	}
	/* what is dropped is sent again, and counted again */
	if (!memcmp(found, wanted, TPS_VERDICT_BANNED * sizeof(*found)) &&
	    found[TPS_VERDICT_BANNED] && found[TPS_VERDICT_WOULD_REFUSE] == 1)
		return 0;
	return tps_why_say(
		&self->why, -EPROTO,
		"wanted %llu allowed, %llu refused, %llu or more banned, %llu would_refuse; "
		"found %llu, %llu, %llu, %llu",
		wanted[0], wanted[1], wanted[2], wanted[3], found[0], found[1], found[2], found[3]);
}

static int prove_leaves_alone(struct selftest *self)
{
	int err;

	hang_up(self);
	self->fd = lab_connect(LAB_BESIDE);
	err = expect(self, 4 * BURST, NULL, 200);
	hang_up(self);
	return err;
}

/* The device is bare, and a stranger who is over the limit is served. */
static int prove_detaches(struct selftest *self)
{
	int err = tpsctl(self, "detach --all --forget");
	_cleanup_netns_ int back_fd = -1;
	LIBBPF_OPTS(bpf_xdp_query_opts, query);

	if (!err)
		err = expect(self, 4 * BURST, NULL, 200);
	hang_up(self);
	if (!err)
		err = tps_netns_enter(LAB_SERVER, &back_fd, &self->why);
	if (!err)
		err = bpf_xdp_query(if_nametoindex(LAB_DEVICE), 0, &query);
	if (!err && query.attach_mode != XDP_ATTACHED_NONE)
		err = tps_why_say(&self->why, -EPROTO, "an XDP program is on its device still");
	if (!err && !access(LAB_ROOT, F_OK))
		err = tps_why_say(&self->why, -EPROTO, "'" LAB_ROOT "' is there still");
	return err;
}

static const struct {
	const char *claim;
	int (*prove)(struct selftest *self);
} steps[] = {
	{"the kernel takes the gate, natively", prove_loads},
	{"tiers and listeners can be set", prove_sets},
	{"what is within the limit is served", prove_allows},
	{"what is over it is answered with a 429, the connection goes on, the server sees nothing",
	 prove_answers},
	{"a caller is known by its API key, and has a limit of its own", prove_knows_keys},
	{"observe lets pass what is over the limit, enforce refuses it again", prove_observes},
	{"pause, the kill switch, lets everything pass, resume ends it", prove_pauses},
	{"a ban drops at once, and TCP goes on when it is lifted", prove_bans},
	{"every transaction is counted, by its verdict", prove_counts},
	{"a port of no listener is left alone", prove_leaves_alone},
	{"detached, the device is bare and all is served", prove_detaches},
};

/* ---- what is to stay as it is */

/* Devices of this network namespace with their XDP programs, and what is pinned below @root; one
 * text, the caller's to free. */
static char *surroundings(const char *root)
{
	struct if_nameindex *devices = if_nameindex();
	struct dirent **pins = NULL;
	char *text = NULL, path[512];
	size_t size = 0;
	FILE *to = open_memstream(&text, &size);
	int count = scandir(root, &pins, NULL, alphasort);

	for (int i = 0; devices && devices[i].if_index; i++) {
		LIBBPF_OPTS(bpf_xdp_query_opts, query);

		bpf_xdp_query(devices[i].if_index, 0, &query);
		fprintf(to, "device %s, number %u, XDP %u\n", devices[i].if_name,
			devices[i].if_index, query.prog_id);
	}
	for (int i = 0; i < count; i++) {
		union {
			struct bpf_map_info map;
			struct bpf_prog_info program;
		} info = {};
		__u32 bytes = sizeof(info.map);
		_cleanup_close_ int fd = -1;

		snprintf(path, sizeof(path), "%s/%s", root, pins[i]->d_name);
		fd = bpf_obj_get(path);
		/* both begin with a type and an id */
		if (fd >= 0)
			bpf_obj_get_info_by_fd(fd, &info, &bytes);
		fprintf(to, "pin %s, id %u\n", pins[i]->d_name, info.map.id);
		free(pins[i]);
	}
	free(pins);
	if_freenameindex(devices);
	fclose(to);
	return text;
}

/* The first line in which two texts differ. */
static int differ(const char *before, const char *after, struct tps_why *why)
{
	const char *start = before;

	while (*before && *before == *after)
		before++, after++;
	while (before > start && before[-1] != '\n')
		before--, after--;
	return tps_why_say(why, -EPROTO, "there was '%.*s', and now '%.*s'",
			   (int)strcspn(before, "\n"), before, (int)strcspn(after, "\n"), after);
}

/* What of the running gate a command may set: its switches. */
static struct tps_control switches(const char *root)
{
	_cleanup_gate_ struct tps_gate *gate = NULL;

	if (tps_gate_open(root, TPS_READ, &gate, NULL))
		return (struct tps_control){};
	return *gate->control;
}

/* ---- the run */

static void progress(const struct selftest *self, const char *claim)
{
	json_array_append_new(self->proved, json_string(claim));
	if (self->session->json)
		return;
	printf("ok: %s\n", claim);
	fflush(stdout);
}

static int run(struct selftest *self, const char **ret_claim)
{
	int err = 0;

	*ret_claim = "a lab of its own can be laid";
	err = lab_up(&self->lab, &self->why);
	for (unsigned int i = 0; i < sizeof(steps) / sizeof(*steps) && !err; i++) {
		*ret_claim = steps[i].claim;
		err = lab_is_interrupted() ? -EINTR : steps[i].prove(self);
		if (!err)
			progress(self, steps[i].claim);
	}
	return err && lab_is_interrupted() ? -EINTR : err;
}

/* Held by the programs that it runs as well: of one that was killed, they may go on for a moment.
 */
static int lock_one(struct tps_why *why)
{
	_cleanup_close_ int fd = open(LAB_LOCK, O_CREAT | O_RDWR | O_NOFOLLOW, 0600);

	if (fd < 0)
		return tps_why_say(why, -errno, "'" LAB_LOCK "': %s%s", strerror(errno),
				   errno == EACCES || errno == EPERM ? "; it needs root" : "");
	for (int tries = 0; flock(fd, LOCK_EX | LOCK_NB); tries++) {
		if (tries == LOCK_TRIES || lab_is_interrupted())
			return tps_why_say(why, -EWOULDBLOCK,
					   "another selftest runs: wait for its end");
		usleep(100000);
	}
	return TAKE_FD(fd);
}

static void interrupted(int signal)
{
	(void)signal;
	lab_interrupt();
}

static enum outcome report(const struct selftest *self, int err, const char *claim, double seconds)
{
	struct tps_why why = {};

	if (err == -EINTR)
		tps_why_say(&why, err, "interrupted; what it had made is removed");
	else if (err)
		tps_why_say(&why, err, "not so: %s: %s", claim,
			    *self->why.text ? self->why.text : strerror(-err));
	print_json(self->session,
		   json_pack("{s:b, s:O, s:s?, s:f}", "passed", !err, "proved", self->proved,
			     "failed", err ? claim : NULL, "seconds", seconds));
	if (err)
		return failed(self->session, err, &why);
	if (!self->session->json)
		printf("selftest passed: %zu things proved in %.1f s\n",
		       json_array_size(self->proved), seconds);
	return DONE;
}

/* The run between two looks at what it must not touch. */
static enum outcome run_beside(struct selftest *self, const char *root)
{
	_cleanup_free_ char *before = surroundings(root), *after = NULL;
	struct tps_control control = switches(root), control_after;
	struct timespec start, end;
	const char *claim;
	int err;

	clock_gettime(CLOCK_MONOTONIC, &start);
	err = run(self, &claim);
	hang_up(self);
	lab_down(&self->lab);
	if (!err) {
		claim = "nothing else was touched: no device, no pin, no switch";
		after = surroundings(root);
		control_after = switches(root);
		if (!before || !after)
			err = -ENOMEM;
		else if (strcmp(before, after))
			err = differ(before, after, &self->why);
		else if (memcmp(&control, &control_after, sizeof(control)))
			err = tps_why_say(&self->why, -EPROTO, "the switches of '%s' changed",
					  root);
		else
			progress(self, claim);
	}
	clock_gettime(CLOCK_MONOTONIC, &end);
	return report(self, err, claim,
		      (end.tv_sec - start.tv_sec) + (end.tv_nsec - start.tv_nsec) / 1e9);
}

enum outcome selftest(struct session *session, int argc, char **argv)
{
	struct sigaction action = {.sa_handler = interrupted};
	_cleanup_json_ json_t *proved = json_array();
	struct selftest self = {.session = session, .proved = proved, .fd = -1};
	_cleanup_close_ int lock_fd = -1;

	if (!words_only(session, argc, argv, 0, NULL))
		return USAGE;
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	lock_fd = lock_one(&self.why);
	if (lock_fd < 0)
		return failed(session, lock_fd, &self.why);
	/* its own verbs are told of the root; the environment's secret is another's */
	unsetenv("TPS_SECRET");
	return run_beside(&self, tps_root_choose(session->root));
}
