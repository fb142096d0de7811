/*
 * The table of keys: what a configuration may say, how it is read, what holds when it says
 * nothing. The parser, its suggestions and the manual page's test go by it. Private to src/config.
 */
#pragma once

#include "config/config.h"

#include <stdbool.h>

enum config_section { SECTION_INTERFACE, SECTION_PEER };

struct config_key;

/* One value on its way into a struct. */
struct config_value {
	const struct config_key *key;
	const char *text;   /* trimmed; of a list, one item */
	const char *folder; /* of the configuration file, absolute, with its final '/' */
	void *object;       /* struct config or struct config_peer, by the key's section */
	bool normalised;    /* set: a prefix has lost its host bits, and was taken as: */
	struct prefix taken;
};

/* A word that a key takes. */
struct config_word {
	const char *text; /* NULL ends the list */
	unsigned value;
	const char *refusal; /* why this version does not take it; NULL: it does */
};

struct config_key {
	enum config_section section;
	const char *name;
	/* The fault's text says what is wrong and what would be right. */
	enum err (*parse)(struct config_value *value, struct fault *fault);
	size_t offset, width;            /* of the field in the object; width 0: nothing is kept */
	uint32_t min, max;               /* for numbers */
	const struct config_word *words; /* for words */
	bool list;                       /* comma separated, may be repeated */
	bool command;                    /* may be repeated; commas and comments are the shell's */
	const char *unset; /* the default, read as if it had been written; NULL: none */
	const char *help;
};

/* The key's field in the object. */
static inline void *config_value_field(const struct config_value *v)
{
	return (char *)v->object + v->key->offset;
}

#define CONFIG_KEY_COUNT 52 /* with the empty one at the end */
extern const struct config_key config_keys[CONFIG_KEY_COUNT];

/* Whatever the case of its letters; NULL: there is none. */
const struct config_key *config_key_find(enum config_section section, const char *name);

/* The key that was probably meant, or NULL. */
const struct config_key *config_key_nearest(enum config_section section, const char *name);
