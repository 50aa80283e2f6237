// SPDX-License-Identifier: GPL-2.0-only
/*
 * key hash: what an API key is in maps and policies. Needs neither root nor a gate.
 */
#include <stdio.h>

#include "secret.h"
#include "verbs.h"

enum outcome key_hash(struct session *session, int argc, char **argv)
{
	static const struct option options[] = {OPTION("secret", required_argument, 's'),
						OPTIONS_SHARED};
	_cleanup_(tps_api_key_forget) struct tps_api_key key = {};
	const char *secret_file = NULL;
	char text[TPS_KEY_TEXT];
	struct tps_why why = {};
	struct tps_key hash;
	__u64 secret[2];
	char **file;
	int option, err;

	while ((option = option_next(session, argc, argv, options)) != -1) {
		if (option != 's')
			return USAGE;
		secret_file = optarg;
	}
	if (!words_left(session, argc, argv, argc - optind ? 1 : 0, &file))
		return USAGE;
	err = tps_secret_read(tps_secret_choose(secret_file), secret, &why);
	if (err)
		return failed(session, err, &why);
	err = tps_api_key_read(*file ? *file : "-", &key, &why);
	if (err)
		return rejected(session, err, &why);
	tps_key_hash(&key, secret, &hash);
	tps_key_print(&hash, secret, text);
	if (!print_json(session, json_pack("{s:s}", "hash", text)))
		printf("%s\n", text);
	return DONE;
}
