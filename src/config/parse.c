#include "config/parse.h"

#include "config/checks.h"
#include "config/claims.h"
#include "config/diag.h"
#include "config/keys.h"
#include "config/peer.h"

#include "base/bytes.h"
#include "crypto/keyfile.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum place { BEFORE_SECTIONS, IN_UNKNOWN, IN_INTERFACE, IN_PEER };

struct parser {
	struct config *config;
	struct config_diagnostics *diags;
	struct claims claims;
	char folder[PATH_MAX + 1];
	unsigned line;
	enum place place;
	char section[CONFIG_PEER_NAME_LEN + 8];    /* for diagnostics */
	unsigned interface_line;                   /* 0: not seen yet */
	unsigned interface_seen[CONFIG_KEY_COUNT]; /* the line of each key, 0: not given */
	unsigned peer_seen[CONFIG_KEY_COUNT];      /* the same for the peer at hand */
	bool stray_told, no_memory;
};

static struct diag_place here(const struct parser *p, const char *key)
{
	return (struct diag_place){.line = p->line, .section = p->section, .key = key};
}

static struct config_peer *peer_of(const struct parser *p)
{
	return &p->config->peers[p->config->peer_count - 1];
}

static char *trim(char *text)
{
	while (isspace((unsigned char)*text))
		text++;
	size_t n = strlen(text);
	while (n > 0 && isspace((unsigned char)text[n - 1]))
		n--;
	text[n] = '\0';
	return text;
}

/* One value, or one item of a list, into its struct. */
static void value_take(struct parser *p, const struct config_key *key, char *text)
{
	struct fault fault = {0};
	struct config_value v = {.key = key,
		.text = trim(text),
		.folder = p->folder,
		.object = key->section == SECTION_PEER ? (void *)peer_of(p) : (void *)p->config};
	if (!*v.text) {
		diag_error(p->diags, here(p, key->name), "%s",
			key->list ? "an item of the list is empty: remove a comma, or the line"
				  : "has no value: give one, or remove the line");
		return;
	}
	enum err e = key->parse(&v, &fault);
	p->no_memory = p->no_memory || e == ERR_NOMEM;
	if (e)
		diag_error(p->diags, here(p, key->name), "%s", fault.text);
	if (e == OK && v.normalised) {
		char q[QUOTE_LEN], t[ADDR_TEXT_LEN];
		diag_warning(p->diags, here(p, key->name), "%s has bits set beyond its prefix length; taken as %s",
			quote(q, v.text), prefix_format(&v.taken, t));
	}
}

/* Claims the prefixes that one AllowedIPs line has added. */
static void prefixes_claim(struct parser *p, size_t from)
{
	const struct config_prefixes *list = &peer_of(p)->allowed_ips;
	for (size_t i = from; i < list->count; i++) {
		if (claims_add(&p->claims, CLAIM_PREFIX, VIEW(&list->items[i], sizeof(struct prefix)),
			    p->config->peer_count - 1, p->line))
			p->no_memory = true;
	}
}

static void key_take(struct parser *p, const struct config_key *key, char *text)
{
	unsigned *seen = &(key->section == SECTION_PEER ? p->peer_seen : p->interface_seen)[key - config_keys];
	if (*seen && !key->list && !key->command) {
		diag_error(p->diags, here(p, key->name), "is given in line %u already: keep one of the two", *seen);
		return;
	}
	*seen = p->line;
	if (!key->list) {
		value_take(p, key, text);
		return;
	}
	size_t before = p->place == IN_PEER ? peer_of(p)->allowed_ips.count : 0;
	for (char *item = text, *comma; item; item = comma) {
		comma = strchr(item, ',');
		if (comma)
			*comma++ = '\0';
		value_take(p, key, item);
	}
	if (p->place == IN_PEER)
		prefixes_claim(p, before);
}

static void unknown_key(struct parser *p, enum config_section section, const char *name)
{
	char q[QUOTE_LEN];
	enum config_section other = section == SECTION_PEER ? SECTION_INTERFACE : SECTION_PEER;
	const struct config_key *near = config_key_find(other, name);
	quote(q, name);
	if (near) {
		diag_error(p->diags, here(p, q), "belongs in %s, not here",
			other == SECTION_PEER ? "a [peer NAME] section" : "the [interface] section");
		return;
	}
	near = config_key_nearest(section, name);
	diag_error(p->diags, here(p, q), "there is no such key%s%s%s jorm.conf(5) lists them all",
		near ? ": did you mean " : "", near ? near->name : "", near ? "?" : ":");
}

/* Of a line, what counts: a # or ; at its start or after white space begins a comment. */
static char *uncomment(char *line)
{
	for (char *c = line; *c; c++) {
		if ((*c == '#' || *c == ';') && (c == line || isspace((unsigned char)c[-1]))) {
			*c = '\0';
			break;
		}
	}
	return trim(line);
}

/* A shell knows its own comments, and needs its semicolons. */
static bool is_command(const struct parser *p, const char *line)
{
	char name[32];
	size_t n = strcspn(line, "=");
	if (p->place != IN_INTERFACE || n >= sizeof(name) || !line[n])
		return false;
	memcpy(name, line, n);
	name[n] = '\0';
	const struct config_key *key = config_key_find(SECTION_INTERFACE, trim(name));
	return key && key->command;
}

static void key_line(struct parser *p, char *line)
{
	char *equals = strchr(line, '=');
	if (p->place == BEFORE_SECTIONS && !p->stray_told) {
		p->stray_told = true;
		diag_error(p->diags, here(p, NULL), "stands before the first section: begin the file with [interface]");
	}
	if (p->place == BEFORE_SECTIONS || p->place == IN_UNKNOWN)
		return;
	if (!equals || equals == line) {
		diag_error(p->diags, here(p, NULL),
			"neither a section nor a key: write Key = value, or begin the line with #");
		return;
	}
	*equals = '\0';
	char *name = trim(line);
	enum config_section section = p->place == IN_PEER ? SECTION_PEER : SECTION_INTERFACE;
	const struct config_key *key = config_key_find(section, name);
	if (key)
		key_take(p, key, equals + 1);
	else
		unknown_key(p, section, name);
}

/* Gives the keys that were not written their defaults. */
static void defaults_take(struct parser *p, enum config_section section, const unsigned *seen)
{
	char text[PATH_MAX];
	for (const struct config_key *k = config_keys; k->name; k++) {
		if (k->section != section || seen[k - config_keys] || !k->unset)
			continue;
		snprintf(text, sizeof(text), "%s", k->unset);
		/* the one default that depends on the file's name */
		if (section == SECTION_INTERFACE && k->offset == offsetof(struct config, control_socket) &&
			config_socket_of(text, p->config->instance))
			diag_error(p->diags, here(p, k->name), "the file's name is too long: give a ControlSocket");
		else
			value_take(p, k, text);
	}
}

/* The line of a key of the peer at hand; 0: not given. */
static unsigned peer_key_line(const struct parser *p, const char *name)
{
	return p->peer_seen[config_key_find(SECTION_PEER, name) - config_keys];
}

static unsigned interface_key_line(const struct parser *p, const char *name)
{
	return p->interface_seen[config_key_find(SECTION_INTERFACE, name) - config_keys];
}

/* The key ID of a peer that is named by the file of its public key. */
static void public_key_take(struct parser *p, struct config_peer *peer)
{
	struct sig_public key;
	struct fault fault = {0};
	uint8_t id[KEY_ID_LEN];
	p->line = peer->public_key_line;
	if (keyfile_read_public(&key, peer->public_key, &fault) || key_id_compute(id, &key)) {
		diag_error(p->diags, here(p, "PublicKey"), "%s", fault.text[0] ? fault.text : err_text(ERR_CRYPTO));
	} else if (peer->key_id_line && memcmp(id, peer->key_id, sizeof(id)) != 0) {
		diag_error(p->diags, here(p, "PublicKey"),
			"the file's key has another key ID than KeyID says: keep the right one");
	} else {
		memcpy(peer->key_id, id, sizeof(id));
		peer->key_id_line = p->line;
	}
}

static void peer_end(struct parser *p)
{
	static const uint8_t none[KEY_ID_LEN];
	struct config_peer *peer = peer_of(p);
	size_t index = p->config->peer_count - 1;
	p->line = peer->line;
	peer->key_id_line = peer_key_line(p, "KeyID");
	peer->public_key_line = peer_key_line(p, "PublicKey");
	peer->preshared_key_line = peer_key_line(p, "PresharedKey");
	peer->protection_line = peer_key_line(p, "Protection");
	peer->pad_line = peer_key_line(p, "Pad");
	peer->pad_offset_line = peer_key_line(p, "PadOffset");
	defaults_take(p, SECTION_PEER, p->peer_seen);
	if (peer->public_key)
		public_key_take(p, peer);
	if (memcmp(peer->key_id, none, sizeof(none)) != 0 &&
		claims_add(&p->claims, CLAIM_KEY_ID, VIEW(peer->key_id, KEY_ID_LEN), index, peer->key_id_line))
		p->no_memory = true;
	if (peer->name[0] &&
		claims_add(&p->claims, CLAIM_NAME, VIEW(peer->name, strlen(peer->name)), index, peer->line))
		p->no_memory = true;
}

static void section_end(struct parser *p)
{
	unsigned line = p->line;
	if (p->place == IN_PEER)
		peer_end(p);
	p->line = line;
	p->place = IN_UNKNOWN;
	p->section[0] = '\0';
}

static void peer_begin(struct parser *p, const char *name)
{
	struct config_peer *peers = p->config->peers;
	size_t n = p->config->peer_count;
	if ((n & (n - 1)) == 0) {
		peers = reallocarray(peers, n ? n * 2 : 1, sizeof(*peers));
		if (!peers) {
			p->no_memory = true;
			return;
		}
		p->config->peers = peers;
	}
	p->config->peer_count++;
	peers[n] = (struct config_peer){.line = p->line};
	memset(p->peer_seen, 0, sizeof(p->peer_seen));
	p->place = IN_PEER;
	if (config_peer_name_ok(name)) {
		snprintf(peers[n].name, sizeof(peers[n].name), "%s", name);
		snprintf(p->section, sizeof(p->section), "peer %s", name);
	} else {
		snprintf(p->section, sizeof(p->section), "peer");
		diag_error(p->diags, here(p, NULL),
			"a peer needs a name of 1 to %d letters, digits and . _ - such as [peer laptop]",
			CONFIG_PEER_NAME_LEN - 1);
	}
}

static void section_line(struct parser *p, char *line)
{
	section_end(p);
	char *close = strchr(line, ']');
	if (!close || close[1]) {
		diag_error(p->diags, here(p, NULL), "a section is one line, such as [interface] or [peer laptop]");
		return;
	}
	*close = '\0';
	char *word = trim(line + 1);
	char *rest = word + strcspn(word, " \t");
	if (*rest)
		*rest++ = '\0';
	rest = trim(rest);
	if (strcasecmp(word, "peer") == 0) {
		peer_begin(p, rest);
	} else if (strcasecmp(word, "interface") == 0 && !*rest) {
		p->place = IN_INTERFACE;
		snprintf(p->section, sizeof(p->section), "interface");
		if (p->interface_line)
			diag_error(p->diags, here(p, NULL), "there is an [interface] in line %u already: join the two",
				p->interface_line);
		else
			p->interface_line = p->line;
	} else {
		char q[QUOTE_LEN];
		diag_error(p->diags, here(p, NULL), "there is no section [%s]: write [interface] or [peer NAME]",
			quote(q, word));
	}
}

/* RFC 3629, without the forms that it forbids. */
static bool is_utf8(const char *text)
{
	static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
	const uint8_t *at = (const uint8_t *)text;
	while (*at) {
		uint8_t c = *at++;
		unsigned more = c < 0x80             ? 0
				: (c & 0xe0) == 0xc0 ? 1
				: (c & 0xf0) == 0xe0 ? 2
				: (c & 0xf8) == 0xf0 ? 3
						     : 4;
		if (more == 4)
			return false;
		uint32_t point = more ? c & (0x3fU >> more) : c;
		for (unsigned i = 0; i < more; i++) {
			if ((at[0] & 0xc0) != 0x80)
				return false;
			point = point << 6 | (*at++ & 0x3fU);
		}
		if (point < least[more] || point > 0x10ffff || (point >= 0xd800 && point < 0xe000))
			return false;
	}
	return true;
}

static void text_take(struct parser *p, char *text, size_t len)
{
	char *end = text + len;
	if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
		text += 3;
	for (char *line = text, *next; line < end; line = next) {
		char *newline = memchr(line, '\n', (size_t)(end - line));
		next = newline ? newline + 1 : end;
		size_t n = (size_t)((newline ? newline : end) - line);
		line[n] = '\0';
		p->line++;
		if (strlen(line) != n)
			diag_error(
				p->diags, here(p, NULL), "holds a NUL byte: this is not a text file, or it is damaged");
		else if (!is_utf8(line))
			diag_error(p->diags, here(p, NULL), "is not UTF-8: save the file in that encoding");
		else if (is_command(p, line))
			key_line(p, line);
		else if (*(line = uncomment(line)) == '[')
			section_line(p, line);
		else if (*line)
			key_line(p, line);
	}
	section_end(p);
}

static enum err names_take(struct parser *p, const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *base = slash ? slash + 1 : path;
	size_t n = strlen(base);
	if (n > strlen(".conf") && strcmp(base + n - strlen(".conf"), ".conf") == 0)
		n -= strlen(".conf");
	p->config->path = strdup(path);
	p->config->instance = strndup(base, n);
	if (!p->config->path || !p->config->instance)
		return ERR_NOMEM;
	char cwd[PATH_MAX] = "";
	if (path[0] != '/' && !getcwd(cwd, sizeof(cwd) - 1))
		return ERR_IO;
	int written = snprintf(
		p->folder, sizeof(p->folder), "%s%s%.*s", cwd, path[0] == '/' ? "" : "/", (int)(base - path), path);
	return written < 0 || (size_t)written >= sizeof(p->folder) ? ERR_TOO_BIG : OK;
}

/* What no single line is to blame for. */
static void whole_check(struct parser *p)
{
	p->section[0] = '\0';
	p->line = p->interface_line;
	if (!p->interface_line)
		diag_error(p->diags, here(p, NULL), "there is no [interface] section: begin the file with one");
	else
		snprintf(p->section, sizeof(p->section), "interface");
	defaults_take(p, SECTION_INTERFACE, p->interface_seen);
	p->config->private_key_line = interface_key_line(p, "PrivateKey");
	p->config->authorized_keys_line = interface_key_line(p, "AuthorizedKeys");
	p->config->pads_line = interface_key_line(p, "Pads");
	p->config->control_group_line = interface_key_line(p, "ControlGroup");
	p->config->user_line = interface_key_line(p, "User");
	/* [interface] may come after its peers */
	for (size_t i = 0; i < p->config->peer_count; i++) {
		struct config_peer *peer = &p->config->peers[i];
		if (!peer->protection_line)
			peer->protection = p->config->protection;
	}
	claims_check(&p->claims, p->config, p->diags);
	checks_run(p->config, p->interface_line, p->interface_seen, p->diags);
}

static enum err parse(struct parser *p, const char *path, const char *text, size_t len)
{
	if (len > CONFIG_FILE_MAX) {
		diag_error(p->diags, (struct diag_place){0},
			"has %zu bytes, a configuration at most %u: is this the right file?", len, CONFIG_FILE_MAX);
		return ERR_TOO_BIG;
	}
	p->config = calloc(1, sizeof(*p->config));
	char *copy = malloc(len + 1);
	enum err e = p->config && copy ? names_take(p, path) : ERR_NOMEM;
	if (e == OK) {
		if (len)
			memcpy(copy, text, len);
		text_take(p, copy, len);
		whole_check(p);
		e = p->no_memory || p->diags->incomplete ? ERR_NOMEM : p->diags->errors ? ERR_FORMAT : OK;
	}
	free(copy);
	if (e && !p->diags->errors)
		diag_error(p->diags, (struct diag_place){0}, "%s", err_text(e));
	return e;
}

enum err config_parse_partly(
	struct config **ret, const char *path, const char *text, size_t len, struct config_diagnostics *diags)
{
	struct parser p = {.diags = diags};
	enum err e = parse(&p, path, text, len);
	claims_done(&p.claims);
	diag_sort(diags);
	*ret = p.config;
	return e;
}

enum err config_parse(
	struct config **ret, const char *path, const char *text, size_t len, struct config_diagnostics *diags)
{
	enum err e = config_parse_partly(ret, path, text, len, diags);
	if (e) {
		config_free(*ret);
		*ret = NULL;
	}
	return e;
}
