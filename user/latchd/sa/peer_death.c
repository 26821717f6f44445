/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/sa/peer_death.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include <utlist.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/text.h"
#include "latchd/maps/latch_control.h"
#include "latchd/news/latch_transition.h"
#include "latchd/maps/tables.h"

#define WORK_AGAIN_MS 1000

struct death_key {
	uint32_t peer_id;
	uint32_t cause;
};

struct death {
	struct peer_death said;
	uint64_t told; /* CLOCK_BOOTTIME, ns: what was born later is with the peer's next life */
	bool listed;   /* a snapshot has begun since */
	struct death_key key; /* while its latches are broken */
	struct death *next, *prev;
	UT_hash_handle hh;
};

/* ---- who lives */

/*
 * By whatever configuration: a break that was too much cannot be taken back. The
 * one that told of the reboot is the peer's next life.
 */
static bool lives_on(const struct peer_deaths *deaths, const struct peer_death *death)
{
	const struct ike_sa *ike_sa, *next;

	HASH_ITER(hh, deaths->living.first, ike_sa, next)
	{
		if (ike_sa->key.feed == death->feed &&
		    ike_sa->key.unique_id != death->peer.successor &&
		    ike_sa->peer.auth == death->peer.auth &&
		    !strcmp(ike_sa->peer.id, death->peer.id))
			return true;
	}
	return false;
}

static bool lives_by_same_configuration(const struct peer_deaths *deaths,
					const struct peer_death *death)
{
	const struct ike_sa *ike_sa, *next;

	HASH_ITER(hh, deaths->living.first, ike_sa, next)
	{
		if (ike_sa->key.feed == death->feed && feed_peer_is(&ike_sa->peer, &death->peer))
			return true;
	}
	return false;
}

/* ---- its latches */

struct death_walk {
	const struct peer_deaths *deaths;
	struct death *doomed; /* by identity and cause */
};

/* A snapshot may have told the new IKE_SA's children before the event told of the reboot. */
static bool began_after(const struct death_walk *walk, const struct peer_death *death,
			const struct latch *latch)
{
	const struct conflict_view *view = walk->deaths->view;
	const struct child *child;
	struct latch_sa sa;

	if (!death->peer.successor)
		return false;
	DL_FOREACH2(view->children->first, child, next)
	{
		/* An orphan's IKE_SA had its number from an earlier life of the key manager. */
		if (child->feed == death->feed && !child->orphan &&
		    child->said.ike_unique_id == death->peer.successor &&
		    !sa_get(view->maps, &child->in.key, &sa) && sa.installed <= latch->created)
			return true;
	}
	return false;
}

static bool concerns(const struct death_walk *walk, const struct death *death,
		     const struct latch_flow *flow, const struct latch *latch)
{
	uint8_t keep = death->said.cause == FEED_DOWN_PEER_REBOOTED ? LATCH_RULE_KEEP_ON_REBOOT
								    : LATCH_RULE_KEEP_ON_DPD;

	return flow->netns == death->said.netns && latch->created <= death->told &&
	       !(latch->rule_flags & keep) && !began_after(walk, &death->said, latch);
}

static int break_latch(const struct death_walk *walk, enum feed_down_cause cause,
		       const struct latch_flow *flow, const struct latch *latch)
{
	const struct conflict_view *view = walk->deaths->view;
	uint8_t reason = cause == FEED_DOWN_PEER_REBOOTED ? LATCH_REASON_PEER_REBOOTED
							  : LATCH_REASON_PEER_DEAD;
	const struct latch_transition transition = {
		.op = LATCH_CONTROL_BREAK,
		.flow = flow,
		.latch = latch,
		.cause.reason = reason,
	};
	int result = latch_transition(view->maps, view->news, &transition, NULL);

	return result < 0 ? result : 0;
}

static int break_for(const struct death_walk *walk, enum feed_down_cause cause, uint32_t peer_id,
		     const struct latch_flow *flow, const struct latch *latch)
{
	const struct death_key key = {peer_id, cause};
	struct death *death;

	HASH_FIND(hh, walk->doomed, &key, sizeof(key), death);
	return death && concerns(walk, death, flow, latch) ? break_latch(walk, cause, flow, latch)
							   : 0;
}

static int break_if_doomed(void *context, const struct latch_flow *flow, const struct latch *latch)
{
	const struct death_walk *walk = context;
	const struct latch_params *params;
	int err;

	if (!latch_is_live(latch))
		return 0;
	params = identities_get_params(walk->deaths->identities, latch->word.params);
	if (!params)
		return 0;
	err = break_for(walk, FEED_DOWN_PEER_DEAD, params->peer_id, flow, latch);
	return err ? err : break_for(walk, FEED_DOWN_PEER_REBOOTED, params->peer_id, flow, latch);
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

/* Of two deaths of one identity the later concerns all that the earlier does. */
static struct death *index_due(const struct peer_deaths *deaths)
{
	struct death *doomed = NULL, *death, *other;

	DL_FOREACH(deaths->due, death)
	{
		death->key =
			(struct death_key){find_peer_id(deaths, &death->said), death->said.cause};
		if (death->key.peer_id)
			HASH_REPLACE(hh, doomed, key, sizeof(death->key), death, other);
	}
	return doomed;
}

static void free_due(struct peer_deaths *deaths)
{
	struct death *death, *next;

	DL_FOREACH_SAFE(deaths->due, death, next)
	{
		DL_DELETE(deaths->due, death);
		deaths->count--;
		free(death);
	}
}

static void break_due(void *context)
{
	struct peer_deaths *deaths = context;
	struct death_walk walk = {deaths, index_due(deaths)};
	int err = walk.doomed ? latches_walk(deaths->view->maps, break_if_doomed, &walk) : 0;

	HASH_CLEAR(hh, walk.doomed);
	if (!err) {
		free_due(deaths);
		return;
	}
	log_error("latch", "peers are gone, but not all their latches are broken: %s; trying again",
		  strerror(-err));
	loop_timer_arm(&deaths->work, WORK_AGAIN_MS);
}

/* ---- deaths that wait, and those that are certain */

static void make_due(struct peer_deaths *deaths, struct death *death)
{
	DL_APPEND(deaths->due, death);
	loop_timer_arm(&deaths->work, 0);
}

static struct death *find_waiting(const struct peer_deaths *deaths, const struct peer_death *said)
{
	struct death *death;

	DL_FOREACH(deaths->waiting, death)
	{
		if (death->said.feed == said->feed && death->said.cause == said->cause &&
		    feed_peer_is(&death->said.peer, &said->peer))
			return death;
	}
	return NULL;
}

static struct death *death_new(struct peer_deaths *deaths, const struct peer_death *said)
{
	struct death *death = deaths->count < PEER_DEATHS_MAX ? calloc(1, sizeof(*death)) : NULL;

	if (!death) {
		log_warn("latch", "feed %s: too many peers died; the latches of \"%s\" hold",
			 said->feed->name, said->peer.id);
		return NULL;
	}
	deaths->count++;
	return death;
}

static void wait_for_snapshot(struct peer_deaths *deaths, const struct peer_death *said)
{
	struct death *death = find_waiting(deaths, said);

	if (death) {
		DL_DELETE(deaths->waiting, death);
	} else {
		death = death_new(deaths, said);
		if (!death)
			return;
	}
	death->said = *said;
	death->told = clock_boot_ns();
	death->listed = false;
	DL_APPEND(deaths->waiting, death);
}

static void take_effect(struct peer_deaths *deaths, const struct peer_death *said)
{
	struct death *death = death_new(deaths, said);

	if (!death)
		return;
	death->said = *said;
	death->told = clock_boot_ns();
	make_due(deaths, death);
}

static void stop_waiting(struct peer_deaths *deaths, struct death *death, bool is_void)
{
	DL_DELETE(deaths->waiting, death);
	if (is_void) {
		deaths->count--;
		free(death);
	} else {
		make_due(deaths, death);
	}
}

/*
 * The last IKE_SA of an identity has ended. Those that it had by other configurations
 * have died before: they did so while the peer lived on, if this one was no death.
 */
static void settle_identity(struct peer_deaths *deaths, const struct peer_death *last)
{
	struct death *death, *next;

	DL_FOREACH_SAFE(deaths->waiting, death, next)
	{
		if (death->said.feed == last->feed && death->said.peer.auth == last->peer.auth &&
		    !strcmp(death->said.peer.id, last->peer.id))
			stop_waiting(deaths, death, last->cause == FEED_DOWN_ORDERLY);
	}
}

/* ---- what the feeds report */

void peer_deaths_ike_sa_up(struct peer_deaths *deaths, struct feed *feed,
			   const struct feed_peer *peer)
{
	if (!ike_sas_learn(&deaths->living, feed, peer))
		log_error("latch", "feed %s: no memory for IKE_SA %u; free some", feed->name,
			  peer->ike_unique_id);
}

void peer_deaths_ike_sa_rekeyed(struct peer_deaths *deaths, struct feed *feed, uint32_t old,
				const struct feed_peer *peer)
{
	if (!ike_sas_rekey(&deaths->living, feed, old, peer))
		log_error("latch", "feed %s: no memory for IKE_SA %u; free some", feed->name,
			  peer->ike_unique_id);
}

void peer_deaths_ike_sa_down(struct peer_deaths *deaths, const struct peer_death *said, bool synced)
{
	struct ike_sa *ike_sa = ike_sas_find(&deaths->living, said->feed, said->peer.ike_unique_id);
	struct peer_death death = *said;
	bool known = ike_sa, alive;

	if (known) {
		ike_sa_correct(ike_sa, &death.peer);
		ike_sas_forget(&deaths->living, ike_sa);
	}
	alive = !synced || lives_on(deaths, &death);
	if (!alive && known)
		settle_identity(deaths, &death);
	if (death.cause == FEED_DOWN_ORDERLY)
		return;
	if (!alive) {
		take_effect(deaths, &death);
		return;
	}
	wait_for_snapshot(deaths, &death);
	if (synced)
		said->feed->resync(said->feed);
}

void peer_deaths_snapshot_begin(struct peer_deaths *deaths, const struct feed *feed)
{
	struct death *death;

	ike_sas_snapshot_begin(&deaths->living, feed);
	DL_FOREACH(deaths->waiting, death)
	{
		if (death->said.feed == feed)
			death->listed = true;
	}
}

/* Only a death by another configuration stays, for it may turn out to be the peer's. */
static bool is_over(const struct peer_deaths *deaths, const struct death *death)
{
	return death->listed && (death->said.cause == FEED_DOWN_PEER_REBOOTED ||
				 lives_by_same_configuration(deaths, &death->said));
}

void peer_deaths_snapshot_end(struct peer_deaths *deaths, struct feed *feed)
{
	struct death *death, *next;
	bool again = false;

	ike_sas_snapshot_end(&deaths->living, feed);
	DL_FOREACH_SAFE(deaths->waiting, death, next)
	{
		if (death->said.feed != feed)
			continue;
		if (!lives_on(deaths, &death->said))
			stop_waiting(deaths, death, false);
		else if (is_over(deaths, death))
			stop_waiting(deaths, death, true);
		else
			again = again || !death->listed;
	}
	if (again)
		feed->resync(feed);
}

void peer_deaths_feed_lost(struct peer_deaths *deaths, const struct feed *feed)
{
	struct death *death, *next;

	ike_sas_feed_lost(&deaths->living, feed);
	DL_FOREACH_SAFE(deaths->waiting, death, next)
	{
		if (death->said.feed == feed)
			stop_waiting(deaths, death, true);
	}
}

void peer_deaths_init(struct peer_deaths *deaths, struct loop *loop,
		      const struct conflict_view *view, const struct identities *identities)
{
	*deaths = (struct peer_deaths){.view = view, .identities = identities};
	loop_timer_init(loop, &deaths->work, break_due, deaths);
}

void peer_deaths_clear(struct peer_deaths *deaths)
{
	struct death *death, *next;

	if (deaths->due)
		break_due(deaths);
	loop_timer_cancel(&deaths->work);
	free_due(deaths);
	DL_FOREACH_SAFE(deaths->waiting, death, next)
	{
		stop_waiting(deaths, death, true);
	}
	ike_sas_clear(&deaths->living);
}
