/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The rule of a packet that no full socket sends or receives, for the netfilter gate. A LARVAL
 * latch settles here only on a peer that fulfils the terms of the rule, as at the cgroup gate.
 */
#ifndef LATCH_BPF_GATE_SOCKETLESS_H
#define LATCH_BPF_GATE_SOCKETLESS_H

#include "gate/peer_terms.h"
#include "gate/verdict.h"

/* Fills rule and admitted of p. The reason why the SA cannot carry the flow, or REJECT_NONE. */
static __always_inline enum latch_drop read_rule(struct passage *p)
{
	__u16 params = 0;
	enum latch_drop why = reject_reason(p, &params), refused = REJECT_NONE;

	rule_of(&p->flow, p->opened, &p->rule);
	/* latchd decides over a contested SA only if its peer fulfils the terms. */
	if ((why == REJECT_NONE || is_contest(why)) && has_terms(p))
		refused = (enum latch_drop)rule_refuses(p, params);
	return refused == REJECT_NONE ? why : refused;
}

/*
 * The flow has no ESTABLISHED latch. Sockets that latchd does not watch also send and receive
 * such packets.
 */
static __always_inline int check_rule(struct passage *p)
{
	enum latch_drop why = read_rule(p);

	if (why == REJECT_NONE || p->rule.action != LATCH_ACTION_REQUIRE ||
	    !(p->rule.flags & LATCH_RULE_SOCKETLESS))
		return GATE_PASS;
	return reject(p, why);
}

/* The cgroup gate checks the packet, too, unless a socket takes it before (UDP_ENCAP). */
static __always_inline int pass_received(struct passage *p, struct latch *latch)
{
	if (is_larval(latch))
		read_rule(p);
	return pass_latched(p, latch);
}

#endif
