/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The SAs that the kernel could use for a flow, in each namespace. An SA conflicts only with flows
 * for which the kernel could choose it, or accept packets under it. The answers stay the same until
 * a change is published: counts that were made with the old answers can then be made again. A
 * namespace that was never read, or can no longer be read, excludes no SA.
 */
#ifndef LATCHD_CHOICE_CHOICE_H
#define LATCHD_CHOICE_CHOICE_H

#include "common/loop.h"
#include "latch_abi.h"
#include "latchd/choice/choice_join.h"
#include "latchd/choice/choice_table.h"

struct choice;

/* The source of the tables: choice_load.h. */
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

/* Some answers for the namespace have changed: those that change concerns. */
typedef void (*choice_changed_fn)(void *context, uint64_t netns,
				  const struct choice_change *change);

/* NULL: out of memory. */
struct choice *choice_new(struct loop *loop, const struct choice_source *source,
			  choice_changed_fn changed, void *context);
void choice_free(struct choice *choice);
/* Time for which a removed policy may come back. Applies to policies that are removed from now
 * on. */
void choice_set_grace(struct choice *choice, unsigned int grace_ms);

/* An event: the SPD of the namespace was edited. The SPD is read soon. */
void choice_edited(struct choice *choice, uint64_t netns);
/* Events were lost. */
void choice_events_lost(struct choice *choice);

/* May the answers be out of date? Then choice_refresh() comes before an SA counts. */
bool choice_is_stale(const struct choice *choice, uint64_t netns);
/*
 * Were the answers true at at_ns (CLOCK_BOOTTIME)? False: the SPD was edited since, or shortly
 * before. Answers that are out of date are then renewed soon. True if no answer depends on the SPD.
 */
bool choice_was_known(struct choice *choice, uint64_t netns, uint64_t at_ns);
/* Has the namespace an entry, read or not? */
bool choice_knows(const struct choice *choice, uint64_t netns);
/* False: the last reading failed. For up to a second the answers are those of the reading
 * before. */
bool choice_may_answer(const struct choice *choice, uint64_t netns);
/* Reads the namespace now. If the answers change, it calls the handler before it returns. */
void choice_refresh(struct choice *choice, uint64_t netns);
void choice_refresh_stale(struct choice *choice);

/* One side of a possible conflict. */
struct choice_claim {
	const struct sa_way *way;
	const struct traffic_selector_set *local, *remote;
};

/* choice NULL: these answer as for a namespace that was never read. */
bool choice_tells_apart(const struct choice *choice, uint64_t netns, const struct sa_way *one,
			const struct sa_way *other);
bool choice_may_carry(const struct choice *choice, const struct sa_way *way,
		      const struct latch_flow *flow);
/* The same for any flow between the addresses of this one. Adds the policies that were looked at to
 * *work. */
bool choice_may_carry_pair(const struct choice *choice, const struct sa_way *way,
			   const struct latch_flow *flow, uint64_t *work);
/*
 * As choice_may_carry(), but policies that were removed within the grace, and may use an SA of own,
 * count as present. False, where choice_may_carry() is true: the kernel uses the SA only until they
 * return. own NULL: none counts.
 */
bool choice_will_carry(const struct choice *choice, const struct sa_way *way,
		       const struct sa_way *own, const struct latch_flow *flow);
/*
 * Is there a flow within both claims' selectors that either may carry? Adds the policies and
 * selectors that were looked at to *work. Beyond a bound of work the answer is true.
 */
bool choice_may_both_carry(const struct choice *choice, uint64_t netns,
			   const struct choice_claim *one, const struct choice_claim *other,
			   uint64_t *work);

#endif
