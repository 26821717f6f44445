/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LATCHD_EXPLAIN_EXPLAIN_DECIDE_H
#define LATCHD_EXPLAIN_EXPLAIN_DECIDE_H

#include "latchd/explain/explanation.h"

/* Pure: the gates' decision over a new flow, by what was gathered. */
void explain_decide(struct explanation *explanation, uint64_t now_ns, uint64_t pending_limit_ns);

#endif
