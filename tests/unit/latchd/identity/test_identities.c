/* SPDX-License-Identifier: BSD-2-Clause */
#include <bpf/bpf.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fake/kernel_maps.h"
#include "latchd/feeds/feed.h"
#include "latchd/identity/identities.h"

static struct kernel_maps maps;
static struct identities *identities;

static void start(void)
{
	int err = fake_kernel_maps_make(&maps);

	if (err == -EPERM)
		cr_skip_test("no privilege to make BPF maps");
	cr_assert_eq(err, 0);
	cr_assert_eq(identities_load(&maps, &identities), 0);
}

static void finish(void)
{
	identities_free(identities);
	fake_kernel_maps_close(&maps);
}

TestSuite(identities, .init = start, .fini = finish, .timeout = 120);

static int reload(void)
{
	identities_free(identities);
	identities = NULL;
	return identities_load(&maps, &identities);
}

/* Tables that are quickly full. */
static void shrink(__u32 params, __u32 ids)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_NO_PREALLOC);

	close(maps.params);
	close(maps.identities);
	maps.params = bpf_map_create(BPF_MAP_TYPE_HASH, "params", sizeof(__u32),
				     sizeof(struct latch_params), params, &options);
	maps.identities = bpf_map_create(BPF_MAP_TYPE_HASH, "identities", sizeof(__u32),
					 sizeof(struct latch_identity), ids, &options);
	cr_assert_eq(reload(), 0);
}

static struct latch_identity identity_of(const char *id)
{
	struct latch_identity identity = {.auth = FEED_AUTH_PUBKEY};

	strcpy(identity.authority, "charon");
	strcpy(identity.config, "x509");
	strcpy(identity.id, id);
	return identity;
}

static struct latch_identity numbered(unsigned int number)
{
	char id[32];

	snprintf(id, sizeof(id), "host-%u.example", number);
	return identity_of(id);
}

static uint32_t intern(const struct latch_identity *identity)
{
	uint32_t index = 0;

	cr_assert_eq(identities_intern(identities, identity, &index), 0);
	cr_assert_neq(index, 0);
	return index;
}

static uint32_t intern_id(const char *id)
{
	struct latch_identity identity = identity_of(id);

	return intern(&identity);
}

static struct latch_params params_of(uint32_t local, uint32_t peer)
{
	struct latch_params params = {.local_id = local, .peer_id = peer, .protocol = 50};

	strcpy(params.qop.encryption, "rfc4106(gcm(aes))");
	params.qop.encryption_bits = 288;
	return params;
}

static uint16_t intern_params(const struct latch_params *params)
{
	uint16_t index = 0;

	cr_assert_eq(identities_intern_params(identities, params, &index), 0);
	cr_assert_neq(index, 0);
	return index;
}

static uint16_t intern_pair(const char *local, const char *peer)
{
	struct latch_params params = params_of(intern_id(local), intern_id(peer));

	return intern_params(&params);
}

static struct latch_identity stored_identity(uint32_t index)
{
	struct latch_identity value;

	cr_assert_eq(bpf_map_lookup_elem(maps.identities, &index, &value), 0);
	return value;
}

static void store_identity(uint32_t index, const struct latch_identity *value)
{
	cr_assert_eq(bpf_map_update_elem(maps.identities, &index, value, BPF_ANY), 0);
}

static void put_latch(uint16_t port, uint16_t params)
{
	struct latch_flow flow = {.netns = 1, .local_port = port, .family = AF_INET};
	struct latch latch = {.id = port};

	latch.word.params = params;
	latch.word.state = LATCH_STATE_ESTABLISHED;
	cr_assert_eq(bpf_map_update_elem(maps.latches, &flow, &latch, BPF_ANY), 0);
}

static void remove_latch(uint16_t port)
{
	struct latch_flow flow = {.netns = 1, .local_port = port, .family = AF_INET};

	cr_assert_eq(bpf_map_delete_elem(maps.latches, &flow), 0);
}

static void put_sa(__u32 spi, uint16_t params)
{
	struct latch_sa_key key = {.netns = 1, .spi = spi, .protocol = 50, .family = AF_INET};
	struct latch_sa sa = {0};

	sa.word.params = params;
	sa.word.state = LATCH_SA_BOUND;
	cr_assert_eq(bpf_map_update_elem(maps.sas, &key, &sa, BPF_ANY), 0);
}

static size_t entries(int map)
{
	__u32 key, *at = NULL;
	size_t count = 0;

	for (; !bpf_map_get_next_key(map, at, &key); at = &key)
		count++;
	return count;
}

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
	cr_expect_neq(intern_id("C.example"), first);
	cr_expect_eq(entries(maps.identities), 5);
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

/* CRC-32 of the 644 bytes, computed with another implementation (Python's zlib). */
Test(identities, the_checksum_is_crc32)
{
	cr_expect_eq(stored_identity(intern_id("c.example")).checksum, 0x7bcee1e8);
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
	cr_expect_eq(identities_erase(&maps), -EBUSY);
	remove_latch(1);
	put_sa(1, params);
	cr_expect_eq(identities_reset(identities), -EBUSY);
	cr_expect_eq(identities_erase(&maps), -EBUSY);
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

Test(identities, refused_tables_can_be_erased)
{
	intern_pair("w.example", "c.example");
	flip(maps.identities, 1, sizeof(struct latch_identity), 130);
	cr_assert_eq(reload(), -EBADMSG);
	cr_expect_eq(identities_erase(&maps), 0);
	cr_expect_eq(entries(maps.params) + entries(maps.identities), 0);
	cr_expect_eq(reload(), 0);
}

static void fill_identities(unsigned int from, unsigned int to)
{
	struct latch_identity identity;

	for (; from < to; from++) {
		identity = numbered(from);
		intern(&identity);
	}
}

Test(identities, a_full_table_drops_only_unreferenced_identities)
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

Test(identities, a_full_table_drops_only_unreferenced_params)
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

Test(identities, a_dropped_index_is_reused_only_after_all_others)
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
	/* The first 36 are dropped now: the last 64 that were given out stay. */
	identity = numbered(100);
	cr_expect_eq(intern(&identity), 1);
	cr_expect_eq(entries(maps.identities), 65);
	identity = numbered(101);
	cr_expect_eq(intern(&identity), 2);
}

Test(identities, a_recently_returned_index_is_not_dropped)
{
	struct latch_params params;
	uint32_t local, peer;

	shrink(100, 100);
	fill_identities(0, 99);
	local = intern_id("w.example");
	peer = intern_id("c.example"); /* makes room first */
	params = params_of(local, peer);
	cr_expect_neq(intern_params(&params), 0);
	cr_expect_str_eq(identities_get(identities, local)->id, "w.example");
}

Test(identities, a_full_table_refuses_new_entries_until_entries_can_be_dropped)
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
	/* The pair, which nothing has, made room for the last of them. */
	cr_expect_eq(i, 100);
	params.qop.icv_bits = 100;
	cr_expect_eq(identities_intern_params(identities, &params, &params_index), -ENOSPC);
	cr_expect_eq(entries(maps.params), 100);
	/* Whoever comes again and again does not make it look through everything each time. */
	remove_latch(1);
	cr_expect_eq(identities_intern_params(identities, &params, &params_index), -ENOSPC);
	params.qop.icv_bits = 99;
	cr_expect_eq(identities_intern_params(identities, &params, &params_index), 0, "known");
	identities_allow_collection(identities);
	params.qop.icv_bits = 100;
	cr_expect_eq(identities_intern_params(identities, &params, &params_index), 0);
	cr_expect_eq(reload(), 0);
}

Test(identities, the_identity_table_holds_latch_identities_max_entries)
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
