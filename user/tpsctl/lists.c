// SPDX-License-Identifier: GPL-2.0-only
/*
 * The lists of a caller's identities as options give them.
 */
#include "lists.h"

#include <errno.h>

#include "secret.h"
#include "text.h"

/* Waits, in the order given, until the gate's secret is known. */
struct key_word {
	bool is_file;
	enum how how;
	const char *text;
	struct tps_api_key key; /* of a file */
};

void lists_begin(struct lists *lists, struct tps_caller_change *change)
{
	lists->sources.change = &change->sources;
	lists->hosts.change = &change->hosts;
	lists->keys.change = &change->keys;
}

static void list_end(struct list *list)
{
	free(list->add);
	free(list->remove);
}

void lists_end(struct lists *lists)
{
	list_end(&lists->sources);
	list_end(&lists->hosts);
	list_end(&lists->keys);
	for (size_t i = 0; i < lists->key_word_count; i++)
		tps_api_key_forget(&lists->key_words[i].key);
	free(lists->key_words);
}

static void list_mark(struct list *list, enum how how)
{
	if (how == LISTED || how == EMPTIED)
		list->change->replace = true;
	else
		list->is_edited = true;
}

/* Room for one more, of @size bytes. */
static void *list_grow(struct list *list, enum how how, size_t size)
{
	struct tps_list_change *change = list->change;
	void **array = how == REMOVED ? &list->remove : &list->add;
	size_t *count = how == REMOVED ? &change->remove_count : &change->add_count;
	char *grown = reallocarray(*array, *count + 1, size);

	if (!grown)
		return NULL;
	*array = grown;
	change->add = list->add;
	change->remove = list->remove;
	return grown + (*count)++ * size;
}

static int source_read(struct list *list, enum how how, struct tps_why *why)
{
	struct tps_prefix *source;

	list_mark(list, how);
	if (how == EMPTIED)
		return 0;
	source = list_grow(list, how, sizeof(*source));
	return source ? tps_prefix_parse(optarg, source, why) : -ENOMEM;
}

static int host_read(struct list *list, enum how how, struct tps_why *why)
{
	struct tps_server_name *name;

	list_mark(list, how);
	if (how == EMPTIED)
		return 0;
	name = list_grow(list, how, sizeof(*name));
	return name ? tps_server_name_parse(optarg, name, why) : -ENOMEM;
}

static int key_word_read(struct lists *lists, bool is_file, enum how how)
{
	struct key_word *grown;

	list_mark(&lists->keys, how);
	if (how == EMPTIED)
		return 0;
	grown = reallocarray(lists->key_words, lists->key_word_count + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	lists->key_words = grown;
	grown[lists->key_word_count++] =
		(struct key_word){.is_file = is_file, .how = how, .text = optarg};
	return 0;
}

int lists_option(struct lists *lists, int option, struct tps_why *why)
{
	if (option >= OPTION_KEY_HASH)
		return key_word_read(lists, false, option - OPTION_KEY_HASH);
	if (option >= OPTION_KEY_FILE)
		return key_word_read(lists, true, option - OPTION_KEY_FILE);
	if (option >= OPTION_SNI)
		return host_read(&lists->hosts, option - OPTION_SNI, why);
	return source_read(&lists->sources, option - OPTION_SOURCE, why);
}

static bool is_mixed(const struct list *list)
{
	return list->change->replace && list->is_edited;
}

bool lists_are_mixed(const struct lists *lists)
{
	return is_mixed(&lists->sources) || is_mixed(&lists->hosts) || is_mixed(&lists->keys);
}

int lists_keys_read(struct lists *lists, struct tps_why *why)
{
	int err = 0;

	for (size_t i = 0; i < lists->key_word_count && !err; i++) {
		struct key_word *word = &lists->key_words[i];

		if (word->is_file)
			err = tps_api_key_read(word->text, &word->key, why);
	}
	return err;
}

int lists_keys_hash(struct lists *lists, const __u64 secret[2], struct tps_why *why)
{
	int err = 0;

	for (size_t i = 0; i < lists->key_word_count && !err; i++) {
		const struct key_word *word = &lists->key_words[i];
		struct tps_key *key = list_grow(&lists->keys, word->how, sizeof(*key));

		if (!key)
			return -ENOMEM;
		if (word->is_file)
			tps_key_hash(&word->key, secret, key);
		else
			err = tps_key_parse(word->text, secret, key, why);
	}
	return err;
}
