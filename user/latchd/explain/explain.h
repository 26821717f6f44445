/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Facts about one flow, for "latchctl explain": its latch, its records in the history, and a
 * forecast for a new connection. Reads only.
 */
#ifndef LATCHD_EXPLAIN_EXPLAIN_H
#define LATCHD_EXPLAIN_EXPLAIN_H

#include "latchd/config/config.h"
#include "latchd/explain/explanation.h"
#include "latchd/maps/kernel_maps.h"
#include "latchd/sa/attribution.h"

struct explain_sources {
	const struct kernel_maps *maps;
	const struct identities *identities;
	const struct history *history;
	const struct attribution *attribution;
	const struct config_rule *rules;
	size_t rule_count;
	uint64_t pending_limit_ns;
};

/* Results of a query so far. latch NULL: no latch. */
struct explain_subject {
	struct latch_flow flow;		/* local_port 0: any */
	enum latch_direction direction; /* NONE: not given */
	const struct latch *latch;
	const struct history_record *record; /* NULL: the record of the latch, or of the flow */
	uint64_t latches;		     /* number of matching latches */
};

/* Fills ret. 0 or a negative errno: a table could not be read. */
int explain_subject(const struct explain_sources *sources, const struct explain_subject *subject,
		    struct explanation *ret);

/* The record of a latch, live or gone, or NULL. */
const struct history_record *explain_record_of_id(const struct history *history, uint64_t id);
/* The newest record of any kind, or NULL. Direction NONE: both. */
const struct history_record *explain_record_of_flow(const struct history *history,
						    const struct latch_flow *flow,
						    enum latch_direction direction);

#endif
