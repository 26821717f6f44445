/* SPDX-License-Identifier: BSD-2-Clause */
/* A record of a latch that was broken or has ended, or of a flow without a latch. */
#ifndef LATCHD_HISTORY_HISTORY_RECORD_H
#define LATCHD_HISTORY_HISTORY_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "latch_abi.h"
#include "latchd/news/news.h"

#define HISTORY_RULE_SIZE 32

enum history_kind {
	HISTORY_LIVE,	 /* a latch that was broken, or had a packet dropped */
	HISTORY_ENDED,	 /* a latch that has ended */
	HISTORY_REFUSED, /* a flow that got no latch */
	HISTORY_KINDS,
};

/* Texts, not indices: an index of params may belong to another peer after the latch has ended. */
struct history_side {
	bool known;
	struct latch_params params;
	struct latch_identity peer, local;
};

struct history_packet {
	uint64_t time_ns; /* CLOCK_BOOTTIME, as all times here; 0: none was reported */
	enum latch_drop drop;
	enum latch_direction direction; /* OUT = egress */
	uint8_t wish; /* enum latch_why of a refused flow: what its application misses; 0: no wish
		       */
	bool audited; /* it passed: enforcement would have dropped it */
	struct latch_sa_key sa; /* spi 0: none */
	bool sa_known;		/* state and owner are those at the time of the event */
	enum latch_sa_state sa_state;
	struct history_side owner;
};

/* True: a wish of its application refused it. Other reasons refuse a flow without a wish, too. */
static inline bool history_packet_lacks_wish(const struct history_packet *packet)
{
	return packet->wish &&
	       (packet->drop == LATCH_DROP_REQUIRED || packet->drop == LATCH_DROP_IDENTITY ||
		packet->drop == LATCH_DROP_QOP);
}

/* A break that has healed. It explains no present drop. */
struct history_former {
	uint8_t reason; /* 0: there was none */
	uint64_t broken_ns;
	struct history_side got;
};

struct history_record {
	enum history_kind kind;
	struct latch_flow flow;
	enum latch_direction direction;
	uint64_t latch_id;			 /* 0: the flow had no latch */
	uint64_t last_ns;			 /* of its last event */
	uint64_t broken_ns, healed_ns, ended_ns; /* 0: not happened, or not seen */
	uint8_t reason;	 /* enum latch_reason that broke it; 0: not seen, or healed */
	uint8_t reasons; /* set of reasons when it ended */
	bool reset;	 /* its socket was ended, or that was tried */
	int reset_error; /* result of ending the socket; of a refused flow: as in struct news */
	bool has_policy, has_requester, has_rival;
	struct news_policy policy;
	struct news_requester requester;
	struct news_rival rival; /* of a refused flow: want and got are its two peers */
	uint64_t drops;
	uint64_t count;		      /* of a refused flow: events */
	bool elsewhere;		      /* not refused: its interface has SAs in another namespace */
	char rule[HISTORY_RULE_SIZE]; /* "": none, or not known */
	struct history_packet packet;
	struct history_side want, got;
	struct history_former former;
};

#endif
