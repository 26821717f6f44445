/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whether two packets that GRO makes into one arrived under congruent SAs, at the moment of the
 * merge. The test compiles the text of bpf/packet/same_protection.h, with the members of the
 * kernel's structures that it reads and a table of two SAs.
 */
#include <criterion/criterion.h>
#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

/* ---- in place of bpf/db/maps.h and the kernel ---- */

#define LATCH_BPF_DB_MAPS_H
#define OWN_FRAME __attribute__((unused))
#include "fake_sec_path.h"

#define NETNS	 7
#define PEER	 3
#define IMPOSTOR 4

/* The SA with the SPI 1, and that with the SPI 2. */
static struct latch_sa sas[2];
static bool in_table[2];

static void *bpf_map_lookup_elem(struct latch_sa *map, const struct latch_sa_key *key)
{
	cr_assert_eq(key->netns, NETNS);
	cr_assert(key->spi == 1 || key->spi == 2);
	return in_table[key->spi - 1] ? &map[key->spi - 1] : NULL;
}

#define bpf_map_lookup_elem(map, key) bpf_map_lookup_elem(*(map), key)
#include "packet/same_protection.h"

struct packet {
	struct {
		struct skb_ext ext;
		struct sec_path path;
	} extensions;
	struct xfrm_state state;
	struct sk_buff skb;
};

/* spi: 0 = in clear */
static struct sk_buff *received(struct packet *packet, __u32 spi)
{
	*packet = (struct packet){
		.extensions = {.ext.offset = {0, 1}},
		.state = {.props = {0, AF_INET},
			  .id = {.spi = __builtin_bswap32(spi), .proto = 50}},
		.skb = {.active_extensions = spi ? 1 << SKB_EXT_SEC_PATH : 0},
	};
	packet->extensions.path = (struct sec_path){.len = 1, .xvec = {&packet->state}};
	packet->skb.extensions = &packet->extensions;
	return &packet->skb;
}

static bool congruent(__u32 first, __u32 next)
{
	struct packet one, other;

	return same_protection(received(&one, first), received(&other, next), NETNS);
}

static void put(__u32 spi, enum latch_sa_state state, __u16 params, __u8 flags)
{
	sas[spi - 1].word = (union latch_sa_word){.state = state, .params = params, .flags = flags};
	in_table[spi - 1] = true;
}

Test(same_protection, packets_under_two_sas_of_one_peer_are_merged)
{
	put(1, LATCH_SA_BOUND, PEER, 0);
	put(2, LATCH_SA_BOUND, PEER, 0);
	cr_expect(congruent(1, 2));
	put(2, LATCH_SA_DYING, PEER, 0);
	cr_expect(congruent(1, 2), "the SA of before a rekey");
}

Test(same_protection, packets_under_one_sa_are_merged_whatever_its_state)
{
	cr_expect(congruent(1, 1), "not in the table");
	put(1, LATCH_SA_PENDING, 0, 0);
	cr_expect(congruent(1, 1));
}

Test(same_protection, R_2_4_packets_of_two_peers_are_a_mixture)
{
	put(1, LATCH_SA_BOUND, PEER, 0);
	put(2, LATCH_SA_BOUND, IMPOSTOR, 0);
	cr_expect_not(congruent(1, 2));
	cr_expect_not(congruent(1, 0));
	cr_expect_not(congruent(0, 2));
}

/* Which peer's it is turns out between the merge and the gate, when the packet shows one SA only.
 */
Test(same_protection, R_2_4_a_packet_under_an_sa_that_is_bound_after_the_merge_makes_a_mixture)
{
	put(1, LATCH_SA_BOUND, PEER, 0);
	put(2, LATCH_SA_PENDING, 0, 0);
	cr_expect_not(congruent(1, 2));
	cr_expect_not(congruent(2, 1));
	put(2, LATCH_SA_PENDING, PEER, 0);
	cr_expect_not(congruent(1, 2), "the params of a pending SA are not proven");
	put(1, LATCH_SA_PENDING, 0, 0);
	put(2, LATCH_SA_PENDING, 0, 0);
	cr_expect_not(congruent(1, 2), "two SAs without a peer");
}

Test(same_protection, R_2_4_an_sa_that_is_ambiguous_or_not_in_the_table_makes_a_mixture)
{
	put(1, LATCH_SA_BOUND, PEER, 0);
	cr_expect_not(congruent(1, 2));
	put(2, LATCH_SA_BOUND, PEER, LATCH_SA_AMBIGUOUS);
	cr_expect_not(congruent(1, 2));
}
