/* SPDX-License-Identifier: BSD-2-Clause */
/* The collected facts about one flow. */
#ifndef LATCHD_EXPLAIN_EXPLANATION_H
#define LATCHD_EXPLAIN_EXPLANATION_H

#include "latchd/history/history.h"
#include "latchd/spd/policy.h"

#define EXPLAIN_SAS_MAX 16
/* Used for an unknown local port: the first port of Linux' default range. */
#define EXPLAIN_EXAMPLE_PORT 32768

enum explain_found {
	EXPLAIN_LATCH,	 /* it has a latch */
	EXPLAIN_ENDED,	 /* it had one */
	EXPLAIN_REFUSED, /* it got none */
	EXPLAIN_SOCKET,	 /* a socket has the flow, and there is no latch */
	EXPLAIN_NONE,	 /* none of these */
};

enum explain_socket {
	EXPLAIN_SOCKET_UNKNOWN, /* not looked for, or that failed */
	EXPLAIN_SOCKET_NONE,
	EXPLAIN_SOCKET_CONNECTING,
	EXPLAIN_SOCKET_CONNECTED,
};

struct explain_policy {
	bool absent; /* no policy: the default action */
	enum policy_action action;
	struct policy policy; /* unless absent */
};

struct explain_sa {
	struct latch_sa_key key;
	struct latch_sa sa;
	bool out;      /* of packets that this host sends */
	bool refused;  /* by the terms of the rule on peer and encryption */
	bool unwished; /* its owner is that of the SA which did not fulfil the wish */
};

/* The forecast for a new connection of the flow. */
enum explain_now {
	EXPLAIN_NOW_UNKNOWN,	  /* the SPD cannot be read */
	EXPLAIN_NOW_OFF,	  /* a rule latches none */
	EXPLAIN_NOW_BLOCKED,	  /* by a policy */
	EXPLAIN_NOW_CLEAR,	  /* it passes without IPsec */
	EXPLAIN_NOW_REQUIRED,	  /* refused: without IPsec, and a rule requires a latch */
	EXPLAIN_NOW_NEGOTIATES,	  /* there is no SA yet */
	EXPLAIN_NOW_UNREPORTED,	  /* an SA with unknown traffic may carry it */
	EXPLAIN_NOW_LATCHED,	  /* to the owner of the SA */
	EXPLAIN_NOW_BY_ROUTE,	  /* to the owner of one of several: the route decides */
	EXPLAIN_NOW_CONTESTED,	  /* refused */
	EXPLAIN_NOW_SA_PENDING,	  /* for the owner of the SA */
	EXPLAIN_NOW_LARVAL,	  /* it passes, latched to no peer */
	EXPLAIN_NOW_UNATTRIBUTED, /* refused: no owner, and a rule requires a latch */
	EXPLAIN_NOW_TERMS,	  /* refused: the rule requires another peer or encryption */
	EXPLAIN_NOW_WISH,	  /* refused: the application expects another peer or quality */
};

struct explanation {
	enum explain_found found;
	struct latch_flow flow;
	bool example_port; /* the local port was not given */
	enum latch_direction direction;
	struct latch latch;	    /* EXPLAIN_LATCH */
	bool audited;		    /* it is BROKEN, and audit mode lets its packets pass */
	uint64_t latches;	    /* that match, of which this is one */
	enum explain_socket socket; /* of the flow, if it has no latch */
	bool has_record;
	struct history_record record;
	uint16_t rule; /* that decides now, or LATCH_RULE_NONE */
	enum latch_action action;
	/* enum latch_why: by a wish of its socket the flow was refused, as its next connection will
	 * be if nothing else has changed. 0: not known to have one. */
	uint8_t wish;
	int spd_error; /* of reading the policies */
	struct explain_policy policy[POLICY_DIRECTIONS];
	size_t sa_count; /* of all; the first ones are in sas, the newest first */
	struct explain_sa sas[EXPLAIN_SAS_MAX];
	uint64_t unreported; /* SAs of a mode with selectors that no key manager has reported */
	enum explain_now now;
	const struct explain_sa *now_sa; /* that the kernel would use; NULL: none */
	struct history_gaps gaps;
};

#endif
