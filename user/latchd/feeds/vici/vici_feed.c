/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "common/process.h"
#include "common/text.h"
#include "latchd/feeds/vici/vici_feed.h"

static void set_state(struct vici_feed *vici, enum feed_state state, const char *detail)
{
	struct feed *feed = &vici->feed;

	if (feed->state == state && !strcmp(feed->detail, detail))
		return;
	feed->state = state;
	text_copy(feed->detail, sizeof(feed->detail), detail);
	feed->sink->state(feed->sink->context, feed, state, feed->detail);
}

static void on_synced(void *context, const char *detail)
{
	struct vici_feed *vici = context;

	if (vici->feed.state != FEED_STATE_SYNCED) {
		log_info("vici", "feed %s synced: %s", vici->feed.name, detail);
		vici->logged_failure[0] = '\0';
		vici->retry_ms = VICI_RETRY_FIRST_MS;
	}
	set_state(vici, FEED_STATE_SYNCED, detail);
}

/* A failure that repeats is logged once. */
static void log_failure(struct vici_feed *vici, const char *detail)
{
	if (!strcmp(vici->logged_failure, detail))
		return;
	text_copy(vici->logged_failure, sizeof(vici->logged_failure), detail);
	log_warn("vici",
		 "feed %s %s (%s): new SAs stay unattributed until charon answers at %s; retrying "
		 "at least every %d s",
		 vici->feed.name,
		 feed_state_name(vici->attached ? FEED_STATE_LOST : FEED_STATE_ABSENT), detail,
		 vici->socket_path, VICI_RETRY_LAST_MS / 1000);
}

static void on_failed(void *context, const char *detail)
{
	struct vici_feed *vici = context;

	vici_session_stop(&vici->session);
	loop_timer_arm(&vici->retry, vici->retry_ms);
	vici->retry_ms *= 2;
	if (vici->retry_ms > VICI_RETRY_LAST_MS)
		vici->retry_ms = VICI_RETRY_LAST_MS;
	log_failure(vici, detail);
	set_state(vici, vici->attached ? FEED_STATE_LOST : FEED_STATE_ABSENT, detail);
}

__attribute__((format(printf, 2, 3))) static void fail(struct vici_feed *vici, const char *format,
						       ...)
{
	char detail[sizeof(vici->feed.detail)];
	va_list args;

	va_start(args, format);
	vsnprintf(detail, sizeof(detail), format, args);
	va_end(args);
	on_failed(vici, detail);
}

static void warn_of_file(const struct vici_feed *vici, int err)
{
	const struct vici_decision_file *file = &vici->session.dispatch.finder.file;

	if (err)
		log_warn("vici",
			 "decisions of feed %s not kept (%s): %s; after a restart of latchd the "
			 "peers of earlier IKE_SAs count by the connections of that time",
			 vici->feed.name, strerror(-err), file->path);
	else if (file->file && file->exposed)
		log_warn("vici",
			 "decisions of feed %s unsafe (others can replace %s): its proofs do not "
			 "count, and unproven connections may be lost; make its "
			 "folder writable for root "
			 "only",
			 vici->feed.name, file->path);
}

/*
 * Another charon numbers its IKE_SAs anew. For the same charon the decisions stay: an older
 * IKE_SA may be listed under a connection that has changed. An error: try again when there are
 * descriptors and memory, since only the file has the decisions.
 */
static int forget_other_charon(struct vici_feed *vici, pid_t daemon)
{
	struct vici_finder *finder = &vici->session.dispatch.finder;
	/* systemd may have made the socket: its process does not tell one charon from the next. */
	uint64_t started = daemon == 1 ? 0 : process_started(daemon);
	int err;

	if (vici->daemon == daemon && vici->daemon_started == started && started) {
		warn_of_file(vici, vici_decision_file_retry(&finder->file, &finder->memory));
		return 0;
	}
	vici->daemon = 0;
	err = vici_finder_forget(finder);
	if (!err)
		err = vici_decision_file_open(&finder->file, daemon, started, &finder->memory);
	if (vici_decision_file_may_retry(err))
		return err;
	finder->unnoted = finder->memory.unnoted;
	warn_of_file(vici, err);
	vici->daemon = daemon;
	vici->daemon_started = started;
	return 0;
}

static void try_to_connect(void *context)
{
	struct vici_feed *vici = context;
	struct feed *feed = &vici->feed;
	char detail[sizeof(feed->detail)];
	pid_t daemon;
	int err;

	path_watch_renew(&vici->watch);
	err = vici_session_open(&vici->session, vici->socket_path);
	if (err) {
		fail(vici, "cannot connect to %s: %s", vici->socket_path, strerror(-err));
		return;
	}
	daemon = vici_session_daemon(&vici->session);
	err = feed->sink->attached(feed->sink->context, feed, daemon);
	if (err) {
		fail(vici, "cannot use charon, process %d: %s", (int)daemon, strerror(-err));
		return;
	}
	vici->attached = true;
	err = forget_other_charon(vici, daemon);
	if (err) {
		fail(vici, "cannot read the decisions on its peers: %s", strerror(-err));
		return;
	}
	snprintf(detail, sizeof(detail), "charon, process %d, reports its SAs", (int)daemon);
	set_state(vici, FEED_STATE_CONNECTED, detail);
	vici_session_start(&vici->session);
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
	vici_session_resync(&((struct vici_feed *)feed)->session);
}

static void vici_stop(struct feed *feed)
{
	struct vici_feed *vici = (struct vici_feed *)feed;

	vici_session_stop(&vici->session);
	vici_decision_file_leave(&vici->session.dispatch.finder.file);
	loop_timer_cancel(&vici->retry);
	path_watch_stop(&vici->watch);
}

static void vici_destroy(struct feed *feed)
{
	vici_stop(feed);
	vici_finder_free(&((struct vici_feed *)feed)->session.dispatch.finder);
	free(feed);
}

static const struct vici_session_owner session_owner = {
	.synced = on_synced,
	.failed = on_failed,
};

void feed_vici_keep_decisions(struct feed *feed, const char *path)
{
	struct vici_feed *vici = (struct vici_feed *)feed;

	text_copy(vici->session.dispatch.finder.file.path, FEED_PATH_MAX, path);
}

/* If the feed connects to another charon, it forgets these decisions. */
bool feed_vici_take_decisions(struct feed *feed, struct feed *former)
{
	struct vici_feed *vici = (struct vici_feed *)feed, *old = (struct vici_feed *)former;

	if (vici->daemon || !old->daemon)
		return false;
	vici->daemon = old->daemon;
	vici->daemon_started = old->daemon_started;
	vici_finder_take(&vici->session.dispatch.finder, &old->session.dispatch.finder);
	old->daemon = 0;
	return true;
}

struct feed *feed_vici_new(struct loop *loop, const char *name, const char *socket_path,
			   const struct feed_statements *statements, const struct feed_sink *sink)
{
	struct vici_feed *vici = calloc(1, sizeof(*vici));
	int err;

	if (!vici)
		return NULL;
	vici->feed = (struct feed){
		.sink = sink,
		.state = FEED_STATE_ABSENT,
		.resync = vici_resync,
		.stop = vici_stop,
		.destroy = vici_destroy,
	};
	vici->retry_ms = VICI_RETRY_FIRST_MS;
	if (text_copy(vici->feed.name, sizeof(vici->feed.name), name) < 0 ||
	    text_copy(vici->socket_path, sizeof(vici->socket_path), socket_path) < 0) {
		free(vici);
		errno = ENAMETOOLONG;
		return NULL;
	}
	vici_session_init(&vici->session, loop, &vici->feed, &session_owner, vici);
	vici->session.dispatch.finder.statements = *statements;
	err = path_watch_start(&vici->watch, loop, vici->socket_path, on_socket_appeared, vici);
	if (err)
		log_debug("vici", "feed %s without a watch of %s (%s); retrying on a timer only",
			  name, socket_path, strerror(-err));
	/* From the loop: no callback comes before the caller has the feed. */
	loop_timer_init(loop, &vici->retry, try_to_connect, vici);
	loop_timer_arm(&vici->retry, 0);
	return &vici->feed;
}
