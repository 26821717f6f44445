/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One established latch, and the SPD of a namespace that protects it. Each test edits the SPD, and
 * may revert the edit.
 */
#include "spd_fixture.h"

TestSuite(spd_watch, .init = set_up, .fini = tear_down, .timeout = 120);

/* ---- break and heal ---- */

Test(spd_watch, an_established_latch_is_checked_at_the_start)
{
	wait_until(is_seen);
	cr_expect(is_whole());
	cr_expect_eq(seen.broken, 0);
}

Test(spd_watch, R_2_3_13_a_bypass_policy_breaks_a_latch_and_its_removal_heals_it)
{
	struct policy bypass = policy_above(POLICY_OUT, POLICY_BYPASS);

	wait_until(is_seen);
	policy_add(&ns, &bypass);
	edited(is_broken);
	cr_expect_eq(now().word.reasons, LATCH_REASON_SPD_CHANGE);
	cr_expect_eq(seen.broken, 1);
	cr_expect_str_eq(seen.policy.direction, "out");
	cr_expect_str_eq(seen.policy.action, "bypass");
	cr_expect_eq(seen.policy.priority, 1);
	policy_delete(&ns, &bypass);
	edited(is_whole);
	cr_expect_eq(now().word.reasons, 0);
	cr_expect_eq(seen.broken, 1);
	cr_expect_eq(seen.healed, 1);
}

Test(spd_watch, R_2_3_13_a_block_policy_for_incoming_packets_breaks_a_latch)
{
	struct policy block = policy_above(POLICY_IN, POLICY_BLOCK);

	wait_until(is_seen);
	policy_add(&ns, &block);
	edited(is_broken);
	cr_expect_str_eq(seen.policy.direction, "in");
	cr_expect_str_eq(seen.policy.action, "block");
}

Test(spd_watch, R_2_3_13_a_missing_policy_breaks_a_latch_after_its_grace_period)
{
	struct policy out = policy_protecting(POLICY_OUT);
	uint64_t began = loop_now_ms();

	wait_until(is_seen);
	policy_delete(&ns, &out);
	edited(is_broken);
	cr_expect_geq(loop_now_ms() - began, GRACE_MS);
	cr_expect(seen.policy.is_default);
	policy_add(&ns, &out);
	edited(is_whole);
}

Test(spd_watch, the_grace_period_of_a_missing_policy_is_the_configured_one)
{
	struct policy out = policy_protecting(POLICY_OUT);
	uint64_t began = loop_now_ms();

	watch.grace_ms = GRACE_MS / 5;
	wait_until(is_seen);
	policy_delete(&ns, &out);
	edited(is_broken);
	cr_expect_geq(loop_now_ms() - began, GRACE_MS / 5);
	cr_expect_lt(loop_now_ms() - began, GRACE_MS);
}

static bool is_in_grace(void)
{
	return watch.grace.by_id != NULL;
}

static bool is_clear(void)
{
	return watch.grace.by_id == NULL;
}

/* A key manager restarts like this. */
Test(spd_watch, S15_policies_that_come_back_within_the_grace_period_break_no_latch)
{
	struct policy out = policy_protecting(POLICY_OUT), in = policy_protecting(POLICY_IN);

	wait_until(is_seen);
	policy_flush(&ns);
	edited(is_in_grace);
	policy_add(&ns, &out);
	policy_add(&ns, &in);
	edited(is_clear);
	edited_without_effect();
}

/* A tunnel's template, which does not fit the latch. */
static struct policy wider_tunnel(void)
{
	struct policy wider = policy_above(POLICY_OUT, POLICY_PROTECT);

	wider.template_count = 1;
	wider.templates[0] = (struct policy_template){IPPROTO_ESP, XFRM_MODE_TUNNEL, false};
	return wider;
}

static uint64_t moment_ms;

static bool is_later_than_two_steps(void)
{
	return loop_now_ms() - moment_ms > 10 * SPD_PASSING_MS;
}

/* A key manager that starts again may install another connection's policy first. */
Test(spd_watch, S15_a_wider_tunnel_in_place_of_the_policy_leaves_it_its_grace_period)
{
	struct policy out = policy_protecting(POLICY_OUT), wider = wider_tunnel();

	watch.grace_ms = 100 * GRACE_MS;
	wait_until(is_seen);
	policy_add(&ns, &wider);
	policy_delete(&ns, &out);
	edited(is_in_grace);
	moment_ms = loop_now_ms();
	wait_until(is_later_than_two_steps);
	cr_expect(is_whole());
	policy_delete(&ns, &wider);
	policy_add(&ns, &out);
	edited(is_clear);
	edited_without_effect();
}

Test(spd_watch, R_2_3_13_a_wider_tunnel_that_stays_breaks_the_latch_after_the_grace_period)
{
	struct policy out = policy_protecting(POLICY_OUT), wider = wider_tunnel();
	uint64_t began = loop_now_ms();

	wait_until(is_seen);
	policy_add(&ns, &wider);
	policy_delete(&ns, &out);
	edited(is_broken);
	cr_expect_geq(loop_now_ms() - began, GRACE_MS);
	cr_expect_str_eq(seen.policy.action, "protect");
}

Test(spd_watch, R_2_3_13_a_tunnel_before_the_policy_of_the_latch_has_no_grace_period)
{
	struct policy wider = wider_tunnel();
	uint64_t began;

	watch.grace_ms = 100 * GRACE_MS;
	wait_until(is_seen);
	began = loop_now_ms();
	policy_add(&ns, &wider);
	edited(is_broken);
	cr_expect_lt(loop_now_ms() - began, 100 * GRACE_MS);
}

Test(spd_watch, R_2_3_12_an_edit_without_an_event_is_found)
{
	struct policy bypass = policy_above(POLICY_OUT, POLICY_BYPASS);

	wait_until(is_seen);
	policy_add(&ns, &bypass);
	wait_until(is_broken);
}

Test(spd_watch, R_2_3_12_an_edit_while_no_latchd_ran_is_found)
{
	struct policy bypass = policy_above(POLICY_OUT, POLICY_BYPASS);

	wait_until(is_seen);
	spd_watch_stop(&watch);
	policy_add(&ns, &bypass);
	start_watch();
	wait_until(is_broken);
}

Test(spd_watch, a_new_latch_is_checked_at_its_creation)
{
	wait_until(is_seen);
	/* The periodic check must not find the latch. */
	loop_timer_cancel(&watch.period);
	flow = flow_without_socket(1001);
	put_latch(&flow, LATCH_STATE_ESTABLISHED, LATCH_OWNER_SOCKET, 0);
	spd_watch_latch_created(&watch, &flow, now().word);
	wait_until(is_seen);
}

static unsigned int reasons_wanted;

static bool has_reasons(void)
{
	return now().word.reasons == reasons_wanted;
}

/* L-2.2-5: ESTABLISHED only when no reason is left. */
Test(spd_watch, S14_a_revert_leaves_a_latch_broken_for_another_reason)
{
	struct policy bypass = policy_above(POLICY_OUT, POLICY_BYPASS);

	wait_until(is_seen);
	policy_add(&ns, &bypass);
	edited(is_broken);
	cr_assert_eq(latch_break(&maps, &flow, now().id, LATCH_REASON_ADMIN, NULL),
		     LATCH_CONTROL_DONE);
	policy_delete(&ns, &bypass);
	reasons_wanted = LATCH_REASON_ADMIN;
	edited(has_reasons);
	cr_expect(is_broken());
}

/* ---- edits that break no latch ---- */

Test(spd_watch, S15_edits_for_other_flows_break_no_latch)
{
	struct policy p = policy_above(POLICY_OUT, POLICY_BYPASS);

	wait_until(is_seen);
	p.protocol = IPPROTO_UDP;
	policy_add(&ns, &p);
	p = policy_above(POLICY_OUT, POLICY_BLOCK);
	p.destination_port = 10;
	p.destination_port_mask = 0xffff;
	policy_add(&ns, &p);
	p = policy_above(POLICY_IN, POLICY_BYPASS);
	p.source[3] = 3;
	policy_add(&ns, &p);
	p = policy_above(POLICY_IN, POLICY_BYPASS);
	p.priority = 101;
	policy_add(&ns, &p);
	p = policy_above(POLICY_OUT, POLICY_PROTECT);
	policy_add(&ns, &p);
	policy_default(&ns, XFRM_USERPOLICY_BLOCK, XFRM_USERPOLICY_BLOCK);
	edited_without_effect();
}

/* A latch by a policy of its socket, or without a policy for incoming packets (manual keying). */
Test(spd_watch, S15_an_edit_breaks_no_latch_that_the_spd_never_protected)
{
	struct policy bypass = policy_above(POLICY_IN, POLICY_BYPASS);

	policy_flush(&ns);
	edited_without_effect();
	policy_add(&ns, &bypass);
	edited_without_effect();
	cr_expect_eq(now().spd, 0);
}

Test(spd_watch, S15_an_edit_in_another_namespace_breaks_no_latch)
{
	struct policy bypass = policy_above(POLICY_OUT, POLICY_BYPASS);
	struct namespace other;

	struct latch_flow elsewhere = flow;

	wait_until(is_seen);
	namespace_start(&other);
	elsewhere.netns = other.cookie;
	put_latch(&elsewhere, LATCH_STATE_ESTABLISHED, LATCH_OWNER_SOCKET, 0);
	policy_add(&other, &bypass);
	spd_watch_latch_created(&watch, &elsewhere, now().word);
	spd_watch_edited(&watch, other.cookie);
	edited_without_effect();
	namespace_end(&other);
}

/* ---- edits in namespaces of local users ---- */

#define FLOOD (2 * SPD_EDITED_MAX)

static void edit_elsewhere(uint64_t first)
{
	uint64_t i;

	for (i = 0; i < FLOOD; i++)
		spd_watch_edited(&watch, first + i);
}

static void expect_no_check_due(void)
{
	cr_expect_eq(watch.edited_count, 0);
	cr_expect_not(watch.all_edited);
	cr_expect_not(loop_timer_armed(&watch.check));
}

static bool is_idle(void)
{
	return is_seen() && !loop_timer_armed(&watch.check);
}

Test(spd_watch, edits_in_namespaces_without_a_latch_cause_no_check)
{
	wait_until(is_idle);
	edit_elsewhere(UINT64_MAX / 2);
	expect_no_check_due();
}

/* Local users can bring up SAs there, but no key manager reports them. */
Test(spd_watch, latches_without_a_known_peer_make_no_edit_count)
{
	const union latch_word larval = {.generation = 1, .state = LATCH_STATE_LARVAL};
	struct latch_flow elsewhere = flow;
	uint64_t i;

	wait_until(is_idle);
	for (i = 0; i < FLOOD; i++) {
		elsewhere.netns = UINT64_MAX / 2 + i;
		if (i < LATCHES_ROOM / 2)
			put_latch(&elsewhere, LATCH_STATE_LARVAL, LATCH_OWNER_SOCKET, 0);
		spd_watch_latch_created(&watch, &elsewhere, larval);
	}
	edit_elsewhere(UINT64_MAX / 2);
	expect_no_check_due();
	edited_without_effect();
	wait_until(is_idle);
	edit_elsewhere(UINT64_MAX / 2);
	expect_no_check_due();
}

/* Once a tick, which is more often than checks come. */
static bool flood_has_a_round(void)
{
	if (watch.round != round_before)
		return true;
	spd_watch_edited(&watch, ns.cookie);
	return false;
}

/* Each check of a namespace reads all its policies, and a grace period may last ten minutes. */
Test(spd_watch, a_missing_policy_is_not_searched_for_before_its_grace_period_ends)
{
	struct policy out = policy_protecting(POLICY_OUT);
	uint64_t began;

	wait_until(is_idle);
	loop_timer_cancel(&watch.period);
	began = loop_now_ms();
	round_before = watch.round;
	policy_delete(&ns, &out);
	edited(is_in_grace);
	wait_until(is_broken);
	cr_expect_geq(loop_now_ms() - began, GRACE_MS);
	cr_expect_leq(watch.round - round_before, 5, "%u checks", watch.round - round_before);
}

/* The owner of one namespace chooses how often its own latches are checked, not those of others. */
Test(spd_watch, a_flood_of_edits_in_one_namespace_does_not_repeat_the_check_of_all)
{
	wait_until(is_idle);
	round_before = watch.round;
	loop_timer_arm(&watch.period, 0);
	wait_until(flood_has_a_round);
	cr_expect_not(watch.periodic);
	cr_expect(loop_timer_armed(&watch.check), "the flood itself has one more check");
}

static void start_elsewhere(struct namespace *other)
{
	struct policy out = policy_protecting(POLICY_OUT), in = policy_protecting(POLICY_IN);

	namespace_start(other);
	policy_add(other, &out);
	policy_add(other, &in);
	flow.netns = other->cookie;
	put_latch(&flow, LATCH_STATE_ESTABLISHED, LATCH_OWNER_SOCKET, 0);
}

/* An edit before it was left aside; one right after that has no event. */
Test(spd_watch, R_2_3_12_the_first_latch_of_a_namespace_counts_as_an_edit)
{
	struct namespace other;

	wait_until(is_idle);
	loop_timer_cancel(&watch.period);
	start_elsewhere(&other);
	spd_watch_edited(&watch, other.cookie);
	expect_no_check_due();
	watch.edited_ms = 0;
	spd_watch_latch_created(&watch, &flow, now().word);
	cr_expect_eq(watch.edited_count, 1);
	cr_expect_eq(watch.edited[0], other.cookie);
	cr_expect_gt(watch.edited_ms, 0, "a check earlier than 200 ms from now has a successor");
	wait_until(is_seen);
	namespace_end(&other);
}

Test(spd_watch, R_2_3_12_after_lost_events_a_namespace_with_its_first_latch_is_checked)
{
	struct namespace other;

	wait_until(is_idle);
	loop_timer_cancel(&watch.period);
	start_elsewhere(&other);
	spd_watch_edited(&watch, other.cookie);
	spd_watch_events_lost(&watch);
	wait_until(is_seen);
	namespace_end(&other);
}

static uint64_t other_cookie;

static bool is_broken_with_rounds_elsewhere(void)
{
	if (!loop_timer_armed(&watch.check))
		spd_watch_edited(&watch, other_cookie);
	return is_broken();
}

/* The owner of the other namespace chooses the time of its checks. */
Test(spd_watch, R_2_3_13_checks_of_another_namespace_prolong_no_grace_period)
{
	struct policy out = policy_protecting(POLICY_OUT);
	struct latch_flow here = flow;
	struct namespace other;
	uint64_t began;

	wait_until(is_idle);
	several_flows = true;
	start_elsewhere(&other);
	other_cookie = other.cookie;
	spd_watch_latch_created(&watch, &flow, now().word);
	wait_until(is_idle);
	loop_timer_cancel(&watch.period);
	flow = here;
	began = loop_now_ms();
	policy_delete(&ns, &out);
	edited(is_in_grace);
	wait_until(is_broken_with_rounds_elsewhere);
	cr_expect_geq(loop_now_ms() - began, GRACE_MS);
	cr_expect_lt(loop_now_ms() - began, 2 * GRACE_MS);
	cr_expect_eq(seen.broken, 1);
	namespace_end(&other);
}

/* ---- interface ids ---- */

Test(spd_watch, R_2_3_12_only_policies_with_the_interface_id_of_the_sa_count)
{
	struct policy out = policy_protecting(POLICY_OUT), in = policy_protecting(POLICY_IN);
	struct policy bypass = policy_above(POLICY_OUT, POLICY_BYPASS);

	policy_flush(&ns);
	put_sa(0x1001, 42);
	out.if_id = in.if_id = 42;
	policy_add(&ns, &out);
	policy_add(&ns, &in);
	edited(is_seen);
	policy_add(&ns, &bypass);
	edited_without_effect();
	bypass.if_id = 42;
	policy_add(&ns, &bypass);
	edited(is_broken);
}
