/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Finds the rule that decides over a flow. */
#ifndef LATCH_BPF_DB_RULES_H
#define LATCH_BPF_DB_RULES_H

#include "db/maps.h"
#include "db/rule_decision.h"

/* rule_count and rule_stamp of struct latch_settings in one word. */
union rules_word {
	__u64 raw;
	struct {
		__u32 count;
		__u32 stamp;
	};
};

static __always_inline __u64 *rules_word_of(struct latch_settings *s)
{
	return (__u64 *)&s->rule_count;
}

/*
 * Returns *ret's index. direction: how the flow was opened, an enum latch_direction. For
 * LATCH_DIRECTION_NONE, which means unknown, a rule that requires a latch in either direction
 * decides.
 */
int rule_of(const struct latch_flow *flow, int direction, struct rule_decision *ret);

#endif
