/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LATCHD_EXPLAIN_EXPLAIN_DECIDE_H
#define LATCHD_EXPLAIN_EXPLAIN_DECIDE_H

#include "latchd/explain/explanation.h"

/* Policy and SA are of the same interface id: the kernel resolves no other SA for the policy. */
bool explain_fits_policy(const struct explanation *explanation, const struct latch_sa *sa,
			 bool out);

/*
 * No key manager has reported what it carries, and its addresses do not show it. It is of the mode
 * that the policy asks for, and that is not transport mode.
 */
bool explain_may_carry_unreported(const struct explanation *explanation,
				  const struct latch_sa_key *key, const struct latch_sa *sa);

/* Pure: the gates' decision over a new flow, by what was gathered. */
void explain_decide(struct explanation *explanation, uint64_t now_ns, uint64_t pending_limit_ns);

#endif
