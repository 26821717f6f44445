/* SPDX-License-Identifier: BSD-2-Clause */
/* A session, and what its files share. Others use session.h. */
#ifndef LATCHD_FEEDS_VICI_SESSION_PARTS_H
#define LATCHD_FEEDS_VICI_SESSION_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/loop.h"
#include "latchd/feeds/feed.h"
#include "latchd/feeds/vici/connection.h"
#include "latchd/feeds/vici/dispatch.h"
#include "latchd/feeds/vici/slow_request.h"

#define VICI_NO_MESSAGE ((struct vici_span){0})

struct vici_session_owner {
	/* A snapshot is complete; detail names charon, for status. */
	void (*synced)(void *context, const char *detail);
	/* The session cannot continue; detail is the cause. The owner calls vici_session_stop().
	 * Never called from within vici_dispatch's callbacks. */
	void (*failed)(void *context, const char *detail);
};

/* key_query.c */
struct vici_key_query {
	bool knows_certs;    /* list-certs may be sent on the events connection */
	bool asked;	     /* the query in hand has taken its share */
	bool flush_first;    /* charon forgets certificates before it lists all */
	bool cannot_flush;   /* charon has refused to */
	unsigned int step;   /* of the subjects of one connection */
	unsigned int rounds; /* flushes of the query in hand */
	uint64_t since_ms;   /* its begin, loop_now_ms() */
	uint64_t begun_ms;   /* the last list of all certificates, loop_now_ms() */
	uint64_t listed_ms;  /* when it was complete; 0: never */
};

struct vici_session {
	const struct vici_session_owner *owner;
	void *context;
	struct feed *feed; /* the owner's: sink, daemon_version, resyncs */

	/* list-sas waits for busy IKE_SAs and therefore has a connection of its own. */
	struct vici_connection events, commands;
	struct vici_slow_request certs;
	struct vici_dispatch dispatch;
	struct loop_timer answer_limit;
	unsigned int answer_limit_ms;
	const char *awaited; /* the request that answer_limit belongs to */
	unsigned int awaited_ms;
	size_t step; /* index of the next registration on the events connection */

	/* session.c: the answers to a query of connections are complete; or it is to be one of all
	 * connections, and is sent again. */
	void (*query_ended)(struct vici_session *session);
	void (*query_all)(struct vici_session *session);

	struct vici_key_query keys;
	unsigned int list_age_ms; /* VICI_KEYS_AGE_MS */
	bool knows_alerts;	  /* charon has confirmed the registration */
	bool ready;		  /* list-sas may be sent */
	bool listing;		  /* from list-sas to the snapshot's end */
	bool listing_again;	  /* resync was called while listing: the list may be older */
	uint64_t listed_ms;	  /* when the last list-sas was sent, loop_now_ms() */
	unsigned int burst;	  /* recent lists, one less for each VICI_RESYNC_LAST_MS */
	struct loop_timer resync, soon, slow;
	bool soon_again;
};

__attribute__((format(printf, 2, 3))) void vici_session_fail(struct vici_session *session,
							     const char *format, ...);

/* An answer to this request must come within the limit. The answer cancels answer_limit. */
void vici_session_await(struct vici_session *session, const char *awaited);
void vici_session_await_for(struct vici_session *session, const char *awaited, unsigned int ms);

#endif
