/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* MPTCP: the check of a subflow other than the first. */
#include "gate/mptcp.h"
#include "gate/verdict.h"
#include "packet/socket_flow.h"

/*
 * The data of every subflow belongs to the connection that the first subflow opened. If the
 * first subflow is latched, all others must be latched to the same params. The first packet of a
 * subflow carries no data yet, and may create its latch.
 */
__noinline int mptcp_check_subflow(struct passage *p, __u64 first_socket)
{
	union latch_word want, own;
	struct latch_flow flow;
	struct latch *latch, *subflow;

	if (!p)
		return GATE_DROP;
	flow_of_kernel_socket((struct sock *)first_socket, p->flow.netns, &flow);
	latch = latch_find(&flow);
	subflow = latch_find(&p->flow);
	if (!latch || latch == subflow || (!subflow && p->may_start))
		return GATE_PASS;
	want = READ_WORD(latch->word);
	if (want.state != LATCH_STATE_ESTABLISHED && want.state != LATCH_STATE_LARVAL)
		return drop(LATCH_DROP_BROKEN, p, latch);
	if (!subflow)
		return drop(LATCH_DROP_PLAINTEXT, p, latch);
	own = READ_WORD(subflow->word);
	if (own.params != want.params)
		return drop(mismatch_reason(want.params, own.params), p, latch);
	return GATE_PASS;
}
