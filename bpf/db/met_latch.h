/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A socket that has met a latch never again sends or receives unlatched: in audit mode only if the
 * latch was blocked by then.
 */
#ifndef LATCH_BPF_DB_MET_LATCH_H
#define LATCH_BPF_DB_MET_LATCH_H

#include "db/audit.h"
#include "db/epochs.h"

/*
 * latch: NULL if it ended before. It may be gone by now, too. Another processor may then have found
 * the flow without a latch and the socket without this mark, and remembered a pass in clear. Hence
 * an epoch of its own.
 */
static __always_inline void met_latch(struct socket_verdict *v, const struct latch_flow *flow,
				      const struct latch *latch)
{
	__u32 mode;

	if (READ_ONCE(v->was_latched))
		return;
	mode = mode_get();
	v->mode = latch && is_blocked(latch, mode) ? 0 : mode; /* 0 is no audit */
	WRITE_ONCE(v->was_latched, 1);
	flow_changed(flow);
}

#endif
