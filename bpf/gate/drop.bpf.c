/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Drops a packet: its count and its event. A datagram that waits for its SA or policy is lost
 * without an error to the application. In audit mode the packet passes and is noted, unless
 * enforcement has decided over it.
 */
#include "gate/audit.h"

/* The netfilter gate does not know the wishes of the socket, but that its latch is of one. */
static __always_inline int is_enforced(const struct latch *latch, __u32 mode)
{
	return latch->rule_flags & LATCH_RULE_WISHED || is_blocked(latch, mode);
}

static __always_inline int audit_passes(struct passage *p, struct latch *latch, int why)
{
	__u32 mode = mode_get();

	if (!latch_mode_is_audit(mode) || p->enforced || (latch && is_enforced(latch, mode)))
		return 0;
	if (!p->audited)
		p->audited = (__u8)why + 1;
	/* Any host may cause many flows, each with a mark. */
	if (latch && !is_provisional(latch))
		drop_event((enum latch_drop)why, p, latch, 1);
	return 1;
}

/*
 * The flow waits for its own SA or policy or for a decision, and its latch is not broken. An SA
 * that is not in the table waits for room, or the kernel deleted it while this packet was under
 * way.
 */
static __always_inline int waits_for_sa(enum latch_drop why, const struct latch *latch)
{
	if (why == LATCH_DROP_SA_PENDING || why == LATCH_DROP_SA_UNKNOWN ||
	    why == LATCH_DROP_CONTESTED)
		return 1;
	return latch &&
	       (why == LATCH_DROP_PLAINTEXT || why == LATCH_DROP_IDENTITY || why == LATCH_DROP_QOP);
}

__noinline int drop_packet(struct passage *p, struct latch *latch, int why)
{
	struct latch_drop_count *counted;
	__u32 key = why;

	if (!p)
		return GATE_DROP;
	if (audit_passes(p, latch, why))
		return GATE_PASS;
	counted = bpf_map_lookup_elem(&drops, &key);
	if (counted && p->egress)
		counted->egress++;
	else if (counted)
		counted->ingress++;
	if (latch) {
		__sync_fetch_and_add(&latch->drops, 1);
		drop_event((enum latch_drop)why, p, latch, 0);
	}
	return waits_for_sa((enum latch_drop)why, latch) ? GATE_LOSE : GATE_DROP;
}
