// SPDX-License-Identifier: GPL-2.0-only
/*
 * The lab is laid by ip(8). One thread is client and server: a socket is of the network namespace
 * that it was made in, whichever the thread is in later.
 */
#include "selftest_lab.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <tps/names.h>

#include "cleanup.h"
#include "netns.h"

#define CLIENT_DEVICE "client0"
#define CONNECT_S 2
#define WORDS_MAX 32

extern char **environ;

static volatile sig_atomic_t is_interrupted;

void lab_interrupt(void)
{
	is_interrupted = 1;
}

bool lab_is_interrupted(void)
{
	return is_interrupted;
}

/* ---- programs */

int lab_run(const char *program, const char *words, bool is_loud)
{
	_cleanup_free_ char *copy = strdup(words);
	posix_spawn_file_actions_t actions;
	char *argv[WORDS_MAX + 1] = {(char *)program}, *rest = copy;
	int count = 1, status = -1, err;
	pid_t process;

	if (!copy)
		return -ENOMEM;
	while (count < WORDS_MAX && (argv[count] = strsep(&rest, " ")))
		count++;
	argv[count] = NULL;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
	if (!is_loud)
		posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
	err = posix_spawnp(&process, program, &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (err)
		return -err;
	while (waitpid(process, &status, 0) < 0 && errno == EINTR)
		;
	return status ? -EPROTO : 0;
}

/* ---- the namespaces and what is between them */

/* What is sent leaves with its checksum and in segments, as a wire would carry it. */
static int offloads_off(void)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	static const __u32 commands[] = {ETHTOOL_STXCSUM, ETHTOOL_STSO, ETHTOOL_SGSO};

	for (unsigned int i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
		struct ethtool_value value = {.cmd = commands[i]};
		struct ifreq request = {.ifr_name = CLIENT_DEVICE, .ifr_data = (void *)&value};

		/* without checksums there are no segments to put off: the last may be refused */
		if (fd < 0 || (ioctl(fd, SIOCETHTOOL, &request) && i == 0))
			return -errno;
	}
	return 0;
}

/* A veth device takes what XDP sends it only while an XDP program is on it: `return XDP_PASS`. */
static int pass_all(void)
{
	static const struct bpf_insn program[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_PASS},
		{.code = BPF_JMP | BPF_EXIT}};
	_cleanup_close_ int fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "selftest", "GPL", program,
					       sizeof(program) / sizeof(*program), NULL);

	return fd < 0 ? fd : bpf_xdp_attach(if_nametoindex(CLIENT_DEVICE), fd, 0, NULL);
}

static int client_prepare(struct tps_why *why)
{
	_cleanup_netns_ int back_fd = -1;
	int err = tps_netns_enter(LAB_CLIENT, &back_fd, why);

	if (!err)
		err = offloads_off();
	return err ? err : pass_all();
}

static int listen_on(int port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
	_cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) || listen(fd, 16))
		return -errno;
	return TAKE_FD(fd);
}

static int server_start(struct lab *lab, struct tps_why *why)
{
	_cleanup_netns_ int back_fd = -1;
	int err = tps_netns_enter(LAB_SERVER, &back_fd, why);

	if (err)
		return err;
	lab->listen_fd = listen_on(LAB_PORT);
	lab->beside_fd = listen_on(LAB_BESIDE);
	return lab->listen_fd < 0 ? lab->listen_fd : lab->beside_fd < 0 ? lab->beside_fd : 0;
}

int lab_up(struct lab *lab, struct tps_why *why)
{
	static const char *const steps[] = {
		"netns add " LAB_SERVER,
		"netns add " LAB_CLIENT,
		"-n " LAB_SERVER " link add " LAB_DEVICE " type veth peer name " CLIENT_DEVICE
		" netns " LAB_CLIENT,
		"-n " LAB_SERVER " addr add " LAB_SERVER_ADDRESS "/24 dev " LAB_DEVICE,
		"-n " LAB_CLIENT " addr add " LAB_CLIENT_ADDRESS "/24 dev " CLIENT_DEVICE,
		"-n " LAB_SERVER " link set " LAB_DEVICE " up",
		"-n " LAB_CLIENT " link set " CLIENT_DEVICE " up",
	};
	int err;

	*lab = (struct lab){.listen_fd = -1, .beside_fd = -1};
	lab_down(lab);
	for (unsigned int i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
		err = is_interrupted ? -EINTR : lab_run("ip", steps[i], true);
		if (err)
			return tps_why_say(why, err, "ip %s: %s", steps[i],
					   err == -EPROTO ? "failed" : strerror(-err));
	}
	err = client_prepare(why);
	return err ? err : server_start(lab, why);
}

void lab_down(struct lab *lab)
{
	for (int i = 0; i < lab->connections; i++)
		close(lab->served_fd[i]);
	if (lab->listen_fd >= 0)
		close(lab->listen_fd);
	if (lab->beside_fd >= 0)
		close(lab->beside_fd);
	*lab = (struct lab){.listen_fd = -1, .beside_fd = -1};
	/* The pins go with the mount, the devices with their namespaces. */
	umount2(LAB_ROOT, UMOUNT_NOFOLLOW | MNT_DETACH);
	rmdir(LAB_ROOT);
	unlink(LAB_ROOT TPS_LOCK_SUFFIX);
	unlink(LAB_SECRET);
	if (!access("/run/netns/" LAB_SERVER, F_OK))
		lab_run("ip", "netns del " LAB_SERVER, false);
	if (!access("/run/netns/" LAB_CLIENT, F_OK))
		lab_run("ip", "netns del " LAB_CLIENT, false);
}

/* ---- requests */

static long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int lab_connect(int port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct timeval patience = {.tv_sec = CONNECT_S};
	_cleanup_netns_ int back_fd = -1;
	_cleanup_close_ int fd = -1;
	int err = tps_netns_enter(LAB_CLIENT, &back_fd, NULL);

	if (err)
		return err;
	inet_pton(AF_INET, LAB_SERVER_ADDRESS, &address.sin_addr);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) ||
	    connect(fd, (struct sockaddr *)&address, sizeof(address)))
		return -errno;
	return TAKE_FD(fd);
}

static void server_accept(struct lab *lab, int listen_fd)
{
	int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);

	if (fd >= 0 && lab->connections < LAB_CONNECTIONS_MAX)
		lab->served_fd[lab->connections++] = fd;
	else if (fd >= 0)
		close(fd);
}

/* A request is one segment here. */
static void server_answer(struct lab *lab, int at)
{
	static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n";
	char request[1024];
	ssize_t got = recv(lab->served_fd[at], request, sizeof(request), MSG_DONTWAIT);

	if (got > 0) {
		lab->requests++;
		send(lab->served_fd[at], answer, sizeof(answer) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	} else if (got == 0 || errno != EAGAIN) {
		close(lab->served_fd[at]);
		lab->served_fd[at] = lab->served_fd[--lab->connections];
	}
}

/* Serve for a moment; 1: there is something for the client @fd to read. */
static int serve(struct lab *lab, int fd, int wait_ms)
{
	struct pollfd fds[3 + LAB_CONNECTIONS_MAX] = {{.fd = fd, .events = POLLIN},
						      {.fd = lab->listen_fd, .events = POLLIN},
						      {.fd = lab->beside_fd, .events = POLLIN}};
	int connections = lab->connections;

	for (int i = 0; i < connections; i++)
		fds[3 + i] = (struct pollfd){.fd = lab->served_fd[i], .events = POLLIN};
	if (poll(fds, 3 + connections, wait_ms) < 0)
		return -errno;
	/* from the last, whose place another may take */
	for (int i = connections; i-- > 0;) {
		if (fds[3 + i].revents)
			server_answer(lab, i);
	}
	if (fds[1].revents)
		server_accept(lab, lab->listen_fd);
	if (fds[2].revents)
		server_accept(lab, lab->beside_fd);
	return fds[0].revents != 0;
}

/* The status of an answer that is whole; 0: not yet. */
static int answer_status(const char *answer)
{
	const char *body = strstr(answer, "\r\n\r\n");
	const char *length = strcasestr(answer, "\r\nContent-Length:");
	int status;

	if (!body || sscanf(answer, "HTTP/1.%*d %d", &status) != 1)
		return 0;
	return length && length < body && strlen(body + 4) < strtoul(length + 17, NULL, 10)
		       ? 0
		       : status;
}

int lab_await(struct lab *lab, int fd, int patience_ms)
{
	long end_ms = now_ms() + patience_ms, left_ms;
	char answer[2048] = "";
	size_t len = 0;

	lab->is_last = false;
	while ((left_ms = end_ms - now_ms()) > 0) {
		int ready = is_interrupted ? -EINTR : serve(lab, fd, left_ms);
		ssize_t got;

		if (ready < 0)
			return ready;
		if (!ready)
			continue;
		got = recv(fd, answer + len, sizeof(answer) - 1 - len, MSG_DONTWAIT);
		if (got <= 0)
			return got ? -errno : -ECONNRESET;
		len += got;
		answer[len] = '\0';
		if (!answer_status(answer))
			continue;
		lab->is_last = strcasestr(answer, "\r\nConnection: close") != NULL;
		return answer_status(answer);
	}
	return -ETIMEDOUT;
}

int lab_send(int fd, const char *key)
{
	char request[512];
	int len = snprintf(request, sizeof(request),
			   "GET /selftest HTTP/1.1\r\nHost: " LAB_SERVER_ADDRESS
			   "\r\nUser-Agent: tpsctl selftest\r\nAccept: */*\r\n%s%s%s\r\n",
			   key ? "X-API-Key: " : "", key ? key : "", key ? "\r\n" : "");

	if (fd < 0)
		return fd;
	return send(fd, request, len, MSG_NOSIGNAL) == len ? 0 : -errno;
}
