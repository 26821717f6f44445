/* SPDX-License-Identifier: BSD-2-Clause */
/* Small tables that the test fills, and the real capacity: see identities_fixture.h. */
#include "identities_fixture.h"

TestSuite(identities_full, .init = fixture_start, .fini = fixture_finish, .timeout = 120);

static void fill_identities(unsigned int from, unsigned int to)
{
	struct latch_identity identity;

	for (; from < to; from++) {
		identity = numbered(from);
		intern(&identity);
	}
}

Test(identities_full, a_full_table_drops_only_unreferenced_identities)
{
	uint16_t latched, bound;
	uint32_t w, c, d, idle;

	shrink(1000, 200);
	latched = intern_pair("w.example", "c.example");
	bound = intern_pair("w.example", "d.example");
	w = intern_id("w.example");
	c = intern_id("c.example");
	d = intern_id("d.example");
	idle = intern_id("idle.example");
	put_latch(1, latched);
	put_sa(1, bound);
	fill_identities(0, 2000);

	cr_expect_leq(entries(maps.identities), 200);
	cr_expect_eq(intern_id("w.example"), w);
	cr_expect_eq(intern_id("c.example"), c);
	cr_expect_eq(intern_id("d.example"), d);
	cr_expect_neq(intern_id("idle.example"), idle);
	cr_expect_eq(identities_get_params(identities, latched)->peer_id, c);
	cr_expect_eq(identities_get_params(identities, bound)->peer_id, d);
	cr_expect_eq(reload(), 0);
}

Test(identities_full, a_full_table_drops_only_unreferenced_params)
{
	struct latch_params params;
	uint16_t kept;
	uint32_t w, i;

	shrink(200, 1000);
	kept = intern_pair("w.example", "c.example");
	put_latch(1, kept);
	w = intern_id("w.example");
	params = params_of(w, w);
	for (i = 0; i < 2000; i++) {
		params.qop.encryption_bits = (__u16)i;
		cr_assert_neq(intern_params(&params), kept);
	}
	cr_expect_leq(entries(maps.params), 200);
	cr_expect_eq(intern_pair("w.example", "c.example"), kept);
	cr_expect_eq(reload(), 0);
}

static void put_row(uint16_t params, uint16_t got)
{
	struct latch_audit_key key = {.drop = LATCH_DROP_IDENTITY, .params = params};
	struct latch_audit row = {.flows = 1, .got = got};

	cr_assert_eq(bpf_map_update_elem(maps.audits, &key, &row, BPF_NOEXIST), 0);
}

static void put_mark(uint16_t refused)
{
	struct latch_flow flow = {.netns = 1, .local_port = 9, .family = AF_INET};
	struct latch latch = {.id = 9, .refused_params = refused};

	latch.word.state = LATCH_STATE_BROKEN;
	latch.word.reasons = LATCH_REASON_REFUSED;
	cr_assert_eq(bpf_map_update_elem(maps.latches, &flow, &latch, BPF_ANY), 0);
}

/* latchctl audit would name another peer. */
Test(identities_full, a_full_table_drops_no_params_that_the_audit_names)
{
	uint16_t peer, got, refused;
	struct latch_params params;
	uint32_t w, i;

	shrink(200, 1000);
	peer = intern_pair("w.example", "c.example");
	got = intern_pair("w.example", "d.example");
	refused = intern_pair("w.example", "e.example");
	put_row(peer, got);
	put_mark(refused);
	w = intern_id("w.example");
	params = params_of(w, w);
	for (i = 0; i < 2000; i++) {
		params.qop.encryption_bits = (__u16)i;
		intern_params(&params);
	}
	cr_expect_eq(intern_pair("w.example", "c.example"), peer);
	cr_expect_eq(intern_pair("w.example", "d.example"), got);
	cr_expect_eq(intern_pair("w.example", "e.example"), refused);
}

/* It is a report: connections do not end for it. */
Test(identities_full, an_audit_row_without_its_params_is_no_damage)
{
	put_row(7, 8);
	cr_expect_eq(reload(), 0);
}

Test(identities_full, a_dropped_index_is_reused_only_after_all_others)
{
	uint32_t index, last = 0, i;
	struct latch_identity identity;

	shrink(10, 100);
	for (i = 0; i < 100; i++) {
		identity = numbered(i);
		index = intern(&identity);
		cr_assert_eq(index, last + 1);
		last = index;
	}
	/* The first 36 are dropped now: the last 64 returned indices stay. */
	identity = numbered(100);
	cr_expect_eq(intern(&identity), 1);
	cr_expect_eq(entries(maps.identities), 65);
	identity = numbered(101);
	cr_expect_eq(intern(&identity), 2);
}

Test(identities_full, a_recently_returned_index_is_not_dropped)
{
	struct latch_params params;
	uint32_t local, peer;

	shrink(100, 100);
	fill_identities(0, 99);
	local = intern_id("w.example");
	peer = intern_id("c.example"); /* drops unreferenced entries first */
	params = params_of(local, peer);
	cr_expect_neq(intern_params(&params), 0);
	cr_expect_str_eq(identities_get(identities, local)->id, "w.example");
}

Test(identities_full, a_full_table_refuses_new_entries_until_entries_can_be_dropped)
{
	struct latch_identity identity;
	struct latch_params params;
	uint16_t params_index;
	uint32_t w, index, i;

	shrink(100, 2);
	intern_pair("w.example", "c.example");
	identity = identity_of("d.example");
	cr_expect_eq(identities_intern(identities, &identity, &index), -ENOSPC);
	w = intern_id("w.example");
	params = params_of(w, w);
	for (i = 0; i < 100; i++) {
		params.qop.icv_bits = (__u16)i;
		if (identities_intern_params(identities, &params, &params_index))
			break;
		put_latch((uint16_t)(i + 1), params_index);
	}
	/* The unreferenced pair was dropped for the last of them. */
	cr_expect_eq(i, 100);
	params.qop.icv_bits = 100;
	cr_expect_eq(identities_intern_params(identities, &params, &params_index), -ENOSPC);
	cr_expect_eq(entries(maps.params), 100);
	/* Repeated attempts cause no scan of all SAs and latches each time. */
	remove_latch(1);
	cr_expect_eq(identities_intern_params(identities, &params, &params_index), -ENOSPC);
	params.qop.icv_bits = 99;
	cr_expect_eq(identities_intern_params(identities, &params, &params_index), 0, "known");
	identities_allow_collection(identities);
	params.qop.icv_bits = 100;
	cr_expect_eq(identities_intern_params(identities, &params, &params_index), 0);
	cr_expect_eq(reload(), 0);
}

Test(identities_full, the_identity_table_holds_latch_identities_max_entries)
{
	uint32_t index, i;
	struct latch_identity identity;

	fill_identities(0, LATCH_IDENTITIES_MAX);
	cr_expect_eq(entries(maps.identities), LATCH_IDENTITIES_MAX);
	cr_expect_eq(reload(), 0);
	for (i = 0; i < LATCH_IDENTITIES_MAX; i += 1000) {
		identity = numbered(i);
		cr_assert_eq(identities_intern(identities, &identity, &index), 0);
		cr_expect_eq(index, i + 1);
	}
}
