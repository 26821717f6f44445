/* SPDX-License-Identifier: BSD-2-Clause */
/* Loads files with [peer NAME] sections, and rules that name them. */
#include "config_file.h"

#include "latchd/config/config_peer.h"

TestSuite(config_peer, .init = scratch_make, .fini = scratch_remove);

#define WEB "[peer web]\nid = c.example\nclass = public-key\n"

static const char *text_of(size_t term)
{
	return config.peer_texts + config.peer_terms[term].text;
}

static void expect_term(size_t term, unsigned char peer, bool is_host, const char *text)
{
	cr_assert_lt(term, config.peer_term_count);
	cr_expect_eq(config.peer_terms[term].peer, peer);
	cr_expect_eq(config.peer_terms[term].is_host, is_host);
	cr_expect_str_eq(text_of(term), text);
}

Test(config_peer, each_key_is_read_into_its_field)
{
	cr_assert_eq(load("[peer web]\n"
			  "id = c.example\n"
			  "id = C=CH, O=c, CN=c.example\n"
			  "host = *.example\n"
			  "class = public-key\n"
			  "[peer roads]\n"
			  "connection = roads\n"
			  "class = eap\n"
			  "[peer db-1]\n"
			  "host = db.*.example\n"
			  "class = psk\n"),
		     0, "%s", failure.text);
	cr_assert_eq(config.peer_count, 3);
	cr_expect_str_eq(config.peers[0].name, "web");
	cr_expect_eq(config.peers[0].class, LATCH_CLASS_PUBLIC_KEY);
	cr_expect_str_eq(config.peers[0].connection, "");
	cr_expect_eq(config.peers[1].class, LATCH_CLASS_EAP);
	cr_expect_str_eq(config.peers[1].connection, "roads");
	cr_expect_eq(config.peers[2].class, LATCH_CLASS_PSK);
	cr_assert_eq(config.peer_term_count, 4);
	expect_term(0, 0, false, "c.example");
	expect_term(1, 0, false, "C=CH, O=c, CN=c.example");
	expect_term(2, 0, true, "*.example");
	expect_term(3, 2, true, "db.*.example");
}

Test(config_peer, a_rule_names_a_set_and_the_least_encryption)
{
	cr_assert_eq(load(WEB "[peer db]\nconnection = db\nclass = psk\n"
			      "[rule one]\naction = require\npeer = db\nprotocol = tcp\n"
			      "[rule two]\naction = require\nmin-encryption = 128\n"),
		     0, "%s", failure.text);
	cr_expect_eq(config.rules[0].rule.peer_set, 2);
	cr_expect_eq(config.rules[0].rule.min_encryption, 0);
	cr_expect_eq(config.rules[1].rule.peer_set, 0);
	cr_expect_eq(config.rules[1].rule.min_encryption, 16);
}

static const struct refused refused[] = {
	{"[peer]\n", 1, "unknown section"},
	{"[peer a b]\n", 1, "bad name"},
	{WEB WEB, 4, "appears twice"},
	{"[peer web]\nid = c\n", 1, "has no class"},
	{"[peer web]\nclass = psk\n", 1, "has no peer"},
	{"[peer web]\nclass = public\n", 2, "bad value"},
	{"[peer web]\nid =\nclass = psk\n", 2, "bad value"},
	{"[peer web]\nconnection = a\nconnection = b\n", 3, "appears twice"},
	{"[peer web]\nhost = *\nclass = psk\n", 2, "bad value"},
	{"[peer web]\nhost = *.*\nclass = psk\n", 2, "bad value"},
	{"[peer web]\nhost = .example\nclass = psk\n", 2, "bad value"},
	{"[peer web]\nhost = *.example.\nclass = psk\n", 2, "bad value"},
	{"[peer web]\nhost = w*.example\nclass = psk\n", 2, "bad value"},
	{"[peer web]\nhost = **.example\nclass = psk\n", 2, "bad value"},
	{"[peer web]\nhost = c@example\nclass = psk\n", 2, "bad value"},
	{"[peer web]\nhost = CN=*.example\nclass = psk\n", 2, "bad value"},
	{"[peer web]\nid = *.example\nclass = psk\n", 2, "host = for a pattern"},
	{"[peer web]\nid = C=CH, O=*, CN=c\nclass = psk\n", 2, "host = for a pattern"},
	{"[peer web]\nid = C=CH, CN=*\nclass = psk\n", 2, "host = for a pattern"},
	{WEB "[peer vpn]\nid = c\nhost = *.example\nclass = eap\n", 4, "no EAP identity"},
	{"[peer web]\npeer = web\n", 2, "unknown key"},
	{"[rule r]\naction = require\npeer = web\n", 3, "bad value"},
	{"[rule r]\naction = require\npeer = web\n" WEB, 3, "bad value"},
	{WEB "[rule r]\naction = require\npeer = we\n", 6, "bad value"},
	{WEB "[rule r]\naction = auto\npeer = web\n", 4, "needs a latch"},
	{WEB "[rule r]\npeer = web\naction = off\n", 4, "needs a latch"},
	{"[rule r]\naction = auto\nmin-encryption = 128\n", 1, "needs a latch"},
	{"[rule r]\naction = require\nmin-encryption = 0\n", 3, "bad value"},
	{"[rule r]\naction = require\nmin-encryption = 100\n", 3, "bad value"},
	{"[rule r]\naction = require\nmin-encryption = 520\n", 3, "bad value"},
	{"[rule r]\naction = require\nmin-encryption = -128\n", 3, "bad value"},
	{"[rule r]\naction = require\nmin-encryption = 128 bits\n", 3, "bad value"},
};

Test(config_peer, a_fault_is_one_line_that_names_it)
{
	size_t i;

	for (i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		expect_refused(&refused[i]);
}

/* Only a value of a DN that is nothing else is a wildcard. */
Test(config_peer, an_exact_text_may_have_a_star)
{
	cr_assert_eq(load("[peer web]\nid = C=CH, O=*a, CN=b*\nid = a*b\nclass = psk\n"), 0, "%s",
		     failure.text);
	expect_term(0, 0, false, "C=CH, O=*a, CN=b*");
	expect_term(1, 0, false, "a*b");
}

static void load_sets(size_t count, int err)
{
	size_t size = 64 * (count + 2), used = 0, i;
	char *text = malloc(size);

	cr_assert_not_null(text);
	for (i = 0; i < count; i++)
		used += (size_t)snprintf(text + used, size - used,
					 "[peer p%zu]\nid = c\nclass = psk\n", i);
	cr_expect_eq(load(text), err, "%s", failure.text);
	free(text);
}

Test(config_peer, there_are_at_most_32_sets)
{
	load_sets(LATCH_PEER_SETS_MAX, 0);
	cr_expect_eq(config.peer_count, LATCH_PEER_SETS_MAX);
	load_sets(LATCH_PEER_SETS_MAX + 1, -EINVAL);
	cr_expect_not_null(strstr(failure.text, "one too many"));
}

Test(config_peer, the_lines_of_all_sets_have_a_limit)
{
	size_t size = 64 + CONFIG_PEER_TERMS_MAX * 16, used, i, more;
	char *text = malloc(size + 64);

	cr_assert_not_null(text);
	for (more = 0; more < 2; more++) {
		used = (size_t)sprintf(text, "[peer web]\nclass = psk\n");
		for (i = 0; i < CONFIG_PEER_TERMS_MAX + more; i++)
			used += (size_t)sprintf(text + used, "id = c%zu\n", i);
		cr_expect_eq(load(text), more ? -EINVAL : 0, "%s", failure.text);
	}
	cr_expect_not_null(strstr(failure.text, "is too long"), "%s", failure.text);
	free(text);
}

static uint64_t digest_of(const char *text)
{
	cr_assert_eq(load(text), 0, "%s", failure.text);
	return config_peers_digest(&config);
}

Test(config_peer, other_sections_have_another_digest)
{
	static const char *const texts[] = {
		WEB,
		"[peer web]\nid = d.example\nclass = public-key\n",
		"[peer web]\nid = c.example\nclass = psk\n",
		"[peer web]\nhost = c.example\nclass = public-key\n",
		"[peer web]\nconnection = c.example\nclass = public-key\n",
		"[peer wee]\nid = c.example\nclass = public-key\n",
		WEB "id = d.example\n",
		WEB "[peer db]\nid = d.example\nclass = public-key\n",
		WEB "[peer db]\nid = c.example\nclass = public-key\n",
		"[peer web]\nclass = public-key\nid = c.examplec.example\n",
		"[peer web]\nclass = public-key\nid = c.example\nid = c.example\n",
	};
	uint64_t digests[sizeof(texts) / sizeof(texts[0])];
	size_t i, j;

	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		digests[i] = digest_of(texts[i]);
		cr_expect_neq(digests[i], 0);
		for (j = 0; j < i; j++)
			cr_expect_neq(digests[i], digests[j], "%zu %zu", i, j);
	}
	cr_expect_eq(digest_of("[rule r]\naction = auto\n"), 0);
	cr_expect_eq(digest_of("[rule r]\naction = auto\n" WEB), digests[0]);
}
