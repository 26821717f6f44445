/* SPDX-License-Identifier: BSD-2-Clause */
/* Inside of the vici feed (feed_vici_new() is its public entry): vici.c keeps a session connected.
 */
#ifndef LATCHD_FEEDS_VICI_VICI_FEED_H
#define LATCHD_FEEDS_VICI_VICI_FEED_H

#include <stdbool.h>

#include "common/loop.h"
#include "latchd/feeds/feed.h"
#include "latchd/feeds/vici/session.h"
#include "latchd/feeds/vici/path_watch.h"

#define VICI_RETRY_FIRST_MS    250
#define VICI_RETRY_LAST_MS     5000
#define VICI_RETRY_APPEARED_MS 10 /* the socket's file exists a moment before charon listens */

struct vici_feed {
	struct feed feed;      /* first: callers hold a pointer to it */
	char socket_path[108]; /* as sun_path */
	char logged_failure[160];
	pid_t daemon; /* of the latest session, and its start in ticks since boot */
	uint64_t daemon_started;
	bool attached; /* charon was reached once: from then on the state is lost, not absent */
	struct path_watch watch;
	struct loop_timer retry;
	unsigned int retry_ms;
	struct vici_session session;
};

#endif
