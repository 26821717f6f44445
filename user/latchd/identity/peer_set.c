/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/identity/peer_set.h"

#include <string.h>
#include <strings.h>

#define LABELS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"

/* strncasecmp() depends on the locale, which latchd does not set. */
static bool same_label(const char *pattern, size_t length, const char *label, size_t label_length)
{
	if (length == 1 && *pattern == '*')
		return true;
	return length == label_length && !strncasecmp(pattern, label, length);
}

bool peer_host_matches(const char *pattern, const char *host)
{
	for (;;) {
		size_t length = strcspn(pattern, "."), label = strspn(host, LABELS);

		if (!label || !same_label(pattern, length, host, label))
			return false;
		pattern += length;
		host += label;
		if (!*pattern || !*host)
			return !*pattern && !*host;
		if (*host != '.')
			return false;
		pattern++;
		host++;
	}
}

static bool has_class(__u32 auth, enum latch_app_class class)
{
	switch (class) {
	case LATCH_CLASS_PSK:
		return auth == LATCH_AUTH_PSK || auth == LATCH_AUTH_PUBKEY;
	case LATCH_CLASS_PUBLIC_KEY:
		return auth == LATCH_AUTH_PUBKEY;
	case LATCH_CLASS_EAP:
		return auth == LATCH_AUTH_EAP;
	case LATCH_CLASS_ANY:
		break;
	}
	return false;
}

static bool is_possible(const struct config_peer *peer, const struct latch_identity *identity)
{
	return has_class(identity->auth, peer->class) &&
	       (!peer->connection[0] || !strcmp(peer->connection, identity->config));
}

static bool term_matches(const struct config *config, const struct config_peer_term *term,
			 const struct latch_identity *identity, bool is_host)
{
	const char *text = config->peer_texts + term->text;

	return term->is_host ? is_host && peer_host_matches(text, identity->id)
			     : !strcmp(text, identity->id);
}

uint32_t peer_sets_of(const struct config *config, const struct latch_identity *identity,
		      bool is_host)
{
	uint32_t possible = 0, sets = 0;
	size_t i;

	for (i = 0; i < config->peer_count; i++) {
		if (!is_possible(&config->peers[i], identity))
			continue;
		possible |= 1U << i;
		if (!config->peers[i].has_terms)
			sets |= 1U << i;
	}
	for (i = 0; possible & ~sets && i < config->peer_term_count; i++) {
		const struct config_peer_term *term = &config->peer_terms[i];

		if (possible & 1U << term->peer && term_matches(config, term, identity, is_host))
			sets |= 1U << term->peer;
	}
	return sets;
}
