/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The CHILD_SAs that a feed reports, by events and in lists. Decides whether a report is taken,
 * refused, or of an SA that belongs to another CHILD_SA or key manager. A refused report takes the
 * peer from its SAs, and the next one lets flows no longer wait for them.
 */
#include <errno.h>
#include <string.h>
#include <utlist.h>

#include "common/clock.h"
#include "common/log.h"
#include "latchd/maps/tables.h"
#include "latchd/sa/attribution_parts.h"
#include "latchd/sa/binding/child_params.h"
#include "latchd/sa/binding/renewals.h"
#include "latchd/sa/binding/sa_ends.h"
#include "latchd/sa/unbound/unproven_sas.h"

/*
 * SPIs are reused, and this host chooses the inbound SPI only. So a known pair is a new
 * CHILD_SA only if its inbound SA is a new one.
 */
static bool is_replaced(const struct attribution *a, const struct child_sa *child,
			const struct latch_sa_key *in, const struct latch_sa_key *out)
{
	return memcmp(&child->in.key, in, sizeof(*in)) ||
	       memcmp(&child->out.key, out, sizeof(*out)) ||
	       sa_ends_is_replaced(&a->binding, &child->in);
}

/* 0. Or a negative errno: the CHILD_SA stays known, since one of its SAs may be bound and
 * conflict. */
static int forget_replaced(struct attribution *a, const struct latch_sa_key *key,
			   const struct latch_sa_key *in, const struct latch_sa_key *out)
{
	struct child_sa_end *end = child_sas_find(&a->child_sas, key);
	int err;

	if (!end || !is_replaced(a, end->child, in, out))
		return 0;
	err = sa_ends_unbind(&a->binding, end->child);
	if (!err)
		attribution_forget_child(a, end->child);
	return err;
}

/* Is the outbound SA another CHILD_SA's? 1, 0, or a negative errno. */
static int belongs_to_other(const struct attribution *a, const struct latch_sa_key *in,
			    const struct latch_sa_key *out)
{
	struct child_sa_end *end = child_sas_find(&a->child_sas, out);
	int moves;

	if (!end || end != &end->child->out || !memcmp(&end->child->in.key, in, sizeof(*in)))
		return 0;
	moves = sa_ends_outbound_moves(&a->binding, end, in);
	return moves < 0 ? moves : !moves;
}

/* The peer of an SA is fixed at installation, even if the key manager is reconfigured later. */
static int fix_auth_class(struct attribution *a, struct feed *feed, const struct latch_sa_key *in,
			  struct feed_child *child)
{
	struct ike_sa *ike_sa = ike_sas_find(&a->peer_death.ike_sas, feed, child->ike_unique_id);
	int known = child_params_find_auth_class(&a->binding, feed, in, child);

	if (known < 0)
		return known;
	if (ike_sa && known)
		ike_sas_infer_class(ike_sa, child);
	else if (ike_sa)
		ike_sas_correct_child(ike_sa, child);
	return 0;
}

/* The list has named the CHILD_SA, so it must not count as missing. */
static void keep_known(struct attribution *a, const struct latch_sa_key *in)
{
	struct child_sa_end *end = child_sas_find(&a->child_sas, in);

	if (end && end == &end->child->in)
		end->child->in_snapshot = true;
}

static void ask_again(struct attribution *a, struct key_manager *key_manager)
{
	key_manager->list_failed = true;
	attribution_settle_later(a);
}

/*
 * The key manager may have paired the SPIs wrongly in an earlier report. Then another list has
 * the right pairs. It may also report a pair for a while after the pair's inbound SA has ended.
 */
static void leave_to_other(struct attribution *a, struct key_manager *key_manager,
			   const struct latch_sa_key *in, const struct latch_sa_key *out)
{
	bool again = key_manager->left_out < KEY_MANAGER_LEFT_OUT_MAX;
	unsigned int left_out;
	struct latch_sa sa;

	if (sa_get(a->maps, in, &sa) == -ENOENT)
		return;
	if (log_limit_admits(&a->pairing_log, &left_out))
		log_warn(NULL,
			 "sa 0x%08x unattributed (pairing): feed %s reports it with outbound SA "
			 "0x%08x, which is another CHILD_SA's; %s; %u more since the last line",
			 in->spi, key_manager->feed->name, out->spi,
			 again ? "asking for another list" : "waiting for the next list", left_out);
	key_manager->has_left_out = true;
	if (again)
		ask_again(a, key_manager);
}

static void leave_unread(struct attribution *a, struct key_manager *key_manager,
			 const struct latch_sa_key *in, int err)
{
	unsigned int left_out;

	if (log_limit_admits(&a->check_log, &left_out))
		log_warn(NULL,
			 "sa 0x%08x unattributed (cannot read the SAs of its report: %s): feed %s; "
			 "asking for another list in 1 s; %u more since the last line",
			 in->spi, strerror(-err), key_manager->feed->name, left_out);
	ask_again(a, key_manager);
}

/*
 * True: the report can be used. It then has the class of its peer, and the CHILD_SAs that it
 * replaces are forgotten.
 */
static bool admit(struct attribution *a, struct key_manager *key_manager,
		  const struct latch_sa_key *in, const struct latch_sa_key *out,
		  struct feed_child *report)
{
	int other = belongs_to_other(a, in, out), err;

	err = other ? other : fix_auth_class(a, key_manager->feed, in, report);
	if (!err) {
		refused_sas_forget(&a->refused_sas, in);
		refused_sas_forget(&a->refused_sas, out);
	}
	err = err ? err : forget_replaced(a, in, in, out);
	err = err ? err : forget_replaced(a, out, in, out);
	if (!err)
		return true;
	keep_known(a, in);
	if (other > 0)
		leave_to_other(a, key_manager, in, out);
	else
		leave_unread(a, key_manager, in, err);
	return false;
}

/* A host with SAs to itself may have one key for both SAs. Another list would show the same. */
static void leave_unlearned(struct attribution *a, struct key_manager *key_manager,
			    const struct feed_child *report, const struct latch_sa_key *in,
			    const struct latch_sa_key *out)
{
	bool no_pair = !memcmp(in, out, sizeof(*in));
	unsigned int left_out;

	if (log_limit_admits(&a->check_log, &left_out))
		log_error(NULL,
			  "child_sa %u unattributed (%s): feed %s; %s; %u more since the last line",
			  report->child_unique_id, no_pair ? "both SAs have one key" : "no memory",
			  key_manager->feed->name,
			  no_pair ? "see: latchctl sa" : "asking for another list in 1 s",
			  left_out);
	if (!no_pair)
		ask_again(a, key_manager);
}

static void note_evidence(struct child_sa *child, const struct key_manager *key_manager,
			  const char *evidence)
{
	if (strcmp(evidence, FEED_EVIDENCE_LIST))
		child->announced = true;
	else
		child->listed_ns = key_manager->list_began_ns;
}

void child_reports_up(void *context, struct feed *feed, const struct feed_child *reported,
		      const char *evidence)
{
	struct attribution *a = context;
	struct key_manager *key_manager = key_managers_find(&a->key_managers, feed);
	struct feed_child report = *reported;
	struct latch_sa_key in, out;
	struct child_sa *child;
	int err = 0;

	if (!key_manager)
		return;
	child_sas_keys(&report, key_manager->netns, &in, &out);
	renewals_reported(&a->child_sas, &in, &out);
	if (!admit(a, key_manager, &in, &out, &report))
		return;
	child = child_sas_learn(&a->child_sas, feed, key_manager->netns, &report, evidence);
	if (child)
		note_evidence(child, key_manager, evidence);
	if (!child)
		leave_unlearned(a, key_manager, &report, &in, &out);
	else if (key_manager->synced)
		err = binding_bind(&a->binding, child);
	if (err)
		attribution_retry_to_bind(a, err);
	if (err && child_sas_is_superfluous(&a->child_sas, child))
		attribution_forget_child(a, child);
}

static bool is_of_other_feed(const struct attribution *a, const struct child_sa *child,
			     const struct feed *feed)
{
	return child->feed != feed && key_managers_find(&a->key_managers, child->feed);
}

/* An SA that is not in the table needs no place. An SA that cannot be read gets its place later. */
static int place_end(struct attribution *a, const struct latch_sa_key *key, const char *reason)
{
	struct latch_sa sa;
	int err = sa_get(a->maps, key, &sa);

	if (err || sa.word.state != LATCH_SA_PENDING)
		return err;
	if (refused_sas_note(&a->refused_sas, key, reason, true)) {
		refused_sas_note_report(&a->refused_sas, key, sa.word.serial);
		return 0;
	}
	return refused_sas_evict(&a->refused_sas, a->maps, key, sa.word.serial);
}

/*
 * The peer chooses the outbound SPI, and a report may be late. If the inbound SA is gone, the
 * outbound SA may be another peer's.
 */
static void place(struct attribution *a, const struct refused_child *child,
		  const struct feed_refusal *refusal, bool decided)
{
	if (place_end(a, child->in, refusal->reason))
		return;
	if (child->out)
		place_end(a, child->out, refusal->reason);
	if (decided)
		unproven_sas_decide(&a->refused_sas, a->maps, child);
}

static uint64_t list_of(const struct key_manager *key_manager, const struct feed_refusal *refusal)
{
	bool listed = refusal->evidence && !strcmp(refusal->evidence, FEED_EVIDENCE_LIST);

	return listed ? key_manager->list_began_ns : 0;
}

/*
 * An earlier latchd, or a feed with other statements, may have bound the SAs of this CHILD_SA.
 * After an error it stays known, as at forget_replaced(). An SA that loses its peer here is
 * decided by the next report.
 */
static void refuse(struct attribution *a, struct key_manager *key_manager,
		   const struct feed_child *reported, const struct latch_sa_key *in,
		   const struct latch_sa_key *out, const struct feed_refusal *refusal)
{
	struct child_sa_end *end = child_sas_find(&a->child_sas, in);
	struct refused_child child = {
		.feed = key_manager->feed,
		.former = end ? end->child->feed : NULL,
		.reported = reported,
		.in = in,
		.out = out,
		.listed_ns = list_of(key_manager, refusal),
	};
	int unbound = refused_sas_unbind(&a->binding, &a->orphans, &child);

	if (unbound < 0) {
		keep_known(a, in);
		ask_again(a, key_manager);
		return;
	}
	if (end)
		attribution_forget_child(a, end->child);
	/* The outbound SA may have been installed again, after this inbound SA: see
	 * belongs_to_other(). */
	if (child_sas_find(&a->child_sas, out))
		child.out = NULL;
	place(a, &child, refusal, refusal->decided && !unbound);
}

void child_reports_refused(void *context, struct feed *feed, const struct feed_child *reported,
			   const struct feed_refusal *refusal)
{
	struct attribution *a = context;
	struct key_manager *key_manager = key_managers_find(&a->key_managers, feed);
	struct latch_sa_key in, out;
	struct child_sa_end *end;
	int other;

	if (!key_manager)
		return;
	child_sas_keys(reported, key_manager->netns, &in, &out);
	renewals_reported(&a->child_sas, &in, &out);
	end = child_sas_find(&a->child_sas, &in);
	other = belongs_to_other(a, &in, &out);
	if (other < 0)
		leave_unread(a, key_manager, &in, other);
	if (other || (end && (end != &end->child->in || is_of_other_feed(a, end->child, feed))))
		return;
	refuse(a, key_manager, reported, &in, &out, refusal);
}

static void mark_deleted(struct attribution *a, struct child_sa *child)
{
	int there = sa_ends_check(&a->binding, child);

	if (!child->deleted && !child->orphan)
		child->ended_ns = clock_boot_ns();
	child->deleted = true;
	a->recheck = a->recheck || there < 0;
	if (there < 0)
		attribution_settle_later(a);
	if (there)
		attribution_end_child(a, child);
	else
		attribution_forget_child(a, child);
}

void child_reports_down(void *context, struct feed *feed, const struct feed_child *reported)
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

/* ---- lists */

void child_reports_list_begin(void *context, struct feed *feed)
{
	struct attribution *a = context;
	struct key_manager *key_manager = key_managers_find(&a->key_managers, feed);
	struct child_sa *child;

	if (key_manager) {
		key_manager->has_left_out = false;
		key_manager->list_began_ns = clock_boot_ns();
	}
	peer_death_snapshot_begin(&a->peer_death, feed);
	renewals_list_begin(&a->child_sas, feed);
	DL_FOREACH2(a->child_sas.first, child, next)
	{
		if (child->feed == feed)
			child->in_snapshot = false;
	}
}

/*
 * A CHILD_SA that is not in the snapshot was deleted. An orphan stays one: the key
 * manager may have restarted and forgotten it.
 */
static void settle_missing(struct attribution *a, struct child_sa *child)
{
	if (!child->orphan)
		mark_deleted(a, child);
	else if (!sa_ends_check(&a->binding, child))
		attribution_forget_child(a, child);
}

/*
 * An SA that an earlier latchd bound and that is not in the first snapshot starts no latch, and
 * conflicts with none. It leaves BOUND before SAs of the snapshot become BOUND.
 */
static int sync(struct attribution *a, struct key_manager *key_manager)
{
	int err = key_manager->synced ? 0 : orphans_mark(&a->orphans, key_manager->feed);

	key_manager->synced = !err;
	return err;
}

static void settle_all_missing(struct attribution *a, const struct feed *feed)
{
	struct child_sa *child, *next;

	DL_FOREACH_SAFE2(a->child_sas.first, child, next, next)
	{
		if (child->feed == feed && !child->in_snapshot)
			settle_missing(a, child);
	}
}

static bool is_reported(void *context, const struct latch_sa_key *in, uint32_t serial)
{
	return refused_sas_is_reported(context, in, serial);
}

static void bind_list(struct attribution *a, struct key_manager *key_manager, bool first)
{
	const struct renewals_refused refused = {is_reported, &a->refused_sas};
	int err;

	settle_all_missing(a, key_manager->feed);
	key_manager->left_out = key_manager->has_left_out ? key_manager->left_out + 1 : 0;
	renewals_list_end(&a->binding, key_manager->feed, &refused);
	err = binding_bind_snapshot(&a->binding, key_manager->feed, first);
	if (err)
		attribution_retry_to_bind(a, err);
	attribution_drop_absent(a);
	peer_death_snapshot_end(&a->peer_death, key_manager->feed);
	if (!first)
		return;
	attribution_check_all(a);
	/* SAs that were installed before latchd started have no event. */
	pending_sas_check_soon(&a->pending_sas);
}

void child_reports_list_end(void *context, struct feed *feed)
{
	struct attribution *a = context;
	struct key_manager *key_manager = key_managers_find(&a->key_managers, feed);
	bool first = key_manager && !key_manager->synced;
	int err;

	if (!key_manager)
		return;
	err = sync(a, key_manager);
	if (!err) {
		bind_list(a, key_manager, first);
		return;
	}
	log_warn(NULL, "first list of feed %s not applied (%s); asking for another in 1 s",
		 feed->name, strerror(-err));
	key_manager->list_failed = true;
	loop_timer_arm(&a->settle, CHECK_RETRY_MS);
}
