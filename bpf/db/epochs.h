/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Epochs: counters of the changes that remembered passes depend on (gate/remembered.h). Each
 * program changes a latch, an SA or the rules first, and then advances their epoch. An atomic
 * operation that returns a value is a full barrier, so a CPU that finds the old state has read the
 * old epoch.
 *
 * Flows and SAs have one table each, and a place by their hash. Two entries in one place cause more
 * checks in full, but no wrong verdict.
 */
#ifndef LATCH_BPF_DB_EPOCHS_H
#define LATCH_BPF_DB_EPOCHS_H

#include "db/maps.h"
#include "db/read_once.h"

#define NO_SA 0 /* the place of no SA, for a pass in clear */

static __always_inline struct epochs *epochs_in(void *table)
{
	__u32 key = 0;

	return bpf_map_lookup_elem(table, &key);
}

/*
 * The compiler knows the range of the hash, and would omit the comparison that the verifier needs.
 * From C it may also compare one copy and use another, which the verifier of Linux 6.1 does not
 * follow.
 */
static __always_inline __u64 *epoch_at(struct epochs *e, __u64 place)
{
#ifdef __bpf__
	asm volatile("if %0 < %1 goto +1\n\t%0 = 0" : "+r"(place) : "i"(EPOCHS));
#endif
	return e ? &e->of[place] : NULL;
}

static __always_inline __u16 place_of_words(const __u64 *words, int count)
{
	__u64 hash = 0;

	for (int i = 0; i < count; i++) {
		hash = (hash ^ words[i]) * 0x9e3779b97f4a7c15ULL;
		hash ^= hash >> 32;
	}
	return 1 + (__u32)(hash ^ hash >> 16) % (EPOCHS - 1);
}

static __always_inline __u16 place_of_flow(const struct latch_flow *flow)
{
	return place_of_words((const __u64 *)flow, sizeof(*flow) / sizeof(__u64));
}

static __always_inline __u16 place_of_sa(const struct latch_sa_key *sa)
{
	return place_of_words((const __u64 *)sa, sizeof(*sa) / sizeof(__u64));
}

/* Uses the result: else the compiler would choose an addition that is no barrier. */
static __always_inline void epoch_advance(__u64 *epoch)
{
	__u64 before = __sync_fetch_and_add(epoch, 1);

	asm volatile("" : : "r"(before));
}

static __always_inline void full_barrier(void)
{
	__u64 none = 0;

	epoch_advance(&none);
}

/*
 * A recreated table must not reach a sum again that a socket still remembers. It begins
 * with the time in ns, and epochs advance more slowly.
 */
static __always_inline void epochs_begin(struct epochs *e)
{
	if (!READ_ONCE(e->all))
		__sync_val_compare_and_swap(&e->all, 0, bpf_ktime_get_boot_ns());
}

static __always_inline void advance_place(void *table, __u16 place)
{
	__u64 *epoch = epoch_at(epochs_in(table), place);

	if (epoch)
		epoch_advance(epoch);
}

/*
 * The latch of the flow was created, is no longer ESTABLISHED, or its map element may be
 * reused. Other changes need no epoch: passes are remembered under ESTABLISHED latches or
 * without a latch, and never for a LISTENER.
 */
static OWN_FRAME int flow_changed(const struct latch_flow *flow)
{
	advance_place(&flow_epochs, place_of_flow(flow));
	return 0;
}

/*
 * The word of the SA's entry has changed, or its map element may be reused (sa_claim.h). An entry
 * under a key that had none needs no epoch: no pass under an SA without an entry is remembered.
 */
static OWN_FRAME int sa_changed(const struct latch_sa_key *sa)
{
	advance_place(&sa_epochs, place_of_sa(sa));
	return 0;
}

/* Any flow may be affected: the rules or the mode have changed, or latchd requests it
 * (LATCH_CONTROL_RESTAMP). */
static __always_inline void all_changed(void)
{
	struct epochs *e = epochs_in(&flow_epochs);

	if (!e)
		return;
	epochs_begin(e);
	epoch_advance(&e->all);
}

/* The sum of a place's epoch and of the epoch of the whole table. begin: begins a new table
 * first. */
static __always_inline __u64 epochs_sum_in(void *table, __u16 place, int begin)
{
	struct epochs *e = epochs_in(table);
	__u64 *epoch = epoch_at(e, place);

	if (!epoch)
		return 0;
	if (begin)
		epochs_begin(e);
	return READ_ONCE(e->all) + READ_ONCE(*epoch);
}

/*
 * Epochs only grow, so an equal sum proves that no epoch has changed. sa: NO_SA for a pass in
 * clear. 0: there is no sum.
 */
static __always_inline __u64 epochs_sum(__u16 flow, __u16 sa, int begin)
{
	__u64 sum = epochs_sum_in(&flow_epochs, flow, begin), more;

	if (sa == NO_SA || !sum)
		return sum;
	more = epochs_sum_in(&sa_epochs, sa, begin);
	return more ? sum + more : 0;
}

/* The same, before a check in full: no load of the check comes before the loads here. */
static __always_inline __u64 epochs_sum_before_check(__u16 flow, __u16 sa)
{
	__u64 sum = epochs_sum(flow, sa, 1);

	full_barrier();
	return sum;
}

#endif
