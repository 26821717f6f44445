/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A socket that has met a latch never again sends or receives unlatched. */
#ifndef LATCH_BPF_DB_MET_LATCH_H
#define LATCH_BPF_DB_MET_LATCH_H

#include "db/epochs.h"

/*
 * The latch may be gone by now. Another processor may then have found the flow without a latch and
 * the socket without this mark, and have remembered a pass in clear: hence an epoch of its own.
 */
static __always_inline void met_latch(struct socket_verdict *v, const struct latch_flow *flow)
{
	if (READ_ONCE(v->was_latched))
		return;
	WRITE_ONCE(v->was_latched, 1);
	flow_changed(flow);
}

#endif
