/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A map deletes and replaces by key, whatever entry the key has by then. An expiry timer, a request
 * of the key manager and latchd may change one key at the same time. So a processor claims an entry
 * by its serial before it deletes or replaces the entry, and other processors do not change it. The
 * memory of a deleted entry may be reused at once, so plain writes to an entry need a claim.
 *
 * An entry that is claimed and not GONE is being written. A deletion then only marks the entry as
 * GONE, and the writer deletes it.
 *
 * Remembered passes (epochs.h): only sa_swap() changes the word of an entry in the map, and it
 * advances the epoch. sa_release() is the exception: its entry is GONE, so sa_claim() has made it
 * PENDING by sa_swap(). A gate that found an entry may read its word after the memory was reused
 * for another SA. So sa_given_back() advances the epoch after a deletion and a replacement, which
 * are the only ways to free an entry.
 */
#ifndef LATCH_BPF_DB_SA_CLAIM_H
#define LATCH_BPF_DB_SA_CLAIM_H

#include "db/epochs.h"
#include "db/read_once.h"
#include "db/sa_share.h"

#define ENOENT 2 /* asm-generic/errno-base.h */
#define EAGAIN 11
#define EBUSY  16

/* A try fails only if another processor has changed the entry meanwhile. */
#define SA_CLAIM_TRIES 16

/*
 * Finds the entry and reads its word. The word belongs to this key only if the entry is still
 * in the map afterwards. Then a compare-and-swap with its serial changes no other SA.
 */
static __always_inline struct latch_sa *sa_read(const struct latch_sa_key *key,
						union latch_sa_word *word)
{
	struct latch_sa *sa = bpf_map_lookup_elem(&sas, key);

	if (!sa)
		return NULL;
	*word = READ_WORD(sa->word);
	return bpf_map_lookup_elem(&sas, key) == sa ? sa : NULL;
}

static __always_inline int sa_swap(const struct latch_sa_key *key, struct latch_sa *sa,
				   union latch_sa_word was, union latch_sa_word is)
{
	if (__sync_val_compare_and_swap(&sa->word.raw, was.raw, is.raw) != was.raw)
		return 0;
	sa_changed(key);
	return 1;
}

/* Call it after a claimed entry was deleted or replaced. */
static __always_inline void sa_given_back(const struct latch_sa_key *key, __u8 flags, __u32 slot)
{
	sa_changed(key);
	uncount_foreign_sa(flags);
	sa_share_give(slot);
}

/*
 * Claims the entry, which loses its peer. 0; -ENOENT: the entry has another SA, or another
 * processor deletes or replaces it; -EBUSY: it is being written, and its writer deletes it.
 */
static __always_inline long sa_claim(const struct latch_sa_key *key, struct latch_sa *sa,
				     __u32 serial)
{
	union latch_sa_word was, is;
	int i;

	for (i = 0; i < SA_CLAIM_TRIES; i++) {
		is = was = READ_WORD(sa->word);
		if (was.serial != serial ||
		    (was.flags & LATCH_SA_CLAIMED && was.flags & LATCH_SA_GONE))
			return -ENOENT;
		/* PENDING also while the entry is being written: the gates do not read
		 * LATCH_SA_CLAIMED. */
		is.flags = (was.flags & ~LATCH_SA_UNPROVEN) | LATCH_SA_GONE | LATCH_SA_CLAIMED;
		is.state = LATCH_SA_PENDING;
		is.params = 0;
		if (sa_swap(key, sa, was, is))
			return was.flags & LATCH_SA_CLAIMED ? -EBUSY : 0;
	}
	return -ENOENT;
}

/* Gives up the claim of an entry that could not be deleted. The next SA under its key replaces the
 * entry, or latchd deletes it. */
static __always_inline void sa_release(struct latch_sa *sa)
{
	union latch_sa_word word = READ_WORD(sa->word);

	sa->instance = 0;
	word.state = LATCH_SA_PENDING;
	word.params = 0;
	word.flags &= ~LATCH_SA_CLAIMED;
	__sync_lock_test_and_set(&sa->word.raw, word.raw);
}

/* Deletes a claimed entry with its places in the shares. 0 or the error of the map. */
static __always_inline long sa_remove(const struct latch_sa_key *key, struct latch_sa *sa)
{
	__u32 slot = sa_share_slot(key, sa);
	__u8 flags = sa->word.flags;
	long err = bpf_map_delete_elem(&sas, key);

	if (err) {
		sa_release(sa);
		return err;
	}
	sa_given_back(key, flags, slot);
	/* Another SA has the key, with another mark, and now has no entry: latchd searches for
	 * it. */
	if (flags & LATCH_SA_AMBIGUOUS)
		count(LATCH_COUNTER_SAS_FULL);
	return 0;
}

/* True: this processor may write the entry, until sa_finish(). */
static __always_inline int sa_hold(const struct latch_sa_key *key, struct latch_sa *sa,
				   union latch_sa_word was)
{
	union latch_sa_word claimed = was;

	claimed.flags |= LATCH_SA_CLAIMED;
	return sa_swap(key, sa, was, claimed);
}

/*
 * Ends a write, with the new word. The kernel may have deleted the SA meanwhile, or have installed
 * another SA under its key with another mark. 0; -ENOENT: the SA was deleted; -EAGAIN.
 */
static __always_inline long sa_finish(const struct latch_sa_key *key, struct latch_sa *sa,
				      union latch_sa_word is)
{
	union latch_sa_word was;
	int i;

	for (i = 0; i < SA_CLAIM_TRIES; i++) {
		was = READ_WORD(sa->word);
		if (was.flags & LATCH_SA_GONE) {
			sa_remove(key, sa);
			return -ENOENT;
		}
		is.flags |= was.flags & LATCH_SA_AMBIGUOUS;
		if (sa_swap(key, sa, was, is))
			return 0;
	}
	return -EAGAIN;
}

/* 0, or the error of sa_claim() or sa_remove(): -ENOENT if another processor deletes it. */
static __always_inline long sa_delete(const struct latch_sa_key *key, struct latch_sa *sa,
				      __u32 serial)
{
	long err = sa_claim(key, sa, serial);

	return err ? err : sa_remove(key, sa);
}

#endif
