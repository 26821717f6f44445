/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/latch/disposition.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "latchd/maps/latch_control.h"
#include "latchd/latch/sctp_abort.h"
#include "latchd/net/socket_diag.h"
#include "latchd/maps/tables.h"
#include "latchd/latch/tcp_timeout.h"

#define DISPOSITION_RETRY_MS 1000

struct dispose_walk {
	struct disposition *disposition;
	uint64_t timed; /* the namespace whose sockets were told to time out last */
	bool again;
};

static void tell(const struct disposition *d, const struct latch_flow *flow,
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

/* With its socket the programs release the latch; one without a socket has nobody else. */
static void ended(struct dispose_walk *walk, const struct latch_flow *flow,
		  const struct latch *latch, int err)
{
	struct disposition *d = walk->disposition;

	if (err != -ENOENT)
		tell(d, flow, latch, err);
	if (err == -ENOENT || (!err && latch->owner != LATCH_OWNER_SOCKET))
		latch_close(d->maps, flow, latch->id);
	else
		/* Looked at once more even after success: a latch must not outlive its socket. */
		walk->again = true;
}

/* ---- SCTP */

static int is_other_live_path(void *context, const struct latch_flow *flow,
			      const struct latch *latch)
{
	const struct latch *broken = context;

	return flow->protocol == IPPROTO_SCTP && latch->association &&
	       latch->association == broken->association &&
	       latch->word.state == LATCH_STATE_ESTABLISHED;
}

/*
 * While another path is left SCTP finds its way by itself, with the last the
 * association ends (RFC 5660 section 5.5). The reaper releases the latch.
 */
static void end_association(struct dispose_walk *walk, const struct latch_flow *flow,
			    const struct latch *latch)
{
	struct disposition *d = walk->disposition;
	int err = latches_walk(d->maps, is_other_live_path, (void *)latch);

	if (err > 0)
		return;
	if (!err)
		err = sctp_abort(d->maps, flow, latch);
	if (err != -ENOENT)
		tell(d, flow, latch, err);
	walk->again |= err && err != -ENOENT && err != -EAFNOSUPPORT;
}

/* ---- reset */

static void reset(struct dispose_walk *walk, const struct latch_flow *flow,
		  const struct latch *latch)
{
	if (flow->protocol == IPPROTO_SCTP)
		end_association(walk, flow, latch);
	else
		ended(walk, flow, latch, socket_diag_destroy_owner(flow, latch->socket_cookie));
}

/* ---- a reset that looks like a time-out */

static void on_timed_out(void *context, const struct latch_timed_out *told)
{
	struct disposition *d = context;
	struct latch latch;

	if (!latch_get(d->maps, &told->flow, &latch) && latch.id == told->latch_id)
		tell(d, &told->flow, &latch, told->error);
}

/* One walk over a namespace's sockets is for all of its latches. */
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
		tell(d, flow, latch, err);
}

/* ---- as after an ICMP destination unreachable, which ends a handshake and nothing else */

static void leave_unreachable(struct dispose_walk *walk, const struct latch_flow *flow,
			      const struct latch *latch)
{
	int err;

	if (flow->protocol != IPPROTO_TCP)
		return;
	err = socket_diag_destroy_connecting(flow, latch->socket_cookie);
	if (err != -EISCONN)
		ended(walk, flow, latch, err);
}

/* ---- which */

static bool wants_timeout(const struct latch_flow *flow, const struct latch *latch)
{
	return latch->rule_flags & LATCH_RULE_TIMEOUT && flow->protocol == IPPROTO_TCP &&
	       latch->owner == LATCH_OWNER_SOCKET;
}

static int dispose(void *context, const struct latch_flow *flow, const struct latch *latch)
{
	struct dispose_walk *walk = context;

	/* Nobody reads from a TIME_WAIT socket: the gate drops for it until it ends. */
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
	/* Of a later latchd: what it means is not known, a reset is always understood. */
	reset(walk, flow, latch);
	return 0;
}

static void on_timer(void *context)
{
	struct disposition *d = context;
	struct dispose_walk walk = {.disposition = d};
	uint64_t began = clock_boot_ns();
	int err = latches_walk(d->maps, dispose, &walk);

	d->walked = began;
	if (err)
		log_warn("latch", "cannot look for broken latches: %s; trying again",
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
	loop_timer_arm(&d->timer, 0);
}

void disposition_stop(struct disposition *d)
{
	loop_timer_cancel(&d->timer);
}
