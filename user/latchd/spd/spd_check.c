/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/spd/spd_check.h"

#include <errno.h>
#include <string.h>

#include "common/clock.h"
#include "latch_mode.h"
#include "latchd/maps/latch_control.h"
#include "latchd/news/latch_transition.h"
#include "latchd/spd/policy_routes.h"
#include "latchd/maps/tables.h"
#include "latchd/spd/spd_protect.h"
#include "latchd/spd/spd_view.h"

#define SECOND_NS 1000000000ull

struct check {
	struct spd_watch *watch;
	uint64_t netns;
	struct spd_view view;
	struct spd_view second; /* if has_second */
	bool has_second;
	bool held;   /* the namespace has policy entries of latchd now */
	bool healed; /* at least one latch was healed */
	bool audits; /* audit mode makes no new policy entries */
	int err;     /* the first */
};

/* ---- the SPD against one latch ---- */

struct finding {
	struct spd_view *view;
	struct policy_query query;
	uint8_t seen;	  /* set of enum latch_spd: directions that are protected */
	bool unprotected; /* a direction that was protected is not protected now */
	bool missing;	  /* ... because a policy was deleted, not because one was added */
	enum policy_direction direction;
	struct policy_verdict verdict;
};

static const uint8_t direction_bits[POLICY_DIRECTIONS] = {
	[POLICY_OUT] = LATCH_SPD_OUT,
	[POLICY_IN] = LATCH_SPD_IN,
};

/*
 * True: the protecting policy was deleted. No policy decides instead, or one that is older than the
 * latch, or one of another tunnel. A key manager that starts again may install the policy of the
 * wider tunnel first. The gates drop packets under that policy.
 */
static bool is_missing(const struct policy_verdict *verdict, const struct latch *latch)
{
	uint64_t created = clock_boot_to_real_ns(latch->created) / SECOND_NS;

	return verdict->absent || verdict->policy->added < created ||
	       (verdict->action == POLICY_PROTECT && !verdict->overruled);
}

/* A direction with an unprotecting policy comes before one with a missing policy, which may come
 * back. */
static void add_verdict(struct finding *finding, enum policy_direction direction,
			const struct policy_verdict *verdict, const struct latch *latch)
{
	bool missing;

	if (verdict->congruent) {
		finding->seen |= direction_bits[direction];
		return;
	}
	if (!(latch->spd & direction_bits[direction]))
		return;
	missing = is_missing(verdict, latch);
	if (finding->unprotected && (missing || !finding->missing))
		return;
	finding->unprotected = true;
	finding->missing = missing;
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
		verdict = policy_evaluate(spd, &finding.query, direction);
		add_verdict(&finding, direction, &verdict, latch);
	}
	return finding;
}

/*
 * A dump does not show that the SPD changed meanwhile: a policy replaced during the dump
 * may be missing from it. The next dump begins with that policy.
 */
static int find_again(struct check *check, const struct latch_flow *flow, const struct latch *latch,
		      const struct latch_params *params, struct finding *finding)
{
	int err = 0;

	if (!check->has_second)
		err = spd_view_load(check->watch->maps, check->netns, &check->second);
	if (err)
		return err;
	check->has_second = true;
	*finding = find(&check->second, flow, latch, params);
	return 0;
}

/* ---- steps ---- */

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

static int break_latch(const struct check *check, const struct latch_flow *flow,
		       const struct latch *latch, const struct finding *finding)
{
	struct spd_watch *watch = check->watch;
	const struct news_policy policy = deciding_policy(finding);
	const struct latch_transition transition = {
		.kind = LATCH_TRANSITION_BREAK,
		.flow = flow,
		.latch = latch,
		.cause = {.reason = LATCH_REASON_SPD_CHANGE, .policy = &policy},
	};
	int result = latch_transition(watch->maps, watch->news, &transition, NULL);

	return result < 0 ? result : 0;
}

static int heal_latch(struct check *check, const struct latch_flow *flow, const struct latch *latch)
{
	struct spd_watch *watch = check->watch;
	const struct latch_transition transition = {
		.kind = LATCH_TRANSITION_HEAL,
		.flow = flow,
		.latch = latch,
		.cause.reason = LATCH_REASON_SPD_CHANGE,
	};
	int result;

	if (!(latch->word.reasons & LATCH_REASON_SPD_CHANGE))
		return 0;
	result = latch_transition(watch->maps, watch->news, &transition, NULL);
	check->healed |= result == LATCH_CONTROL_DONE;
	return result < 0 ? result : 0;
}

/* R-2.3-14: protects the flow by policy entries of latchd. False: they cannot be added. */
static bool hold(struct check *check, const struct latch_flow *flow, const struct latch *latch,
		 const struct finding *finding)
{
	const struct news_policy policy = deciding_policy(finding);
	int result = spd_protect_add(finding->view, flow, latch, &finding->query);

	if (result >= 0)
		spd_state_set_held(check->watch, flow->netns, check->held = true);
	if (result > 0)
		news_publish(
			check->watch->news,
			&(struct news){
				.kind = NEWS_LATCH_HELD,
				.flow = flow,
				.latch = latch,
				.cause = {.reason = LATCH_REASON_SPD_CHANGE, .policy = &policy},
			});
	return result >= 0;
}

static int release(struct check *check, const struct latch_flow *flow, const struct latch *latch,
		   const struct finding *finding)
{
	int result = spd_protect_remove(finding->view, flow);

	if (result > 0)
		news_publish(check->watch->news, &(struct news){
							 .kind = NEWS_LATCH_RELEASED,
							 .flow = flow,
							 .latch = latch,
						 });
	return result < 0 ? result : 0;
}

static int on_unprotected(struct check *check, const struct latch_flow *flow,
			  const struct latch *latch, const struct latch_params *params,
			  struct finding *finding)
{
	unsigned int time_ms = finding->missing ? check->watch->grace_ms : SPD_PASSING_MS;
	bool protect = latch->rule_flags & LATCH_RULE_PROTECT, refrain;
	int err;

	err = protect ? find_again(check, flow, latch, params, finding) : 0;
	if (err || !finding->unprotected)
		return err;
	/* Audit mode adds no entries: enforcement adds them when it begins. The latch breaks if
	 * these entries cannot be added. */
	refrain = check->audits && !spd_protect_holds(finding->view, flow);
	if (protect && refrain &&
	    spd_protect_could_add(finding->view, flow, latch, &finding->query))
		return 0;
	if (protect && !refrain && hold(check, flow, latch, finding))
		return heal_latch(check, flow, latch);
	if (latch->word.reasons & LATCH_REASON_SPD_CHANGE ||
	    !spd_grace_is_over(&check->watch->grace, flow->netns, latch->id, time_ms))
		return 0;
	err = find_again(check, flow, latch, params, finding);
	return err || !finding->unprotected ? err : break_latch(check, flow, latch, finding);
}

static int on_protected(struct check *check, const struct latch_flow *flow,
			const struct latch *latch, const struct latch_params *params,
			struct finding *finding)
{
	bool was_unprotected =
		latch->word.reasons & LATCH_REASON_SPD_CHANGE ||
		(latch->rule_flags & LATCH_RULE_PROTECT && spd_protect_has_entries(&check->view));
	int err = was_unprotected ? find_again(check, flow, latch, params, finding) : 0;

	if (err || finding->unprotected)
		return err;
	err = release(check, flow, latch, finding);
	return err ? err : heal_latch(check, flow, latch);
}

static int evaluate(struct check *check, const struct latch_flow *flow, const struct latch *latch,
		    const struct latch_params *params)
{
	struct finding finding = find(&check->view, flow, latch, params);
	int result = 0;

	if (finding.seen & ~latch->spd)
		result = latch_spd_seen(check->watch->maps, flow, latch->id, finding.seen);
	if (result < 0)
		return result;
	return finding.unprotected ? on_unprotected(check, flow, latch, params, &finding)
				   : on_protected(check, flow, latch, params, &finding);
}

/* ---- one namespace ---- */

static int check_latch(void *context, const struct latch_flow *flow, const struct latch *latch)
{
	struct check *check = context;
	const struct latch_params *params =
		identities_get_params(check->watch->identities, latch->word.params);
	int err;

	if (flow->netns != check->netns || !latch_is_live(latch) || !params)
		return 0;
	err = evaluate(check, flow, latch, params);
	if (err && !check->err)
		check->err = err;
	return 0;
}

static void check_created(struct check *check)
{
	struct spd_watch *watch = check->watch;
	struct latch latch;
	size_t i;

	for (i = 0; i < watch->created_count; i++)
		if (watch->created[i].netns == check->netns &&
		    !latch_get(watch->maps, &watch->created[i], &latch))
			check_latch(check, &watch->created[i], &latch);
}

static int check_latches(struct check *check, bool all)
{
	struct spd_watch *watch = check->watch;
	int err = 0, orphans;

	if (all)
		err = latches_walk(watch->maps, check_latch, check);
	else
		check_created(check);
	orphans = spd_protect_remove_orphans(watch->maps, &check->view, check->netns);
	if (!check->held && !spd_protect_has_entries(&check->view))
		spd_state_set_held(watch, check->netns, false);
	if (check->healed && !check->err)
		check->err = policy_routes_invalidate(check->netns);
	err = err ? err : orphans;
	return err ? err : check->err;
}

int spd_check(struct spd_watch *watch, uint64_t netns, bool all)
{
	struct check check = {
		.watch = watch,
		.netns = netns,
		.audits = latch_mode_is_audit(mode_read(watch->maps)),
	};
	int err = spd_view_load(watch->maps, netns, &check.view);

	/* The namespace has no process: the reaper deletes the rest of its latches. */
	if (err == -ENOENT) {
		spd_state_set_held(watch, netns, false);
		return 0;
	}
	if (!err) {
		err = check_latches(&check, all);
		spd_view_release(&check.view);
		spd_view_release(&check.second);
	}
	return err;
}
