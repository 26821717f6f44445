/* SPDX-License-Identifier: BSD-2-Clause */
/* What the gates read of a peer: its sets, by half, before params can name it. */
#include "identities_fixture.h"

#include "latchd/config/config_peer.h"

static struct config one, two;

/* web = c and *.example, db = d. */
static void fill(struct config *config, const char *first, const char *second)
{
	static const char *const names[] = {"web", "db"};
	const char *const ids[] = {first, second};
	size_t i;

	memset(config, 0, sizeof(*config));
	for (i = 0; i < 2; i++) {
		strcpy(config->peers[i].name, names[i]);
		config->peers[i].class = LATCH_CLASS_PUBLIC_KEY;
		config->peers[i].has_terms = true;
		config->peer_terms[i] = (struct config_peer_term){
			.peer = (unsigned char)i,
			.is_host = ids[i][0] == '*',
			.text = (unsigned int)config->peer_text_size,
		};
		strcpy(config->peer_texts + config->peer_text_size, ids[i]);
		config->peer_text_size += strlen(ids[i]) + 1;
	}
	config->peer_count = config->peer_term_count = 2;
}

static void start(void)
{
	fixture_start();
	fill(&one, "c.example", "d.example");
	fill(&two, "d.example", "*.example");
	identities_use_sets(identities, &one);
}

TestSuite(peer_facts, .init = start, .fini = fixture_finish, .timeout = 60);

static struct latch_peer_facts facts_of(uint32_t index)
{
	struct latch_peer_facts facts;

	cr_assert_eq(bpf_map_lookup_elem(maps.peer_facts, &index, &facts), 0);
	return facts;
}

static uint32_t intern_peer(const char *id, bool is_host)
{
	struct latch_identity identity = identity_of(id);
	uint32_t index = 0;

	cr_assert_eq(identities_intern_peer(identities, &identity, is_host, &index), 0);
	return index;
}

static void expect_facts(uint32_t index, __u32 first, __u32 second, __u8 host)
{
	struct latch_peer_facts facts = facts_of(index);

	cr_expect_eq(facts.sets[0], first, "%x", facts.sets[0]);
	cr_expect_eq(facts.sets[1], second, "%x", facts.sets[1]);
	cr_expect_eq(facts.host, host);
}

static void set_stamp(__u32 stamp)
{
	struct latch_settings settings = {.rule_stamp = stamp};
	__u32 key = 0;

	cr_assert_eq(bpf_map_update_elem(maps.settings, &key, &settings, BPF_ANY), 0);
}

static struct latch_peer_sets sets_of_half(__u32 half)
{
	struct latch_peer_sets sets;

	cr_assert_eq(bpf_map_lookup_elem(maps.peer_sets, &half, &sets), 0);
	return sets;
}

Test(peer_facts, a_peer_has_its_sets_in_both_halves_when_it_is_interned)
{
	uint32_t c = intern_peer("c.example", false), d = intern_peer("d.example", false);
	uint32_t other = intern_peer("e.example", false);

	expect_facts(c, 1, 1, LATCH_PEER_NO_HOST);
	expect_facts(d, 2, 2, LATCH_PEER_NO_HOST);
	expect_facts(other, 0, 0, LATCH_PEER_NO_HOST);
	cr_expect_eq(identities_sets_of(identities, c), 1);
	cr_expect_eq(identities_sets_of(identities, d), 2);
	cr_expect_eq(identities_sets_of(identities, other), 0);
	cr_expect_eq(identities_sets_of(identities, 999), 0);
	cr_expect_str_eq(identities_set_name(identities, 0), "web");
	cr_expect_str_eq(identities_set_name(identities, 1), "db");
	cr_expect_null(identities_set_name(identities, 2));
}

/* One report that does not prove it counts, until the entry is dropped. */
Test(peer_facts, a_host_name_that_was_once_not_proven_is_none)
{
	uint32_t index;

	identities_use_sets(identities, &two);
	index = intern_peer("h.example", true);
	expect_facts(index, 2, 2, LATCH_PEER_HOST);
	cr_expect_eq(intern_peer("h.example", true), index);
	expect_facts(index, 2, 2, LATCH_PEER_HOST);
	intern_peer("h.example", false);
	expect_facts(index, 0, 0, LATCH_PEER_NO_HOST);
	intern_peer("h.example", true);
	expect_facts(index, 0, 0, LATCH_PEER_NO_HOST);
}

Test(peer_facts, the_next_sets_are_written_to_the_other_half_only)
{
	uint32_t c = intern_peer("c.example", true), d = intern_peer("d.example", false);
	__u32 stamp;

	for (stamp = 6; stamp < 8; stamp++) {
		set_stamp(stamp);
		identities_use_sets(identities, &one);
		intern_peer("c.example", true);
		intern_peer("d.example", false);
		cr_assert_eq(identities_prepare_sets(identities, &two), 0);
		expect_facts(c, stamp & 1 ? 2 : 1, stamp & 1 ? 1 : 2, LATCH_PEER_HOST);
		expect_facts(d, stamp & 1 ? 1 : 2, stamp & 1 ? 2 : 1, LATCH_PEER_NO_HOST);
		cr_expect_eq(sets_of_half((stamp + 1) & 1).digest, config_peers_digest(&two));
		cr_expect_str_eq(sets_of_half((stamp + 1) & 1).names[1], "db");
	}
}

/* A start: the facts are those of the latchd before. */
Test(peer_facts, facts_outlive_latchd)
{
	uint32_t c = intern_peer("c.example", true);

	set_stamp(2);
	cr_assert_eq(reload(), 0);
	cr_assert_eq(identities_prepare_sets(identities, &two), 0);
	expect_facts(c, 1, 2, LATCH_PEER_HOST);
	identities_use_sets(identities, &two);
	cr_expect_eq(identities_sets_of(identities, c), 2);
}

/* A latchd that was killed between the two writes, or a table that was removed. */
Test(peer_facts, a_new_entry_has_no_facts_of_a_former_one)
{
	struct latch_peer_facts stale = {.sets = {3, 3}, .host = LATCH_PEER_HOST};
	struct latch_identity local = identity_of("w.example");
	uint32_t index;

	for (index = 1; index < 8; index++)
		cr_assert_eq(bpf_map_update_elem(maps.peer_facts, &index, &stale, BPF_ANY), 0);
	expect_facts(intern(&local), 0, 0, LATCH_PEER_UNKNOWN);
	expect_facts(intern_peer("e.example", false), 0, 0, LATCH_PEER_NO_HOST);
}

/* The facts cannot be written: the peer gets no index that params could name. */
Test(peer_facts, a_peer_without_facts_is_an_error)
{
	struct latch_identity identity = identity_of("c.example");
	int map = maps.peer_facts;
	uint32_t index = 77;

	maps.peer_facts = -1;
	cr_expect_lt(identities_intern_peer(identities, &identity, false, &index), 0);
	cr_expect_eq(index, 77);
	maps.peer_facts = map;
	index = intern_peer("c.example", false);
	maps.peer_facts = -1;
	identities_use_sets(identities, &two);
	cr_expect_lt(identities_intern_peer(identities, &identity, false, &index), 0);
	cr_expect_lt(identities_prepare_sets(identities, &two), 0);
	maps.peer_facts = map;
	cr_expect_eq(identities_intern_peer(identities, &identity, false, &index), 0);
	expect_facts(index, 0, 0, LATCH_PEER_NO_HOST);
}
