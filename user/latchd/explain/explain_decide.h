/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The forecast of "latchctl explain" for a new connection: the SA that its policy may use, reported
 * or not, contested, of one of two peers.
 */
#ifndef LATCHD_EXPLAIN_EXPLAIN_DECIDE_H
#define LATCHD_EXPLAIN_EXPLAIN_DECIDE_H

#include "latchd/explain/explanation.h"

/* Policy and SA are of the same interface id: the kernel resolves no other SA for the policy. */
bool explain_fits_policy(const struct explanation *explanation, const struct latch_sa *sa,
			 bool out);

/*
 * True: no key manager has reported the SA's selectors, and its addresses do not show them. The SA
 * has the mode of the policy's template, which is not transport mode.
 */
bool explain_may_carry_unreported(const struct explanation *explanation,
				  const struct latch_sa_key *key, const struct latch_sa *sa);

/* Decides over a new flow as the gates do, from the collected facts only. */
void explain_decide(struct explanation *explanation, uint64_t now_ns, uint64_t pending_limit_ns);

#endif
