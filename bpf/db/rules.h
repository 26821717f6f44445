/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which rule decides over a flow. */
#ifndef LATCH_BPF_DB_RULES_H
#define LATCH_BPF_DB_RULES_H

#include "db/maps.h"

/* What the rules say of one flow: copied, so that a change of rules cannot split it. */
struct rule_decision {
	__u32 stamp; /* of the rules that were asked */
	__u16 index; /* LATCH_RULE_NONE: none of them */
	enum latch_action action;
	enum latch_disposition disposition;
	__u8 flags;
	__u8 undecided; /* the rules changed meanwhile: action is REQUIRE, but nothing may begin */
	__u8 pad[2];
};

/* Both in one word, as settings has them. */
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
 * Returns *ret's index. direction: who opened the flow, an enum latch_direction;
 * where nobody knows, a rule for either direction that requires a latch decides.
 */
int rule_of(const struct latch_flow *flow, int direction, struct rule_decision *ret);

#endif
