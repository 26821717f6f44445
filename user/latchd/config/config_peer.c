/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/config/config_peer.h"

#include <string.h>

#include "common/text.h"

#define LABELS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"

uint8_t config_peer_find(const struct config *config, const char *name)
{
	size_t i;

	for (i = 0; i < config->peer_count; i++)
		if (!strcmp(config->peers[i].name, name))
			return (uint8_t)(i + 1);
	return 0;
}

void config_peer_begin(struct config_parser *parser, const char *name)
{
	struct config *config = parser->config;

	if (!config_check_name(parser, "peer", name))
		return;
	if (config_peer_find(config, name))
		config_fail(parser, parser->line,
			    "[peer %s] appears twice; expected a name of its own", name);
	if (config->peer_count == LATCH_PEER_SETS_MAX)
		config_fail(parser, parser->line, "[peer %s] is one too many; expected at most %d",
			    name, LATCH_PEER_SETS_MAX);
	if (parser->failed_line)
		return;
	parser->peer = &config->peers[config->peer_count++];
	text_copy(parser->peer->name, sizeof(parser->peer->name), name);
}

static bool has_host(const struct config_parser *parser)
{
	const struct config *config = parser->config;
	size_t i;

	for (i = 0; i < config->peer_term_count; i++)
		if (config->peer_terms[i].is_host &&
		    &config->peers[config->peer_terms[i].peer] == parser->peer)
			return true;
	return false;
}

void config_peer_end(struct config_parser *parser)
{
	const struct config_peer *peer = parser->peer;

	if (peer->class == LATCH_CLASS_ANY)
		config_fail(
			parser, parser->heading_line,
			"[peer %s] has no class; expected a line class = public-key, psk or eap",
			peer->name);
	/* EAP supplies the identity: the remote id of the connection does not prove its type. */
	if (peer->class == LATCH_CLASS_EAP && has_host(parser))
		config_fail(parser, parser->heading_line,
			    "[peer %s] has host, which no EAP identity is proven to be; expected "
			    "id = for them",
			    peer->name);
	if (!peer->has_terms && !peer->connection[0])
		config_fail(parser, parser->heading_line,
			    "[peer %s] has no peer; expected a line id, host or connection",
			    peer->name);
}

static bool add_term(struct config_parser *parser, const char *value, bool is_host)
{
	struct config *config = parser->config;
	size_t size = strlen(value) + 1;

	if (config->peer_term_count == CONFIG_PEER_TERMS_MAX ||
	    size > sizeof(config->peer_texts) - config->peer_text_size) {
		config_fail(
			parser, parser->line,
			"[peer %s] is too long: the lines id and host of all sets are more than "
			"%d, or have more than %d bytes",
			parser->peer->name, CONFIG_PEER_TERMS_MAX, CONFIG_PEER_TEXT_MAX);
		return false;
	}
	config->peer_terms[config->peer_term_count++] = (struct config_peer_term){
		.peer = (unsigned char)(parser->peer - config->peers),
		.is_host = is_host,
		.text = (unsigned int)config->peer_text_size,
	};
	memcpy(config->peer_texts + config->peer_text_size, value, size);
	config->peer_text_size += size;
	parser->peer->has_terms = true;
	return true;
}

/* No peer is latched under such an identity (feeds/vici/proof.c), so the line would never match. */
static bool is_wildcard(const char *value)
{
	const char *at = value;

	if (*value == '*')
		return true;
	while ((at = strstr(at, "=*"))) {
		at += 2;
		if (!*at || *at == ',')
			return true;
	}
	return false;
}

bool config_peer_id(struct config_parser *parser, const char *value)
{
	if (is_wildcard(value))
		config_fail(parser, parser->line,
			    "[peer %s] has id = %s, which is a pattern, and id is exact; expected "
			    "the whole text, or host = for a pattern of host names",
			    parser->peer->name, value);
	return *value && strlen(value) < LATCH_ID_TEXT_MAX && add_term(parser, value, false);
}

/* Labels of a host name, or * in place of one. A pattern without any label would be any host. */
static bool is_pattern(const char *value)
{
	bool has_label = false;

	for (;;) {
		size_t length = strspn(value, LABELS);
		bool is_any = *value == '*';

		if (length == 0 && !is_any)
			return false;
		has_label = has_label || !is_any;
		value += is_any ? 1 : length;
		if (!*value)
			return has_label;
		if (*value++ != '.')
			return false;
	}
}

bool config_peer_host(struct config_parser *parser, const char *value)
{
	return strlen(value) < LATCH_ID_TEXT_MAX && is_pattern(value) &&
	       add_term(parser, value, true);
}

bool config_peer_connection(struct config_parser *parser, const char *value)
{
	return *value &&
	       text_copy(parser->peer->connection, sizeof(parser->peer->connection), value) > 0;
}

bool config_peer_class(struct config_parser *parser, const char *value)
{
	if (!strcmp(value, "public-key"))
		parser->peer->class = LATCH_CLASS_PUBLIC_KEY;
	else if (!strcmp(value, "psk"))
		parser->peer->class = LATCH_CLASS_PSK;
	else if (!strcmp(value, "eap"))
		parser->peer->class = LATCH_CLASS_EAP;
	return parser->peer->class != LATCH_CLASS_ANY;
}

/* ---- the digest: FNV-1a of 64 bits. The administrator writes the sections. */

static uint64_t add_bytes(uint64_t digest, const void *bytes, size_t size)
{
	const unsigned char *at = bytes;

	while (size--)
		digest = (digest ^ *at++) * 0x100000001b3ULL;
	return digest;
}

uint64_t config_peers_digest(const struct config *config)
{
	uint64_t digest = 0xcbf29ce484222325ULL;
	size_t i;

	if (!config->peer_count)
		return 0;
	for (i = 0; i < config->peer_count; i++) {
		const struct config_peer *peer = &config->peers[i];
		unsigned char class = (unsigned char)peer->class;

		digest = add_bytes(digest, peer->name, sizeof(peer->name));
		digest = add_bytes(digest, peer->connection, sizeof(peer->connection));
		digest = add_bytes(digest, &class, sizeof(class));
	}
	for (i = 0; i < config->peer_term_count; i++) {
		const struct config_peer_term *term = &config->peer_terms[i];
		unsigned char kind[] = {term->peer, term->is_host};

		digest = add_bytes(digest, kind, sizeof(kind));
	}
	digest = add_bytes(digest, config->peer_texts, config->peer_text_size);
	return digest ? digest : 1;
}
