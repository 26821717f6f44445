/* SPDX-License-Identifier: BSD-2-Clause */
/* What a new connection would get, by rule, policy and SA. */
#include <criterion/criterion.h>
#include <errno.h>
#include <linux/xfrm.h>

#include "latchd/explain/explain_decide.h"

#define NOW   1000000
#define LIMIT 1000

TestSuite(explain_decide);

static struct explanation e;

static enum explain_now decide(enum latch_action action)
{
	e.action = action;
	explain_decide(&e, NOW, LIMIT);
	return e.now;
}

static void policy(enum policy_action out, enum policy_action in)
{
	e.policy[POLICY_OUT].action = out;
	e.policy[POLICY_IN].action = in;
}

static struct explain_sa *sa(enum latch_sa_state state, uint8_t flags, uint64_t installed, bool out)
{
	struct explain_sa *added = &e.sas[e.sa_count++];

	*added = (struct explain_sa){.out = out};
	added->sa.word.state = state;
	added->sa.word.flags = flags;
	added->sa.installed = installed;
	return added;
}

Test(explain_decide, without_ipsec_the_rule_decides)
{
	policy(POLICY_BYPASS, POLICY_BYPASS);
	cr_expect_eq(decide(LATCH_ACTION_AUTO), EXPLAIN_NOW_CLEAR);
	cr_expect_eq(decide(LATCH_ACTION_REQUIRE), EXPLAIN_NOW_REQUIRED);
	cr_expect_eq(decide(LATCH_ACTION_OFF), EXPLAIN_NOW_OFF);
}

Test(explain_decide, a_policy_that_blocks_comes_before_the_rule)
{
	policy(POLICY_BLOCK, POLICY_PROTECT);
	cr_expect_eq(decide(LATCH_ACTION_AUTO), EXPLAIN_NOW_BLOCKED);
	cr_expect_eq(decide(LATCH_ACTION_REQUIRE), EXPLAIN_NOW_BLOCKED);
	e.direction = LATCH_DIRECTION_IN;
	cr_expect_eq(decide(LATCH_ACTION_AUTO), EXPLAIN_NOW_NEGOTIATES);
}

Test(explain_decide, policies_that_cannot_be_read_decide_nothing)
{
	e.spd_error = -E2BIG;
	cr_expect_eq(decide(LATCH_ACTION_AUTO), EXPLAIN_NOW_UNKNOWN);
	cr_expect_eq(decide(LATCH_ACTION_OFF), EXPLAIN_NOW_OFF);
}

Test(explain_decide, a_policy_without_an_sa_waits_for_the_key_manager)
{
	policy(POLICY_PROTECT, POLICY_PROTECT);
	cr_expect_eq(decide(LATCH_ACTION_AUTO), EXPLAIN_NOW_NEGOTIATES);
	sa(LATCH_SA_BOUND, 0, 1, false);
	cr_expect_eq(decide(LATCH_ACTION_AUTO), EXPLAIN_NOW_NEGOTIATES, "an inbound SA sends none");
	e.direction = LATCH_DIRECTION_IN;
	cr_expect_eq(decide(LATCH_ACTION_AUTO), EXPLAIN_NOW_LATCHED);
}

Test(explain_decide, the_terms_of_the_rule_refuse_what_could_be_latched)
{
	policy(POLICY_PROTECT, POLICY_PROTECT);
	sa(LATCH_SA_BOUND, 0, 1, true);
	cr_expect_eq(decide(LATCH_ACTION_REQUIRE), EXPLAIN_NOW_LATCHED);
	e.sas[0].refused = true;
	cr_expect_eq(decide(LATCH_ACTION_REQUIRE), EXPLAIN_NOW_TERMS);
	e.sas[0].sa.word.flags = LATCH_SA_CONTESTED;
	cr_expect_eq(decide(LATCH_ACTION_REQUIRE), EXPLAIN_NOW_CONTESTED);
}

/* As a rule that requires a latch does; a rule that latches none takes no wish back. */
Test(explain_decide, a_wish_of_the_application_requires_a_latch_whatever_the_rule_says)
{
	enum latch_action action;

	e.wish = LATCH_WHY_PEER;
	for (action = LATCH_ACTION_AUTO; action <= LATCH_ACTION_REQUIRE; action++) {
		policy(POLICY_BYPASS, POLICY_BYPASS);
		cr_expect_eq(decide(action), EXPLAIN_NOW_REQUIRED, "%d", action);
		policy(POLICY_PROTECT, POLICY_PROTECT);
		e.sa_count = 0;
		sa(LATCH_SA_ORPHAN, 0, 1, true);
		cr_expect_eq(decide(action), EXPLAIN_NOW_UNATTRIBUTED, "%d", action);
		e.sas[0].sa.word.state = LATCH_SA_BOUND;
		cr_expect_eq(decide(action), EXPLAIN_NOW_LATCHED, "%d", action);
		e.sas[0].unwished = true;
		cr_expect_eq(decide(action), EXPLAIN_NOW_WISH, "%d", action);
		e.sas[0].sa.word.flags = LATCH_SA_CONTESTED;
		cr_expect_eq(decide(action), EXPLAIN_NOW_CONTESTED, "%d", action);
	}
}

Test(explain_decide, the_state_of_the_sa_decides)
{
	static const struct {
		enum latch_sa_state state;
		uint8_t flags;
		uint64_t installed;
		enum explain_now automatic, required;
	} rows[] = {
		{LATCH_SA_BOUND, 0, 1, EXPLAIN_NOW_LATCHED, EXPLAIN_NOW_LATCHED},
		{LATCH_SA_BOUND, LATCH_SA_CONTESTED, 1, EXPLAIN_NOW_CONTESTED,
		 EXPLAIN_NOW_CONTESTED},
		{LATCH_SA_BOUND, LATCH_SA_AMBIGUOUS, 1, EXPLAIN_NOW_LARVAL,
		 EXPLAIN_NOW_UNATTRIBUTED},
		{LATCH_SA_PENDING, 0, NOW - LIMIT, EXPLAIN_NOW_SA_PENDING, EXPLAIN_NOW_SA_PENDING},
		{LATCH_SA_PENDING, 0, NOW - LIMIT - 1, EXPLAIN_NOW_LARVAL,
		 EXPLAIN_NOW_UNATTRIBUTED},
		{LATCH_SA_PENDING, LATCH_SA_UNPROVEN, NOW, EXPLAIN_NOW_LARVAL,
		 EXPLAIN_NOW_UNATTRIBUTED},
		{LATCH_SA_PENDING, LATCH_SA_UNPROVEN | LATCH_SA_AMBIGUOUS, NOW,
		 EXPLAIN_NOW_SA_PENDING, EXPLAIN_NOW_SA_PENDING},
		{LATCH_SA_ORPHAN, 0, NOW, EXPLAIN_NOW_LARVAL, EXPLAIN_NOW_UNATTRIBUTED},
		{LATCH_SA_DYING, 0, NOW, EXPLAIN_NOW_LARVAL, EXPLAIN_NOW_UNATTRIBUTED},
	};
	size_t i;

	policy(POLICY_PROTECT, POLICY_PROTECT);
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		e.sa_count = 0;
		sa(rows[i].state, rows[i].flags, rows[i].installed, true);
		cr_expect_eq(decide(LATCH_ACTION_AUTO), rows[i].automatic, "row %zu", i);
		cr_expect_eq(decide(LATCH_ACTION_REQUIRE), rows[i].required, "row %zu", i);
	}
}

Test(explain_decide, the_kernel_uses_the_newest_sa)
{
	policy(POLICY_PROTECT, POLICY_PROTECT);
	sa(LATCH_SA_BOUND, 0, 5, true);
	sa(LATCH_SA_DYING, 0, 4, true);
	sa(LATCH_SA_ORPHAN, 0, 9, false);
	cr_expect_eq(decide(LATCH_ACTION_AUTO), EXPLAIN_NOW_LATCHED);
	cr_expect_eq(e.now_sa, &e.sas[0]);
}

Test(explain_decide, among_owners_that_the_kernel_tells_apart_the_route_decides)
{
	policy(POLICY_PROTECT, POLICY_PROTECT);
	sa(LATCH_SA_BOUND, 0, 5, true)->sa.word.params = 1;
	sa(LATCH_SA_BOUND, 0, 4, true)->sa.word.params = 1;
	sa(LATCH_SA_BOUND, 0, 3, false)->sa.word.params = 2;
	cr_expect_eq(decide(LATCH_ACTION_AUTO), EXPLAIN_NOW_LATCHED);
	sa(LATCH_SA_DYING, 0, 2, true)->sa.word.params = 2;
	cr_expect_eq(decide(LATCH_ACTION_AUTO), EXPLAIN_NOW_LATCHED);
	sa(LATCH_SA_BOUND, 0, 1, true)->sa.word.params = 2;
	cr_expect_eq(decide(LATCH_ACTION_AUTO), EXPLAIN_NOW_BY_ROUTE);
	e.sas[0].sa.word.flags = LATCH_SA_CONTESTED;
	cr_expect_eq(decide(LATCH_ACTION_AUTO), EXPLAIN_NOW_CONTESTED);
}

Test(explain_decide, an_sa_of_another_interface_is_not_of_the_policy)
{
	struct latch_sa one = {.if_id = 7};

	policy(POLICY_PROTECT, POLICY_BYPASS);
	cr_expect_not(explain_fits_policy(&e, &one, true));
	cr_expect(explain_fits_policy(&e, &one, false), "no policy asks for an SA");
	e.policy[POLICY_OUT].policy.if_id = 7;
	cr_expect(explain_fits_policy(&e, &one, true));
	one.if_id = 0;
	cr_expect_not(explain_fits_policy(&e, &one, true));
	e.spd_error = -E2BIG;
	cr_expect(explain_fits_policy(&e, &one, true));
}

Test(explain_decide, without_a_report_the_traffic_of_a_tunnel_is_not_known)
{
	struct latch_sa_key key = {.netns = 3};
	struct latch_sa tunnel = {.mode = XFRM_MODE_TUNNEL};
	struct policy *asks = &e.policy[POLICY_OUT].policy;

	policy(POLICY_PROTECT, POLICY_PROTECT);
	e.flow.netns = 3;
	asks->template_count = 1;
	cr_expect_not(explain_may_carry_unreported(&e, &key, &tunnel), "transport is asked for");
	asks->templates[0].mode = XFRM_MODE_TUNNEL;
	cr_expect(explain_may_carry_unreported(&e, &key, &tunnel));
	tunnel.word.params = 1;
	cr_expect_not(explain_may_carry_unreported(&e, &key, &tunnel), "it is reported");
	tunnel.word.params = 0;
	key.netns = 4;
	cr_expect_not(explain_may_carry_unreported(&e, &key, &tunnel));
	cr_expect_eq(decide(LATCH_ACTION_AUTO), EXPLAIN_NOW_NEGOTIATES);
	e.unreported = 1;
	cr_expect_eq(decide(LATCH_ACTION_AUTO), EXPLAIN_NOW_UNREPORTED);
}
