/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Audit mode at the gates. Each verdict is made as under enforcement. Only drop() asks the mode: it
 * lets the packet pass and notes the reason in the passage.
 */
#ifndef LATCH_BPF_GATE_AUDIT_H
#define LATCH_BPF_GATE_AUDIT_H

#include "db/latch_db.h"
#include "gate/passage.h"

/*
 * For a new flow that passes in audit mode only, after its verdict. A flow that enforcement refuses
 * gets its mark; one that enforcement lets wait gets a LARVAL latch, since it will not be repeated.
 * Returns 0.
 */
int audit_begin(struct passage *p);

/* Counts an audited packet. Call it once, at the end. Returns 0. */
int audit_count(struct passage *p);

/*
 * The mark of a flow whose handshake has not ended. Each SYN is checked anew, as under enforcement:
 * a forged one must not leave its mark on the flow of the peer.
 */
static __always_inline int is_provisional(const struct latch *latch)
{
	union latch_word word = READ_WORD(latch->word);

	return word.state == LATCH_STATE_BROKEN && word.reasons == LATCH_REASON_REFUSED &&
	       latch->owner == LATCH_OWNER_HANDSHAKE;
}

/* Enforcement has broken or closed it: audit mode does not let it pass either. */
static __always_inline int is_blocked(const struct latch *latch, __u32 mode)
{
	union latch_word word = READ_WORD(latch->word);

	return word.state != LATCH_STATE_ESTABLISHED && word.state != LATCH_STATE_LARVAL &&
	       !latch_mode_passes(mode, latch->decided);
}

#endif
