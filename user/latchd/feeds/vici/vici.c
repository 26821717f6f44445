/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/text.h"
#include "latchd/feeds/vici/vici_feed.h"

static void announce(struct vici_feed *vici, enum feed_state state, const char *detail)
{
	struct feed *feed = &vici->feed;

	if (feed->state == state && !strcmp(feed->detail, detail))
		return;
	feed->state = state;
	text_copy(feed->detail, sizeof(feed->detail), detail);
	feed->sink->state(feed->sink->context, feed, state, feed->detail);
}

void vici_feed_set_state(struct vici_feed *vici, enum feed_state state, const char *format, ...)
{
	char detail[sizeof(vici->feed.detail)];
	va_list args;

	va_start(args, format);
	vsnprintf(detail, sizeof(detail), format, args);
	va_end(args);
	if (state == FEED_STATE_SYNCED && vici->feed.state != FEED_STATE_SYNCED) {
		log_info("vici", "feed %s: in step with %s", vici->feed.name, detail);
		vici->logged_failure[0] = '\0';
		vici->retry_ms = VICI_RETRY_FIRST_MS;
	}
	announce(vici, state, detail);
}

/* The same failure again and again is one line. */
static void log_failure(struct vici_feed *vici, const char *detail)
{
	if (!strcmp(vici->logged_failure, detail))
		return;
	text_copy(vici->logged_failure, sizeof(vici->logged_failure), detail);
	log_warn("vici",
		 "feed %s: %s; new SAs stay unattributed until charon answers at %s, "
		 "trying again every %d s at the latest",
		 vici->feed.name, detail, vici->socket_path, VICI_RETRY_LAST_MS / 1000);
}

void vici_feed_fail(struct vici_feed *vici, const char *format, ...)
{
	char detail[sizeof(vici->feed.detail)];
	va_list args;

	va_start(args, format);
	vsnprintf(detail, sizeof(detail), format, args);
	va_end(args);
	vici_session_stop(vici);
	vici_connection_close(&vici->events);
	vici_connection_close(&vici->commands);
	loop_timer_arm(&vici->retry, vici->retry_ms);
	vici->retry_ms *= 2;
	if (vici->retry_ms > VICI_RETRY_LAST_MS)
		vici->retry_ms = VICI_RETRY_LAST_MS;
	log_failure(vici, detail);
	announce(vici, vici->attached ? FEED_STATE_LOST : FEED_STATE_ABSENT, detail);
}

static int open_both(struct vici_feed *vici)
{
	int err;

	err = vici_connection_open(&vici->events, vici->socket_path);
	if (!err)
		err = vici_connection_open(&vici->commands, vici->socket_path);
	/* Another process took over in between. */
	if (!err && vici->events.peer != vici->commands.peer)
		err = -ECONNRESET;
	return err;
}

static void try_to_connect(void *context)
{
	struct vici_feed *vici = context;
	struct feed *feed = &vici->feed;
	int err;

	socket_watch_renew(&vici->watch);
	err = open_both(vici);
	if (err) {
		vici_feed_fail(vici, "cannot connect to %s: %s", vici->socket_path, strerror(-err));
		return;
	}
	err = feed->sink->attached(feed->sink->context, feed, vici->events.peer);
	if (err) {
		vici_feed_fail(vici, "cannot use charon, process %d: %s", (int)vici->events.peer,
			       strerror(-err));
		return;
	}
	vici->attached = true;
	vici_feed_set_state(vici, FEED_STATE_CONNECTED, "charon, process %d, tells its SAs",
			    (int)vici->events.peer);
	vici_session_start(vici);
}

static void on_socket_appeared(void *context)
{
	struct vici_feed *vici = context;

	if (!loop_timer_armed(&vici->retry))
		return;
	vici->retry_ms = VICI_RETRY_APPEARED_MS;
	loop_timer_arm(&vici->retry, vici->retry_ms);
}

static void vici_resync(struct feed *feed)
{
	vici_session_resync((struct vici_feed *)feed);
}

static void vici_destroy(struct feed *feed)
{
	struct vici_feed *vici = (struct vici_feed *)feed;

	vici_session_stop(vici);
	vici_connection_close(&vici->events);
	vici_connection_close(&vici->commands);
	loop_timer_cancel(&vici->retry);
	socket_watch_stop(&vici->watch);
	free(vici);
}

struct feed *feed_vici_new(struct loop *loop, const char *name, const char *socket_path,
			   const struct feed_sink *sink)
{
	struct vici_feed *vici = calloc(1, sizeof(*vici));
	int err;

	if (!vici)
		return NULL;
	vici->feed = (struct feed){
		.sink = sink,
		.state = FEED_STATE_ABSENT,
		.resync = vici_resync,
		.destroy = vici_destroy,
	};
	vici->loop = loop;
	vici->retry_ms = VICI_RETRY_FIRST_MS;
	if (text_copy(vici->feed.name, sizeof(vici->feed.name), name) < 0 ||
	    text_copy(vici->socket_path, sizeof(vici->socket_path), socket_path) < 0) {
		free(vici);
		errno = ENAMETOOLONG;
		return NULL;
	}
	vici_session_init(vici);
	err = socket_watch_start(&vici->watch, loop, vici->socket_path, on_socket_appeared, vici);
	if (err)
		log_debug("vici", "feed %s: no watch on %s (%s): retrying only", name, socket_path,
			  strerror(-err));
	/* From the loop, so that no callback comes before the caller knows the feed. */
	loop_timer_init(loop, &vici->retry, try_to_connect, vici);
	loop_timer_arm(&vici->retry, 0);
	return &vici->feed;
}
