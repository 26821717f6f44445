/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/latch/disposition.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>

#include "common/log.h"
#include "latch_mode.h"
#include "latchd/latch/sctp_disposition.h"
#include "latchd/latch/tcp_timeout.h"
#include "latchd/maps/latch_control.h"
#include "latchd/maps/tables.h"
#include "latchd/net/socket_diag.h"

#define DISPOSITION_RETRY_MS 1000

struct round {
	struct disposition *disposition;
	uint32_t mode;
	uint64_t now_ms;
	uint64_t next_ms; /* when some latch is due again, or ATTEMPT_NEVER */
	unsigned int looked, searched, handshakes;
	uint64_t timed[DISPOSITION_TIMEOUTS]; /* namespaces with sockets that were made to time out
					       */
	size_t timed_count;
	struct sctp_disposition sctp;
	bool more; /* more is due than one round does */
};

static void publish_reset(struct disposition *d, const struct latch_flow *flow,
			  const struct latch *latch, int error)
{
	struct attempt *attempt = attempts_find(&d->attempts, latch);

	news_publish(d->news, &(struct news){
				      .kind = NEWS_LATCH_RESET,
				      .flow = flow,
				      .latch = latch,
				      .error = error,
				      .again = attempt && attempt->failed,
			      });
	attempt = error ? attempts_note(&d->attempts, latch) : attempt;
	if (attempt)
		attempt->failed |= error != 0;
}

/* If memory is short, the latch counts as new in the next round. */
static void try_at(struct round *round, const struct latch *latch, enum attempt_step step,
		   uint64_t due_ms)
{
	struct attempt *attempt = attempts_note(&round->disposition->attempts, latch);

	if (attempt) {
		attempt->step = step;
		attempt->due_ms = due_ms;
	}
	if (due_ms > round->now_ms && due_ms < round->next_ms)
		round->next_ms = due_ms;
}

static void try_again(struct round *round, const struct latch *latch)
{
	try_at(round, latch, ATTEMPT_LOOK_UP, round->now_ms + DISPOSITION_RETRY_MS);
}

/* ---- reset as a timeout */

static void on_timed_out(void *context, const struct latch_timed_out *ended)
{
	struct disposition *d = context;
	struct latch latch;

	if (!latch_get(d->maps, &ended->flow, &latch) && latch.id == ended->latch_id)
		publish_reset(d, &ended->flow, &latch, ended->error);
}

static bool was_timed(const struct round *round, uint64_t netns)
{
	size_t i;

	for (i = 0; i < round->timed_count && round->timed[i] != netns; i++)
		;
	return i < round->timed_count;
}

/* One walk over the sockets of a namespace serves all of its latches. */
static void time_out_sockets(struct round *round, const struct latch_flow *flow,
			     const struct latch *latch)
{
	struct disposition *d = round->disposition;
	int err = 0;

	if (!was_timed(round, flow->netns)) {
		if (round->timed_count == DISPOSITION_TIMEOUTS) {
			round->more = true;
			return;
		}
		round->timed[round->timed_count++] = flow->netns;
		err = timeout_broken(d->maps, flow->netns, on_timed_out, d);
	}
	if (err && err != -ENOENT)
		publish_reset(d, flow, latch, err);
	try_again(round, latch);
}

static bool wants_timeout(const struct latch_flow *flow, const struct latch *latch)
{
	return latch->disposition == LATCH_DISPOSITION_RESET &&
	       latch->rule_flags & LATCH_RULE_TIMEOUT && flow->protocol == IPPROTO_TCP &&
	       latch->owner == LATCH_OWNER_SOCKET;
}

/* ---- one socket */

/* Unreachable is as after an ICMP destination unreachable, which ends a handshake only. */
static int end_socket(const struct latch_flow *flow, const struct latch *latch,
		      enum attempt_step step)
{
	bool connecting = latch->disposition == LATCH_DISPOSITION_UNREACHABLE;
	uint64_t cookie = latch->socket_cookie;

	switch (step) {
	case ATTEMPT_LOOK_UP:
		return wants_timeout(flow, latch)
			       ? socket_diag_find_owner(flow, cookie)
			       : socket_diag_destroy_found(flow, cookie, connecting);
	case ATTEMPT_SEARCH:
		if (wants_timeout(flow, latch))
			return socket_diag_search(flow, cookie);
		return connecting ? socket_diag_destroy_connecting(flow, cookie)
				  : socket_diag_destroy_owner(flow, cookie);
	}
	return -EINVAL;
}

/*
 * The programs release a latch with its socket. A latch without a socket is closed here. Each
 * latch is checked again even after success: a latch must not outlive its socket.
 */
static void on_result(struct round *round, const struct latch_flow *flow, const struct latch *latch,
		      int err)
{
	struct disposition *d = round->disposition;

	if (err == -ENOENT) {
		latch_close(d->maps, flow, latch->id);
	} else if (err == -EISCONN) {
		try_at(round, latch, ATTEMPT_LOOK_UP, ATTEMPT_NEVER);
	} else if (wants_timeout(flow, latch)) {
		time_out_sockets(round, flow, latch);
	} else {
		publish_reset(d, flow, latch, err);
		if (!err && latch->owner != LATCH_OWNER_SOCKET)
			latch_close(d->maps, flow, latch->id);
		else
			try_again(round, latch);
	}
}

static bool may_look_up(struct round *round)
{
	if (round->looked == DISPOSITION_LOOKUPS)
		return false;
	round->looked++;
	return true;
}

static bool may_search(struct round *round, const struct latch *latch)
{
	bool handshake = latch->owner == LATCH_OWNER_HANDSHAKE;

	if (round->searched == DISPOSITION_SEARCHES ||
	    (handshake && round->handshakes == DISPOSITION_HANDSHAKES))
		return false;
	round->searched++;
	round->handshakes += handshake;
	return true;
}

/* The look-up finds most sockets. So most latches need no search, and do not wait for other
 * latches' searches. */
static void try_now(struct round *round, const struct latch_flow *flow, const struct latch *latch,
		    enum attempt_step step)
{
	bool may = step == ATTEMPT_LOOK_UP ? may_look_up(round) : may_search(round, latch);
	int err = may ? end_socket(flow, latch, step) : 0;

	if (!may) {
		round->more = true;
	} else if (err == -ENOENT && step == ATTEMPT_LOOK_UP) {
		try_at(round, latch, ATTEMPT_SEARCH, round->now_ms);
		try_now(round, flow, latch, ATTEMPT_SEARCH);
	} else {
		on_result(round, flow, latch, err);
	}
}

/* ---- all broken latches */

static bool ends(const struct latch_flow *flow, const struct latch *latch)
{
	/* No application reads from a TIME_WAIT socket: the gates drop until it ends. */
	if (latch->word.state != LATCH_STATE_BROKEN || latch->owner == LATCH_OWNER_TIME_WAIT)
		return false;
	switch (latch->disposition) {
	case LATCH_DISPOSITION_RESET:
		return true;
	case LATCH_DISPOSITION_WAIT:
		return false;
	case LATCH_DISPOSITION_UNREACHABLE:
		return flow->protocol == IPPROTO_TCP;
	}
	/* An unknown value, set by a later latchd: every application can handle a reset. */
	return true;
}

static bool is_due(struct round *round, const struct latch_flow *flow, const struct latch *latch,
		   enum attempt_step *ret_step)
{
	const struct attempt *attempt;

	if (!ends(flow, latch) || latch_mode_passes_latch(round->mode, latch))
		return false;
	attempt = attempts_find(&round->disposition->attempts, latch);
	*ret_step = attempt ? attempt->step : ATTEMPT_LOOK_UP;
	if (!attempt || attempt->due_ms <= round->now_ms)
		return true;
	if (attempt->due_ms < round->next_ms)
		round->next_ms = attempt->due_ms;
	return false;
}

/* True: the latch is ESTABLISHED, or it broke in this audit, so that audit mode passes its
 * packets. */
static bool passes(const struct round *round, const struct latch *latch)
{
	return latch->word.state == LATCH_STATE_ESTABLISHED ||
	       (latch->word.state == LATCH_STATE_BROKEN &&
		latch_mode_passes_latch(round->mode, latch));
}

static int dispose(void *context, const struct latch_flow *flow, const struct latch *latch)
{
	struct round *round = context;
	enum attempt_step step = ATTEMPT_LOOK_UP;
	bool due = is_due(round, flow, latch, &step);

	if (flow->protocol == IPPROTO_SCTP)
		sctp_disposition_add(&round->sctp, flow, latch, passes(round, latch), due);
	else if (due)
		try_now(round, flow, latch, step);
	return 0;
}

static void on_association_ended(void *context, const struct latch_flow *flow,
				 const struct latch *latch, int result)
{
	struct round *round = context;

	if (result != -ENOENT)
		publish_reset(round->disposition, flow, latch, result);
	if (result && result != -ENOENT && result != -EAFNOSUPPORT)
		try_again(round, latch);
}

/* ---- rounds */

static uint64_t min_ms(uint64_t one, uint64_t other)
{
	return one < other ? one : other;
}

static unsigned int wait_ms(const struct round *round, int err)
{
	uint64_t now_ms = loop_now_ms();

	if (round->more && !err)
		return DISPOSITION_PAUSE_MS;
	if (err || round->next_ms > now_ms + DISPOSITION_RETRY_MS)
		return DISPOSITION_RETRY_MS;
	return round->next_ms > now_ms ? (unsigned int)(round->next_ms - now_ms) : 0;
}

static void on_timer(void *context)
{
	struct disposition *d = context;
	struct round round = {
		.disposition = d,
		.mode = mode_read(d->maps),
		.now_ms = loop_now_ms(),
		.next_ms = ATTEMPT_NEVER,
	};
	int err = latches_walk(d->maps, dispose, &round), result;

	if (err)
		round.sctp.err = err;
	result = sctp_disposition_end(&round.sctp, d->maps, &d->attempts, on_association_ended,
				      &round);
	round.more |= result > 0;
	err = !err && result < 0 ? result : err;
	if (err)
		log_warn("latch",
			 "broken latches not handled (%s): the latch map cannot be "
			 "walked; next attempt in 1 s",
			 strerror(-err));
	else
		attempts_end_round(&d->attempts);
	d->ended_ms = loop_now_ms();
	if (d->again && !round.more) {
		d->again = false;
		round.next_ms = min_ms(round.next_ms, d->ended_ms + DISPOSITION_RETRY_MS);
	}
	if (err || round.more || round.next_ms != ATTEMPT_NEVER)
		loop_timer_arm(&d->timer, wait_ms(&round, err));
}

void disposition_start(struct disposition *d, struct loop *loop)
{
	loop_timer_init(loop, &d->timer, on_timer, d);
	disposition_run_soon(d);
}

/* Keeps the pause after the last round: peers choose when latches break. */
void disposition_run_soon(struct disposition *d)
{
	uint64_t now_ms = loop_now_ms(), due_ms = d->ended_ms + DISPOSITION_PAUSE_MS;

	loop_timer_arm(&d->timer,
		       d->ended_ms && due_ms > now_ms ? (unsigned int)(due_ms - now_ms) : 0);
}

void disposition_run_twice(struct disposition *d)
{
	d->again = true;
	disposition_run_soon(d);
}

void disposition_stop(struct disposition *d)
{
	loop_timer_cancel(&d->timer);
	attempts_release(&d->attempts);
}
