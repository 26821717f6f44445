/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/spd_watch.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "latchd/kernel/latch_control.h"
#include "latchd/kernel/netns.h"
#include "latchd/kernel/policy_dump.h"
#include "latchd/kernel/tables.h"
#include "latchd/spd_protect.h"
#include "latchd/spd_view.h"

#define SPD_SUSPECT_MS 500 /* between two looks at who has no policy */

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

/* ---- latches without a policy ---- */

struct spd_suspect {
	uint64_t id; /* of the latch */
	uint64_t netns;
	uint64_t since_ms;
	unsigned int round; /* in which it was suspected last */
	UT_hash_handle hh;
};

/* Whether its key manager has had the time to bring it back; without memory it has. */
static bool has_had_time(struct spd_watch *watch, const struct latch_flow *flow, uint64_t id)
{
	struct spd_suspect *suspect;

	HASH_FIND(hh, watch->suspects, &id, sizeof(id), suspect);
	if (!suspect) {
		suspect = calloc(1, sizeof(*suspect));
		if (!suspect)
			return true;
		suspect->id = id;
		suspect->netns = flow->netns;
		suspect->since_ms = loop_now_ms();
		HASH_ADD(hh, watch->suspects, id, sizeof(suspect->id), suspect);
	}
	suspect->round = watch->round;
	return loop_now_ms() - suspect->since_ms >= SPD_ABSENT_MS;
}

/* Those that this round, which looked at all their namespaces, did not find again. */
static void acquit_others(struct spd_watch *watch)
{
	struct spd_suspect *suspect, *next;

	HASH_ITER(hh, watch->suspects, suspect, next)
	{
		if (suspect->round == watch->round)
			continue;
		HASH_DEL(watch->suspects, suspect);
		free(suspect);
	}
}

static void look_at_suspects_again(struct spd_watch *watch)
{
	struct spd_suspect *suspect, *next;

	HASH_ITER(hh, watch->suspects, suspect, next)
	{
		note_edited(watch, suspect->netns);
	}
	if (watch->suspects && !loop_timer_armed(&watch->look))
		loop_timer_arm(&watch->look, SPD_SUSPECT_MS);
}

/* ---- one latch ---- */

struct look {
	struct spd_watch *watch;
	const struct spd_view *view;
	uint64_t netns;
	bool held;   /* has entries of ours now */
	bool healed; /* some latch was */
};

struct finding {
	uint8_t seen;	  /* set of enum latch_spd: where it is protected */
	bool offended;	  /* where it was protected, it is not now */
	enum policy_direction direction;
	struct policy_verdict verdict;
};

static const uint8_t direction_bits[POLICY_DIRECTIONS] = {
	[POLICY_OUT] = LATCH_SPD_OUT,
	[POLICY_IN] = LATCH_SPD_IN,
};

/* An offence by a policy counts for more than one by the lack of it, which may pass. */
static void add_verdict(struct finding *finding, enum policy_direction direction,
			const struct policy_verdict *verdict, uint8_t seen_before)
{
	if (verdict->congruent) {
		finding->seen |= direction_bits[direction];
		return;
	}
	if (!(seen_before & direction_bits[direction]) ||
	    (finding->offended && !(finding->verdict.absent && !verdict->absent)))
		return;
	finding->offended = true;
	finding->direction = direction;
	finding->verdict = *verdict;
}

static int break_latch(const struct look *look, const struct latch_flow *flow,
		       const struct latch *latch, const struct finding *finding)
{
	struct spd_watch *watch = look->watch;
	union latch_word now;
	int result;

	if (latch->word.reasons & LATCH_REASON_SPD_CHANGE ||
	    (finding->verdict.absent && !has_had_time(watch, flow, latch->id)))
		return 0;
	result = latch_break(watch->maps, flow, latch->id, LATCH_REASON_SPD_CHANGE, &now);
	if (result == LATCH_CONTROL_DONE && latch_became_broken(now, LATCH_REASON_SPD_CHANGE))
		watch->observer->latch_broken(watch->observer->context, flow, latch,
					      finding->direction, &finding->verdict);
	return result < 0 ? result : 0;
}

static int heal_latch(struct look *look, const struct latch_flow *flow,
		      const struct latch *latch)
{
	struct spd_watch *watch = look->watch;
	union latch_word now;
	int result;

	if (!(latch->word.reasons & LATCH_REASON_SPD_CHANGE))
		return 0;
	result = latch_heal(watch->maps, flow, latch->id, LATCH_REASON_SPD_CHANGE, &now);
	if (result == LATCH_CONTROL_DONE && latch_is_healed(now))
		watch->observer->latch_healed(watch->observer->context, flow, latch,
					      LATCH_REASON_SPD_CHANGE);
	look->healed |= result == LATCH_CONTROL_DONE;
	return result < 0 ? result : 0;
}

/* Where there is no place left, entries still end by themselves. */
static void set_held(struct spd_watch *watch, uint64_t netns, bool held)
{
	size_t i;

	for (i = 0; i < watch->held_count && watch->held[i] != netns; i++)
		;
	if (held && i == watch->held_count && i < SPD_HELD_MAX)
		watch->held[watch->held_count++] = netns;
	else if (!held && i < watch->held_count)
		watch->held[i] = watch->held[--watch->held_count];
}

/* Whether entries of our own stand in for the policies, where the rule wants that. */
static bool is_held(struct look *look, const struct latch_flow *flow,
		    const struct latch *latch, const struct policy_query *query,
		    const struct finding *finding)
{
	const struct spd_observer *observer = look->watch->observer;
	int result;

	if (!(latch->rule_flags & LATCH_RULE_PROTECT))
		return false;
	result = spd_protect(look->view, flow, latch, query);
	if (result >= 0)
		set_held(look->watch, flow->netns, look->held = true);
	if (result > 0)
		observer->latch_held(observer->context, flow, latch, finding->direction,
				     &finding->verdict);
	return result >= 0;
}

static int release(const struct look *look, const struct latch_flow *flow,
		   const struct latch *latch)
{
	const struct spd_observer *observer = look->watch->observer;
	int result = spd_unprotect(look->view, flow);

	if (result > 0)
		observer->latch_released(observer->context, flow, latch);
	return result < 0 ? result : 0;
}

static int act_on(struct look *look, const struct latch_flow *flow, const struct latch *latch,
		  const struct policy_query *query, const struct finding *finding)
{
	int result = 0;

	if (finding->seen & ~latch->spd)
		result = latch_spd_seen(look->watch->maps, flow, latch->id, finding->seen);
	if (result < 0)
		return result;
	if (!finding->offended)
		result = release(look, flow, latch);
	else if (!is_held(look, flow, latch, query, finding))
		return break_latch(look, flow, latch, finding);
	return result < 0 ? result : heal_latch(look, flow, latch);
}

static int look_at_latch(void *context, const struct latch_flow *flow, const struct latch *latch)
{
	struct look *look = context;
	const struct latch_params *params =
		identities_get_params(look->watch->identities, latch->word.params);
	enum policy_direction direction;
	struct finding finding = {0};
	struct policy_verdict verdict;
	struct policy_query query;

	if (flow->netns != look->netns || !latch_is_live(latch) || !params)
		return 0;
	query = spd_view_query(look->view, flow, latch, params);
	for (direction = POLICY_OUT; direction < POLICY_DIRECTIONS; direction++) {
		verdict = policy_judge(&look->view->spd, &query, direction);
		add_verdict(&finding, direction, &verdict, latch->spd);
	}
	return act_on(look, flow, latch, &query, &finding);
}

/* ---- one namespace ---- */

static void tell_once(struct spd_watch *watch, uint64_t netns, int err)
{
	if (err && !watch->told)
		log_warn("latch",
			 "network namespace %" PRIu64 ": cannot look at its IPsec policies: %s; "
			 "latches do not follow them, the gates still drop; trying again",
			 netns, strerror(-err));
	watch->told = err != 0;
}

static int look_at_born(struct look *look)
{
	struct spd_watch *watch = look->watch;
	struct latch latch;
	int err = 0;
	size_t i;

	for (i = 0; !err && i < watch->born_count; i++)
		if (watch->born[i].netns == look->netns &&
		    !latch_get(watch->maps, &watch->born[i], &latch))
			err = look_at_latch(look, &watch->born[i], &latch);
	return err;
}

static void look_at(struct spd_watch *watch, uint64_t netns, bool all)
{
	struct spd_view view;
	struct look look = {.watch = watch, .view = &view, .netns = netns};
	int err = spd_view_load(watch->maps, netns, &view);

	/* Nobody is in it: what is left of its latches the reaper takes. */
	if (err == -ENOENT) {
		set_held(watch, netns, false);
		return;
	}
	if (!err) {
		err = all ? latches_walk(watch->maps, look_at_latch, &look) : look_at_born(&look);
		if (!err)
			err = spd_unprotect_orphans(watch->maps, &view, netns);
		if (!look.held && !spd_has_entries(&view))
			set_held(watch, netns, false);
		spd_view_release(&view);
	}
	if (!err && look.healed)
		err = policy_forget_routes(netns);
	tell_once(watch, netns, err);
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
		bool edited = watch->all_edited ||
			      contains(watch->edited, watch->edited_count, netns);

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

/* An edit that was too near to be told may have followed the last one: then it looks once more. */
static void on_look(void *context)
{
	struct spd_watch *watch = context;
	struct namespaces found = {0};
	int err;

	watch->round++;
	err = latches_walk(watch->maps, note_namespace, &found);
	if (err)
		log_warn("latch", "cannot look for latches whose policies were edited: %s; "
				  "trying again", strerror(-err));
	look_at_held(watch, &found);
	look_at_all(watch, &found);
	free(found.cookies);
	acquit_others(watch);
	watch->born_count = 0;
	if (loop_now_ms() - watch->edited_ms < SPD_SETTLE_MS) {
		look_soon(watch);
		return;
	}
	watch->edited_count = 0;
	watch->all_edited = false;
	look_at_suspects_again(watch);
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
		set_held(watch, own, true);
	loop_timer_init(loop, &watch->look, on_look, watch);
	loop_timer_init(loop, &watch->period, on_period, watch);
	on_period(watch);
}

void spd_watch_stop(struct spd_watch *watch)
{
	struct spd_suspect *suspect, *next;

	HASH_ITER(hh, watch->suspects, suspect, next)
	{
		HASH_DEL(watch->suspects, suspect);
		free(suspect);
	}
	loop_timer_cancel(&watch->look);
	loop_timer_cancel(&watch->period);
}
