/* SPDX-License-Identifier: BSD-2-Clause */
/* Which sets a peer is of: exact texts, patterns of host names, connections, classes. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "latchd/identity/peer_set.h"

static struct config config;

static void clear(void)
{
	memset(&config, 0, sizeof(config));
}

TestSuite(peer_set, .init = clear);

static void add_set(enum latch_app_class class, const char *connection)
{
	struct config_peer *peer = &config.peers[config.peer_count++];

	peer->class = class;
	strcpy(peer->connection, connection);
}

static void add_term(bool is_host, const char *text)
{
	config.peers[config.peer_count - 1].has_terms = true;
	config.peer_terms[config.peer_term_count++] = (struct config_peer_term){
		.peer = (unsigned char)(config.peer_count - 1),
		.is_host = is_host,
		.text = (unsigned int)config.peer_text_size,
	};
	strcpy(config.peer_texts + config.peer_text_size, text);
	config.peer_text_size += strlen(text) + 1;
}

static uint32_t sets_of(const char *id, bool is_host)
{
	struct latch_identity identity = {.auth = LATCH_AUTH_PUBKEY, .config = "roads"};

	strcpy(identity.id, id);
	return peer_sets_of(&config, &identity, is_host);
}

/* ---- patterns */

static const struct {
	const char *pattern, *host;
	bool matches;
} cases[] = {
	{"*.example", "c.example", true},
	{"*.example", "C.EXAMPLE", true},
	{"*.Example", "c.example", true},
	{"*.example", "a.b.example", false},
	{"*.example", "example", false},
	{"*.example", ".example", false},
	{"*.example", "c.example.", false},
	{"*.example", "c..example", false},
	{"*.example", "*.example", false},
	{"*.example", "c.examples", false},
	{"*.example", "c.exampl", false},
	{"*.example", "c.example.org", false},
	{"*.example", "c@x.example", false},
	{"*.example", "CN=c.example", false},
	{"*.example", "O=x, CN=c.example", false},
	{"*.example", "c d.example", false},
	{"*.example", "c/d.example", false},
	{"*.example", "", false},
	{"*.*.example", "a.b.example", true},
	{"*.*.example", "b.example", false},
	{"*.*.example", "x.a.b.example", false},
	{"db.*.example", "db.b.example", true},
	{"db.*.example", "dc.b.example", false},
	{"c.*", "c.example", true},
	{"c.*", "c", false},
	{"c.*", "c.", false},
	{"c.example", "c.example", true},
	{"c.example", "cxexample", false},
	{"c-1_2.example", "c-1_2.example", true},
	{"*.example", "\xc3\xa9.example", false},
};

Test(peer_set, a_star_is_one_label)
{
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		cr_expect_eq(peer_host_matches(cases[i].pattern, cases[i].host), cases[i].matches,
			     "%s %s", cases[i].pattern, cases[i].host);
}

/* Property: a match has as many labels, and its literal ones. */
static unsigned int dots(const char *text)
{
	unsigned int count = 0;

	for (; *text; text++)
		count += *text == '.';
	return count;
}

Test(peer_set, a_match_has_as_many_labels)
{
	static const char bytes[] = "a.*-A";
	char pattern[6] = "", host[6] = "";
	unsigned int i, j, k, matches = 0;

	for (i = 0; i < 5 * 5 * 5 * 5; i++) {
		for (j = 0; j < 5 * 5 * 5 * 5; j++) {
			unsigned int one = i, other = j;

			for (k = 0; k < 4; k++, one /= 5, other /= 5) {
				pattern[k] = bytes[one % 5];
				host[k] = bytes[other % 5];
			}
			if (!peer_host_matches(pattern, host))
				continue;
			matches++;
			cr_assert_eq(dots(pattern), dots(host), "%s %s", pattern, host);
			cr_assert_null(strchr(host, '*'));
		}
	}
	cr_expect_gt(matches, 100);
}

/* ---- sets */

Test(peer_set, an_identity_is_compared_whole_and_as_it_is)
{
	add_set(LATCH_CLASS_PUBLIC_KEY, "");
	add_term(false, "c.example");
	cr_expect_eq(sets_of("c.example", false), 1);
	cr_expect_eq(sets_of("c.example", true), 1);
	cr_expect_eq(sets_of("C.example", true), 0);
	cr_expect_eq(sets_of("c.example2", true), 0);
	cr_expect_eq(sets_of("c.exampl", true), 0);
	cr_expect_eq(sets_of("CN=c.example", true), 0);
}

/* A key id or a mail address may have the bytes of a host name. */
Test(peer_set, a_pattern_matches_what_is_proven_to_be_a_host_name_only)
{
	add_set(LATCH_CLASS_PUBLIC_KEY, "");
	add_term(true, "*.example");
	cr_expect_eq(sets_of("c.example", true), 1);
	cr_expect_eq(sets_of("c.example", false), 0);
	add_term(true, "d.example");
	cr_expect_eq(sets_of("d.example", false), 0);
}

/* The star of an exact text is a star. */
Test(peer_set, an_exact_text_is_no_pattern)
{
	add_set(LATCH_CLASS_PUBLIC_KEY, "");
	add_term(false, "*.example");
	cr_expect_eq(sets_of("c.example", true), 0);
	cr_expect_eq(sets_of("*.example", true), 1);
}

Test(peer_set, connection_and_class_count_too)
{
	static const enum latch_auth auths[] = {LATCH_AUTH_UNKNOWN, LATCH_AUTH_PUBKEY,
						LATCH_AUTH_PSK,	    LATCH_AUTH_EAP,
						LATCH_AUTH_XAUTH,   LATCH_AUTH_NULL};
	static const uint32_t expected[] = {0, 1 | 2, 2, 4, 0, 0};
	struct latch_identity identity = {.id = "c.example", .config = "roads"};
	size_t i;

	add_set(LATCH_CLASS_PUBLIC_KEY, "");
	add_term(false, "c.example");
	add_set(LATCH_CLASS_PSK, "roads");
	add_set(LATCH_CLASS_EAP, "roads");
	add_term(false, "c.example");
	add_set(LATCH_CLASS_PSK, "road");
	add_term(false, "c.example");
	for (i = 0; i < sizeof(auths) / sizeof(auths[0]); i++) {
		identity.auth = auths[i];
		cr_expect_eq(peer_sets_of(&config, &identity, true), expected[i], "%d", auths[i]);
	}
}

Test(peer_set, a_peer_may_be_of_all_sets)
{
	char text[16];
	unsigned int i;

	for (i = 0; i < LATCH_PEER_SETS_MAX; i++) {
		add_set(LATCH_CLASS_PUBLIC_KEY, "");
		snprintf(text, sizeof(text), "d%u.example", i);
		add_term(false, text);
		add_term(false, "c.example");
	}
	cr_expect_eq(sets_of("c.example", false), 0xffffffff);
	cr_expect_eq(sets_of("d31.example", false), 1u << 31);
	cr_expect_eq(sets_of("d0.example", false), 1);
}
