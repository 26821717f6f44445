/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/sa/peers/peer_death.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "common/clock.h"
#include "common/log.h"

#define WORK_RETRY_MS 1000U

/* ---- the peer's other IKE_SAs */

/*
 * An IKE_SA of any configuration counts, because a permanent break cannot be taken
 * back. The successor, which proved the reboot, does not count.
 */
static bool is_still_up(const struct peer_death *peer_death, const struct peer_death_report *report)
{
	const struct ike_sa *ike_sa, *next;

	HASH_ITER(hh, peer_death->ike_sas.first, ike_sa, next)
	{
		if (ike_sa->key.feed == report->feed &&
		    ike_sa->key.unique_id != report->peer.successor &&
		    ike_sa->peer.auth == report->peer.auth &&
		    !strcmp(ike_sa->peer.id, report->peer.id))
			return true;
	}
	return false;
}

static bool has_ike_sa_of_same_configuration(const struct peer_death *peer_death,
					     const struct peer_death_report *report)
{
	const struct ike_sa *ike_sa, *next;

	HASH_ITER(hh, peer_death->ike_sas.first, ike_sa, next)
	{
		if (ike_sa->key.feed == report->feed &&
		    feed_peer_equal(&ike_sa->peer, &report->peer))
			return true;
	}
	return false;
}

static void free_due(struct peer_death *peer_death)
{
	struct dead_peer *dead, *next;

	DL_FOREACH_SAFE(peer_death->due, dead, next)
	{
		DL_DELETE(peer_death->due, dead);
		peer_death->count--;
		free(dead);
	}
}

static void break_due(void *context)
{
	struct peer_death *peer_death = context;
	int err;

	walk_pace_begin(&peer_death->walks);
	err = dead_peers_break(peer_death->view, peer_death->identities, peer_death->due);
	walk_pace_end(&peer_death->walks);
	if (!err) {
		free_due(peer_death);
		return;
	}
	log_error("latch", "latches to dead peers not all broken (%s); retrying in %u ms",
		  strerror(-err), WORK_RETRY_MS);
	loop_timer_arm(&peer_death->work, WORK_RETRY_MS);
}

/* ---- waiting and due reports */

static void add_due(struct peer_death *peer_death, struct dead_peer *dead)
{
	DL_APPEND(peer_death->due, dead);
	loop_timer_arm(&peer_death->work, walk_pace_wait_ms(&peer_death->walks));
}

static struct dead_peer *find_waiting(const struct peer_death *peer_death,
				      const struct peer_death_report *report)
{
	struct dead_peer *dead;

	DL_FOREACH(peer_death->waiting, dead)
	{
		if (dead->report.feed == report->feed && dead->report.cause == report->cause &&
		    feed_peer_equal(&dead->report.peer, &report->peer))
			return dead;
	}
	return NULL;
}

static struct dead_peer *dead_peer_new(struct peer_death *peer_death,
				       const struct peer_death_report *report)
{
	struct dead_peer *dead =
		peer_death->count < PEER_DEATH_REPORTS_MAX ? calloc(1, sizeof(*dead)) : NULL;

	if (!dead) {
		log_warn(
			"latch",
			"peer \"%s\" dead or rebooted (too many reports): feed %s; its latches stay "
			"established, see: latchctl list",
			report->peer.id, report->feed->name);
		return NULL;
	}
	peer_death->count++;
	return dead;
}

static void wait_for_snapshot(struct peer_death *peer_death, const struct peer_death_report *report)
{
	struct dead_peer *dead = find_waiting(peer_death, report);

	if (dead) {
		DL_DELETE(peer_death->waiting, dead);
	} else {
		dead = dead_peer_new(peer_death, report);
		if (!dead)
			return;
	}
	dead->report = *report;
	dead->reported_ns = clock_boot_ns();
	dead->snapshot_begun = false;
	DL_APPEND(peer_death->waiting, dead);
}

static void add_due_report(struct peer_death *peer_death, const struct peer_death_report *report)
{
	struct dead_peer *dead = dead_peer_new(peer_death, report);

	if (!dead)
		return;
	dead->report = *report;
	dead->reported_ns = clock_boot_ns();
	add_due(peer_death, dead);
}

static void stop_waiting(struct peer_death *peer_death, struct dead_peer *dead, bool discard)
{
	DL_DELETE(peer_death->waiting, dead);
	if (discard) {
		peer_death->count--;
		free(dead);
	} else {
		add_due(peer_death, dead);
	}
}

/*
 * The last IKE_SA of an identity has ended. Reports for its IKE_SAs of other
 * configurations are waiting. An orderly end proves that the peer was up
 * meanwhile, so those reports are void.
 */
static void resolve_identity(struct peer_death *peer_death, const struct peer_death_report *last)
{
	struct dead_peer *dead, *next;

	DL_FOREACH_SAFE(peer_death->waiting, dead, next)
	{
		if (dead->report.feed == last->feed && dead->report.peer.auth == last->peer.auth &&
		    !strcmp(dead->report.peer.id, last->peer.id))
			stop_waiting(peer_death, dead, last->cause == FEED_DOWN_ORDERLY);
	}
}

/* ---- what the feeds report */

void peer_death_ike_sa_up(struct peer_death *peer_death, struct feed *feed,
			  const struct feed_peer *peer)
{
	if (!ike_sas_learn(&peer_death->ike_sas, feed, peer))
		log_error("latch", "ike_sa %u not recorded (no memory): feed %s; free memory",
			  peer->ike_unique_id, feed->name);
}

void peer_death_ike_sa_rekeyed(struct peer_death *peer_death, struct feed *feed, uint32_t old,
			       const struct feed_peer *peer)
{
	if (!ike_sas_rekey(&peer_death->ike_sas, feed, old, peer))
		log_error("latch", "ike_sa %u not recorded (no memory): feed %s; free memory",
			  peer->ike_unique_id, feed->name);
}

void peer_death_ike_sa_down(struct peer_death *peer_death, const struct peer_death_report *report,
			    bool synced)
{
	struct ike_sa *ike_sa =
		ike_sas_find(&peer_death->ike_sas, report->feed, report->peer.ike_unique_id);
	struct peer_death_report corrected = *report;
	bool known = ike_sa, still_up;

	if (known) {
		ike_sas_correct_peer(ike_sa, &corrected.peer);
		ike_sas_remove(&peer_death->ike_sas, ike_sa);
	}
	still_up = !synced || is_still_up(peer_death, &corrected);
	if (!still_up && known)
		resolve_identity(peer_death, &corrected);
	if (corrected.cause == FEED_DOWN_ORDERLY)
		return;
	if (!still_up) {
		add_due_report(peer_death, &corrected);
		return;
	}
	wait_for_snapshot(peer_death, &corrected);
	if (synced)
		report->feed->resync(report->feed);
}

void peer_death_snapshot_begin(struct peer_death *peer_death, const struct feed *feed)
{
	struct dead_peer *dead;

	ike_sas_snapshot_begin(&peer_death->ike_sas, feed);
	DL_FOREACH(peer_death->waiting, dead)
	{
		if (dead->report.feed == feed)
			dead->snapshot_begun = true;
	}
}

/* A report of another configuration keeps waiting: the peer may still be dead. */
static bool is_disproved(const struct peer_death *peer_death, const struct dead_peer *dead)
{
	return dead->snapshot_begun &&
	       (dead->report.cause == FEED_DOWN_PEER_REBOOTED ||
		has_ike_sa_of_same_configuration(peer_death, &dead->report));
}

void peer_death_snapshot_end(struct peer_death *peer_death, struct feed *feed)
{
	struct dead_peer *dead, *next;
	bool again = false;

	ike_sas_snapshot_end(&peer_death->ike_sas, feed);
	DL_FOREACH_SAFE(peer_death->waiting, dead, next)
	{
		if (dead->report.feed != feed)
			continue;
		if (!is_still_up(peer_death, &dead->report))
			stop_waiting(peer_death, dead, false);
		else if (is_disproved(peer_death, dead))
			stop_waiting(peer_death, dead, true);
		else
			again = again || !dead->snapshot_begun;
	}
	if (again)
		feed->resync(feed);
}

void peer_death_feed_lost(struct peer_death *peer_death, const struct feed *feed)
{
	struct dead_peer *dead, *next;

	ike_sas_feed_lost(&peer_death->ike_sas, feed);
	DL_FOREACH_SAFE(peer_death->waiting, dead, next)
	{
		if (dead->report.feed == feed)
			stop_waiting(peer_death, dead, true);
	}
}

void peer_death_init(struct peer_death *peer_death, struct loop *loop,
		     const struct conflict_view *view, const struct identities *identities)
{
	*peer_death = (struct peer_death){.view = view, .identities = identities};
	loop_timer_init(loop, &peer_death->work, break_due, peer_death);
}

void peer_death_clear(struct peer_death *peer_death)
{
	struct dead_peer *dead, *next;

	if (peer_death->due)
		break_due(peer_death);
	loop_timer_cancel(&peer_death->work);
	free_due(peer_death);
	DL_FOREACH_SAFE(peer_death->waiting, dead, next)
	{
		stop_waiting(peer_death, dead, true);
	}
	ike_sas_clear(&peer_death->ike_sas);
}
