/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The table of flows that enforcement would have dropped: struct latch_audit. */
#ifndef LATCH_BPF_DB_AUDIT_H
#define LATCH_BPF_DB_AUDIT_H

#include "db/maps.h"
#include "db/read_once.h"

/* One packet, or one break of a latch. */
struct audit_note {
	struct latch_audit_key key;
	__u16 got; /* params of the packet's SA; 0 = none, or not known */
	__u8 packets;
	__u8 flows; /* 1: the flow was not counted for this reason yet */
	enum latch_direction direction;
	__u8 pad[3];
};

/* Adds to the row of note, or to the row of all others. A global function. Returns 0. */
int audit_add(const struct latch_flow *flow, const struct audit_note *note);

/* 1: the flow of this latch is not counted for this reason yet. Returned once per latch, reason and
 * audit. */
static __always_inline int audit_first_of(struct latch *latch, __u32 drop, __u32 mode)
{
	__u16 bit = 1u << (drop & 15);

	if (latch->audited_mode != (__u16)mode) {
		latch->audited_mode = (__u16)mode;
		latch->audited = 0;
	}
	if (latch->audited & bit)
		return 0;
	latch->audited |= bit;
	return 1;
}

/* True: the latch broke or closed under enforcement, or in an earlier audit. Audit mode does not
 * pass its packets. */
static __always_inline int is_blocked(const struct latch *latch, __u32 mode)
{
	union latch_word word = READ_WORD(latch->word);

	return word.state != LATCH_STATE_ESTABLISHED && word.state != LATCH_STATE_LARVAL &&
	       !latch_mode_passes_latch(mode, latch);
}

#endif
