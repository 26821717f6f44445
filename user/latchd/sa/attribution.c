/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/sa/attribution.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "common/clock.h"
#include "common/log.h"
#include "latchd/net/netns.h"
#include "latchd/sa/attribution_parts.h"
#include "latchd/sa/binding/marks.h"
#include "latchd/sa/child/sa_group_rivals.h"
#include "latchd/sa/unbound/sa_adoption.h"
#include "latchd/sa/unbound/unproven_sas.h"
#include "latchd/maps/tables.h"
#include "latchd/sa/conflict/rival_report.h"
#include "latchd/sa/binding/sa_ends.h"

static bool may_heal(void *context, uint64_t netns)
{
	const struct attribution *a = context;

	return !a->child_sas.uncounted && key_managers_are_synced(&a->key_managers, netns);
}

static bool is_held(void *context, uint64_t latch_id)
{
	const struct attribution *a = context;
	uint64_t now = loop_now_ms();
	size_t i;

	for (i = 0; now < a->held_until_ms && i < HELD_MAX; i++)
		if (a->held[i].id == latch_id && now < a->held[i].until_ms)
			return true;
	return false;
}

static void hold(struct attribution *a, uint64_t latch_id)
{
	a->held_until_ms = loop_now_ms() + HELD_MS;
	a->held[a->held_count++ % HELD_MAX] = (struct held_latch){latch_id, a->held_until_ms};
	attribution_settle_later(a);
}

static void on_settle(void *context)
{
	attribution_check_all(context);
}

static void clear_marks(void *context)
{
	struct attribution *a = context;

	marks_decide(&a->binding);
}

void attribution_sa_gone(struct attribution *a, const struct latch_sa_key *key)
{
	struct child_sa_end *end = child_sas_find(&a->child_sas, key);

	pending_sas_gone(&a->pending_sas, key);
	refused_sas_forget(&a->refused_sas, key);
	if (end)
		attribution_forget_if_ended(a, end->child);
	if (a->recheck)
		attribution_settle_later(a);
}

/* XFRM_MSG_MIGRATE edits policies without an event, and makes SAs. */
void attribution_sa_pending(struct attribution *a, const struct latch_sa_key *key)
{
	choice_edited(a->choice, key->netns);
	if (!child_sas_find(&a->child_sas, key))
		unproven_sas_new(&a->refused_sas, a->maps, key);
	pending_sas_new(&a->pending_sas, key);
}

/* ---- the SAs that the kernel could use */

/* The marks of SAs are set at once. One walk over all latches follows. */
static void on_choice(void *context, uint64_t netns, const struct choice_change *change)
{
	struct attribution *a = context;

	sa_group_rivals_recount(&a->child_sas.groups, netns, change);
	marks_update(&a->binding);
	loop_timer_arm(&a->settle, walk_pace_wait_ms(&a->walks));
}

int attribution_watch_choice(struct attribution *a, struct loop *loop,
			     const struct choice_source *source)
{
	a->choice = choice_new(loop, source, on_choice, a);
	a->child_sas.groups.choice = a->binding.choice = a->choice;
	return a->choice ? 0 : -ENOMEM;
}

bool attribution_refuses(struct attribution *a, const struct latch_event *event)
{
	return attribution_decide(a, event);
}

void attribution_set_policy_grace(struct attribution *a, unsigned int ms)
{
	choice_set_grace(a->choice, ms);
}

void attribution_spd_edited(struct attribution *a, uint64_t netns)
{
	choice_edited(a->choice, netns);
}

/*
 * No event reports that a route has changed. If interface ids keep SAs apart, packets of a latched
 * flow may then leave under another peer's SA, and are dropped. Received packets break no latch,
 * since any peer can send them. If a policy of the latch's peer was just removed, the latch waits
 * for the policy. It also waits if the SPD was edited about then, since the policy may be gone or
 * back by now. A later dropped packet decides.
 */
static bool waits_for_policy(struct attribution *a, const struct latch_event *event)
{
	const struct child_sa_end *end = child_sas_find(&a->child_sas, &event->sa);

	if (!choice_was_known(a->choice, event->flow.netns, event->time))
		return true;
	return end && end->child->group &&
	       sa_groups_stands_in(&a->child_sas.groups, end->child->group, &event->flow,
				   event->word.params);
}

void attribution_sent_elsewhere(struct attribution *a, const struct latch_event *event)
{
	struct latch_sa sa;
	int err;

	if (event->drop != LATCH_DROP_IDENTITY || event->packet != LATCH_DIRECTION_OUT ||
	    sa_get(a->maps, &event->sa, &sa) || sa.installed > event->time ||
	    sa.word.state != LATCH_SA_BOUND || waits_for_policy(a, event))
		return;
	hold(a, event->latch_id);
	err = conflict_break_flow(&a->binding.view, &event->flow, event->latch_id, sa.word.params);
	if (err)
		attribution_warn_and_check_again(a, "a latch", err);
}

void attribution_latch_created(struct attribution *a, const struct latch_flow *flow)
{
	int err = conflict_check_flow(&a->binding.view, flow);

	if (err)
		attribution_warn_and_check_again(a, "a new latch", err);
}

/* Local users can cause lost events, so the checks have a pace. */
void attribution_reconcile(struct attribution *a)
{
	unsigned int wait_ms = walk_pace_wait_ms(&a->walks);

	a->recheck = true;
	choice_events_lost(a->choice);
	if (!wait_ms)
		attribution_check_all(a);
	else if (!loop_timer_armed(&a->settle))
		loop_timer_arm(&a->settle, wait_ms);
	pending_sas_check_soon(&a->pending_sas);
}

/* All CHILD_SAs lose their params first: params of the old table must not contest those of the new
 * one. */
void attribution_rebind(struct attribution *a)
{
	const struct key_manager *key_manager;
	struct child_sa *child;

	DL_FOREACH2(a->child_sas.first, child, next)
	{
		key_manager = key_managers_find(&a->key_managers, child->feed);
		child->params = 0;
		child->waits = key_manager && key_manager->synced;
		sa_groups_leave(&a->child_sas.groups, child);
	}
	sa_groups_forget_ids(&a->child_sas.groups);
	attribution_check_all(a);
	pending_sas_check_soon(&a->pending_sas);
}

/* ---- reports of the feeds */

static int on_attached(void *context, struct feed *feed, pid_t daemon)
{
	struct attribution *a = context;
	uint64_t netns;
	int err;

	err = netns_of_process(daemon, &netns);
	if (err)
		return err;
	/* Called before the first look-up: the index may be full of namespaces of local users. */
	netns_hint(netns, daemon);
	err = key_managers_attach(&a->key_managers, feed, netns);
	if (err)
		return err;
	/* Published before its SAs are in the table, so that a new flow under one of them waits. */
	news_publish(a->news, &(struct news){.kind = NEWS_NETNS_SERVED, .netns = netns});
	return sa_adoption_run(a->maps, netns, NULL, 0);
}

static void orphan_all(struct attribution *a, const struct feed *feed)
{
	struct child_sa *child;
	int err;

	DL_FOREACH2(a->child_sas.first, child, next)
	{
		if (child->feed == feed) {
			if (!child->deleted && !child->orphan)
				child->ended_ns = clock_boot_ns();
			child->orphan = true;
			child->waits = false;
			child_sas_note_uncounted(&a->child_sas, child, false);
			attribution_end_child(a, child);
		}
	}
	err = orphans_mark(&a->orphans, feed);
	if (!err)
		return;
	log_warn(NULL, "sas of feed %s not all marked as orphans (%s); retrying in 1 s", feed->name,
		 strerror(-err));
	loop_timer_arm(&a->settle, CHECK_RETRY_MS);
}

static void on_away(const struct attribution *a, struct key_manager *key_manager)
{
	key_manager->synced = false;
	if (key_manager->away)
		return;
	key_manager->away = true;
	news_publish(a->news, &(struct news){.kind = NEWS_FEED_AWAY, .netns = key_manager->netns});
}

static void on_state(void *context, struct feed *feed, enum feed_state state, const char *detail)
{
	struct attribution *a = context;
	struct key_manager *key_manager = key_managers_find(&a->key_managers, feed);

	(void)detail;
	switch (state) {
	case FEED_STATE_ABSENT:
	case FEED_STATE_LOST:
		if (key_manager)
			on_away(a, key_manager);
		peer_death_feed_lost(&a->peer_death, feed);
		orphan_all(a, feed);
		return;
	case FEED_STATE_CONNECTED:
	case FEED_STATE_SYNCED:
		return;
	}
}

/* No list shows the end of these CHILD_SAs any more. orphans_mark() finds bound SAs without
 * them. */
static void forget_unbound(struct attribution *a, const struct feed *feed)
{
	struct child_sa *child, *next;

	DL_FOREACH_SAFE2(a->child_sas.first, child, next, next)
	{
		if (child->feed == feed && !child->params)
			attribution_forget_child(a, child);
	}
}

uint64_t attribution_netns_of(const struct attribution *a, const struct feed *feed)
{
	const struct key_manager *key_manager = key_managers_find(&a->key_managers, feed);

	return key_manager && !key_manager->away ? key_manager->netns : 0;
}

void attribution_feed_removed(struct attribution *a, struct feed *feed)
{
	on_state(a, feed, FEED_STATE_LOST, "no longer configured");
	key_managers_detach(&a->key_managers, feed);
	forget_unbound(a, feed);
	orphans_mark(&a->orphans, feed);
	loop_timer_arm(&a->settle, 0);
}

_Static_assert(ATTRIBUTION_FEEDS_MAX <= ORPHANS_FEEDS_MAX, "orphans.h knows all feeds");

void attribution_feeds_configured(struct attribution *a, struct feed *const *feeds, size_t count)
{
	orphans_configure(&a->orphans, feeds, count);
	loop_timer_arm(&a->settle, 0);
}

static void on_peer_up(void *context, struct feed *feed, const struct feed_peer *peer)
{
	struct attribution *a = context;

	if (key_managers_find(&a->key_managers, feed))
		peer_death_ike_sa_up(&a->peer_death, feed, peer);
}

static void on_peer_rekeyed(void *context, struct feed *feed, uint32_t old,
			    const struct feed_peer *peer)
{
	struct attribution *a = context;

	if (key_managers_find(&a->key_managers, feed))
		peer_death_ike_sa_rekeyed(&a->peer_death, feed, old, peer);
}

static void on_peer_down(void *context, struct feed *feed, const struct feed_peer *peer,
			 enum feed_down_cause cause)
{
	struct attribution *a = context;
	struct key_manager *key_manager = key_managers_find(&a->key_managers, feed);

	if (key_manager)
		peer_death_ike_sa_down(
			&a->peer_death,
			&(struct peer_death_report){feed, key_manager->netns, *peer, cause},
			key_manager->synced);
}

/* ---- start and end */

struct attribution *attribution_new(struct loop *loop, const struct kernel_maps *maps,
				    struct identities *identities, const struct news_bus *news)
{
	struct attribution *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	a->maps = maps;
	a->identities = identities;
	a->news = news;
	a->sink = (struct feed_sink){
		.context = a,
		.attached = on_attached,
		.state = on_state,
		.child_up = child_reports_up,
		.child_refused = child_reports_refused,
		.child_down = child_reports_down,
		.peer_up = on_peer_up,
		.peer_rekeyed = on_peer_rekeyed,
		.peer_down = on_peer_down,
		.snapshot_begin = child_reports_list_begin,
		.snapshot_end = child_reports_list_end,
	};
	a->binding = (struct binding){
		.view = {maps, &a->child_sas, news, may_heal, is_held, a},
		.child_sas = &a->child_sas,
		.pairs = &a->pairs,
		.identities = identities,
		.walks = &a->walks,
		.marking = &a->marking,
		.later = &a->settle,
		.clear = &a->clear_marks,
		.marks_log = &a->marks_log,
		.share_log = &a->share_log,
		.breaks_log = &a->breaks_log,
	};
	a->orphans = (struct orphans){
		.maps = maps,
		.identities = identities,
		.child_sas = &a->child_sas,
		.key_managers = &a->key_managers,
	};
	a->began_ms = loop_now_ms();
	pair_decisions_start(&a->pairs, maps->pairs);
	peer_death_init(&a->peer_death, loop, &a->binding.view, identities);
	pending_sas_init(&a->pending_sas, loop, &a->binding, &a->key_managers, &a->refused_sas);
	loop_timer_init(loop, &a->settle, on_settle, a);
	loop_timer_init(loop, &a->clear_marks, clear_marks, a);
	loop_timer_init(loop, &a->answer, attribution_on_answer, a);
	return a;
}

void attribution_free(struct attribution *a)
{
	if (!a)
		return;
	pending_sas_stop(&a->pending_sas);
	loop_timer_cancel(&a->settle);
	loop_timer_cancel(&a->clear_marks);
	loop_timer_cancel(&a->answer);
	peer_death_clear(&a->peer_death);
	key_managers_clear(&a->key_managers);
	child_sas_clear(&a->child_sas);
	refused_sas_clear(&a->refused_sas);
	pair_decisions_forget(&a->pairs);
	choice_free(a->choice);
	free(a);
}

const char *attribution_refusal(const struct attribution *a, const struct latch_sa_key *key)
{
	return refused_sas_reason(&a->refused_sas, key);
}

bool attribution_rival(struct attribution *a, const struct latch_sa_key *key,
		       struct news_rival *ret)
{
	return rivals_find(&a->child_sas, key, ret);
}

bool attribution_rival_for(struct attribution *a, const struct latch_sa_key *key,
			   const struct latch_flow *flow, struct news_rival *ret)
{
	return rivals_find_for(&a->child_sas, key, flow, ret);
}

const struct feed_sink *attribution_sink(struct attribution *a)
{
	return &a->sink;
}
