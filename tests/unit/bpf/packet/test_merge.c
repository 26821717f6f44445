/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The doubt that a merge of GRO leaves. The test compiles the text of bpf/packet/merge.h, with
 * tables and a clock of its own.
 */
#include <criterion/criterion.h>
#include <linux/types.h>
#include <stdbool.h>
#include <string.h>

/* ---- in place of bpf/db/maps.h ---- */

#define LATCH_BPF_DB_MAPS_H
#define MERGE_SLOTS 1024
#define DOUBT_SLOTS 16
#define ENTRIES	    4
#define BPF_NOEXIST 1
#define OWN_FRAME   __attribute__((unused))

#include "latch_abi.h"

enum packet_protection {
	PACKET_PLAIN,
	PACKET_PROTECTED,
	PACKET_MERGED
};

struct merge_doubt {
	__u64 last[DOUBT_SLOTS];
	__u32 serial;
	__u32 pad;
};

struct entry {
	struct latch_sa_key key;
	bool used;
	union {
		struct latch_sa sa;
		struct merge_doubt doubt;
	};
};

static struct entry sas[ENTRIES], doubts[ENTRIES];
static __u64 merges[MERGE_SLOTS];
static __u64 boot_time;
static bool doubts_are_full;

static void *bpf_map_lookup_elem(void *map, const void *key)
{
	struct entry *entry = map;
	int i;

	if (map == merges)
		return &merges[*(const __u32 *)key];
	for (i = 0; i < ENTRIES; i++)
		if (entry[i].used && !memcmp(&entry[i].key, key, sizeof(entry->key)))
			return &entry[i].sa;
	return NULL;
}

static long bpf_map_update_elem(void *map, const void *key, const void *value, __u64 flags)
{
	struct entry *entry = map;

	cr_assert_eq(flags, BPF_NOEXIST);
	if (doubts_are_full)
		return -1;
	while (entry->used)
		cr_assert_lt(++entry, (struct entry *)map + ENTRIES);
	entry->used = true;
	memcpy(&entry->key, key, sizeof(entry->key));
	memcpy(&entry->doubt, value, sizeof(entry->doubt));
	return 0;
}

static __u64 bpf_ktime_get_boot_ns(void)
{
	return boot_time;
}

#include "packet/merge.h"

/* As merge.bpf.c has it. */
int sa_is_doubted(const struct latch_sa_key *sa, __u32 hash)
{
	return is_doubted(sa, hash);
}

#define PEER	 0
#define IMPOSTOR 1

/* Both send in the name of this end. */
static const struct latch_flow flow = {
	.netns = 1, .remote_addr = {10, 8, 0, 2}, .remote_port = 5001, .family = 2};
static const struct latch_flow other_flow = {
	.netns = 1, .remote_addr = {10, 8, 0, 2}, .remote_port = 5002, .family = 2};

static struct latch_sa_key key_of(__u32 spi)
{
	return (struct latch_sa_key){.netns = 1, .spi = spi, .protocol = 50, .family = 2};
}

static void install(int place, __u32 serial)
{
	sas[place].used = true;
	sas[place].key = key_of(place);
	sas[place].sa.word = (union latch_sa_word){.serial = serial, .state = LATCH_SA_PENDING};
}

static void begin(void)
{
	memset(sas, 0, sizeof(sas));
	memset(doubts, 0, sizeof(doubts));
	memset(merges, 0, sizeof(merges));
	boot_time = 1000000000;
	doubts_are_full = false;
	install(PEER, 1);
	install(IMPOSTOR, 2);
}

TestSuite(merge, .init = begin);

static void merge_under(__u32 spi)
{
	struct latch_sa_key key = key_of(spi);

	record_doubt(&key, &flow);
}

static bool is_merged(__u32 spi, const struct latch_flow *from)
{
	struct latch_sa_key key = key_of(spi);

	return protection_after_merge(PACKET_PROTECTED, from, &key) == PACKET_MERGED;
}

Test(merge, R_2_4_a_packet_that_shows_the_sa_of_a_merge_is_doubted_for_a_while)
{
	cr_expect_not(is_merged(IMPOSTOR, &flow));
	merge_under(IMPOSTOR);
	boot_time += MERGED_FOR_NS - 1;
	cr_expect(is_merged(IMPOSTOR, &flow));
	cr_expect_not(is_merged(IMPOSTOR, &other_flow));
	boot_time += 2;
	cr_expect_not(is_merged(IMPOSTOR, &flow));
}

Test(merge, a_merge_under_one_peers_sas_does_not_stop_another_peers_packets)
{
	merge_under(IMPOSTOR);
	cr_expect_not(is_merged(PEER, &flow));
}

Test(merge, a_packet_in_clear_stays_in_clear)
{
	struct latch_sa_key none = {0};

	merge_under(IMPOSTOR);
	cr_expect_eq(protection_after_merge(PACKET_PLAIN, &flow, &none), PACKET_PLAIN);
}

Test(merge, R_2_4_an_sa_that_is_bound_after_the_merge_is_still_doubted)
{
	merge_under(IMPOSTOR);
	sas[IMPOSTOR].sa.word.state = LATCH_SA_BOUND;
	sas[IMPOSTOR].sa.word.params = 7;
	cr_expect(is_merged(IMPOSTOR, &flow));
}

Test(merge, a_later_sa_with_the_same_key_is_not_doubted)
{
	merge_under(IMPOSTOR);
	install(IMPOSTOR, 3);
	cr_expect_not(is_merged(IMPOSTOR, &flow));
	merge_under(IMPOSTOR);
	cr_expect(is_merged(IMPOSTOR, &flow));
}

Test(merge, unknown_sas_do_not_stop_the_packets_of_known_ones)
{
	merge_under(88);
	cr_expect(is_merged(88, &flow));
	cr_expect(is_merged(89, &flow), "all unknown SAs have one entry");
	cr_expect_not(is_merged(PEER, &flow));
}

Test(merge, R_2_4_without_room_for_the_doubt_packets_of_every_sa_are_doubted)
{
	doubts_are_full = true;
	merge_under(IMPOSTOR);
	cr_expect(is_merged(IMPOSTOR, &flow));
	cr_expect(is_merged(PEER, &flow));
	doubts_are_full = false;
	merge_under(IMPOSTOR);
	cr_expect(is_merged(PEER, &flow), "a later merge does not end that doubt");
	boot_time += MERGED_FOR_NS + 1;
	cr_expect_not(is_merged(PEER, &flow));
	merge_under(IMPOSTOR);
	cr_expect_not(is_merged(PEER, &flow));
}
