/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * After a latch of its flow was found, a socket never sends or receives unlatched again. In audit
 * mode that holds only if the latch was blocked by then.
 */
#ifndef LATCH_BPF_DB_MET_LATCH_H
#define LATCH_BPF_DB_MET_LATCH_H

#include "db/audit.h"
#include "db/epochs.h"

/*
 * latch: NULL if it ended before. The latch may also be gone by now. Another processor may then
 * have found neither latch nor mark, and have remembered a pass in clear. So this mark advances the
 * epoch, too.
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
