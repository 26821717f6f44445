/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/spd/spd_watch.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "latchd/maps/latch_control.h"
#include "latchd/net/netns.h"
#include "latchd/maps/tables.h"
#include "latchd/spd/spd_check.h"

#define SPD_SUSPECT_MS 250 /* between two looks at who is not protected */

/* ---- namespaces to look at ---- */

static bool contains(const uint64_t *cookies, size_t count, uint64_t cookie)
{
	size_t i;

	/* Most come in runs of the same. */
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

/* One line for as long as it cannot look at all of them. */
static void look_at(struct spd_watch *watch, uint64_t netns, bool all)
{
	int err = spd_check(watch, netns, all);

	if (err && !watch->told && !watch->failed)
		log_warn("latch",
			 "network namespace %" PRIu64 ": cannot look at its IPsec policies: %s; "
			 "latches do not follow them, the gates still drop; trying again",
			 netns, strerror(-err));
	watch->failed |= err != 0;
}

/* ---- which namespaces ---- */

/* Only where there are latches: whoever owns a namespace may edit its SPD all day long. */
struct namespaces {
	uint64_t *cookies;
	size_t count, capacity;
};

static int note_namespace(void *context, const struct latch_flow *flow, const struct latch *latch)
{
	struct namespaces *found = context;
	size_t capacity = found->capacity ? found->capacity * 2 : 16;
	uint64_t *cookies;

	if (!latch_is_live(latch) || contains(found->cookies, found->count, flow->netns))
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

static bool has_born(const struct spd_watch *watch, uint64_t netns)
{
	size_t i;

	for (i = 0; i < watch->born_count; i++)
		if (watch->born[i].netns == netns)
			return true;
	return false;
}

/* Those whose last latch has ended, but not its entries. */
static void look_at_held(struct spd_watch *watch, const struct namespaces *found)
{
	size_t i;

	for (i = watch->held_count; i > 0; i--) {
		uint64_t netns = watch->held[i - 1];

		if (!contains(found->cookies, found->count, netns))
			look_at(watch, netns, true);
	}
}

static void look_at_all(struct spd_watch *watch, const struct namespaces *found)
{
	size_t i;

	for (i = 0; i < found->count; i++) {
		uint64_t netns = found->cookies[i];
		bool edited =
			watch->all_edited || contains(watch->edited, watch->edited_count, netns);

		if (edited || has_born(watch, netns))
			look_at(watch, netns, edited);
	}
}

static void look_soon(struct spd_watch *watch)
{
	/* Not put off by the next edit, or a flood of them would keep it from looking. */
	if (!loop_timer_armed(&watch->look))
		loop_timer_arm(&watch->look, SPD_SETTLE_MS);
}

static void look_at_suspects_of(void *context, uint64_t netns)
{
	struct spd_watch *watch = context;

	note_edited(watch, netns);
	if (!loop_timer_armed(&watch->look))
		loop_timer_arm(&watch->look, SPD_SUSPECT_MS);
}

/* Whom it could not look at it can neither suspect nor acquit. */
static void end_round(struct spd_watch *watch)
{
	if (!watch->failed)
		spd_suspects_acquit(&watch->suspects);
	if (watch->failed || watch->all_edited)
		watch->told = watch->failed;
	watch->born_count = 0;
	watch->round++;
}

/* An edit that was too near to be told may have followed the last one: then it looks once more. */
static void on_look(void *context)
{
	struct spd_watch *watch = context;
	struct namespaces found = {0};
	int err;

	err = latches_walk(watch->maps, note_namespace, &found);
	if (err)
		log_warn("latch",
			 "cannot look for latches whose policies were edited: %s; "
			 "trying again",
			 strerror(-err));
	watch->failed = err != 0;
	look_at_held(watch, &found);
	look_at_all(watch, &found);
	free(found.cookies);
	end_round(watch);
	if (loop_now_ms() - watch->edited_ms < SPD_SETTLE_MS) {
		look_soon(watch);
		return;
	}
	watch->edited_count = 0;
	watch->all_edited = false;
	spd_suspects_visit(&watch->suspects, look_at_suspects_of, watch);
}

static void on_period(void *context)
{
	struct spd_watch *watch = context;

	watch->all_edited = true;
	look_soon(watch);
	loop_timer_arm(&watch->period, SPD_PERIOD_MS);
}

void spd_watch_edited(struct spd_watch *watch, uint64_t netns)
{
	note_edited(watch, netns);
	watch->edited_ms = loop_now_ms();
	look_soon(watch);
}

void spd_watch_latch_born(struct spd_watch *watch, const struct latch_flow *flow)
{
	if (watch->born_count < SPD_BORN_MAX)
		watch->born[watch->born_count++] = *flow;
	else
		note_edited(watch, flow->netns);
	look_soon(watch);
}

void spd_watch_latch_closed(struct spd_watch *watch, const struct latch_flow *flow)
{
	if (!contains(watch->held, watch->held_count, flow->netns))
		return;
	note_edited(watch, flow->netns);
	look_soon(watch);
}

/* What an earlier latchd has left in our own namespace; where there are latches it looks anyway. */
void spd_watch_start(struct spd_watch *watch, struct loop *loop)
{
	uint64_t own;

	if (!netns_own(&own))
		spd_set_held(watch, own, true);
	loop_timer_init(loop, &watch->look, on_look, watch);
	loop_timer_init(loop, &watch->period, on_period, watch);
	on_period(watch);
}

void spd_watch_stop(struct spd_watch *watch)
{
	spd_suspects_release(&watch->suspects);
	loop_timer_cancel(&watch->look);
	loop_timer_cancel(&watch->period);
}
