// SPDX-License-Identifier: GPL-2.0-only
/*
 * The secret's file and the text of a key's hash. Keeps no key.
 */
#include "secret.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <tps/names.h>
#include <tps/siphash.h>

#include "cleanup.h"

#define SECRET_TEXT 32 /* hex digits */

/* What the fingerprint is the hash of. */
static const char fingerprint_text[] = "tps secret";

const char *tps_secret_given(const char *option)
{
	const char *given = option ? option : getenv(TPS_SECRET_ENV);

	return given && *given ? given : NULL;
}

const char *tps_secret_choose(const char *option)
{
	const char *given = tps_secret_given(option);

	return given ? given : TPS_SECRET_DEFAULT;
}

/* Sixteen bytes in hex, the first byte first. */
static void hex_print(const __u64 words[2], char ret_text[SECRET_TEXT + 1])
{
	const __u8 *bytes = (const __u8 *)words;

	for (int i = 0; i < 16; i++)
		sprintf(ret_text + 2 * i, "%02x", bytes[i]);
}

static bool hex_parse(const char *text, __u64 ret_words[2])
{
	__u8 bytes[16];

	for (int i = 0; i < SECRET_TEXT; i++) {
		if (!isdigit((unsigned char)text[i]) && !(text[i] >= 'a' && text[i] <= 'f'))
			return false;
	}
	for (int i = 0; i < 16; i++)
		sscanf(text + 2 * i, "%2hhx", &bytes[i]);
	memcpy(ret_words, bytes, sizeof(bytes));
	return true;
}

/* Up to @size bytes of @fd; the count, or -errno. */
static ssize_t bytes_read(int fd, void *ret_bytes, size_t size)
{
	size_t got = 0;

	while (got < size) {
		ssize_t n = read(fd, (char *)ret_bytes + got, size - got);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		got += n;
	}
	return got;
}

int tps_secret_read(const char *file, __u64 ret_secret[2], struct tps_why *why)
{
	_cleanup_close_ int fd = open(file, O_RDONLY | O_CLOEXEC);
	char text[SECRET_TEXT + 2] = "";
	struct stat st;
	ssize_t got;
	int err;

	if (fd < 0) {
		err = -errno;
		return tps_why_say(why, err, "secret '%s': %s%s", file, strerror(-err),
				   err == -ENOENT ? "; tpsctl attach makes it on first use" : "");
	}
	if (fstat(fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_mode & 077)
		return tps_why_say(why, -EPERM,
				   "secret '%s': open to others (mode %03o); chmod 600 it", file,
				   st.st_mode & 0777);
	if (st.st_uid && st.st_uid != geteuid())
		return tps_why_say(why, -EPERM, "secret '%s': belongs to user %u, expected root%s",
				   file, st.st_uid, geteuid() ? " or oneself" : "");
	got = bytes_read(fd, text, sizeof(text));
	if (got < 0)
		return tps_why_say(why, got, "secret '%s': %s", file, strerror(-got));
	if ((got != SECRET_TEXT && !(got == SECRET_TEXT + 1 && text[SECRET_TEXT] == '\n')) ||
	    !hex_parse(text, ret_secret))
		return tps_why_say(why, -EINVAL,
				   "secret '%s': expected %d hex digits and a newline", file,
				   SECRET_TEXT);
	return 0;
}

/* Make the directory that @file is in, for root alone. */
static void directory_make(const char *file)
{
	char path[PATH_MAX];
	char *slash;

	snprintf(path, sizeof(path), "%s", file);
	slash = strrchr(path, '/');
	if (slash && slash != path) {
		*slash = '\0';
		mkdir(path, 0755);
	}
}

/* Written in full beside @file, then linked into place: nobody reads half a secret, and one that is
 * there already is not replaced. */
static int secret_write(const char *file, const __u64 secret[2])
{
	_cleanup_close_ int fd = -1;
	char text[SECRET_TEXT + 2], path[PATH_MAX];
	int err = 0;

	if (snprintf(path, sizeof(path), "%s.%d", file, getpid()) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	hex_print(secret, text);
	text[SECRET_TEXT] = '\n';
	if (write(fd, text, SECRET_TEXT + 1) != SECRET_TEXT + 1 || fsync(fd))
		err = errno ? -errno : -EIO;
	else if (link(path, file))
		err = -errno;
	unlink(path);
	return err;
}

int tps_secret_make(const char *file, __u64 ret_secret[2], struct tps_why *why)
{
	__u64 secret[2];
	int err = tps_secret_read(file, ret_secret, NULL);

	if (err != -ENOENT)
		return tps_secret_read(file, ret_secret, why);
	if (getrandom(secret, sizeof(secret), 0) != sizeof(secret))
		return tps_why_say(why, -EIO, "secret '%s': no random bytes to be had", file);
	directory_make(file);
	err = secret_write(file, secret);
	if (err && err != -EEXIST)
		return tps_why_say(why, err, "secret '%s': cannot make it: %s", file,
				   strerror(-err));
	return tps_secret_read(file, ret_secret, why);
}

__u32 tps_secret_fingerprint(const __u64 secret[2])
{
	__u64 hash[2];

	siphash_128(secret, fingerprint_text, sizeof(fingerprint_text) - 1, hash);
	return __builtin_bswap32((__u32)hash[0]);
}

static int key_check(const char *file, const __u8 *bytes, size_t len, struct tps_why *why)
{
	if (!len)
		return tps_why_say(why, -EINVAL, "key '%s': empty", file);
	if (len > TPS_KEY_BYTES_MAX)
		return tps_why_say(why, -EINVAL, "key '%s': over %d bytes", file,
				   TPS_KEY_BYTES_MAX);
	for (size_t i = 0; i < len; i++) {
		if (bytes[i] < 0x20 || bytes[i] == 0x7f)
			return tps_why_say(why, -EINVAL,
					   "key '%s': byte %zu is a control character, which no "
					   "header can carry",
					   file, i + 1);
	}
	if (bytes[0] == ' ' || bytes[len - 1] == ' ')
		return tps_why_say(why, -EINVAL,
				   "key '%s': a blank at an end, which a header loses", file);
	return 0;
}

int tps_api_key_read(const char *file, struct tps_api_key *ret_key, struct tps_why *why)
{
	bool is_stdin = !strcmp(file, "-");
	_cleanup_close_ int opened = is_stdin ? -1 : open(file, O_RDONLY | O_CLOEXEC);
	_cleanup_(tps_api_key_forget) struct tps_api_key key = {};
	ssize_t got;
	int err;

	if (!is_stdin && opened < 0) {
		err = -errno;
		return tps_why_say(why, err, "key file '%s': %s", file, strerror(-err));
	}
	got = bytes_read(is_stdin ? STDIN_FILENO : opened, key.bytes, sizeof(key.bytes));
	if (got < 0)
		return tps_why_say(why, got, "key file '%s': %s", file, strerror(-got));
	if (got && key.bytes[got - 1] == '\n')
		got--;
	key.len = got;
	err = key_check(file, key.bytes, key.len, why);
	if (!err)
		*ret_key = key;
	return err;
}

void tps_api_key_forget(struct tps_api_key *key)
{
	explicit_bzero(key, sizeof(*key));
}

void tps_key_hash(const struct tps_api_key *key, const __u64 secret[2], struct tps_key *ret_hash)
{
	siphash_128(secret, key->bytes, key->len, ret_hash->hash);
}

int tps_key_split(const char *text, __u32 *ret_fingerprint, struct tps_key *ret_key,
		  struct tps_why *why)
{
	struct tps_key key;

	if (strlen(text) != TPS_KEY_TEXT - 1 || strncmp(text, "hash:", 5) || text[13] != ':' ||
	    strspn(text + 5, "0123456789abcdef") != 8 || !hex_parse(text + 14, key.hash))
		return tps_why_say(
			why, -EINVAL,
			"key hash '%s': expected hash:<8 hex>:<32 hex>, as tpsctl key hash "
			"prints it",
			text);
	*ret_fingerprint = strtoul(text + 5, NULL, 16);
	*ret_key = key;
	return 0;
}

int tps_key_parse(const char *text, const __u64 secret[2], struct tps_key *ret_key,
		  struct tps_why *why)
{
	__u32 fingerprint;
	struct tps_key key;
	int err = tps_key_split(text, &fingerprint, &key, why);

	if (err)
		return err;
	if (fingerprint != tps_secret_fingerprint(secret))
		return tps_why_say(
			why, -EKEYREJECTED,
			"key hash '%s': made with another secret (this gate's are hash:%08x:...); "
			"hash the key with this host's secret",
			text, tps_secret_fingerprint(secret));
	*ret_key = key;
	return 0;
}

const char *tps_key_print(const struct tps_key *key, const __u64 secret[2],
			  char ret_text[TPS_KEY_TEXT])
{
	int prefix = sprintf(ret_text, "hash:%08x:", tps_secret_fingerprint(secret));

	hex_print(key->hash, ret_text + prefix);
	return ret_text;
}
