/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One channel for all changes of latches, SAs and flows. The code that makes a change
 * publishes a record. Every subscriber gets every record and switches on its kind,
 * without a default, so that the compiler names the subscribers that lack a new kind.
 *
 * A record and all that it points to are valid during the call only. Subscribers are
 * called in the order of their subscription and may publish themselves.
 */
#ifndef LATCHD_NEWS_NEWS_H
#define LATCHD_NEWS_NEWS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "latch_abi.h"

enum news_kind {
	NEWS_KERNEL_EVENT, /* event: as the programs sent it */
	NEWS_LATCH_BROKEN, /* flow, latch, cause: ESTABLISHED until now */
	NEWS_LATCH_HEALED, /* flow, latch, cause: ESTABLISHED again */
	NEWS_LATCH_HELD,   /* flow, latch, cause: policies of latchd protect the flow (R-2.3-14) */
	NEWS_LATCH_RELEASED, /* flow, latch: the policies of LATCH_HELD are removed */
	/*
	 * flow, latch, error, again: the socket was ended, or not. cause is set for a request,
	 * else the latch has the reasons.
	 */
	NEWS_LATCH_RESET,
	NEWS_FLOW_REFUSED, /* event, error: a flow got no latch; was its connect() ended? */
	NEWS_SA_BOUND,	   /* sa */
	NEWS_NETNS_SERVED, /* netns: a key manager serves it; this attachment has bound no SA yet */
	NEWS_FEED_AWAY,	   /* netns: its key manager is gone, and may come back elsewhere */
	NEWS_MODE_CHANGED, /* audited, cause: audit mode is in force now, or enforcement */
	NEWS_EVENTS_LOST,  /* count: kernel events lost since the last such record */
	NEWS_FOR_APPLICATION, /* event: LATCH_EVENT_NEWS_*, of a socket with a subscription */
};

/* The policy, or the default action, that decides over packets of the flow now. */
struct news_policy {
	const char *direction; /* of the packets: "out", "in" */
	const char *action;    /* "bypass", "block", "protect" */
	bool is_default;       /* no policy matches */
	/* Unless is_default. Addresses as in latch_abi.h, source and destination of the packet. */
	uint8_t family;
	uint8_t source[16], destination[16];
	uint8_t source_bits, destination_bits;
	uint32_t priority;
};

#define NEWS_NO_LOGIN UINT32_MAX

/* The client of the control socket that requested a change. */
struct news_requester {
	pid_t pid;	    /* of latchctl; ends soon */
	uint32_t login_uid; /* of the session (audit's loginuid), or NEWS_NO_LOGIN */
};

/* The cause of a transition; zero and NULL: not applicable or not known. */
struct news_cause {
	uint8_t reason;				/* one of enum latch_reason */
	uint16_t got;				/* SA_CONFLICT: the params of the conflicting SA */
	const struct news_policy *policy;	/* SPD_CHANGE */
	const struct news_requester *requester; /* ADMIN */
};

struct news_sa {
	const struct latch_sa_key *key;
	const struct latch_sa *sa; /* as before it was bound */
	uint16_t params;	   /* params that it is bound to */
	const char *feed;
	const char *evidence; /* as in feed_sink's child_up */
};

#define NEWS_SELECTOR_SIZE 128

/* An SA of another peer that the kernel might use for the same flows. */
struct news_rival {
	uint16_t params;       /* of the SA that is contested */
	uint16_t rival_params; /* of the other SA */
	uint32_t rival_spi;    /* its inbound SPI */
	char local[NEWS_SELECTOR_SIZE], remote[NEWS_SELECTOR_SIZE]; /* some traffic of both */
};

struct news {
	enum news_kind kind;
	const struct latch_flow *flow;
	const struct latch *latch; /* as before the transition */
	struct news_cause cause;
	const struct latch_event *event;
	struct news_sa sa;
	uint64_t netns; /* cookie */
	uint64_t count;
	const struct news_rival *rival; /* FLOW_REFUSED (conflict); NULL: none is known any more */
	/*
	 * LATCH_RESET: 0, or the negative errno of why the socket was not ended (yet).
	 * FLOW_REFUSED: 0 when connect() was ended, -ENOENT when no connect() was to be
	 * ended, or another negative errno.
	 */
	int error;
	bool again;   /* LATCH_RESET: an earlier attempt was published already */
	bool audited; /* LATCH_BROKEN, _HEALED: in audit mode, where its packets pass */
};

typedef void (*news_fn)(void *context, const struct news *news);

/* The subscriber's own; must outlive the bus. */
struct news_subscriber {
	news_fn fn;
	void *context;
	struct news_subscriber *next; /* the bus's */
};

/* Zeroed before first use. */
struct news_bus {
	struct news_subscriber *first;
};

void news_subscribe(struct news_bus *bus, struct news_subscriber *subscriber);
void news_publish(const struct news_bus *bus, const struct news *news);

#endif
