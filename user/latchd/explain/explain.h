/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * All that is known of one flow, for "latchctl explain": its latch, what is remembered of it, and
 * what a new connection would get now. Reads only.
 */
#ifndef LATCHD_EXPLAIN_EXPLAIN_H
#define LATCHD_EXPLAIN_EXPLAIN_H

#include "latchd/config/config.h"
#include "latchd/history/history.h"
#include "latchd/maps/kernel_maps.h"
#include "latchd/sa/attribution.h"
#include "latchd/spd/policy.h"

#define EXPLAIN_SAS_MAX 16
/* Stands for a local port that is not known: the first one of Linux' default range. */
#define EXPLAIN_EXAMPLE_PORT 32768

enum explain_found {
	EXPLAIN_LATCH,	 /* it has a latch */
	EXPLAIN_ENDED,	 /* it had one */
	EXPLAIN_REFUSED, /* it got none */
	EXPLAIN_SOCKET,	 /* a socket has the flow, and there is no latch */
	EXPLAIN_NONE,	 /* none of these */
};

struct explain_policy {
	bool absent; /* no policy: the default action */
	enum policy_action action;
	struct policy policy; /* unless absent */
};

struct explain_sa {
	struct latch_sa_key key;
	struct latch_sa sa;
	bool out; /* of packets that this host sends */
};

/* What a new connection of the flow gets. */
enum explain_now {
	EXPLAIN_NOW_UNKNOWN,	/* the SPD cannot be read */
	EXPLAIN_NOW_OFF,	/* a rule latches none */
	EXPLAIN_NOW_BLOCKED,	/* by a policy */
	EXPLAIN_NOW_CLEAR,	/* it passes without IPsec */
	EXPLAIN_NOW_REQUIRED,	/* refused: without IPsec, and a rule requires a latch */
	EXPLAIN_NOW_NEGOTIATES, /* there is no SA yet */
	EXPLAIN_NOW_LATCHED,	/* to the owner of the SA */
	EXPLAIN_NOW_CONTESTED,	/* refused */
	EXPLAIN_NOW_WAITS,	/* for the owner of the SA */
	EXPLAIN_NOW_LARVAL,	/* it passes, latched to no peer */
	EXPLAIN_NOW_UNOWNED,	/* refused: no owner, and a rule requires a latch */
};

struct explanation {
	enum explain_found found;
	struct latch_flow flow;
	bool example_port; /* the local port stands for any */
	enum latch_direction direction;
	struct latch latch; /* EXPLAIN_LATCH */
	bool has_record;
	struct history_record record;
	uint16_t rule; /* that decides now, or LATCH_RULE_NONE */
	enum latch_action action;
	int spd_error; /* of reading the policies */
	struct explain_policy policy[POLICY_DIRECTIONS];
	size_t sa_count; /* of all; the first ones are in sas, the newest first */
	struct explain_sa sas[EXPLAIN_SAS_MAX];
	enum explain_now now;
	const struct explain_sa *now_sa; /* that the kernel would use; NULL: none */
	struct history_gaps gaps;
};

struct explain_sources {
	const struct kernel_maps *maps;
	const struct identities *identities;
	const struct history *history;
	const struct attribution *attribution;
	const struct config_rule *rules;
	size_t rule_count;
	uint64_t pending_limit_ns;
};

/* What a query has found so far: latch NULL: no latch. */
struct explain_subject {
	struct latch_flow flow;		/* local_port 0: any */
	enum latch_direction direction; /* NONE: not given */
	const struct latch *latch;
	const struct history_record *record; /* of a latch that is gone */
};

/* Fills ret. 0 or a negative errno: a table could not be read. */
int explain_subject(const struct explain_sources *sources, const struct explain_subject *subject,
		    struct explanation *ret);

/* The record of a latch, live or gone, or NULL. */
const struct history_record *explain_record_of_id(const struct history *history, uint64_t id);

/* Pure: the gates' decision over a new flow, by what was gathered. */
void explain_decide(struct explanation *explanation, uint64_t now_ns, uint64_t pending_limit_ns);

#endif
