// SPDX-License-Identifier: GPL-2.0-only
/*
 * tpsd: holds what is pinned and serves its numbers. Options, signals and the loop; it sets nothing
 * and attaches nothing, so the gate does the same with it and without it.
 */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "cleanup.h"
#include "hold.h"
#include "http.h"
#include "log.h"
#include "metrics.h"
#include "pages.h"
#include "root.h"
#include "text.h"
#include "why.h"

#define LISTEN_DEFAULT "127.0.0.1:10429"
#define CALLERS_MAX_DEFAULT 100
#define CALLERS_MAX_LIMIT 100000

enum { EXIT_USAGE = 2 };

struct options {
	const char *root; /* --root, or NULL */
	const char *listen;
	__u64 callers_max;
	bool verbose;
};

static const char usage[] =
	"usage: tpsd [--listen ADDR:PORT] [--max-callers N] [--root DIR] [--verbose]\n"
	"\n"
	"Serves /metrics and /healthz of the gate that tpsctl attached.\n"
	"\n"
	"  --listen ADDR:PORT  where to serve (" LISTEN_DEFAULT ")\n"
	"  --max-callers N     callers with series of their own (100); the rest is _other\n"
	"  --root DIR          the directory of the pins (TPS_ROOT, or " TPS_ROOT_DEFAULT ")\n"
	"  -v, --verbose       say what is done\n"
	"  -V, --version       print the version\n"
	"  -h, --help          print this\n";

/* -1: go on; else the exit status. */
static int options_parse(int argc, char **argv, struct options *ret_options)
{
	enum { LISTEN = 256, MAX_CALLERS, ROOT };
	static const struct option table[] = {
		{"listen", required_argument, NULL, LISTEN},
		{"max-callers", required_argument, NULL, MAX_CALLERS},
		{"root", required_argument, NULL, ROOT},
		{"verbose", no_argument, NULL, 'v'},
		{"version", no_argument, NULL, 'V'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	struct options options = {.listen = LISTEN_DEFAULT, .callers_max = CALLERS_MAX_DEFAULT};
	struct tps_why why = {0};
	int option, at = optind;

	opterr = 0;
	for (; (option = getopt_long(argc, argv, ":vVh", table, NULL)) != -1; at = optind) {
		switch (option) {
		case LISTEN:
			options.listen = optarg;
			break;
		case MAX_CALLERS:
			if (tps_number_parse("--max-callers", optarg, 0, CALLERS_MAX_LIMIT,
					     &options.callers_max, &why)) {
				fprintf(stderr, "tpsd: %s\n", why.text);
				return EXIT_USAGE;
			}
			break;
		case ROOT:
			options.root = optarg;
			break;
		case 'v':
			options.verbose = true;
			break;
		case 'V':
			printf("tpsd %s\n", TPS_VERSION);
			return EXIT_SUCCESS;
		case 'h':
			fputs(usage, stdout);
			return EXIT_SUCCESS;
		default:
			tps_why_say(&why, 0, "option '%s': %s, see `tpsd --help`",
				    argv[optind > at ? optind - 1 : at],
				    option == ':' ? "it needs a value" : "unknown");
			fprintf(stderr, "tpsd: %s\n", why.text);
			return EXIT_USAGE;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "tpsd: '%s': expected no argument, see `tpsd --help`\n",
			argv[optind]);
		return EXIT_USAGE;
	}
	*ret_options = options;
	return -1;
}

/* A descriptor that reads the signals that end tpsd, blocked from here on. */
static int signals_open(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	signal(SIGPIPE, SIG_IGN);
	if (sigprocmask(SIG_BLOCK, &set, NULL))
		return -1;
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* Until a signal ends it: 0, or -errno. */
static int serve(struct http *http, int signals_fd)
{
	struct pollfd fds[] = {
		{.fd = signals_fd, .events = POLLIN},
		{.fd = http_fd(http), .events = POLLIN},
	};

	for (;;) {
		if (poll(fds, 2, http_timeout_ms(http)) < 0 && errno != EINTR)
			return -errno;
		if (fds[0].revents)
			return 0;
		http_run(http);
	}
}

TPS_DEFINE_CLEANUP(struct hold *, hold_close)
TPS_DEFINE_CLEANUP(struct metrics_reader *, metrics_close)
TPS_DEFINE_CLEANUP(struct http *, http_close)

static int run(const struct options *options, const struct http_address *address)
{
	_cleanup_(hold_close_at_end) struct hold *hold = NULL;
	_cleanup_(metrics_close_at_end) struct metrics_reader *reader = NULL;
	_cleanup_(http_close_at_end) struct http *http = NULL;
	_cleanup_close_ int signals_fd = -1;
	struct tps_why why = {0};
	struct pages pages;
	int err;

	signals_fd = signals_open();
	if (signals_fd < 0) {
		fprintf(stderr, "tpsd: signals: %s\n", strerror(errno));
		return EXIT_FAILURE;
	}
	err = hold_open(tps_root_choose(options->root), &hold, &why);
	if (err) {
		fprintf(stderr, "tpsd: %s\n", *why.text ? why.text : strerror(-err));
		return EXIT_FAILURE;
	}
	err = metrics_open(hold, options->callers_max, &reader);
	if (err) {
		fprintf(stderr, "tpsd: metrics: %s\n", strerror(-err));
		return EXIT_FAILURE;
	}
	pages = (struct pages){.hold = hold, .reader = reader};
	err = http_open(address, pages_table, &pages, &http);
	if (err) {
		fprintf(stderr, "tpsd: --listen '%s': %s%s\n", options->listen, strerror(-err),
			err == -EADDRINUSE ? "; give another with --listen ADDR:PORT" : "");
		return EXIT_FAILURE;
	}
	if (options->verbose)
		fprintf(stderr, "tpsd: serving http://%s/metrics of %s\n", options->listen,
			hold->gate->root);
	err = serve(http, signals_fd);
	if (err) {
		fprintf(stderr, "tpsd: poll: %s\n", strerror(-err));
		return EXIT_FAILURE;
	}
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	struct http_address address;
	struct options options;
	int status;

	status = options_parse(argc, argv, &options);
	if (status >= 0)
		return status;
	if (http_address_parse(options.listen, &address)) {
		fprintf(stderr, "tpsd: --listen '%s': expected ADDR:PORT or [ADDR]:PORT\n",
			options.listen);
		return EXIT_USAGE;
	}
	tps_log_libbpf(options.verbose);
	return run(&options, &address);
}
