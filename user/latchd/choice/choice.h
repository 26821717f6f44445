/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the kernel could do with SAs, in each namespace. An SA conflicts only with what the kernel
 * could choose it for, or accept under it. The answers stay the same until a change is published,
 * so that what was counted by them can be counted again. A namespace that was never read, or can no
 * longer be read, rules nothing out.
 */
#ifndef LATCHD_CHOICE_CHOICE_H
#define LATCHD_CHOICE_CHOICE_H

#include "common/loop.h"
#include "latch_abi.h"
#include "latchd/choice/choice_join.h"
#include "latchd/choice/choice_table.h"

struct choice;

/* Where the tables come from: choice_load.h. */
struct choice_source {
	int (*load)(uint64_t netns, struct choice_table *ret);
	int (*load_devices)(uint64_t netns, struct choice_table *ret);
	/* A socket that becomes readable when a link changes, for the caller to close. Or -errno.
	 * NULL: there are none. */
	int (*open_links)(uint64_t netns);
	/* When an edit of the SPD was last noticed (CLOCK_BOOTTIME): one in 100 ms. Or -errno. */
	int (*last_edit)(void *context, uint64_t netns, uint64_t *ret_ns);
	void *context; /* of last_edit */
};

/* The answers for the namespace have changed, as far as they depend on what has. */
typedef void (*choice_changed_fn)(void *context, uint64_t netns,
				  const struct choice_change *change);

/* NULL: out of memory. */
struct choice *choice_new(struct loop *loop, const struct choice_source *source,
			  choice_changed_fn changed, void *context);
void choice_free(struct choice *choice);
/* How long a policy that is gone may come back. Of those that are gone from now on. */
void choice_set_grace(struct choice *choice, unsigned int grace_ms);

/* An event: the SPD of the namespace was edited. Looks soon. */
void choice_edited(struct choice *choice, uint64_t netns);
/* Events were lost. */
void choice_events_lost(struct choice *choice);

/* May the answers be out of date? Then choice_refresh() comes before an SA counts. */
bool choice_is_stale(const struct choice *choice, uint64_t netns);
/*
 * Were the answers true at this time (CLOCK_BOOTTIME)? False: the SPD was edited since, or shortly
 * before; answers that are out of date are renewed soon. True where none depends on the SPD.
 */
bool choice_was_known(struct choice *choice, uint64_t netns, uint64_t at_ns);
/* Has it been looked at? */
bool choice_knows(const struct choice *choice, uint64_t netns);
/* False: a read failed, and the answers are those of the read before. Not for long. */
bool choice_may_answer(const struct choice *choice, uint64_t netns);
/* Reads it now. Calls the handler before it returns, if the answers change. */
void choice_refresh(struct choice *choice, uint64_t netns);
void choice_refresh_stale(struct choice *choice);

/* One side of a possible conflict. */
struct choice_claim {
	const struct sa_way *way;
	const struct traffic_selector_set *local, *remote;
};

/* Of a NULL choice all of these are as if nothing was known. */
bool choice_tells_apart(const struct choice *choice, uint64_t netns, const struct sa_way *one,
			const struct sa_way *other);
bool choice_may_carry(const struct choice *choice, const struct sa_way *way,
		      const struct latch_flow *flow);
/*
 * The same if the policies that have just gone, and may use an SA of own, decide as before. Does
 * the kernel use the SA only until these are back? own NULL: not known, so no policy is awaited.
 */
bool choice_will_carry(const struct choice *choice, const struct sa_way *way,
		       const struct sa_way *own, const struct latch_flow *flow);
/*
 * Is there a flow within both claims' selectors that either may carry? Adds to *work what the
 * answer has cost, in policies and selectors. It has a bound, beyond which the answer is true.
 */
bool choice_may_both_carry(const struct choice *choice, uint64_t netns,
			   const struct choice_claim *one, const struct choice_claim *other,
			   uint64_t *work);

#endif
