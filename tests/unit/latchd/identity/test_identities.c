/* SPDX-License-Identifier: BSD-2-Clause */
/* Tables of the real size, and what identities_load() refuses: see identities_fixture.h. */
#include "identities_fixture.h"

TestSuite(identities, .init = fixture_start, .fini = fixture_finish, .timeout = 120);

Test(identities, L_2_6_1_equal_identities_have_one_index)
{
	struct latch_identity noisy = identity_of("c.example");
	uint32_t first = intern_id("c.example"), second = intern_id("d.example");

	cr_expect_neq(first, second);
	cr_expect_eq(intern_id("c.example"), first);
	memset(noisy.id + strlen(noisy.id) + 1, 0xa5, 40);
	noisy.config[LATCH_NAME_MAX - 1] = 'x';
	noisy.checksum = 12345;
	cr_expect_eq(intern(&noisy), first);
	cr_expect_eq(entries(maps.identities), 2);
	cr_expect_str_eq(identities_get(identities, first)->id, "c.example");
	cr_expect_str_eq(identities_get(identities, second)->id, "d.example");
}

Test(identities, identities_that_differ_in_one_field_have_different_indices)
{
	uint32_t first = intern_id("c.example");
	struct latch_identity other = identity_of("c.example");

	other.auth = FEED_AUTH_PSK;
	cr_expect_neq(intern(&other), first);
	other = identity_of("c.example");
	strcpy(other.config, "x50");
	cr_expect_neq(intern(&other), first);
	other = identity_of("c.example");
	strcpy(other.authority, "charon2");
	cr_expect_neq(intern(&other), first);
	other = identity_of("c.example");
	other.key_kind = LATCH_KEY_SPKI;
	cr_expect_neq(intern(&other), first);
	other.key[LATCH_KEY_SIZE - 1] = 1;
	cr_expect_neq(intern(&other), first);
	cr_expect_neq(intern_id("C.example"), first);
	cr_expect_eq(entries(maps.identities), 7);
}

Test(identities, params_that_differ_in_one_field_have_different_indices)
{
	uint32_t w = intern_id("w.example"), c = intern_id("c.example"), i;
	const struct latch_params plain = params_of(w, c);
	struct latch_params others[9];
	uint16_t indices[9];

	for (i = 0; i < 9; i++)
		others[i] = plain;
	others[1].local_id = c;
	others[2].peer_id = w;
	others[3].mode = 1;
	others[4].protocol = 51;
	others[5].qop.encryption_bits = 160;
	strcpy(others[6].qop.integrity, "hmac(sha1)");
	others[7].qop.esn = 1;
	others[8].qop.replay_protection = 1;
	for (i = 0; i < 9; i++)
		indices[i] = intern_params(&others[i]);
	for (i = 1; i < 9; i++)
		cr_expect_neq(indices[i], indices[i - 1], "%u", i);
	cr_expect_eq(entries(maps.params), 9);
	others[0].pad[1] = 7;
	others[0].checksum = 7;
	others[0].qop.integrity[20] = 7;
	cr_expect_eq(intern_params(&others[0]), indices[0]);
}

Test(identities, an_unknown_index_has_no_entry)
{
	cr_expect_null(identities_get(identities, 0));
	cr_expect_null(identities_get(identities, 1));
	cr_expect_null(identities_get(identities, UINT32_MAX));
	cr_expect_null(identities_get_params(identities, 0));
	cr_expect_null(identities_get_params(identities, UINT16_MAX));
}

Test(identities, an_interned_identity_is_in_the_pinned_map)
{
	uint32_t index = intern_id("c.example");
	struct latch_identity value = stored_identity(index);

	cr_expect_str_eq(value.id, "c.example");
	cr_expect_eq(memcmp(&value, identities_get(identities, index), sizeof(value)), 0);
}

/* CRC-32 of the 680 bytes, computed with another implementation (Python's zlib). */
Test(identities, the_checksum_is_crc32)
{
	cr_expect_eq(stored_identity(intern_id("c.example")).checksum, 0xe2191b3d);
}

Test(identities, unterminated_text_is_refused)
{
	struct latch_identity identity = identity_of("c.example");
	struct latch_params params = params_of(intern_id("w"), intern_id("c"));
	uint16_t params_index;
	uint32_t index;

	memset(identity.id, 'x', sizeof(identity.id));
	cr_expect_eq(identities_intern(identities, &identity, &index), -EINVAL);
	memset(params.qop.integrity, 'x', sizeof(params.qop.integrity));
	cr_expect_eq(identities_intern_params(identities, &params, &params_index), -EINVAL);
	cr_expect_eq(entries(maps.identities), 2);
	cr_expect_eq(entries(maps.params), 0);
}

Test(identities, params_with_unknown_identities_are_refused)
{
	uint32_t known = intern_id("w.example");
	struct latch_params params = params_of(known, known + 1);
	uint16_t index;

	cr_expect_eq(identities_intern_params(identities, &params, &index), -EINVAL);
	params = params_of(0, known);
	cr_expect_eq(identities_intern_params(identities, &params, &index), -EINVAL);
	cr_expect_eq(entries(maps.params), 0);
}

Test(identities, a_restart_keeps_all_indices)
{
	uint32_t w = intern_id("w.example"), c = intern_id("c.example");
	uint16_t params = intern_pair("w.example", "c.example");

	put_latch(1, params);
	put_sa(1, params);
	cr_assert_eq(reload(), 0);
	cr_expect_eq(intern_id("c.example"), c);
	cr_expect_eq(intern_id("w.example"), w);
	cr_expect_eq(intern_pair("w.example", "c.example"), params);
	cr_expect_eq(identities_get_params(identities, params)->peer_id, c);
	cr_expect_eq(entries(maps.identities), 2);
	cr_expect_eq(entries(maps.params), 1);
}

static void flip(int map, uint32_t index, size_t size, size_t byte)
{
	unsigned char value[sizeof(struct latch_identity)];

	cr_assert_eq(bpf_map_lookup_elem(map, &index, value), 0);
	cr_assert_lt(byte, size);
	value[byte] ^= 1;
	cr_assert_eq(bpf_map_update_elem(map, &index, value, BPF_EXIST), 0);
}

Test(identities, a_table_with_any_corrupted_byte_is_refused)
{
	uint16_t params = intern_pair("w.example", "c.example");
	uint32_t c = intern_id("c.example");
	size_t byte;

	for (byte = 0; byte < sizeof(struct latch_identity); byte++) {
		flip(maps.identities, c, sizeof(struct latch_identity), byte);
		cr_expect_eq(reload(), -EBADMSG, "identity byte %zu", byte);
		flip(maps.identities, c, sizeof(struct latch_identity), byte);
	}
	for (byte = 0; byte < sizeof(struct latch_params); byte++) {
		flip(maps.params, params, sizeof(struct latch_params), byte);
		cr_expect_eq(reload(), -EBADMSG, "params byte %zu", byte);
		flip(maps.params, params, sizeof(struct latch_params), byte);
	}
	cr_expect_eq(reload(), 0);
}

Test(identities, a_table_with_an_entry_at_a_wrong_index_is_refused)
{
	struct latch_identity value = stored_identity(intern_id("c.example"));
	uint32_t wrong[] = {0, LATCH_IDENTITIES_MAX + 1, UINT32_MAX, 2};
	size_t i;

	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		store_identity(wrong[i], &value);
		cr_expect_eq(reload(), -EBADMSG, "index %u", wrong[i]);
		cr_assert_eq(bpf_map_delete_elem(maps.identities, &wrong[i]), 0);
	}
	cr_expect_eq(reload(), 0);
}

Test(identities, a_table_with_a_dangling_reference_is_refused)
{
	uint16_t params = intern_pair("w.example", "c.example");
	uint32_t c = intern_id("c.example");
	struct latch_identity value = stored_identity(c);
	uint16_t missing = (uint16_t)(params + 1);

	cr_assert_eq(bpf_map_delete_elem(maps.identities, &c), 0);
	cr_expect_eq(reload(), -EBADMSG);
	store_identity(c, &value);
	cr_assert_eq(reload(), 0);

	put_latch(1, missing);
	cr_expect_eq(reload(), -EBADMSG);
	remove_latch(1);
	cr_assert_eq(reload(), 0);

	put_sa(1, missing);
	cr_expect_eq(reload(), -EBADMSG);
	put_sa(1, 0);
	cr_expect_eq(reload(), 0);
}

/* ---- while latchd runs */

Test(identities, a_check_of_what_this_process_wrote_finds_no_damage)
{
	uint16_t params;

	cr_expect_eq(identities_check(identities), 0, "empty");
	params = intern_pair("w.example", "c.example");
	intern_pair("w.example", "d.example");
	cr_expect_eq(identities_check(identities), 0);
	put_latch(1, params);
	cr_assert_eq(reload(), 0);
	cr_expect_eq(identities_check(identities), 0, "loaded");
	remove_latch(1);
	cr_assert_eq(identities_reset(identities), 0);
	cr_expect_eq(identities_check(identities), 0, "reset");
}

Test(identities, R_2_6_1_a_check_finds_any_corrupted_byte)
{
	uint16_t params = intern_pair("w.example", "c.example");
	uint32_t c = intern_id("c.example");
	size_t byte;

	for (byte = 0; byte < sizeof(struct latch_identity); byte++) {
		flip(maps.identities, c, sizeof(struct latch_identity), byte);
		cr_expect_eq(identities_check(identities), -EBADMSG, "identity byte %zu", byte);
		flip(maps.identities, c, sizeof(struct latch_identity), byte);
	}
	for (byte = 0; byte < sizeof(struct latch_params); byte++) {
		flip(maps.params, params, sizeof(struct latch_params), byte);
		cr_expect_eq(identities_check(identities), -EBADMSG, "params byte %zu", byte);
		flip(maps.params, params, sizeof(struct latch_params), byte);
	}
	cr_expect_eq(identities_check(identities), 0);
}

Test(identities, R_2_6_1_a_check_finds_a_deleted_entry)
{
	uint32_t params = intern_pair("w.example", "c.example"), c = intern_id("c.example");
	struct latch_identity value = stored_identity(c);

	cr_assert_eq(bpf_map_delete_elem(maps.identities, &c), 0);
	cr_expect_eq(identities_check(identities), -EBADMSG);
	store_identity(c, &value);
	cr_assert_eq(identities_check(identities), 0);
	cr_assert_eq(bpf_map_delete_elem(maps.params, &params), 0);
	cr_expect_eq(identities_check(identities), -EBADMSG);
}

/* The copy of an entry under another index: its checksum is right. */
Test(identities, R_2_6_1_a_check_finds_an_entry_of_another_process)
{
	struct latch_identity value = stored_identity(intern_id("c.example"));
	uint32_t others[] = {0, 2, LATCH_IDENTITIES_MAX, LATCH_IDENTITIES_MAX + 1, UINT32_MAX};
	size_t i;

	for (i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		store_identity(others[i], &value);
		cr_expect_eq(identities_check(identities), -EBADMSG, "index %u", others[i]);
		cr_assert_eq(bpf_map_delete_elem(maps.identities, &others[i]), 0);
	}
	cr_expect_eq(identities_check(identities), 0);
}

Test(identities, a_map_of_another_kind_is_refused)
{
	int right = maps.params;

	maps.params = maps.identities;
	cr_expect_eq(reload(), -EINVAL);
	maps.params = maps.clock;
	cr_expect_eq(reload(), -EINVAL);
	maps.params = maps.control;
	cr_expect_lt(reload(), 0);
	maps.params = right;
	cr_expect_eq(reload(), 0);
}

Test(identities, a_reset_fails_while_params_are_referenced_and_then_empties_the_tables)
{
	uint16_t params = intern_pair("w.example", "c.example");

	put_latch(1, params);
	cr_expect_eq(identities_reset(identities), -EBUSY);
	remove_latch(1);
	put_sa(1, params);
	cr_expect_eq(identities_reset(identities), -EBUSY);
	cr_expect_eq(entries(maps.params), 1);
	cr_expect_eq(entries(maps.identities), 2);
	cr_expect_not_null(identities_get_params(identities, params));

	put_sa(1, 0);
	cr_expect_eq(identities_reset(identities), 0);
	cr_expect_eq(entries(maps.params) + entries(maps.identities), 0);
	cr_expect_null(identities_get_params(identities, params));
	cr_expect_neq(intern_pair("w.example", "d.example"), params, "reused at once");
	cr_expect_eq(reload(), 0);
}

Test(identities, refused_tables_are_opened_unchanged_and_can_be_emptied)
{
	intern_pair("w.example", "c.example");
	flip(maps.identities, 1, sizeof(struct latch_identity), 130);
	cr_assert_eq(reload(), -EBADMSG);
	cr_assert_eq(identities_open(&maps, &identities), 0);
	cr_expect_eq(entries(maps.params), 1);
	cr_expect_eq(entries(maps.identities), 2);
	cr_expect_null(identities_get(identities, 1));
	cr_expect_eq(identities_reset(identities), 0);
	cr_expect_eq(entries(maps.params) + entries(maps.identities), 0);
	cr_expect_eq(reload(), 0);
}
