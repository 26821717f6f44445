/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Epochs: what the remembered passes of sockets depend on (gate/remembered.h). Whatever changes a
 * latch, an SA or the rules does so first, and then advances their epoch. An atomic operation that
 * returns a value is a full barrier, so a CPU that finds the old state has read the old epoch.
 *
 * Latches and SAs share the places of a table by their hash. Two in one place cost a check in full
 * more, and no wrong verdict.
 */
#ifndef LATCH_BPF_DB_EPOCHS_H
#define LATCH_BPF_DB_EPOCHS_H

#include "db/maps.h"
#include "db/read_once.h"

static __always_inline struct epochs *epochs_get(void)
{
	__u32 key = 0;

	return bpf_map_lookup_elem(&epochs, &key);
}

static __always_inline __u16 place_of_words(const __u64 *words, int count)
{
	__u64 hash = 0;

	for (int i = 0; i < count; i++) {
		hash = (hash ^ words[i]) * 0x9e3779b97f4a7c15ULL;
		hash ^= hash >> 32;
	}
	return (hash ^ hash >> 16) % EPOCHS;
}

static __always_inline __u16 epoch_of_flow(const struct latch_flow *flow)
{
	return place_of_words((const __u64 *)flow, sizeof(*flow) / sizeof(__u64));
}

static __always_inline __u16 epoch_of_sa(const struct latch_sa_key *sa)
{
	return place_of_words((const __u64 *)sa, sizeof(*sa) / sizeof(__u64));
}

/* If its result were not used, the compiler would choose an addition that is no barrier. */
static __always_inline void epoch_advance(__u64 *epoch)
{
	__u64 before = __sync_fetch_and_add(epoch, 1);

	asm volatile("" : : "r"(before));
}

/*
 * The flow had no latch and has one, or had an ESTABLISHED latch and has it no more. Other changes
 * need no epoch: no pass under another latch is remembered.
 */
static OWN_FRAME int flow_changed(const struct latch_flow *flow)
{
	struct epochs *e = epochs_get();

	if (e)
		epoch_advance(&e->of[epoch_of_flow(flow)]);
	return 0;
}

/* The entry of the SA has changed, or was deleted. A new one needs no epoch. */
static OWN_FRAME int sa_changed(const struct latch_sa_key *sa)
{
	struct epochs *e = epochs_get();

	if (e)
		epoch_advance(&e->of[epoch_of_sa(sa)]);
	return 0;
}

static long advance_one(__u32 place, void *none)
{
	struct epochs *e = epochs_get();

	(void)none;
	if (e)
		epoch_advance(&e->of[place % EPOCHS]);
	return 0;
}

/* The rules have changed: every flow may be meant. */
static __always_inline void all_changed(void)
{
	bpf_loop(EPOCHS, advance_one, NULL, 0);
}

/* Epochs only grow: an equal sum proves that none of the two has changed. */
static __always_inline __u64 epochs_sum(const struct epochs *e, __u16 flow, __u16 sa)
{
	return READ_ONCE(e->of[flow % EPOCHS]) + READ_ONCE(e->of[sa % EPOCHS]);
}

/* The same for a check that follows: no load of the check comes before the loads here. */
static __always_inline __u64 epochs_sum_before_check(const struct epochs *e, __u16 flow, __u16 sa)
{
	__u64 sum = epochs_sum(e, flow, sa), barrier = 0;

	epoch_advance(&barrier);
	return sum;
}

#endif
