/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Enforcement and audit. The mode is one word of latch_settings: odd in audit mode, else even. A
 * switch adds one, so that no value returns. A latch that breaks keeps the word of that moment, and
 * audit mode lets it pass only while that word is in force. So a latch that broke under
 * enforcement, or in an earlier audit, stays blocked.
 */
#ifndef LATCH_MODE_H
#define LATCH_MODE_H

#include "latch_abi.h"

static inline int latch_mode_is_audit(__u32 mode)
{
	return mode & 1;
}

static inline __u32 latch_mode_next(__u32 now, int audit)
{
	return latch_mode_is_audit(now) == !!audit ? now : now + 1;
}

/* decided: the mode when the latch broke. True: audit mode lets its packets pass. */
static inline int latch_mode_passes(__u32 mode, __u32 decided)
{
	return latch_mode_is_audit(mode) && mode == decided;
}

/* The same for the packets of a latch. What an application wishes is enforced in audit mode, too.
 */
static inline int latch_mode_passes_latch(__u32 mode, const struct latch *latch)
{
	return !(latch->rule_flags & LATCH_RULE_WISHED) && latch_mode_passes(mode, latch->decided);
}

#endif
