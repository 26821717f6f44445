/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inside of the vici feed: vici.c keeps it connected, vici_session.c talks to
 * a connected charon.
 */
#ifndef LATCHD_FEEDS_VICI_VICI_FEED_H
#define LATCHD_FEEDS_VICI_VICI_FEED_H

#include <stdbool.h>
#include <stdint.h>

#include "latchd/feeds/feed.h"
#include "latchd/feeds/vici/socket_watch.h"
#include "latchd/feeds/vici/connection.h"
#include "latchd/feeds/vici/dispatch.h"
#include "common/loop.h"

#define VICI_RETRY_FIRST_MS    250
#define VICI_RETRY_LAST_MS     5000
#define VICI_RETRY_APPEARED_MS 10 /* the socket's file exists a moment before charon listens */
#define VICI_ANSWER_LIMIT_MS   10000
#define VICI_RESYNC_GAP_MS     50 /* from one list-sas to the next */
#define VICI_RESYNC_SOON_MS    100

struct vici_feed {
	struct feed feed; /* first: what callers hold */
	struct loop *loop;
	char socket_path[108]; /* as sun_path */
	char logged_failure[160];
	bool attached; /* charon was reached once: from then on it is lost, not absent */
	struct socket_watch watch;
	struct loop_timer retry;
	unsigned int retry_ms;

	/* list-sas waits for busy IKE_SAs, so it has a connection of its own. */
	struct vici_connection events, commands;
	struct vici_dispatch dispatch;
	struct loop_timer answer_limit;
	unsigned int answer_limit_ms;
	const char *awaited; /* what answer_limit is about */
	size_t step;	     /* of the first steps on the events connection */

	bool ready;	    /* list-sas may be asked for */
	bool listing;	    /* from list-sas to the snapshot's end */
	bool listing_again; /* asked for meanwhile: what was listed may be older */
	uint64_t listed_ms; /* when the last list-sas was sent */
	struct loop_timer resync, soon, slow;
	bool soon_again;
};

/* vici.c */
void vici_feed_set_state(struct vici_feed *vici, enum feed_state state, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Drops both connections and tries again later. Never from within vici_dispatch's callbacks. */
void vici_feed_fail(struct vici_feed *vici, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* vici_session.c */
void vici_session_init(struct vici_feed *vici);
/* Both connections are open. */
void vici_session_start(struct vici_feed *vici);
void vici_session_stop(struct vici_feed *vici);
void vici_session_resync(struct vici_feed *vici);

#endif
