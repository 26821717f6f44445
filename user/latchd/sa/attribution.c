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
#include "latchd/sa/marks.h"
#include "latchd/sa/sa_adoption.h"
#include "latchd/sa/sa_ends.h"

static bool may_heal(void *context, uint64_t netns)
{
	const struct attribution *a = context;

	return !a->child_sas.uncounted && key_managers_are_synced(&a->key_managers, netns);
}

void attribution_settle_later(struct attribution *a)
{
	if (!loop_timer_armed(&a->settle))
		loop_timer_arm(&a->settle, CHECK_RETRY_MS);
}

static void warn_and_check_again(struct attribution *a, const char *latches, int err)
{
	unsigned int left_out;

	if (log_limit_admits(&a->check_log, &left_out))
		log_warn(NULL,
			 "conflicts of %s not checked (%s); checking all in 1 s; %u more since the "
			 "last line",
			 latches, strerror(-err), left_out);
	loop_timer_arm(&a->settle, CHECK_RETRY_MS);
}

/* ---- CHILD_SAs that end */

/* The last of its group: latches may heal. */
static bool is_last(const struct child_sa *child)
{
	return child->params && (!child->group || !child->group->members->member_next);
}

void attribution_forget_child(struct attribution *a, struct child_sa *child)
{
	bool last = is_last(child);

	child_sas_remove(&a->child_sas, child);
	if (marks_update(&a->binding) || last)
		loop_timer_arm(&a->settle, walk_pace_wait_ms(&a->walks));
}

/* The SAs of a CHILD_SA without params may still be installed, unless it was deleted. */
static void forget_if_ended(struct attribution *a, struct child_sa *child)
{
	int there = child->params || child->deleted ? sa_ends_check(&a->binding, child) : 1;

	if (!there)
		attribution_forget_child(a, child);
	a->recheck = a->recheck || there < 0;
}

static void forget_ended(struct attribution *a)
{
	struct child_sa *child, *next;

	a->recheck = false;
	DL_FOREACH_SAFE2(a->child_sas.first, child, next, next)
	{
		forget_if_ended(a, child);
	}
}

void attribution_sa_gone(struct attribution *a, const struct latch_sa_key *key)
{
	struct child_sa_end *end = child_sas_find(&a->child_sas, key);

	pending_sas_gone(&a->pending_sas, key);
	if (end)
		forget_if_ended(a, end->child);
	if (a->recheck)
		attribution_settle_later(a);
}

void attribution_end_child(struct attribution *a, struct child_sa *child)
{
	int err = binding_set_state(&a->binding, child);

	child->unmarked = err != 0;
	if (err)
		attribution_retry_to_bind(a, err);
}

/* The next list reports them again, and so does the one that an SA without a peer asks for. */
void attribution_drop_absent(struct attribution *a)
{
	struct child_sa *child, *next;

	DL_FOREACH_SAFE2(a->child_sas.first, child, next, next)
	{
		if (child_sas_is_superfluous(&a->child_sas, child))
			attribution_forget_child(a, child);
	}
}

/* ---- checks of all */

void attribution_check_all(struct attribution *a)
{
	int orphaned = orphans_mark_again(&a->orphans), err;
	bool left;

	if (a->recheck)
		forget_ended(a);
	key_managers_retry_lists(&a->key_managers);
	err = binding_bind_waiting(&a->binding, &left);
	attribution_drop_absent(a);
	if (err)
		warn_and_check_again(a, "all latches", err);
	else if (left || orphaned || a->recheck)
		attribution_settle_later(a);
}

static void on_settle(void *context)
{
	attribution_check_all(context);
}

static void clear_marks(void *context)
{
	struct attribution *a = context;

	marks_clear(&a->binding);
}

/*
 * The SAs of a CHILD_SA that could not be bound stay pending, as if it were not reported. Those
 * that an earlier latchd has bound may lack a mark, or conflict with a latch.
 */
void attribution_retry_to_bind(struct attribution *a, int err)
{
	if (err == -ENOENT)
		pending_sas_missing(&a->pending_sas);
	else
		pending_sas_check_soon(&a->pending_sas);
	/* -ENOENT: no SA of it is there, and none has to be bound. */
	if (err != -ENOENT && err != -EINPROGRESS)
		attribution_settle_later(a);
}

void attribution_sa_pending(struct attribution *a, const struct latch_sa_key *key)
{
	pending_sas_new(&a->pending_sas, key);
}

void attribution_latch_created(struct attribution *a, const struct latch_flow *flow)
{
	int err = conflict_check_flow(&a->binding.view, flow);

	if (err)
		warn_and_check_again(a, "a new latch", err);
}

/* Local users can let events be lost. */
void attribution_reconcile(struct attribution *a)
{
	unsigned int wait_ms = walk_pace_wait_ms(&a->walks);

	a->recheck = true;
	if (!wait_ms)
		attribution_check_all(a);
	else if (!loop_timer_armed(&a->settle))
		loop_timer_arm(&a->settle, wait_ms);
	pending_sas_check_soon(&a->pending_sas);
}

/* All lose their params first: an index of the old table must not contest a new one. */
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
	/* Before the first look-up: the index may be full of namespaces of local users. */
	netns_hint(netns, daemon);
	err = sa_adoption_run(a->maps, netns);
	if (!err)
		err = key_managers_attach(&a->key_managers, feed, netns);
	if (err)
		return err;
	news_publish(a->news, &(struct news){.kind = NEWS_NETNS_SERVED, .netns = netns});
	return 0;
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
	log_warn(NULL, "feed %s: not all of its SAs are marked as orphans (%s); retrying in 1 s",
		 feed->name, strerror(-err));
	loop_timer_arm(&a->settle, CHECK_RETRY_MS);
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
			key_manager->synced = false;
		peer_death_feed_lost(&a->peer_death, feed);
		orphan_all(a, feed);
		return;
	case FEED_STATE_CONNECTED:
	case FEED_STATE_SYNCED:
		return;
	}
}

void attribution_feed_removed(struct attribution *a, struct feed *feed)
{
	on_state(a, feed, FEED_STATE_LOST, "no longer configured");
	key_managers_detach(&a->key_managers, feed);
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
		.child_down = child_reports_down,
		.peer_up = on_peer_up,
		.peer_rekeyed = on_peer_rekeyed,
		.peer_down = on_peer_down,
		.snapshot_begin = child_reports_list_begin,
		.snapshot_end = child_reports_list_end,
	};
	a->binding = (struct binding){
		.view = {maps, &a->child_sas, news, may_heal, a},
		.child_sas = &a->child_sas,
		.identities = identities,
		.walks = &a->walks,
		.marking = &a->marking,
		.later = &a->settle,
		.clear = &a->clear_marks,
		.marks_log = &a->marks_log,
		.share_log = &a->share_log,
	};
	a->orphans = (struct orphans){
		.maps = maps,
		.identities = identities,
		.child_sas = &a->child_sas,
		.key_managers = &a->key_managers,
	};
	peer_death_init(&a->peer_death, loop, &a->binding.view, identities);
	pending_sas_init(&a->pending_sas, loop, &a->binding, &a->key_managers);
	loop_timer_init(loop, &a->settle, on_settle, a);
	loop_timer_init(loop, &a->clear_marks, clear_marks, a);
	return a;
}

void attribution_free(struct attribution *a)
{
	if (!a)
		return;
	pending_sas_stop(&a->pending_sas);
	loop_timer_cancel(&a->settle);
	loop_timer_cancel(&a->clear_marks);
	peer_death_clear(&a->peer_death);
	key_managers_clear(&a->key_managers);
	child_sas_clear(&a->child_sas);
	free(a);
}

const struct feed_sink *attribution_sink(struct attribution *a)
{
	return &a->sink;
}
