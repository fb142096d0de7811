/*
 * Readers of single values, as the table of keys names them: text -> field of the object. On a
 * mistake they leave the object as it was, and the fault's text says what is wrong and what would
 * be right, without the file, line and key, which the caller knows. Private to src/config.
 */
#pragma once

#include "config/keys.h"

enum err value_ifname(struct config_value *v, struct fault *fault);
enum err value_word(struct config_value *v, struct fault *fault); /* one of key->words */
/* key->min..max; where the key's default is a word ("auto", "off"), that word is 0. */
enum err value_number(struct config_value *v, struct fault *fault);
enum err value_mark(struct config_value *v, struct fault *fault); /* 32 bits, decimal or 0x..., or off */
/* A file's name, made absolute. Refuses what looks like a key and does not repeat it. */
enum err value_path(struct config_value *v, struct fault *fault);
enum err value_socket(struct config_value *v, struct fault *fault);     /* a path that fits a socket address */
enum err value_listen(struct config_value *v, struct fault *fault);     /* port, IPv4:port, [IPv6]:port */
enum err value_address(struct config_value *v, struct fault *fault);    /* adds one prefix, host bits kept */
enum err value_allowed_ip(struct config_value *v, struct fault *fault); /* adds one prefix, host bits dropped */
enum err value_key_id(struct config_value *v, struct fault *fault);
enum err value_endpoint(struct config_value *v, struct fault *fault); /* host:port; sets all endpoint fields */
