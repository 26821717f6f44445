/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The terms of a rule on the peer: the set that it has to be of, and the strength of the
 * encryption. They count when a flow begins. A change of the rules or of the sets breaks no latch.
 */
#ifndef LATCH_BPF_GATE_PEER_TERMS_H
#define LATCH_BPF_GATE_PEER_TERMS_H

#include "gate/passage.h"

/*
 * The rule in p has terms, and the SA of p could create a latch under these params. Returns an enum
 * latch_drop, or LATCH_DROP_COUNT: it may. Then p->admitted are the params, unless wishes decide
 * over that. A global function, as check_packet().
 */
int rule_refuses(struct passage *p, int carried);

#endif
