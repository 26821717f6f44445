/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Claims of entries of the SA table. The test compiles the text of bpf/db/sa_claim.h; no entry is
 * in a map.
 */
#include <criterion/criterion.h>
#include <linux/bpf.h>
#include <string.h>

#include "latch_abi.h"

/* ---- in place of bpf/db/maps.h ---- */

#define LATCH_BPF_DB_MAPS_H
#define LATCH_BPF_DB_EPOCHS_H
#define SA_SHARE_SLOTS 16
#define SA_SHARE       4

struct bpf_map {
	__u32 max_entries;
};

struct sa_share {
	__u64 taken;
	__u64 newest;
};

static struct bpf_map sas, sa_shares;

static void *bpf_map_lookup_elem(struct bpf_map *map, const void *key)
{
	(void)map, (void)key;
	return NULL;
}

static long bpf_map_delete_elem(struct bpf_map *map, const void *key)
{
	(void)map, (void)key;
	return -1;
}

static __u64 bpf_ktime_get_boot_ns(void)
{
	return 1;
}

static void count(enum latch_counter which)
{
	(void)which;
}

static unsigned int changes;

static int sa_changed(const struct latch_sa_key *key)
{
	(void)key;
	changes++;
	return 0;
}

static void uncount_foreign_sa(__u8 flags)
{
	(void)flags;
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"
#pragma GCC diagnostic ignored "-Wunused-function"
#include "db/quota.h"
#include "db/sa_claim.h"
#pragma GCC diagnostic pop

#define SERIAL 3

static const struct latch_sa_key key;
static struct latch_sa sa;

static void start(void)
{
	memset(&sa, 0, sizeof(sa));
	sa.word.serial = SERIAL;
	sa.word.state = LATCH_SA_BOUND;
	sa.word.params = 7;
}

TestSuite(sa_claim, .init = start);

static void expect_of_no_peer(void)
{
	cr_expect_eq(sa.word.state, LATCH_SA_PENDING);
	cr_expect_eq(sa.word.params, 0);
	cr_expect_gt(changes, 0, "what the gates remember of it no longer counts");
	cr_expect_eq(sa.word.flags, LATCH_SA_GONE | LATCH_SA_CLAIMED);
}

Test(sa_claim, an_sa_that_is_claimed_belongs_to_no_peer)
{
	cr_expect_eq(sa_claim(&key, &sa, SERIAL), 0);
	expect_of_no_peer();
}

Test(sa_claim, R_2_3_10_an_sa_that_is_deleted_while_it_is_written_belongs_to_no_peer)
{
	sa.word.flags = LATCH_SA_CLAIMED;
	cr_expect_eq(sa_claim(&key, &sa, SERIAL), -EBUSY);
	expect_of_no_peer();
	cr_expect_eq(sa_claim(&key, &sa, SERIAL), -ENOENT);
}

Test(sa_claim, a_later_sa_in_the_same_memory_is_not_claimed)
{
	sa.word.serial++;
	cr_expect_eq(sa_claim(&key, &sa, SERIAL), -ENOENT);
	cr_expect_eq(sa.word.state, LATCH_SA_BOUND);
	cr_expect_eq(sa.word.params, 7);
}
