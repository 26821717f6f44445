/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/latch/reaper.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"
#include "latchd/latch/sctp_reaper.h"
#include "latchd/maps/latch_control.h"
#include "latchd/net/netns.h"
#include "latchd/net/socket_diag.h"
#include "latchd/maps/tables.h"

#define SECOND_NS	 1000000000ull
#define REAPER_PERIOD_MS 5000
#define REAPER_AGAIN_MS	 50 /* between rounds of one sweep, for other work of the loop */
#define HANDSHAKE_NS	 (3 * SECOND_NS)
#define HANDSHAKE_END_NS (130 * SECOND_NS) /* the longest handshake: SYN cookie or SYN-ACK */
#define TIME_WAIT_NS	 (60 * SECOND_NS)  /* the kernel's TCP_TIMEWAIT_LEN */
#define AUDIT_NS	 (300 * SECOND_NS)
#define REAPER_ROUND	 1024 /* latches checked in one round */
#define SEARCH_ROUND	 64   /* latches looked up by a walk over all sockets in one round */

struct reap_walk {
	const struct reaper *reaper;
	uint64_t now;
	unsigned int skip; /* due latches that this sweep has checked and kept */
	unsigned int checked, searched, reaped;
	bool more;	  /* more latches are due than a round checks */
	uint64_t missing; /* the namespace not found last: a search for one is slow */
};

static bool is_due(const struct reap_walk *walk, const struct latch_flow *flow,
		   const struct latch *latch)
{
	/* A latch may be younger than this round. */
	uint64_t age = latch->owner_since < walk->now ? walk->now - latch->owner_since : 0;

	if (latch->word.state == LATCH_STATE_LISTENER)
		return false; /* listeners.c checks LISTENER latches */
	switch (latch->owner) {
	case LATCH_OWNER_HANDSHAKE:
		return age > HANDSHAKE_NS;
	case LATCH_OWNER_TIME_WAIT:
		return age > TIME_WAIT_NS;
	case LATCH_OWNER_SOCKET:
		/* A UDP socket may connect to another peer, or disconnect, without an event. */
		if (flow->protocol == IPPROTO_UDP)
			return age > HANDSHAKE_NS;
		return walk->reaper->auditing && age > TIME_WAIT_NS;
	}
	return false;
}

static bool netns_is_missing(struct reap_walk *walk, uint64_t netns)
{
	auto_close int fd = -1;

	if (walk->missing == netns)
		return true;
	fd = netns_open(netns);
	if (fd == -ENOENT)
		walk->missing = netns;
	return fd == -ENOENT;
}

/*
 * The quick lookup misses sockets that are bound to a device. That is harmless for a
 * TIME_WAIT socket at its maximum age, and for a handshake. A full socket must not lose its
 * latch, so it gets the slow search. Peers choose the number of handshakes, so their
 * latches do not.
 */
static bool is_expired(const struct reap_walk *walk, const struct latch *latch)
{
	switch (latch->owner) {
	case LATCH_OWNER_HANDSHAKE:
		return walk->now - latch->owner_since > HANDSHAKE_END_NS;
	case LATCH_OWNER_TIME_WAIT:
		return true;
	case LATCH_OWNER_SOCKET:
		return false;
	}
	return false;
}

/* A thread or a descriptor may keep the sockets of a namespace without a process. */
static bool has_no_socket(struct reap_walk *walk, const struct latch_flow *flow,
			  const struct latch *latch)
{
	if (netns_is_missing(walk, flow->netns))
		return is_expired(walk, latch);
	if (socket_diag_find(flow) != -ENOENT)
		return false;
	return is_expired(walk, latch) ||
	       (walk->searched++ < SEARCH_ROUND && socket_diag_search(flow, 0) == -ENOENT);
}

static int reap_without_socket(void *context, const struct latch_flow *flow,
			       const struct latch *latch)
{
	struct reap_walk *walk = context;
	int result = 0;

	if (flow->protocol == IPPROTO_SCTP || !is_due(walk, flow, latch))
		return 0;
	if (walk->skip) {
		walk->skip--;
		return 0;
	}
	walk->more = walk->checked == REAPER_ROUND;
	if (walk->more)
		return 0;
	walk->checked++;
	if (!has_no_socket(walk, flow, latch))
		return 0;
	walk->reaped++;
	result = latch_reap(walk->reaper->maps, flow, latch);
	return result < 0 ? result : 0;
}

static void start_sweep(struct reaper *reaper, uint64_t now)
{
	reaper->auditing = now >= reaper->audit_due;
	if (reaper->auditing)
		reaper->audit_due = now + AUDIT_NS;
}

/* Walks have the same order each time: latches that were kept must not fill every round. */
static void on_timer(void *context)
{
	struct reaper *reaper = context;
	struct reap_walk walk = {
		.reaper = reaper,
		.now = clock_boot_ns(),
		.skip = reaper->left,
	};
	unsigned int wait_ms;
	int err;

	if (!reaper->sweeping)
		start_sweep(reaper, walk.now);
	walk_pace_begin(&reaper->walks);
	err = latches_walk(reaper->maps, reap_without_socket, &walk);
	if (!err && !walk.more)
		err = sctp_reaper_round(reaper->maps);
	walk_pace_end(&reaper->walks);
	if (err)
		log_warn("latch", "latches without a socket not found (%s); next attempt in 5 s",
			 strerror(-err));
	reaper->sweeping = !err && walk.more;
	reaper->left = reaper->sweeping ? reaper->left + walk.checked - walk.reaped : 0;
	wait_ms = walk_pace_wait_ms(&reaper->walks);
	wait_ms = wait_ms > REAPER_AGAIN_MS ? wait_ms : REAPER_AGAIN_MS;
	loop_timer_arm(&reaper->timer, reaper->sweeping ? wait_ms : REAPER_PERIOD_MS);
}

/* The first sweep is an audit: sockets may have ended while no latchd ran. */
void reaper_start(struct reaper *reaper, struct loop *loop)
{
	loop_timer_init(loop, &reaper->timer, on_timer, reaper);
	loop_timer_arm(&reaper->timer, REAPER_PERIOD_MS);
}

void reaper_stop(struct reaper *reaper)
{
	loop_timer_cancel(&reaper->timer);
}
