/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/spd/spd_check.h"

#include <errno.h>
#include <string.h>

#include "common/clock.h"
#include "latchd/maps/latch_control.h"
#include "latchd/news/latch_transition.h"
#include "latchd/spd/policy_dump.h"
#include "latchd/maps/tables.h"
#include "latchd/spd/spd_protect.h"
#include "latchd/spd/spd_view.h"

#define SECOND_NS 1000000000ull

struct look {
	struct spd_watch *watch;
	uint64_t netns;
	struct spd_view view;
	struct spd_view second; /* once it is wanted */
	bool has_second;
	bool held;   /* has entries of ours now */
	bool healed; /* some latch was */
	int err;     /* the first */
};

/* ---- what the SPD says of one latch ---- */

struct finding {
	struct spd_view *view;
	struct policy_query query;
	uint8_t seen;  /* set of enum latch_spd: where it is protected */
	bool offended; /* where it was protected, it is not now */
	bool lack;     /* ... because something is gone, not because something came */
	enum policy_direction direction;
	struct policy_verdict verdict;
};

static const uint8_t direction_bits[POLICY_DIRECTIONS] = {
	[POLICY_OUT] = LATCH_SPD_OUT,
	[POLICY_IN] = LATCH_SPD_IN,
};

/* What has stood below its protection since before its birth decides only now that this is gone. */
static bool is_lack(const struct policy_verdict *verdict, const struct latch *latch)
{
	uint64_t born = clock_boot_to_real_ns(latch->created) / SECOND_NS;

	return verdict->absent || verdict->policy->added < born;
}

/* An offence by a policy counts for more than one by the lack of it, which may pass. */
static void add_verdict(struct finding *finding, enum policy_direction direction,
			const struct policy_verdict *verdict, const struct latch *latch)
{
	bool lack;

	if (verdict->congruent) {
		finding->seen |= direction_bits[direction];
		return;
	}
	if (!(latch->spd & direction_bits[direction]))
		return;
	lack = is_lack(verdict, latch);
	if (finding->offended && (lack || !finding->lack))
		return;
	finding->offended = true;
	finding->lack = lack;
	finding->direction = direction;
	finding->verdict = *verdict;
}

static struct finding find(struct spd_view *view, const struct latch_flow *flow,
			   const struct latch *latch, const struct latch_params *params)
{
	struct finding finding = {
		.view = view,
		.query = spd_view_query(view, flow, latch, params),
	};
	const struct spd *spd = spd_view_narrow(view, flow);
	enum policy_direction direction;
	struct policy_verdict verdict;

	for (direction = POLICY_OUT; direction < POLICY_DIRECTIONS; direction++) {
		verdict = policy_judge(spd, &finding.query, direction);
		add_verdict(&finding, direction, &verdict, latch);
	}
	return finding;
}

/*
 * The kernel does not say that the SPD changed while it was dumped: a policy that was
 * replaced meanwhile is in neither half. It is the first in the next dump.
 */
static int find_again(struct look *look, const struct latch_flow *flow, const struct latch *latch,
		      const struct latch_params *params, struct finding *finding)
{
	int err = 0;

	if (!look->has_second)
		err = spd_view_load(look->watch->maps, look->netns, &look->second);
	if (err)
		return err;
	look->has_second = true;
	*finding = find(&look->second, flow, latch, params);
	return 0;
}

/* ---- what follows ---- */

static struct news_policy deciding_policy(const struct finding *finding)
{
	const struct policy *policy = finding->verdict.policy;
	struct news_policy news = {
		.direction = policy_direction_name(finding->direction),
		.action = policy_action_name(finding->verdict.action),
		.is_default = finding->verdict.absent,
	};

	if (!policy)
		return news;
	news.family = policy->family;
	news.source_bits = policy->source_bits;
	news.destination_bits = policy->destination_bits;
	news.priority = policy->priority;
	memcpy(news.source, policy->source, sizeof(news.source));
	memcpy(news.destination, policy->destination, sizeof(news.destination));
	return news;
}

static int break_latch(const struct look *look, const struct latch_flow *flow,
		       const struct latch *latch, const struct finding *finding)
{
	struct spd_watch *watch = look->watch;
	const struct news_policy policy = deciding_policy(finding);
	const struct latch_transition transition = {
		.op = LATCH_CONTROL_BREAK,
		.flow = flow,
		.latch = latch,
		.cause = {.reason = LATCH_REASON_SPD_CHANGE, .policy = &policy},
	};
	int result = latch_transition(watch->maps, watch->news, &transition, NULL);

	return result < 0 ? result : 0;
}

static int heal_latch(struct look *look, const struct latch_flow *flow, const struct latch *latch)
{
	struct spd_watch *watch = look->watch;
	const struct latch_transition transition = {
		.op = LATCH_CONTROL_HEAL,
		.flow = flow,
		.latch = latch,
		.cause.reason = LATCH_REASON_SPD_CHANGE,
	};
	int result;

	if (!(latch->word.reasons & LATCH_REASON_SPD_CHANGE))
		return 0;
	result = latch_transition(watch->maps, watch->news, &transition, NULL);
	look->healed |= result == LATCH_CONTROL_DONE;
	return result < 0 ? result : 0;
}

/* Where there is no place left, entries still end by themselves. */
void spd_set_held(struct spd_watch *watch, uint64_t netns, bool held)
{
	size_t i;

	for (i = 0; i < watch->held_count && watch->held[i] != netns; i++)
		;
	if (held && i == watch->held_count && i < SPD_HELD_MAX)
		watch->held[watch->held_count++] = netns;
	else if (!held && i < watch->held_count)
		watch->held[i] = watch->held[--watch->held_count];
}

/* Whether entries of our own stand in for the policies. */
static bool is_held(struct look *look, const struct latch_flow *flow, const struct latch *latch,
		    const struct finding *finding)
{
	const struct news_policy policy = deciding_policy(finding);
	int result = spd_protect(finding->view, flow, latch, &finding->query);

	if (result >= 0)
		spd_set_held(look->watch, flow->netns, look->held = true);
	if (result > 0)
		news_publish(look->watch->news, &(struct news){
							.kind = NEWS_LATCH_HELD,
							.flow = flow,
							.latch = latch,
							.cause = {.reason = LATCH_REASON_SPD_CHANGE,
								  .policy = &policy},
						});
	return result >= 0;
}

static int release(struct look *look, const struct latch_flow *flow, const struct latch *latch,
		   const struct finding *finding)
{
	int result = spd_unprotect(finding->view, flow);

	if (result > 0)
		news_publish(look->watch->news, &(struct news){
							.kind = NEWS_LATCH_RELEASED,
							.flow = flow,
							.latch = latch,
						});
	return result < 0 ? result : 0;
}

static int on_offence(struct look *look, const struct latch_flow *flow, const struct latch *latch,
		      const struct latch_params *params, struct finding *finding)
{
	unsigned int time_ms = finding->lack ? SPD_ABSENT_MS : SPD_PASSING_MS;
	bool protect = latch->rule_flags & LATCH_RULE_PROTECT;
	int err;

	err = protect ? find_again(look, flow, latch, params, finding) : 0;
	if (err || !finding->offended)
		return err;
	if (protect && is_held(look, flow, latch, finding))
		return heal_latch(look, flow, latch);
	if (latch->word.reasons & LATCH_REASON_SPD_CHANGE ||
	    !spd_suspect(&look->watch->suspects, flow->netns, latch->id, time_ms))
		return 0;
	err = find_again(look, flow, latch, params, finding);
	return err || !finding->offended ? err : break_latch(look, flow, latch, finding);
}

static int on_innocence(struct look *look, const struct latch_flow *flow, const struct latch *latch,
			const struct latch_params *params, struct finding *finding)
{
	bool undone = latch->word.reasons & LATCH_REASON_SPD_CHANGE ||
		      (latch->rule_flags & LATCH_RULE_PROTECT && spd_has_entries(&look->view));
	int err = undone ? find_again(look, flow, latch, params, finding) : 0;

	if (err || finding->offended)
		return err;
	err = release(look, flow, latch, finding);
	return err ? err : heal_latch(look, flow, latch);
}

static int judge(struct look *look, const struct latch_flow *flow, const struct latch *latch,
		 const struct latch_params *params)
{
	struct finding finding = find(&look->view, flow, latch, params);
	int result = 0;

	if (finding.seen & ~latch->spd)
		result = latch_spd_seen(look->watch->maps, flow, latch->id, finding.seen);
	if (result < 0)
		return result;
	return finding.offended ? on_offence(look, flow, latch, params, &finding)
				: on_innocence(look, flow, latch, params, &finding);
}

/* ---- one namespace ---- */

static int look_at_latch(void *context, const struct latch_flow *flow, const struct latch *latch)
{
	struct look *look = context;
	const struct latch_params *params =
		identities_get_params(look->watch->identities, latch->word.params);
	int err;

	if (flow->netns != look->netns || !latch_is_live(latch) || !params)
		return 0;
	err = judge(look, flow, latch, params);
	if (err && !look->err)
		look->err = err;
	return 0;
}

static void look_at_born(struct look *look)
{
	struct spd_watch *watch = look->watch;
	struct latch latch;
	size_t i;

	for (i = 0; i < watch->born_count; i++)
		if (watch->born[i].netns == look->netns &&
		    !latch_get(watch->maps, &watch->born[i], &latch))
			look_at_latch(look, &watch->born[i], &latch);
}

static int look_at_latches(struct look *look, bool all)
{
	struct spd_watch *watch = look->watch;
	int err = 0, orphans;

	if (all)
		err = latches_walk(watch->maps, look_at_latch, look);
	else
		look_at_born(look);
	orphans = spd_unprotect_orphans(watch->maps, &look->view, look->netns);
	if (!look->held && !spd_has_entries(&look->view))
		spd_set_held(watch, look->netns, false);
	if (look->healed && !look->err)
		look->err = policy_forget_routes(look->netns);
	err = err ? err : orphans;
	return err ? err : look->err;
}

int spd_check(struct spd_watch *watch, uint64_t netns, bool all)
{
	struct look look = {.watch = watch, .netns = netns};
	int err = spd_view_load(watch->maps, netns, &look.view);

	/* Nobody is in it: what is left of its latches the reaper takes. */
	if (err == -ENOENT) {
		spd_set_held(watch, netns, false);
		return 0;
	}
	if (!err) {
		err = look_at_latches(&look, all);
		spd_view_release(&look.view);
		spd_view_release(&look.second);
	}
	return err;
}
