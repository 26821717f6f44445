/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/peer_death.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include <utlist.h>

#include "common/log.h"
#include "common/text.h"
#include "latchd/kernel/latch_control.h"
#include "latchd/kernel/tables.h"

struct ike_sa_key {
	const struct feed *feed;
	uint64_t unique_id;
};

struct ike_sa {
	struct ike_sa_key key;
	struct feed_peer peer;
	bool seen; /* in the snapshot that is running */
	UT_hash_handle hh;
};

/* ---- who lives */

static struct ike_sa *find(const struct peer_deaths *deaths, const struct feed *feed,
			   uint32_t unique_id)
{
	const struct ike_sa_key key = {feed, unique_id};
	struct ike_sa *ike_sa;

	HASH_FIND(hh, deaths->living, &key, sizeof(key), ike_sa);
	return ike_sa;
}

static void forget(struct peer_deaths *deaths, struct ike_sa *ike_sa)
{
	HASH_DELETE(hh, deaths->living, ike_sa);
	free(ike_sa);
}

static struct ike_sa *add(struct peer_deaths *deaths, const struct feed *feed, uint32_t unique_id)
{
	struct ike_sa *ike_sa = calloc(1, sizeof(*ike_sa));

	if (!ike_sa)
		return NULL;
	ike_sa->key = (struct ike_sa_key){feed, unique_id};
	HASH_ADD(hh, deaths->living, key, sizeof(ike_sa->key), ike_sa);
	return ike_sa;
}

void peer_deaths_ike_sa_up(struct peer_deaths *deaths, struct feed *feed,
			   const struct feed_peer *peer)
{
	struct ike_sa *ike_sa = find(deaths, feed, peer->ike_unique_id);

	if (!ike_sa)
		ike_sa = add(deaths, feed, peer->ike_unique_id);
	if (!ike_sa) {
		log_error("latch", "feed %s: no memory for IKE_SA %u; free some", feed->name,
			  peer->ike_unique_id);
		return;
	}
	ike_sa->peer = *peer;
	ike_sa->seen = true;
}

/*
 * By whatever configuration: a break that was too much cannot be taken back. The
 * one that told of the reboot is the peer's next life.
 */
static bool lives_on(const struct peer_deaths *deaths, const struct peer_death *death)
{
	const struct ike_sa *ike_sa, *next;

	HASH_ITER(hh, deaths->living, ike_sa, next)
	{
		if (ike_sa->key.feed == death->feed &&
		    ike_sa->key.unique_id != death->peer.successor &&
		    ike_sa->peer.auth == death->peer.auth &&
		    !strcmp(ike_sa->peer.id, death->peer.id))
			return true;
	}
	return false;
}

/* ---- its latches */

struct death_walk {
	const struct peer_deaths *deaths;
	const struct peer_death *death;
	uint32_t peer_id;
	enum latch_reason reason;
	enum latch_rule_flag keep;
};

static bool is_with_peer(const struct death_walk *walk, const struct latch_flow *flow,
			 const struct latch *latch)
{
	const struct latch_params *params =
		identities_get_params(walk->deaths->identities, latch->word.params);

	return flow->netns == walk->death->netns && params && params->peer_id == walk->peer_id;
}

/* A snapshot may have told the new IKE_SA's children before the event told of the reboot. */
static bool began_after(const struct death_walk *walk, const struct latch *latch)
{
	const struct conflict_view *view = walk->deaths->view;
	const struct child *child;
	struct latch_sa sa;

	if (!walk->death->peer.successor)
		return false;
	DL_FOREACH2(view->children->first, child, next)
	{
		if (child->feed == walk->death->feed &&
		    child->said.ike_unique_id == walk->death->peer.successor &&
		    !sa_get(view->maps, &child->in.key, &sa) && sa.installed <= latch->born)
			return true;
	}
	return false;
}

static int break_if_with_peer(void *context, const struct latch_flow *flow,
			      const struct latch *latch)
{
	const struct death_walk *walk = context;
	const struct conflict_view *view = walk->deaths->view;
	union latch_word now;
	int result;

	if (!latch_is_live(latch) || latch->rule_flags & walk->keep ||
	    !is_with_peer(walk, flow, latch) || began_after(walk, latch))
		return 0;
	result = latch_break(view->maps, flow, latch->id, (uint8_t)walk->reason, &now);
	if (result == LATCH_CONTROL_DONE && latch_became_broken(now, (uint8_t)walk->reason))
		view->observer->latch_broken(view->observer->context, flow, latch,
					     (uint8_t)walk->reason, 0);
	return result < 0 ? result : 0;
}

/* 0 for one that nothing was ever latched to. */
static uint32_t find_peer_id(const struct peer_deaths *deaths, const struct peer_death *death)
{
	struct latch_identity identity = {.auth = death->peer.auth};

	if (text_copy(identity.authority, sizeof(identity.authority), death->feed->name) < 0 ||
	    text_copy(identity.config, sizeof(identity.config), death->peer.config_name) < 0 ||
	    text_copy(identity.id, sizeof(identity.id), death->peer.id) < 0)
		return 0;
	return identities_find(deaths->identities, &identity);
}

static void judge(const struct peer_deaths *deaths, const struct peer_death *death)
{
	bool rebooted = death->cause == FEED_DOWN_PEER_REBOOTED;
	struct death_walk walk = {
		.deaths = deaths,
		.death = death,
		.peer_id = find_peer_id(deaths, death),
		.reason = rebooted ? LATCH_REASON_PEER_REBOOTED : LATCH_REASON_PEER_DEAD,
		.keep = rebooted ? LATCH_RULE_KEEP_ON_REBOOT : LATCH_RULE_KEEP_ON_DPD,
	};
	int err;

	if (!walk.peer_id || lives_on(deaths, death))
		return;
	err = latches_walk(deaths->view->maps, break_if_with_peer, &walk);
	if (err)
		log_error("latch",
			  "feed %s: \"%s\" is gone, but its latches cannot be broken: %s; see: "
			  "latchctl list",
			  death->feed->name, death->peer.id, strerror(-err));
}

/* ---- what the feeds report */

static void wait_for_snapshot(struct peer_deaths *deaths, const struct peer_death *death)
{
	if (deaths->waiting_count == PEER_DEATHS_WAITING_MAX) {
		log_warn("latch",
			 "feed %s: too many peers died at its start; the latches of \"%s\" hold",
			 death->feed->name, death->peer.id);
		return;
	}
	deaths->waiting[deaths->waiting_count++] = *death;
}

void peer_deaths_ike_sa_down(struct peer_deaths *deaths, const struct peer_death *said,
			     bool synced)
{
	struct ike_sa *ike_sa = find(deaths, said->feed, said->peer.ike_unique_id);

	if (ike_sa)
		forget(deaths, ike_sa);
	if (said->cause == FEED_DOWN_ORDERLY)
		return;
	if (synced)
		judge(deaths, said);
	else
		wait_for_snapshot(deaths, said);
}

void peer_deaths_snapshot_begin(struct peer_deaths *deaths, const struct feed *feed)
{
	struct ike_sa *ike_sa, *next;

	HASH_ITER(hh, deaths->living, ike_sa, next)
	{
		if (ike_sa->key.feed == feed)
			ike_sa->seen = false;
	}
}

static void forget_unseen(struct peer_deaths *deaths, const struct feed *feed)
{
	struct ike_sa *ike_sa, *next;

	HASH_ITER(hh, deaths->living, ike_sa, next)
	{
		if (ike_sa->key.feed == feed && !ike_sa->seen)
			forget(deaths, ike_sa);
	}
}

/* Takes the feed's from those that wait; judges them unless they are void now. */
static void settle_waiting(struct peer_deaths *deaths, const struct feed *feed, bool valid)
{
	size_t i, left = 0;

	for (i = 0; i < deaths->waiting_count; i++) {
		if (deaths->waiting[i].feed != feed)
			deaths->waiting[left++] = deaths->waiting[i];
		else if (valid)
			judge(deaths, &deaths->waiting[i]);
	}
	deaths->waiting_count = left;
}

void peer_deaths_snapshot_end(struct peer_deaths *deaths, const struct feed *feed)
{
	forget_unseen(deaths, feed);
	settle_waiting(deaths, feed, true);
}

void peer_deaths_feed_lost(struct peer_deaths *deaths, const struct feed *feed)
{
	/* The next snapshot ends what IKE_SAs it had. */
	settle_waiting(deaths, feed, false);
}

void peer_deaths_clear(struct peer_deaths *deaths)
{
	struct ike_sa *ike_sa, *next;

	HASH_ITER(hh, deaths->living, ike_sa, next)
	{
		forget(deaths, ike_sa);
	}
}
