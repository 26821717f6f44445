/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/spd/spd_watch.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "latchd/maps/latch_control.h"
#include "latchd/net/netns.h"
#include "latchd/maps/tables.h"
#include "latchd/spd/spd_check.h"

#define SPD_RECHECK_MS 250 /* between two checks of unprotected latches */

/* ---- namespaces to check ---- */

static bool contains(const uint64_t *cookies, size_t count, uint64_t cookie)
{
	size_t i;

	/* Equal cookies mostly come in runs. */
	for (i = count; i > 0; i--)
		if (cookies[i - 1] == cookie)
			return true;
	return false;
}

static void note_edited(struct spd_watch *watch, uint64_t netns)
{
	if (contains(watch->edited, watch->edited_count, netns))
		return;
	if (watch->edited_count < SPD_EDITED_MAX)
		watch->edited[watch->edited_count++] = netns;
	else
		watch->all_edited = true;
}

/* One line for as long as the failure persists. */
static void check_netns(struct spd_watch *watch, uint64_t netns, bool all)
{
	int err = spd_check(watch, netns, all);

	if (err && !watch->warned && !watch->failed)
		log_warn("latch",
			 "policies of network namespace %" PRIu64
			 " not read (%s): latches do not follow edits, the gates "
			 "still drop; next attempt within 10 s",
			 netns, strerror(-err));
	watch->failed |= err != 0;
}

/* ---- which namespaces ---- */

struct search {
	const struct spd_watch *watch;
	struct spd_namespaces found;
};

/* A latch without a known peer has no params to compare with. */
static bool is_checked(const struct spd_watch *watch, union latch_word word)
{
	return identities_get_params(watch->identities, word.params) != NULL;
}

/* Adds the latch's namespace to found. Only namespaces with latches are checked: the owner of a
 * namespace may edit its SPD at any rate. */
static int note_namespace(void *context, const struct latch_flow *flow, const struct latch *latch)
{
	struct search *search = context;
	struct spd_namespaces *found = &search->found;
	size_t capacity = found->capacity ? found->capacity * 2 : 16;
	uint64_t *cookies;

	if (!latch_is_live(latch) || !is_checked(search->watch, latch->word) ||
	    contains(found->cookies, found->count, flow->netns))
		return 0;
	if (found->count == found->capacity) {
		cookies = reallocarray(found->cookies, capacity, sizeof(*cookies));
		if (!cookies)
			return -ENOMEM;
		found->cookies = cookies;
		found->capacity = capacity;
	}
	found->cookies[found->count++] = flow->netns;
	return 0;
}

static bool has_created(const struct spd_watch *watch, uint64_t netns)
{
	size_t i;

	for (i = 0; i < watch->created_count; i++)
		if (watch->created[i].netns == netns)
			return true;
	return false;
}

/* Namespaces without a latch, but with policy entries of latchd. */
static void check_held(struct spd_watch *watch, const struct spd_namespaces *found)
{
	size_t i;

	for (i = watch->held_count; i > 0; i--) {
		uint64_t netns = watch->held[i - 1];

		if (!contains(found->cookies, found->count, netns))
			check_netns(watch, netns, true);
	}
}

static void check_all(struct spd_watch *watch, const struct spd_namespaces *found)
{
	size_t i;

	for (i = 0; i < found->count; i++) {
		uint64_t netns = found->cookies[i];
		bool edited = watch->periodic || watch->all_edited ||
			      contains(watch->edited, watch->edited_count, netns);

		if (edited || has_created(watch, netns))
			check_netns(watch, netns, edited);
	}
}

static void check_soon(struct spd_watch *watch)
{
	/* The next edit must not postpone the check, or a flood of edits would prevent it. */
	if (!loop_timer_armed(&watch->check))
		loop_timer_arm(&watch->check, SPD_SETTLE_MS);
}

/* The end of the grace period that ends first. */
struct next_end {
	struct spd_watch *watch;
	unsigned int left_ms; /* UINT_MAX: none is running */
};

/*
 * A flow that was unprotected in one check is checked again soon. A flow that waits for its policy
 * is checked at the end of its grace period. An event, or the periodic check, shows the policy's
 * return.
 */
static void plan_check(void *context, uint64_t netns, unsigned int left_ms)
{
	struct next_end *next = context;
	struct spd_watch *watch = next->watch;

	if (left_ms > SPD_RECHECK_MS) {
		next->left_ms = left_ms < next->left_ms ? left_ms : next->left_ms;
		return;
	}
	note_edited(watch, netns);
	if (!loop_timer_armed(&watch->check))
		loop_timer_arm(&watch->check, SPD_RECHECK_MS);
}

static void plan_checks(struct spd_watch *watch)
{
	struct next_end next = {watch, UINT_MAX};

	spd_grace_visit(&watch->grace, plan_check, &next);
	if (next.left_ms == UINT_MAX)
		loop_timer_cancel(&watch->grace_end);
	else
		loop_timer_arm(&watch->grace_end, next.left_ms);
}

static void on_grace_end(void *context)
{
	plan_checks(context);
}

static bool was_checked(const void *context, uint64_t netns)
{
	const struct spd_watch *watch = context;

	return watch->periodic || watch->all_edited ||
	       contains(watch->edited, watch->edited_count, netns);
}

/* After a failure the unprotected latches are not known, so none is cleared. */
static void end_round(struct spd_watch *watch)
{
	if (!watch->failed)
		spd_grace_end_round(&watch->grace, was_checked, watch);
	if (watch->failed || watch->periodic || watch->all_edited)
		watch->warned = watch->failed;
	watch->created_count = 0;
	watch->periodic = false;
	watch->round++;
}

/* Replaces the known namespaces. A new namespace counts as edited: edits there were ignored until
 * now. */
static int find_namespaces(struct spd_watch *watch)
{
	struct search search = {.watch = watch};
	int err = latches_walk(watch->maps, note_namespace, &search);
	size_t i;

	for (i = 0; i < search.found.count; i++)
		if (!contains(watch->known.cookies, watch->known.count, search.found.cookies[i]))
			note_edited(watch, search.found.cookies[i]);
	free(watch->known.cookies);
	watch->known = search.found;
	watch->knows = !err;
	return err;
}

/* An edit right after the last event may have no event of its own, so one more check follows. */
static void on_check(void *context)
{
	struct spd_watch *watch = context;
	int err = find_namespaces(watch);

	if (err)
		log_warn("latch",
			 "policies not checked (%s): the latch map cannot be "
			 "walked; next attempt in 10 s",
			 strerror(-err));
	watch->failed = err != 0;
	check_held(watch, &watch->known);
	check_all(watch, &watch->known);
	end_round(watch);
	if (loop_now_ms() - watch->edited_ms < SPD_SETTLE_MS) {
		check_soon(watch);
		return;
	}
	watch->edited_count = 0;
	watch->all_edited = false;
	plan_checks(watch);
}

static void on_period(void *context)
{
	struct spd_watch *watch = context;

	watch->periodic = true;
	check_soon(watch);
	loop_timer_arm(&watch->period, SPD_PERIOD_MS);
}

/* False: an edit in this namespace causes no check. Otherwise local users could cause full checks
 * at any rate. */
static bool has_latches(const struct spd_watch *watch, uint64_t netns)
{
	return !watch->knows || contains(watch->known.cookies, watch->known.count, netns) ||
	       contains(watch->edited, watch->edited_count, netns) ||
	       contains(watch->held, watch->held_count, netns);
}

static void take_edit(struct spd_watch *watch, uint64_t netns)
{
	note_edited(watch, netns);
	watch->edited_ms = loop_now_ms();
	check_soon(watch);
}

void spd_watch_edited(struct spd_watch *watch, uint64_t netns)
{
	if (has_latches(watch, netns))
		take_edit(watch, netns);
}

/*
 * The first latch of a namespace counts as an edit there. Edits before it were ignored, and an
 * edit right after their last event has no event of its own.
 */
void spd_watch_latch_created(struct spd_watch *watch, const struct latch_flow *flow,
			     union latch_word word)
{
	if (!is_checked(watch, word))
		return;
	if (!has_latches(watch, flow->netns))
		take_edit(watch, flow->netns);
	else if (watch->created_count < SPD_CREATED_MAX)
		watch->created[watch->created_count++] = *flow;
	else
		note_edited(watch, flow->netns);
	check_soon(watch);
}

void spd_watch_events_lost(struct spd_watch *watch)
{
	check_soon(watch);
}

void spd_watch_recheck(struct spd_watch *watch)
{
	watch->periodic = true;
	check_soon(watch);
}

void spd_watch_latch_closed(struct spd_watch *watch, const struct latch_flow *flow)
{
	if (!contains(watch->held, watch->held_count, flow->netns))
		return;
	note_edited(watch, flow->netns);
	check_soon(watch);
}

/* An earlier latchd may have left entries in this process's namespace, even without a latch. */
void spd_watch_start(struct spd_watch *watch, struct loop *loop)
{
	uint64_t own;

	if (!netns_own(&own))
		spd_state_set_held(watch, own, true);
	loop_timer_init(loop, &watch->check, on_check, watch);
	loop_timer_init(loop, &watch->period, on_period, watch);
	loop_timer_init(loop, &watch->grace_end, on_grace_end, watch);
	on_period(watch);
}

void spd_watch_stop(struct spd_watch *watch)
{
	spd_grace_release(&watch->grace);
	free(watch->known.cookies);
	watch->known = (struct spd_namespaces){0};
	watch->knows = false;
	loop_timer_cancel(&watch->check);
	loop_timer_cancel(&watch->period);
	loop_timer_cancel(&watch->grace_end);
}
