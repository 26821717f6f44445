/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * R-2.3-14: an established latch whose rule has on-policy-change = protect. An edit of the SPD
 * makes latchd add entries of its own.
 */
#include "spd_fixture.h"

#include "latchd/spd/policy_dump.h"
#include "latchd/spd/policy_entry.h"

TestSuite(spd_protect, .init = set_up, .fini = tear_down, .timeout = 120);

static unsigned int entries(void)
{
	unsigned int count = 0;
	struct spd spd;
	size_t i;

	cr_assert_eq(policy_dump(ns.cookie, &spd), 0);
	for (i = 0; i < spd.count; i++)
		count += spd.policies[i].entry;
	policy_dump_release(&spd);
	return count;
}

static bool is_held(void)
{
	return seen.held > 0 && entries() == 2;
}

static bool has_no_entries(void)
{
	return entries() == 0;
}

static void hold(void)
{
	struct policy bypass = policy_above(POLICY_OUT, POLICY_BYPASS);

	wait_until(is_seen);
	want_protection(&flow);
	policy_add(&ns, &bypass);
	edited(is_held);
	cr_expect_str_eq(seen.policy.action, "bypass");
}

Test(spd_protect, R_2_3_14_an_edit_does_not_apply_to_a_protected_flow)
{
	struct policy bypass = policy_above(POLICY_OUT, POLICY_BYPASS);

	hold();
	spd_watch_edited(&watch, ns.cookie);
	round_before = watch.round;
	wait_until(has_checked_twice);
	cr_expect(is_whole());
	cr_expect_eq(seen.held, 1);
	cr_expect_eq(seen.broken, 0);
	policy_delete(&ns, &bypass);
	edited(has_no_entries);
	cr_expect_eq(seen.released, 1);
	cr_expect(is_whole());
}

static int check_entry(void *context, const struct nlmsghdr *message)
{
	const struct xfrm_userpolicy_info *info = mnl_nlmsg_get_payload(message);
	unsigned int *checked = context;
	struct policy p;

	if (policy_dump_parse(message, &p) != 1 || !p.entry)
		return 0;
	cr_expect_eq(p.priority, 0);
	cr_expect_eq(p.protocol, IPPROTO_TCP);
	cr_expect(policy_covers(&p, &flow));
	cr_expect_eq(p.action, POLICY_PROTECT);
	cr_expect_eq(p.template_count, 1);
	cr_expect_eq(p.templates[0].protocol, IPPROTO_ESP);
	cr_expect_not(p.templates[0].optional);
	/* R-2-18: the kernel deletes the entry. */
	cr_expect_eq(info->lft.hard_add_expires_seconds, POLICY_ENTRY_S);
	(*checked)++;
	return 0;
}

Test(spd_protect, R_2_3_15_an_entry_is_for_one_flow_and_expires)
{
	_Alignas(struct nlmsghdr) char buffer[MNL_NLMSG_HDRLEN];
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
	unsigned int checked = 0;
	int fd;

	hold();
	request->nlmsg_type = XFRM_MSG_GETPOLICY;
	request->nlmsg_flags = NLM_F_DUMP;
	fd = netlink_open(ns.cookie, NETLINK_XFRM);
	cr_assert_eq(netlink_request(fd, request, check_entry, &checked), 0);
	cr_expect_eq(checked, 2);
	close(fd);
}

Test(spd_protect, R_2_17_the_entries_are_removed_with_the_latch)
{
	hold();
	cr_assert_eq(bpf_map_delete_elem(maps.latches, &flow), 0);
	spd_watch_latch_closed(&watch, &flow);
	wait_until(has_no_entries);
}

/* After a crash the next latchd finds entries without a latch. */
Test(spd_protect, R_2_18_entries_left_by_a_crash_are_removed)
{
	const struct latch_flow another = flow_without_socket(1002);

	hold();
	spd_watch_stop(&watch);
	cr_assert_eq(bpf_map_delete_elem(maps.latches, &flow), 0);
	put_latch(&another, LATCH_STATE_ESTABLISHED, LATCH_OWNER_SOCKET, 0);
	cr_expect_eq(entries(), 2);
	start_watch();
	wait_until(has_no_entries);
}

/* The administrator intends this policy for the flow. Replacing it would edit the SPD. */
Test(spd_protect, R_2_3_13_a_policy_for_this_very_flow_breaks_the_latch)
{
	struct policy bypass = policy_above(POLICY_IN, POLICY_BYPASS);

	wait_until(is_seen);
	want_protection(&flow);
	bypass.source_port = flow.remote_port;
	bypass.destination_port = flow.local_port;
	bypass.source_port_mask = bypass.destination_port_mask = 0xffff;
	policy_add(&ns, &bypass);
	edited(is_broken);
	cr_expect_eq(seen.held, 0);
	cr_expect_eq(entries(), 0);
	policy_delete(&ns, &bypass);
	edited(is_whole);
	cr_expect_eq(entries(), 0);
}

Test(spd_protect, R_2_3_13_a_latch_without_a_known_sa_breaks_despite_its_rule)
{
	struct policy bypass = policy_above(POLICY_OUT, POLICY_BYPASS);
	struct latch latch;

	wait_until(is_seen);
	latch = now();
	latch.rule_flags = LATCH_RULE_PROTECT;
	cr_assert_eq(bpf_map_update_elem(maps.latches, &flow, &latch, BPF_EXIST), 0);
	policy_add(&ns, &bypass);
	edited(is_broken);
	cr_expect_eq(entries(), 0);
}

/* ---- entries similar to each other or to other policies */

static struct latch_flow twin; /* the same ports, another peer */

static bool are_held(void)
{
	return seen.held > 1 && entries() == 4;
}

static struct policy around(enum policy_direction direction, enum policy_action action)
{
	struct policy p = policy_above(direction, action);

	p.source_bits = p.destination_bits = 24;
	return p;
}

static void protect_around(void)
{
	struct policy out = around(POLICY_OUT, POLICY_PROTECT),
		      in = around(POLICY_IN, POLICY_PROTECT);

	out.priority = in.priority = 100;
	out.protocol = in.protocol = 0;
	policy_add(&ns, &out);
	policy_add(&ns, &in);
}

static bool twin_is_seen(void)
{
	struct latch latch;

	return !latch_get(&maps, &twin, &latch) && latch.spd == (LATCH_SPD_OUT | LATCH_SPD_IN);
}

/* Two clients may have the same port. */
Test(spd_protect, R_2_3_14_two_flows_with_the_same_ports_have_entries_of_their_own)
{
	struct policy bypass = around(POLICY_OUT, POLICY_BYPASS);

	twin = flow;
	twin.remote_addr[3] = 3;
	several_flows = true;
	protect_around();
	put_latch(&twin, LATCH_STATE_ESTABLISHED, LATCH_OWNER_SOCKET, 0);
	spd_watch_edited(&watch, ns.cookie);
	wait_until(is_seen);
	wait_until(twin_is_seen);
	want_protection(&flow);
	want_protection(&twin);
	policy_add(&ns, &bypass);
	edited(are_held);
	round_before = watch.round;
	spd_watch_edited(&watch, ns.cookie);
	wait_until(has_checked_twice);
	cr_expect_eq(seen.held, 2);
	cr_expect_eq(seen.released, 0);
	cr_expect_eq(entries(), 4);
	policy_delete(&ns, &bypass);
	edited(has_no_entries);
	cr_expect_eq(seen.released, 2);
}

/* A policy of an administrator counts, whatever its index and priority. */
Test(spd_protect, R_2_3_13_a_policy_similar_to_an_entry_breaks_the_latch)
{
	struct policy bypass = policy_above(POLICY_OUT, POLICY_BYPASS);
	struct nlmsghdr *message;

	wait_until(is_seen);
	bypass.priority = 0;
	bypass.source_port = flow.local_port;
	bypass.destination_port = flow.remote_port;
	bypass.source_port_mask = bypass.destination_port_mask = 0xffff;
	message = policy_message(&bypass);
	((struct xfrm_userpolicy_info *)mnl_nlmsg_get_payload(message))->index =
		0x4c000000 | XFRM_POLICY_OUT;
	cr_assert_eq(policy_send(&ns, message), 0);
	edited(is_broken);
	round_before = watch.round;
	spd_watch_edited(&watch, ns.cookie);
	wait_until(has_checked_twice);
	policy_delete(&ns, &bypass);
	edited(is_whole);
}

/* Enforcement holds the flow when it begins; what it held before is renewed. */
Test(spd_protect, audit_mode_makes_no_entry_and_breaks_no_latch_that_enforcement_would_hold)
{
	struct policy bypass = policy_above(POLICY_OUT, POLICY_BYPASS);

	wait_until(is_seen);
	want_protection(&flow);
	cr_assert_eq(latch_mode_switch(&maps, true), 1);
	policy_add(&ns, &bypass);
	spd_watch_edited(&watch, ns.cookie);
	round_before = watch.round;
	wait_until(has_checked_twice);
	cr_expect_eq(entries(), 0);
	cr_expect_eq(seen.held + seen.broken, 0);
	cr_assert_eq(latch_mode_switch(&maps, false), 1);
	spd_watch_recheck(&watch);
	wait_until(is_held);
}

Test(spd_protect, audit_mode_breaks_what_enforcement_could_not_hold)
{
	struct policy bypass = policy_above(POLICY_OUT, POLICY_BYPASS);

	wait_until(is_seen);
	bypass.source_port = flow.local_port;
	bypass.destination_port = flow.remote_port;
	bypass.source_port_mask = bypass.destination_port_mask = 0xffff;
	want_protection(&flow);
	cr_assert_eq(latch_mode_switch(&maps, true), 1);
	policy_add(&ns, &bypass);
	edited(is_broken);
	cr_expect_eq(entries(), 0);
}

Test(spd_protect, audit_mode_keeps_the_entries_of_enforcement)
{
	hold();
	cr_assert_eq(latch_mode_switch(&maps, true), 1);
	spd_watch_edited(&watch, ns.cookie);
	round_before = watch.round;
	wait_until(has_checked_twice);
	cr_expect_eq(entries(), 2);
	cr_expect_eq(seen.broken, 0);
}
