/* SPDX-License-Identifier: BSD-2-Clause */
/* Finds the SA and the peer that contest an SA or one of its flows, for reports. */
#ifndef LATCHD_SA_CONFLICT_RIVAL_REPORT_H
#define LATCHD_SA_CONFLICT_RIVAL_REPORT_H

#include "latchd/news/news.h"
#include "latchd/sa/child/child_sas.h"

/* False: no SA contests this one, or it is not known. */
bool rivals_find(struct child_sas *child_sas, const struct latch_sa_key *key,
		 struct news_rival *ret);
/* The same for one flow under the SA: another SA may be its rival than that of other flows. */
bool rivals_find_for(struct child_sas *child_sas, const struct latch_sa_key *key,
		     const struct latch_flow *flow, struct news_rival *ret);

#endif
