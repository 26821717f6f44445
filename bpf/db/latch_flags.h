/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Sets and clears flags of a latch: its rule_flags, which several programs write. */
#ifndef LATCH_BPF_DB_LATCH_FLAGS_H
#define LATCH_BPF_DB_LATCH_FLAGS_H

#include "latch_abi.h"

/* rule_flags, with its neighbours, is one word. */
union word_of_flags {
	struct {
		__u8 disposition, rule_flags, spd, rule_set;
	};
	__u32 word;
};

_Static_assert(__builtin_offsetof(struct latch, disposition) % 4 == 0 &&
		       __builtin_offsetof(struct latch, rule_flags) ==
			       __builtin_offsetof(struct latch, disposition) + 1,
	       "a word of their own");

static __always_inline void latch_set_flag(struct latch *latch, enum latch_rule_flag which)
{
	union word_of_flags flag = {.rule_flags = which};

	__sync_fetch_and_or((__u32 *)&latch->disposition, flag.word);
}

static __always_inline void latch_clear_flag(struct latch *latch, enum latch_rule_flag which)
{
	union word_of_flags flag = {.rule_flags = which};

	__sync_fetch_and_and((__u32 *)&latch->disposition, ~flag.word);
}

#endif
