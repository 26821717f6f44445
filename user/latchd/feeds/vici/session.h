/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One session with a charon: both connections, from the first registration to the events and
 * snapshots of a synced feed. Limits the lists that peers can cause. The session reports children
 * and peers to the feed's sink, and its owner keeps the feed connected.
 */
#ifndef LATCHD_FEEDS_VICI_SESSION_H
#define LATCHD_FEEDS_VICI_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/loop.h"
#include "latchd/feeds/feed.h"
#include "latchd/feeds/vici/connection.h"
#include "latchd/feeds/vici/dispatch.h"

#define VICI_ANSWER_LIMIT_MS 10000
#define VICI_RESYNC_GAP_MS   50	  /* from one list-sas to the next */
#define VICI_RESYNC_BURST    5	  /* ... of so many; then: */
#define VICI_RESYNC_LAST_MS  1000 /* peers cause lists, and charon and latchd work for each */
#define VICI_RESYNC_SOON_MS  100

struct vici_session_owner {
	/* A snapshot is complete; detail names charon, for status. */
	void (*synced)(void *context, const char *detail);
	/* The session cannot continue; detail is the cause. The owner calls vici_session_stop().
	 * Never called from within vici_dispatch's callbacks. */
	void (*failed)(void *context, const char *detail);
};

struct vici_session {
	const struct vici_session_owner *owner;
	void *context;
	struct feed *feed; /* the owner's: sink, daemon_version, resyncs */

	/* list-sas waits for busy IKE_SAs and therefore has a connection of its own. */
	struct vici_connection events, commands;
	struct vici_dispatch dispatch;
	struct loop_timer answer_limit;
	unsigned int answer_limit_ms;
	const char *awaited; /* the request that answer_limit belongs to */
	size_t step;	     /* index of the next registration on the events connection */

	bool knows_alerts;  /* charon has confirmed the registration */
	bool knows_certs;   /* list-certs may be sent */
	bool ready;	    /* list-sas may be sent */
	bool listing;	    /* from list-sas to the snapshot's end */
	bool listing_again; /* resync was called while listing: the list may be older */
	uint64_t listed_ms; /* when the last list-sas was sent, loop_now_ms() */
	unsigned int burst; /* recent lists, one less for each VICI_RESYNC_LAST_MS */
	struct loop_timer resync, soon, slow;
	bool soon_again;
};

/* Keeps owner, context and feed. */
void vici_session_init(struct vici_session *session, struct loop *loop, struct feed *feed,
		       const struct vici_session_owner *owner, void *context);

/*
 * Opens both connections. 0 or a negative errno; -ECONNRESET when another
 * process took over the socket between the two. After an error: vici_session_stop().
 */
int vici_session_open(struct vici_session *session, const char *socket_path);

/* charon's process, from the kernel's credentials of the open socket. */
pid_t vici_session_daemon(const struct vici_session *session);

/* Registers for events, then asks for all configurations and SAs. */
void vici_session_start(struct vici_session *session);

/* Closes both connections and drops all state of this charon. Calls no callback. */
void vici_session_stop(struct vici_session *session);

/* Requests a snapshot soon; requests coalesce. No effect before the first list-sas. */
void vici_session_resync(struct vici_session *session);

#endif
