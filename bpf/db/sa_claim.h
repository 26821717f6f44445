/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A map deletes and replaces by key, whatever entry has the key by then: an expiry timer, a request
 * of the key manager's and latchd may all change one key at a time. So the processor that is to
 * delete or replace an entry claims it first, by its serial, and the others leave it alone. The
 * memory of a deleted entry may be another SA's at once: only a claim allows plain writes to it.
 */
#ifndef LATCH_BPF_DB_SA_CLAIM_H
#define LATCH_BPF_DB_SA_CLAIM_H

#include "db/read_once.h"
#include "db/sa_share.h"

#define EBUSY 16 /* asm-generic/errno-base.h */

/* A try fails only if another processor has changed the entry meanwhile. */
#define SA_CLAIM_TRIES 16

/* The entry belongs to no peer from now on. 0: it is another SA's, or claimed. */
static __always_inline int sa_claim(struct latch_sa *sa, __u32 serial, __u8 *ret_flags)
{
	union latch_sa_word was, is;
	int i;

	for (i = 0; i < SA_CLAIM_TRIES; i++) {
		was = READ_WORD(sa->word);
		if (was.serial != serial || was.flags & LATCH_SA_CLAIMED)
			return 0;
		is = was;
		is.state = LATCH_SA_PENDING;
		is.params = 0;
		is.flags |= LATCH_SA_GONE | LATCH_SA_CLAIMED;
		if (__sync_val_compare_and_swap(&sa->word.raw, was.raw, is.raw) == was.raw) {
			*ret_flags = was.flags;
			return 1;
		}
	}
	return 0;
}

/* It could not be deleted or replaced: the next SA under its key replaces it, or latchd deletes it.
 */
static __always_inline void sa_release(struct latch_sa *sa)
{
	union latch_sa_word word = READ_WORD(sa->word);

	sa->instance = 0;
	word.flags &= ~LATCH_SA_CLAIMED;
	__sync_lock_test_and_set(&sa->word.raw, word.raw);
}

/* Deletes the entry with its places in the shares. -EBUSY: it is another SA's, or claimed. */
static __always_inline long sa_delete(const struct latch_sa_key *key, struct latch_sa *sa,
				      __u32 serial)
{
	struct latch_clock *clock = clock_get();
	__u32 slot = sa_share_slot(key, sa);
	__u8 flags;
	long err;

	if (!sa_claim(sa, serial, &flags))
		return -EBUSY;
	if (clock)
		__sync_fetch_and_add(&clock->verdict_stamp, 1);
	err = bpf_map_delete_elem(&sas, key);
	if (err) {
		sa_release(sa);
		return err;
	}
	uncount_foreign_sa(flags);
	sa_share_give(slot);
	return 0;
}

#endif
