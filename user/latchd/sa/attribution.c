/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/sa/attribution.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "common/log.h"
#include "latchd/sa/binding.h"
#include "latchd/sa/child_params.h"
#include "latchd/sa/child_sas.h"
#include "latchd/sa/key_managers.h"
#include "latchd/net/netns.h"
#include "latchd/sa/orphans.h"
#include "latchd/sa/peer_death.h"
#include "latchd/sa/pending_sas.h"
#include "latchd/sa/refused_sas.h"
#include "latchd/sa/sa_adoption.h"

#define CHECK_RETRY_MS 1000

struct attribution {
	const struct kernel_maps *maps;
	struct identities *identities;
	const struct news_bus *news;
	struct feed_sink sink;
	struct key_managers key_managers;
	struct child_sas child_sas;
	struct binding binding;
	struct orphans orphans;
	struct peer_death peer_death;
	struct pending_sas pending_sas;
	struct refused_sas refused_sas;
	/* One check of all latches after any number of CHILD_SAs has ended. */
	struct loop_timer settle;
	struct walk_pace walks;
	struct log_limit marks_log, share_log, check_log;
};

static bool netns_is_synced(void *context, uint64_t netns)
{
	const struct attribution *a = context;

	return key_managers_are_synced(&a->key_managers, netns);
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

static void check_all(void *context)
{
	struct attribution *a = context;
	int orphaned = orphans_mark_again(&a->orphans), err;
	bool left;

	key_managers_retry_lists(&a->key_managers);
	err = binding_bind_waiting(&a->binding, &left);
	if (err)
		warn_and_check_again(a, "all latches", err);
	else if ((left || orphaned) && !loop_timer_armed(&a->settle))
		loop_timer_arm(&a->settle, CHECK_RETRY_MS);
}

/* ---- pending SAs */

/*
 * The SAs of a CHILD_SA that could not be bound stay pending, as if it were not reported. Those
 * that an earlier latchd has bound may lack a mark, or conflict with a latch.
 */
static void retry_to_bind(struct attribution *a, int err)
{
	if (err == -ENOENT)
		pending_sas_missing(&a->pending_sas);
	else
		pending_sas_check_soon(&a->pending_sas);
	/* -ENOENT: no SA of it is there, and none has to be bound. */
	if (err != -ENOENT && err != -EINPROGRESS && !loop_timer_armed(&a->settle))
		loop_timer_arm(&a->settle, CHECK_RETRY_MS);
}

void attribution_sa_pending(struct attribution *a, const struct latch_sa_key *key)
{
	pending_sas_new(&a->pending_sas, key);
}

/* ---- CHILD_SAs that end */

/* The last of its group: latches may heal. */
static bool is_last(const struct child_sa *child)
{
	return child->params && (!child->group || !child->group->members->member_next);
}

static void forget_child(struct attribution *a, struct child_sa *child)
{
	bool last = is_last(child);

	child_sas_remove(&a->child_sas, child);
	if (binding_update_contested(&a->binding) || last)
		loop_timer_arm(&a->settle, walk_pace_wait_ms(&a->walks));
}

/* The SAs of a CHILD_SA without params may still be installed, unless it was deleted. */
static bool has_ended(struct attribution *a, struct child_sa *child)
{
	return (child->params || child->deleted) && !binding_check_kernel(&a->binding, child);
}

void attribution_sa_gone(struct attribution *a, const struct latch_sa_key *key)
{
	struct child_sa_end *end = child_sas_find(&a->child_sas, key);

	refused_sas_forget(&a->refused_sas, key);
	if (end && has_ended(a, end->child))
		forget_child(a, end->child);
}

/*
 * SPIs are reused. Only the inbound SPI is chosen by this host, so only a new inbound SA,
 * which the key manager reports now, makes a known pair a new CHILD_SA.
 */
static void forget_replaced(struct attribution *a, const struct latch_sa_key *key,
			    const struct latch_sa_key *in, const struct latch_sa_key *out)
{
	struct child_sa_end *end = child_sas_find(&a->child_sas, key);

	if (end && (memcmp(&end->child->in.key, in, sizeof(*in)) ||
		    memcmp(&end->child->out.key, out, sizeof(*out)) ||
		    binding_is_replaced(&a->binding, &end->child->in)))
		forget_child(a, end->child);
}

void attribution_latch_created(struct attribution *a, const struct latch_flow *flow)
{
	int err = conflict_check_flow(&a->binding.view, flow);

	if (err)
		warn_and_check_again(a, "a new latch", err);
}

void attribution_reconcile(struct attribution *a)
{
	struct child_sa *child, *next;

	DL_FOREACH_SAFE2(a->child_sas.first, child, next, next)
	{
		if (has_ended(a, child))
			forget_child(a, child);
	}
	check_all(a);
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
	check_all(a);
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

/* The CHILD_SA is deleted or orphaned: its SAs start no latch any more. */
static void end_child(struct attribution *a, struct child_sa *child)
{
	int err = binding_set_state(&a->binding, child);

	child->unmarked = err != 0;
	if (err)
		retry_to_bind(a, err);
}

static void orphan_all(struct attribution *a, const struct feed *feed)
{
	struct child_sa *child;
	int err;

	DL_FOREACH2(a->child_sas.first, child, next)
	{
		if (child->feed == feed) {
			child->orphan = true;
			child->waits = false;
			end_child(a, child);
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

static bool belongs_to_other(const struct attribution *a, const struct latch_sa_key *in,
			     const struct latch_sa_key *out)
{
	struct child_sa_end *end = child_sas_find(&a->child_sas, out);

	return end && end == &end->child->out && memcmp(&end->child->in.key, in, sizeof(*in)) &&
	       !binding_outbound_moves(&a->binding, end, in);
}

/* The peer of an SA is fixed at installation, even if the key manager is reconfigured later. */
static void fix_auth_class(struct attribution *a, struct feed *feed, const struct latch_sa_key *in,
			   struct feed_child *child)
{
	struct ike_sa *ike_sa = ike_sas_find(&a->peer_death.ike_sas, feed, child->ike_unique_id);
	bool known = child_params_find_auth_class(&a->binding, feed, in, child);

	if (ike_sa && known)
		ike_sas_infer_class(ike_sa, child);
	else if (ike_sa)
		ike_sas_correct_child(ike_sa, child);
}

static void on_child_up(void *context, struct feed *feed, const struct feed_child *reported,
			const char *evidence)
{
	struct attribution *a = context;
	struct key_manager *key_manager = key_managers_find(&a->key_managers, feed);
	struct feed_child child_report = *reported;
	struct latch_sa_key in, out;
	struct child_sa *child;
	int err = 0;

	if (!key_manager)
		return;
	child_sas_keys(&child_report, key_manager->netns, &in, &out);
	if (belongs_to_other(a, &in, &out))
		return;
	refused_sas_forget(&a->refused_sas, &in);
	refused_sas_forget(&a->refused_sas, &out);
	forget_replaced(a, &in, &in, &out);
	forget_replaced(a, &out, &in, &out);
	fix_auth_class(a, feed, &in, &child_report);
	child = child_sas_learn(&a->child_sas, feed, key_manager->netns, &child_report, evidence);
	if (!child)
		log_error(NULL, "feed %s: no memory for CHILD_SA %u; its SAs stay unattributed",
			  feed->name, child_report.child_unique_id);
	else if (key_manager->synced)
		err = binding_bind(&a->binding, child);
	if (err)
		retry_to_bind(a, err);
}

static bool is_of_other_feed(const struct attribution *a, const struct child_sa *child,
			     const struct feed *feed)
{
	return child->feed != feed && key_managers_find(&a->key_managers, child->feed);
}

/* An earlier latchd, or a feed with other statements, may have bound its SAs. */
static void on_child_refused(void *context, struct feed *feed, const struct feed_child *reported,
			     const char *reason)
{
	struct attribution *a = context;
	struct key_manager *key_manager = key_managers_find(&a->key_managers, feed);
	struct latch_sa_key in, out;
	struct child_sa_end *end;

	if (!key_manager)
		return;
	child_sas_keys(reported, key_manager->netns, &in, &out);
	if (belongs_to_other(a, &in, &out))
		return;
	end = child_sas_find(&a->child_sas, &in);
	if (end && (end != &end->child->in || is_of_other_feed(a, end->child, feed)))
		return;
	if (end)
		forget_child(a, end->child);
	refused_sas_note(&a->refused_sas, &in, reason);
	refused_sas_note(&a->refused_sas, &out, reason);
	if (!refused_sas_unbind(&a->binding, feed, reported, &in, &out))
		return;
	key_manager->list_failed = true;
	loop_timer_arm(&a->settle, CHECK_RETRY_MS);
}

static void mark_deleted(struct attribution *a, struct child_sa *child)
{
	child->deleted = true;
	if (binding_check_kernel(&a->binding, child))
		end_child(a, child);
	else
		forget_child(a, child);
}

static void on_child_down(void *context, struct feed *feed, const struct feed_child *reported)
{
	struct attribution *a = context;
	struct key_manager *key_manager = key_managers_find(&a->key_managers, feed);
	struct latch_sa_key in, out;
	struct child_sa_end *end;

	if (!key_manager)
		return;
	child_sas_keys(reported, key_manager->netns, &in, &out);
	end = child_sas_find(&a->child_sas, &in);
	if (end && end->child->feed == feed)
		mark_deleted(a, end->child);
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

static void on_snapshot_begin(void *context, struct feed *feed)
{
	struct attribution *a = context;
	struct child_sa *child;

	peer_death_snapshot_begin(&a->peer_death, feed);
	DL_FOREACH2(a->child_sas.first, child, next)
	{
		if (child->feed == feed)
			child->in_snapshot = false;
	}
}

/*
 * A CHILD_SA that is not in the snapshot was deleted. After a restart the key manager may
 * have lost it only: then it stays an orphan.
 */
static void settle_missing(struct attribution *a, struct child_sa *child)
{
	if (!child->orphan)
		mark_deleted(a, child);
	else if (!binding_check_kernel(&a->binding, child))
		forget_child(a, child);
}

/*
 * An SA that an earlier latchd bound and that is not in the first snapshot starts no latch, and
 * conflicts with none: it must no longer be BOUND when others become so.
 */
static int sync(struct attribution *a, struct key_manager *key_manager)
{
	int err = key_manager->synced ? 0 : orphans_mark(&a->orphans, key_manager->feed);

	key_manager->synced = !err;
	return err;
}

static void on_snapshot_end(void *context, struct feed *feed)
{
	struct attribution *a = context;
	struct key_manager *key_manager = key_managers_find(&a->key_managers, feed);
	struct child_sa *child, *next;
	bool first = key_manager && !key_manager->synced;
	int err;

	if (!key_manager)
		return;
	err = sync(a, key_manager);
	if (err) {
		log_warn(NULL,
			 "feed %s: its first list has no effect (%s); asking for another in 1 s",
			 feed->name, strerror(-err));
		key_manager->list_failed = true;
		loop_timer_arm(&a->settle, CHECK_RETRY_MS);
		return;
	}
	DL_FOREACH_SAFE2(a->child_sas.first, child, next, next)
	{
		if (child->feed == feed && !child->in_snapshot)
			settle_missing(a, child);
	}
	err = binding_bind_snapshot(&a->binding, feed);
	if (err)
		retry_to_bind(a, err);
	peer_death_snapshot_end(&a->peer_death, feed);
	if (!first)
		return;
	check_all(a);
	/* SAs that were installed before have no event. */
	pending_sas_check_soon(&a->pending_sas);
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
		.child_up = on_child_up,
		.child_refused = on_child_refused,
		.child_down = on_child_down,
		.peer_up = on_peer_up,
		.peer_rekeyed = on_peer_rekeyed,
		.peer_down = on_peer_down,
		.snapshot_begin = on_snapshot_begin,
		.snapshot_end = on_snapshot_end,
	};
	a->binding = (struct binding){
		.view = {maps, &a->child_sas, news, netns_is_synced, a},
		.child_sas = &a->child_sas,
		.identities = identities,
		.walks = &a->walks,
		.later = &a->settle,
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
	loop_timer_init(loop, &a->settle, check_all, a);
	return a;
}

void attribution_free(struct attribution *a)
{
	if (!a)
		return;
	pending_sas_stop(&a->pending_sas);
	loop_timer_cancel(&a->settle);
	peer_death_clear(&a->peer_death);
	key_managers_clear(&a->key_managers);
	child_sas_clear(&a->child_sas);
	refused_sas_clear(&a->refused_sas);
	free(a);
}

const char *attribution_refusal(const struct attribution *a, const struct latch_sa_key *key)
{
	return refused_sas_reason(&a->refused_sas, key);
}

const struct feed_sink *attribution_sink(struct attribution *a)
{
	return &a->sink;
}
