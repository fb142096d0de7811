/*
 * Readers of what a key says once, as the table of keys names them: text -> field of the object. On a
 * mistake they leave the object as it was, and the fault's text says what is wrong and what would
 * be right, without the file, line and key, which the caller knows. Private to src/config.
 */
#pragma once

#include "config/keys.h"

enum err value_ifname(struct config_value *v, struct fault *fault);
enum err value_word(struct config_value *v, struct fault *fault); /* one of key->words */
/* key->min..max; where the key's default is a word ("auto", "off"), that word is 0. */
enum err value_number(struct config_value *v, struct fault *fault);
enum err value_position(struct config_value *v, struct fault *fault); /* 64 bits, below POSITION_MAX */
enum err value_mark(struct config_value *v, struct fault *fault); /* 32 bits, decimal or 0x..., or off */
enum err value_table(struct config_value *v, struct fault *fault); /* auto, off or 1..2^32-2 */
enum err value_account(struct config_value *v, struct fault *fault); /* the name of a user or a group */
/* A file's name, made absolute. Refuses what looks like a key and does not repeat it. */
enum err value_path(struct config_value *v, struct fault *fault);
enum err value_socket(struct config_value *v, struct fault *fault);     /* a path that fits a socket address */
enum err value_listen(struct config_value *v, struct fault *fault);     /* port, IPv4:port, [IPv6]:port */
enum err value_key_id(struct config_value *v, struct fault *fault);
enum err value_endpoint(struct config_value *v, struct fault *fault); /* host:port; sets all endpoint fields */

/* An IP address without anything around it; *ret is a prefix of its full length. */
bool value_ip_parse(struct prefix *ret, const char *text);
