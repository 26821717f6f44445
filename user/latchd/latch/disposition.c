/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/latch/disposition.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "latchd/maps/latch_control.h"
#include "latchd/latch/sctp_abort.h"
#include "latchd/net/socket_diag.h"
#include "latchd/maps/tables.h"
#include "latchd/latch/tcp_timeout.h"

#define DISPOSITION_RETRY_MS 1000

struct live_associations { /* with an ESTABLISHED path */
	uint64_t *ids;	   /* in order */
	size_t count, room;
	bool known;
};

struct dispose_walk {
	struct disposition *disposition;
	struct live_associations live;
	uint64_t timed; /* the namespace whose sockets were last made to time out */
	bool again;	/* some latch needs another walk */
};

static void publish_reset(const struct disposition *d, const struct latch_flow *flow,
			  const struct latch *latch, int error)
{
	news_publish(d->news, &(struct news){
				      .kind = NEWS_LATCH_RESET,
				      .flow = flow,
				      .latch = latch,
				      .error = error,
				      .again = latch->changed < d->walked,
			      });
}

/* The programs release a latch with its socket; a latch without a socket is closed here. */
static void on_ended(struct dispose_walk *walk, const struct latch_flow *flow,
		     const struct latch *latch, int err)
{
	struct disposition *d = walk->disposition;

	if (err != -ENOENT)
		publish_reset(d, flow, latch, err);
	if (err == -ENOENT || (!err && latch->owner != LATCH_OWNER_SOCKET))
		latch_close(d->maps, flow, latch->id);
	else
		/* Checked once more even after success: a latch must not outlive its socket. */
		walk->again = true;
}

/* ---- SCTP */

static int note_live_path(void *context, const struct latch_flow *flow, const struct latch *latch)
{
	struct live_associations *live = context;
	uint64_t *more;

	if (flow->protocol != IPPROTO_SCTP || !latch->association ||
	    latch->word.state != LATCH_STATE_ESTABLISHED)
		return 0;
	if (live->count == live->room) {
		more = reallocarray(live->ids, live->room * 2 + 64, sizeof(*more));
		if (!more)
			return -ENOMEM;
		live->ids = more;
		live->room = live->room * 2 + 64;
	}
	live->ids[live->count++] = latch->association;
	return 0;
}

static int compare_ids(const void *one, const void *other)
{
	const uint64_t *a = one, *b = other;

	return *a < *b ? -1 : *a > *b;
}

/* One search serves all broken paths of a walk. 0 or a negative errno. */
static int find_live_associations(struct dispose_walk *walk)
{
	struct live_associations *live = &walk->live;
	int err;

	if (live->known)
		return 0;
	live->count = 0;
	err = latches_walk(walk->disposition->maps, note_live_path, live);
	live->known = !err;
	if (live->count)
		qsort(live->ids, live->count, sizeof(*live->ids), compare_ids);
	return err;
}

static bool has_live_path(const struct live_associations *live, const struct latch *broken)
{
	uint64_t id = broken->association;

	return live->count && bsearch(&id, live->ids, live->count, sizeof(id), compare_ids);
}

/*
 * SCTP itself changes to another path while there is one. The association ends with the
 * last path (RFC 5660 section 5.5). The reaper releases the latch.
 */
static void end_association(struct dispose_walk *walk, const struct latch_flow *flow,
			    const struct latch *latch)
{
	struct disposition *d = walk->disposition;
	int err = find_live_associations(walk);

	if (!err && has_live_path(&walk->live, latch))
		return;
	if (!err)
		err = sctp_abort(d->maps, flow, latch);
	if (err != -ENOENT)
		publish_reset(d, flow, latch, err);
	walk->again |= err && err != -ENOENT && err != -EAFNOSUPPORT;
}

/* ---- reset */

static void reset(struct dispose_walk *walk, const struct latch_flow *flow,
		  const struct latch *latch)
{
	if (flow->protocol == IPPROTO_SCTP)
		end_association(walk, flow, latch);
	else
		on_ended(walk, flow, latch, socket_diag_destroy_owner(flow, latch->socket_cookie));
}

/* ---- reset as a timeout */

static void on_timed_out(void *context, const struct latch_timed_out *ended)
{
	struct disposition *d = context;
	struct latch latch;

	if (!latch_get(d->maps, &ended->flow, &latch) && latch.id == ended->latch_id)
		publish_reset(d, &ended->flow, &latch, ended->error);
}

/* One walk over the sockets of a namespace serves all of its latches. */
static void timeout(struct dispose_walk *walk, const struct latch_flow *flow,
		    const struct latch *latch)
{
	struct disposition *d = walk->disposition;
	int err = socket_diag_search(flow, latch->socket_cookie);

	if (err == -ENOENT) {
		latch_close(d->maps, flow, latch->id);
		return;
	}
	walk->again = true;
	if (walk->timed == flow->netns)
		return;
	walk->timed = flow->netns;
	err = timeout_broken(d->maps, flow->netns, on_timed_out, d);
	if (err && err != -ENOENT)
		publish_reset(d, flow, latch, err);
}

/* ---- unreachable: as after an ICMP destination unreachable, which ends a handshake only */

static void leave_unreachable(struct dispose_walk *walk, const struct latch_flow *flow,
			      const struct latch *latch)
{
	int err;

	if (flow->protocol != IPPROTO_TCP)
		return;
	err = socket_diag_destroy_connecting(flow, latch->socket_cookie);
	if (err != -EISCONN)
		on_ended(walk, flow, latch, err);
}

static bool wants_timeout(const struct latch_flow *flow, const struct latch *latch)
{
	return latch->rule_flags & LATCH_RULE_TIMEOUT && flow->protocol == IPPROTO_TCP &&
	       latch->owner == LATCH_OWNER_SOCKET;
}

static int dispose(void *context, const struct latch_flow *flow, const struct latch *latch)
{
	struct dispose_walk *walk = context;

	/* No application reads from a TIME_WAIT socket: the gates drop until it ends. */
	if (latch->word.state != LATCH_STATE_BROKEN || latch->owner == LATCH_OWNER_TIME_WAIT)
		return 0;
	switch (latch->disposition) {
	case LATCH_DISPOSITION_RESET:
		if (wants_timeout(flow, latch))
			timeout(walk, flow, latch);
		else
			reset(walk, flow, latch);
		return 0;
	case LATCH_DISPOSITION_WAIT:
		return 0;
	case LATCH_DISPOSITION_UNREACHABLE:
		leave_unreachable(walk, flow, latch);
		return 0;
	}
	/* An unknown value, set by a later latchd: every application can handle a reset. */
	reset(walk, flow, latch);
	return 0;
}

static void on_timer(void *context)
{
	struct disposition *d = context;
	struct dispose_walk walk = {.disposition = d};
	uint64_t start = clock_boot_ns();
	int err;

	walk_pace_begin(&d->walks);
	err = latches_walk(d->maps, dispose, &walk);
	walk_pace_end(&d->walks);
	free(walk.live.ids);
	d->walked = start;
	if (err)
		log_warn("latch",
			 "broken latches: cannot walk the latch map: %s; next attempt in 1 s",
			 strerror(-err));
	if (err || walk.again)
		loop_timer_arm(&d->timer, DISPOSITION_RETRY_MS);
}

void disposition_start(struct disposition *d, struct loop *loop)
{
	loop_timer_init(loop, &d->timer, on_timer, d);
	disposition_run_soon(d);
}

void disposition_run_soon(struct disposition *d)
{
	loop_timer_arm(&d->timer, walk_pace_wait_ms(&d->walks));
}

void disposition_stop(struct disposition *d)
{
	loop_timer_cancel(&d->timer);
}
