// SPDX-License-Identifier: GPL-2.0-only
/*
 * Any words as those of tpsctl: they are understood or refused, with exit status 0 to 3. There is
 * no gate, and none is made: what opens or makes one is not called.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gate.h"
#include "secret.h"

#include "fuzz/expect.h"

#define WORDS_MAX 24

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);
int tpsctl_main(int argc, char **argv);
int __wrap_tps_gate_open(const char *root, enum tps_access access, struct tps_gate **ret_gate,
			 struct tps_why *why);
int __wrap_tps_gate_make(const char *root, const struct tps_gate_options *options,
			 struct tps_gate **ret_gate, struct tps_why *why);
int __wrap_tps_secret_make(const char *file, __u64 ret_secret[2], struct tps_why *why);

int __wrap_tps_gate_open(const char *root, enum tps_access access, struct tps_gate **ret_gate,
			 struct tps_why *why)
{
	return tps_why_say(why, -ENOENT, "no gate at '%s'", root);
}

int __wrap_tps_gate_make(const char *root, const struct tps_gate_options *options,
			 struct tps_gate **ret_gate, struct tps_why *why)
{
	return tps_why_say(why, -EPERM, "no gate is made at '%s'", root);
}

int __wrap_tps_secret_make(const char *file, __u64 ret_secret[2], struct tps_why *why)
{
	return tps_why_say(why, -EPERM, "no secret is made at '%s'", file);
}

/* What tpsctl says is for nobody. libFuzzer has descriptor 2 for itself. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	int null = open("/dev/null", O_RDWR);

	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	stderr = fopen("/dev/null", "w");
	return !null || !stderr;
}

/* -h and its kin end the process, as they should. A path leads out of here. */
static int is_left_out(const char *word)
{
	return (word[0] == '-' && strchr(word, 'h')) || strchr(word, '/');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *argv[WORDS_MAX + 2] = {"tpsctl"}, *words, *save = NULL;
	int argc = 1, status;

	words = malloc(size + 1);
	if (!words)
		return 0;
	memcpy(words, data, size);
	words[size] = '\0';
	for (char *word = strtok_r(words, "\n", &save); word && argc <= WORDS_MAX;
	     word = strtok_r(NULL, "\n", &save)) {
		if (is_left_out(word)) {
			free(words);
			return 0;
		}
		argv[argc++] = word;
	}
	optind = 0; /* glibc: begin anew */
	getopt(1, argv, "");
	status = tpsctl_main(argc, argv);
	expect(status >= 0 && status <= 3, "the exit status is one of tpsctl's");
	free(words);
	return 0;
}
