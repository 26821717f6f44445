/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Decisions over the first packets under contested SAs. Headquarters has 0.0.0.0/0 and the branch
 * 10.2.0.0/16, of equal priority: the kernel cannot tell them apart within 10.2.0.0/16. Both SAs
 * are marked as contested, and connections to all other addresses begin all the same.
 */
#include "pair_fixture.h"

#include <arpa/inet.h>

#include "latchd/sa/child/sa_group_pairs.h"

TestSuite(pair_decisions, .init = start, .fini = fixture_finish, .timeout = 120);

Test(pair_decisions, R_2_3_8_outside_an_overlap_a_contested_sa_starts_connections)
{
	default_and_branch(200);
	expect_contested();
	cr_expect_not(is_refused(&hq, 1));
	cr_expect_eq(decision_of(&hq, 1), LATCH_PAIR_ALONE);
}

Test(pair_decisions, R_2_3_8_inside_an_overlap_neither_sa_starts_one)
{
	default_and_branch(200);
	cr_expect(is_refused(&hq, 2));
	cr_expect_eq(decision_of(&hq, 2), LATCH_PAIR_CONTESTED);
	cr_expect(is_refused(&branch, 2));
	cr_expect_eq(decision_of(&branch, 2), LATCH_PAIR_CONTESTED);
}

/* Before its policy check the kernel shows SCTP to the programs under any SA. */
Test(pair_decisions, R_2_3_8_a_packet_under_another_peers_sa_changes_no_decision)
{
	default_and_branch(100);
	cr_expect_not(is_refused(&branch, 2), "its policy comes first");
	cr_expect(is_refused(&hq, 2));
	cr_expect_eq(decision_of(&branch, 2), LATCH_PAIR_ALONE);
	cr_expect_eq(decision_of(&hq, 2), LATCH_PAIR_CONTESTED);
}

/* The SPD has the policy of the newest alone, and would give all to its peer. */
Test(pair_decisions, R_2_3_8_equal_selectors_of_two_gateways_start_none)
{
	struct feed_child other = tunnel("d.example", 3, 3, "0.0.0.0/0");

	add_policies(&hq, 200, 0);
	bring_up(&hq);
	remove_last_policies();
	add_policies(&other, 200, 0);
	bring_up(&other);
	settle_for(A_SECOND_MS);
	cr_expect(is_refused(&hq, 1));
	cr_expect(is_refused(&other, 1));
}

Test(pair_decisions, R_2_3_8_an_impostor_at_the_address_of_the_peer_starts_none)
{
	struct feed_child impostor = tunnel("d.example", 3, 2, "0.0.0.0/0");

	add_policies(&hq, 200, 0);
	bring_up(&hq);
	bring_up(&impostor);
	cr_expect(is_refused(&hq, 1));
	cr_expect(is_refused(&impostor, 1));
}

Test(pair_decisions, R_2_3_8_without_a_readable_spd_there_is_none)
{
	kernel.err = -EACCES;
	default_and_branch(200);
	cr_expect(is_refused(&hq, 2));
	cr_expect_neq(decision_of(&hq, 2), LATCH_PAIR_ALONE);
}

/* For a second after a failed read the answers are those of before: too old for a new decision. */
Test(pair_decisions, R_2_3_8_while_the_spd_cannot_be_read_again_the_packet_is_lost)
{
	default_and_branch(200);
	settle_for(A_SECOND_MS);
	kernel.err = -EAGAIN;
	edited();
	cr_expect_not(is_refused(&hq, 1));
	cr_expect_eq(decision_of(&hq, 1), -1);
	kernel.err = 0;
	cr_expect_not(is_refused(&hq, 1));
	cr_expect_eq(decision_of(&hq, 1), LATCH_PAIR_ALONE);
}

/* A large SPD that is edited all the time must not be read for each question. */
Test(pair_decisions, reads_of_the_spd_have_a_pace)
{
	const struct latch_flow flow = flow_inside(1);
	unsigned int loads;

	default_and_branch(200);
	edited();
	walk_pace_hold(&attribution->walks, 10 * A_SECOND_MS);
	loads = kernel.loads;
	cr_expect_not(is_refused_now(&hq, &flow));
	cr_expect_eq(kernel.loads, loads);
	cr_expect_eq(decision_of(&hq, 1), -1);
}

/* A peer that edits the SPD all the time chooses when it is known: the next question may come too
 * early again. */
Test(pair_decisions, R_2_15_a_question_that_came_too_early_is_answered_after_the_next_read)
{
	const struct latch_flow flow = flow_inside(1);

	default_and_branch(200);
	edited();
	walk_pace_hold(&attribution->walks, 20);
	cr_expect_not(is_refused_now(&hq, &flow));
	cr_expect_eq(decision_of(&hq, 1), -1);
	settle_for(A_SECOND_MS);
	cr_expect_eq(decision_of(&hq, 1), LATCH_PAIR_ALONE);
}

Test(pair_decisions, R_2_15_a_walk_over_all_latches_answers_the_questions_that_wait_for_it)
{
	const struct latch_flow flow = flow_inside(1);

	default_and_branch(200);
	edited();
	walk_pace_hold(&attribution->walks, 10 * A_SECOND_MS);
	cr_expect_not(is_refused_now(&hq, &flow));
	attribution_check_all(attribution);
	cr_expect_eq(decision_of(&hq, 1), LATCH_PAIR_ALONE);
	cr_expect_not(loop_timer_armed(&attribution->answer));
}

Test(pair_decisions, R_2_3_8_a_late_answer_is_a_refusal_where_another_sa_can_carry_the_flow)
{
	const struct latch_flow flow = flow_inside(2);

	add_policies(&hq, 200, 0);
	bring_up(&hq);
	add_policies(&branch, 200, 0);
	bring_up(&branch);
	edited();
	walk_pace_hold(&attribution->walks, 10 * A_SECOND_MS);
	cr_expect_not(is_refused_now(&hq, &flow), "it is only lost");
	attribution_check_all(attribution);
	cr_expect_eq(decision_of(&hq, 2), LATCH_PAIR_CONTESTED);
}

Test(pair_decisions, R_2_3_8_no_question_is_answered_while_the_spd_cannot_be_read)
{
	const struct latch_flow flow = flow_inside(1);

	default_and_branch(200);
	settle_for(A_SECOND_MS);
	edited();
	walk_pace_hold(&attribution->walks, 10 * A_SECOND_MS);
	cr_expect_not(is_refused_now(&hq, &flow));
	kernel.err = -EAGAIN;
	attribution_check_all(attribution);
	cr_expect_eq(decision_of(&hq, 1), -1);
}

/* Its SAs could be rivals of all others. */
Test(pair_decisions, R_2_3_8_while_a_key_manager_has_not_listed_its_sas_none_starts)
{
	default_and_branch(200);
	attribution->began_ms = 0;
	attach(&pluto, &ns);
	cr_expect_not(is_refused(&hq, 1), "its list comes soon");
	cr_expect_eq(decisions(), 0);
	key_managers_find(&attribution->key_managers, &pluto)->attached_ms = 0;
	cr_expect(is_refused(&hq, 1));
	cr_expect_eq(decisions(), 0);
}

/* It has no SA that counts. */
Test(pair_decisions, R_2_15_a_key_manager_that_has_ended_refuses_no_connection)
{
	default_and_branch(200);
	attribution->began_ms = 0;
	attach(&pluto, &ns);
	key_managers_find(&attribution->key_managers, &pluto)->attached_ms = 0;
	set_feed_state(&pluto, FEED_STATE_LOST);
	cr_expect_not(is_refused(&hq, 1));
	cr_expect_eq(decision_of(&hq, 1), LATCH_PAIR_ALONE);
	cr_expect(is_refused(&hq, 2));
}

/* The lists come soon: applications see a loss, and their connections begin. */
Test(pair_decisions, R_2_15_a_restart_of_latchd_refuses_no_connection)
{
	default_and_branch(200);
	restart_latchd();
	cr_assert_eq(attribution_watch_choice(attribution, loop, &source), 0);
	attach(&charon, &ns);
	cr_expect_not(is_refused(&hq, 1));
	cr_expect_eq(decisions(), 0);
	snapshot(&charon, &hq, &branch);
	cr_expect_not(is_refused(&hq, 1));
	cr_expect_eq(decision_of(&hq, 1), LATCH_PAIR_ALONE);
	cr_expect(is_refused(&hq, 2));
}

Test(pair_decisions, an_sa_that_has_gone_refuses_no_connection)
{
	struct feed_child gone = tunnel("d.example", 77, 3, "10.2.0.0/16");

	default_and_branch(200);
	cr_expect_not(is_refused(&gone, 2));
	cr_expect_eq(decisions(), 0);
}

Test(pair_decisions, R_2_3_8_a_contested_sa_that_no_key_manager_has_reported_starts_none)
{
	struct feed_child by_hand = tunnel("d.example", 77, 3, "10.2.0.0/16");
	struct latch_sa_key key = out_key(&by_hand, ns.cookie);
	struct latch_sa sa = {
		.word = {.serial = 1,
			 .params = 1,
			 .state = LATCH_SA_BOUND,
			 .flags = LATCH_SA_CONTESTED},
	};

	default_and_branch(200);
	cr_assert_eq(bpf_map_update_elem(maps.sas, &key, &sa, BPF_ANY), 0);
	cr_expect_not(is_refused(&by_hand, 2), "a key manager may list it yet");
	attribution->began_ms = 0;
	cr_expect(is_refused(&by_hand, 2));
	cr_expect_eq(decisions(), 0);
	sa.word.flags = 0;
	cr_assert_eq(bpf_map_update_elem(maps.sas, &key, &sa, BPF_ANY), 0);
	cr_expect_not(is_refused(&by_hand, 2));
}

/* A report of the CHILD_SA with another peer could not be written to this SA. */
Test(pair_decisions, R_2_3_8_an_sa_with_other_params_than_its_child_sa_is_refused)
{
	struct latch_sa_key key = out_key(&hq, ns.cookie);
	struct latch_sa sa;

	default_and_branch(200);
	cr_assert_eq(bpf_map_lookup_elem(maps.sas, &key, &sa), 0);
	sa.word.params = in_params(&branch);
	cr_assert_eq(bpf_map_update_elem(maps.sas, &key, &sa, BPF_ANY), 0);
	attribution->began_ms = 0;
	cr_expect(is_refused(&hq, 1));
	cr_expect_eq(decisions(), 0);
	sa.word.params = in_params(&hq);
	cr_assert_eq(bpf_map_update_elem(maps.sas, &key, &sa, BPF_ANY), 0);
	cr_expect_not(is_refused(&hq, 1));
	cr_expect_eq(decision_of(&hq, 1), LATCH_PAIR_ALONE);
}

static bool is_refused_in_ipv6(const struct feed_child *under, const char *remote)
{
	struct latch_flow flow = {
		.netns = ns.cookie, .family = AF_INET6, .local_addr = {0x20, 0x01, 8}};

	cr_assert_eq(inet_pton(AF_INET6, remote, flow.remote_addr), 1);
	while (walk_pace_wait_ms(&attribution->walks))
		settle();
	return is_refused_now(under, &flow);
}

/* Without a policy the kernel accepts packets in under either SA. */
Test(pair_decisions, R_2_3_8_ipv6_flows_are_decided_by_ipv6_selectors)
{
	hq.local_ts = branch.local_ts = selectors("2001:800::/32");
	hq.remote_ts = selectors("2001:db8::/32");
	branch.remote_ts = selectors("2001:db8:2::/48");
	bring_up(&hq);
	bring_up(&branch);
	cr_expect_not(is_refused_in_ipv6(&hq, "2001:db8:1::1"));
	cr_expect(is_refused_in_ipv6(&hq, "2001:db8:2::1"));
	cr_expect(is_refused_in_ipv6(&branch, "2001:db8:2::1"));
}

/* Two peers behind one NAT, or two proposals of one peer: the policy of one fits the other's SAs.
 */
Test(pair_decisions, an_sa_of_the_same_gateway_contests_the_flows_of_its_own_selectors_only)
{
	struct feed_child other = tunnel("e.example", 3, 3, "10.1.0.0/24");

	traffic_selector_set_add(&other.remote_ts, "10.3.0.0/24", 11);
	default_and_branch(100);
	add_policies(&other, 100, 0);
	bring_up(&other);
	cr_expect_not(is_refused(&branch, 2), "between the two in the order of addresses");
	cr_expect(is_refused(&hq, 1));
}

/* Source NAT: the packet left under the branch's SA, and its selectors do not have the flow. */
Test(pair_decisions, R_2_3_8_a_flow_that_its_own_selectors_do_not_cover_is_contested)
{
	struct feed_child other = tunnel("e.example", 3, 4, "10.4.0.0/16");

	add_policies(&branch, 100, 0);
	bring_up(&branch);
	add_policies(&other, 100, 0);
	bring_up(&other);
	cr_expect_not(is_refused(&branch, 2));
	cr_expect(is_refused(&branch, 3), "no other selectors have it either");
}

/* ---- reports */

/* Of two rivals the SA has one recorded. */
Test(pair_decisions, the_refusal_of_a_flow_names_the_peer_that_contests_it)
{
	struct feed_child other = tunnel("e.example", 3, 4, "10.4.0.0/16");
	struct latch_sa_key key = out_key(&hq, ns.cookie);
	struct latch_flow flow = flow_inside(4);
	struct news_rival rival;

	traffic_selector_set_add(&other.remote_ts, "10.5.0.0/16", 11);
	default_and_branch(200);
	bring_up(&other);
	add_policies(&other, 200, 0);
	settle_for(A_SECOND_MS);
	cr_expect(is_refused(&hq, 4));
	cr_assert(attribution_rival_for(attribution, &key, &flow, &rival));
	cr_expect_eq(rival.params, in_params(&hq));
	cr_expect_eq(rival.rival_params, in_params(&other));
	cr_expect_str_eq(rival.remote, "10.4.0.0/16");
	flow = flow_inside(2);
	cr_assert(attribution_rival_for(attribution, &key, &flow, &rival));
	cr_expect_eq(rival.rival_params, in_params(&branch));
	cr_expect_str_eq(rival.remote, "10.2.0.0/16");
	cr_expect_str_eq(rival.local, "10.8.0.1");
	flow = flow_inside(1);
	cr_expect_not(attribution_rival_for(attribution, &key, &flow, &rival));
}

/* 195 ranges that overlap with one another, and hosts above them. */
static void add_staggered(struct feed_child *child, unsigned int ports)
{
	char text[64];
	unsigned int i;

	for (i = 0; i < 255; i++) {
		if (i < 195)
			snprintf(text, sizeof(text), "10.4.0.%u..10.4.1.%u", i, i);
		else
			snprintf(text, sizeof(text), "10.4.2.%u/32[tcp/%u-%u]", i, ports,
				 ports + 9);
		traffic_selector_set_add(&child->remote_ts, text, strlen(text));
	}
	traffic_selector_set_seal(&child->remote_ts);
}

static uint64_t rival_of(const struct feed_child *child, const struct latch_flow *flow,
			 struct news_rival *ret)
{
	struct sa_groups *groups = &attribution->child_sas.groups;
	struct latch_sa_key key = out_key(child, ns.cookie);
	uint64_t before = groups->work;

	cr_assert(attribution_rival_for(attribution, &key, flow, ret));
	return groups->work - before;
}

Test(pair_decisions, the_refusal_of_a_flow_costs_no_product_of_selectors)
{
	struct feed_child one = tunnel("d.example", 3, 3, "10.3.0.0/32");
	struct feed_child other = tunnel("e.example", 4, 4, "10.5.0.0/32");
	struct latch_flow flow = flow_inside(4);
	struct news_rival rival;

	add_staggered(&one, 80);
	add_staggered(&other, 85);
	add_policies(&one, 200, 0);
	add_policies(&other, 200, 0);
	bring_up(&one);
	bring_up(&other);
	flow.remote_addr[2] = 2;
	flow.remote_addr[3] = 240;
	cr_expect_lt(rival_of(&one, &flow, &rival), 1000);
	cr_expect_str_eq(rival.remote, "10.4.2.240[6/85-89]");
	flow.remote_addr[2] = 1;
	flow.remote_addr[3] = 0;
	cr_expect_lt(rival_of(&one, &flow, &rival), 1000);
	cr_expect_str_eq(rival.remote, "10.4.0.0..10.4.1.0");
}

/* Each port of one is none of the other. */
Test(pair_decisions, the_work_for_a_refusal_has_a_bound_where_nothing_is_in_common)
{
	struct feed_child one = tunnel("d.example", 3, 3, "10.4.0.0/32[tcp/1]");
	struct feed_child other = tunnel("e.example", 4, 4, "10.4.0.0/32[tcp/2]");
	struct latch_flow flow = flow_inside(4);
	struct news_rival rival;
	char text[64];
	unsigned int i;

	for (i = 2; i < 256; i++) {
		snprintf(text, sizeof(text), "10.4.0.0/32[tcp/%u]", 2 * i - 1);
		traffic_selector_set_add(&one.remote_ts, text, strlen(text));
		snprintf(text, sizeof(text), "10.4.0.0/32[tcp/%u]", 2 * i);
		traffic_selector_set_add(&other.remote_ts, text, strlen(text));
	}
	traffic_selector_set_seal(&one.remote_ts);
	traffic_selector_set_seal(&other.remote_ts);
	add_policies(&one, 200, 0);
	add_policies(&other, 200, 0);
	bring_up(&one);
	bring_up(&other);
	flow.remote_addr[3] = 0;
	cr_expect_lt(rival_of(&one, &flow, &rival), 3 * SA_GROUP_PAIRS_REPORT);
	cr_expect_str_eq(rival.remote, "other protocols or ports");
	cr_expect_str_eq(rival.local, "10.8.0.1");
}

/* ---- interface ids */

Test(pair_decisions, a_rival_behind_another_device_contests_no_flow)
{
	two_tunnels(41, 42);
	cr_expect_not(is_refused(&hq, 1));
}

/* One decision is for all SAs of a peer, whatever their ids. */
Test(pair_decisions, R_2_3_8_a_peer_with_two_interface_ids_has_no_device_of_its_own)
{
	struct feed_child second = tunnel("c.example", 9, 2, "10.44.0.0/16");

	two_tunnels(41, 42);
	kernel.devices[2] = second.if_id_in = second.if_id_out = 43;
	kernel.devices_count = 3;
	add_policies(&second, 200, 43);
	bring_up(&second);
	cr_expect(is_refused(&hq, 1));
}

/* ---- a peer with many CHILD_SAs */

#define SUBNETS 200

/* Their ranges contain 10.2.0.1, their selectors do not. */
static void bring_up_around(unsigned int number)
{
	struct feed_child child = tunnel("e.example", 100 + number, 4, "10.1.0.0/24");
	char text[32];

	snprintf(text, sizeof(text), "10.3.0.%u/32", number);
	traffic_selector_set_add(&child.remote_ts, text, strlen(text));
	bring_up(&child);
}

/* Their selectors have 10.2.0.1, and the policy of headquarters comes first. */
static void bring_up_inside(unsigned int number)
{
	char text[32];
	struct feed_child child;

	snprintf(text, sizeof(text), "10.2.0.1/32[tcp/%u]", number + 1);
	child = tunnel("e.example", 100 + number, 4, text);
	bring_up(&child);
}

static void many(void (*bring_one_up)(unsigned int number))
{
	unsigned int i;

	add_policies(&hq, 100, 0);
	bring_up(&hq);
	for (i = 0; i < SUBNETS; i++)
		bring_one_up(i);
	settle_for(A_SECOND_MS);
}

Test(pair_decisions, a_peer_with_many_subnets_around_an_address_contests_none_of_its_flows)
{
	struct feed_child first = tunnel("e.example", 100, 4, "10.1.0.0/24");

	many(bring_up_around);
	add_policies(&first, 100, 0);
	cr_expect_not(is_refused(&hq, 2));
	cr_expect(is_refused(&hq, 1), "all of them have this one");
}

Test(pair_decisions, a_peer_with_many_selectors_for_an_address_leaves_its_flows_to_the_first_policy)
{
	many(bring_up_inside);
	cr_expect_not(is_refused(&hq, 2));
}

/* Of two gateways with many selectors, for one address by unequal ones. */
static void bring_up_unequal(const char *peer, uint32_t spi, uint8_t host, const char *first)
{
	struct feed_child child = tunnel(peer, spi, host, first);
	char text[32];
	unsigned int i;

	for (i = 0; i < 200; i++) {
		snprintf(text, sizeof(text), "10.%u.%u.0/24", 3 + spi % 64, i);
		traffic_selector_set_add(&child.remote_ts, text, strlen(text));
	}
	traffic_selector_set_seal(&child.remote_ts);
	bring_up(&child);
	feed_child_release(&child);
}

/* Not by the selectors elsewhere, for each two groups anew. */
Test(pair_decisions, equal_selectors_are_searched_by_the_address)
{
	struct sa_groups *groups = &attribution->child_sas.groups;
	uint64_t before;
	unsigned int i;

	add_policies(&hq, 100, 0);
	for (i = 0; i < 20; i++) {
		bring_up_unequal("c.example", 100 + i, 2, "10.2.0.0/25");
		bring_up_unequal("e.example", 200 + i, 4, "10.2.0.0/26");
	}
	settle_for(A_SECOND_MS);
	hq = tunnel("c.example", 100, 2, "10.2.0.0/25");
	before = groups->work;
	cr_expect_not(is_refused(&hq, 2));
	cr_expect_geq(groups->work, before + 3 * 20 * 20, "each search counts");
	cr_expect_lt(groups->work, before + 20 * 20 * 20);
}

Test(pair_decisions, R_2_3_8_the_end_of_latchd_ends_all_decisions)
{
	default_and_branch(200);
	cr_expect_not(is_refused(&hq, 1));
	attribution_free(attribution);
	cr_expect_eq(decisions(), 0);
	attribution = attribution_new(loop, &maps, identities, &bus);
	cr_assert_not_null(attribution);
}

/* As bring_up_around(), with as many selectors as a TS payload has. */
static void bring_up_with_many_selectors(unsigned int number)
{
	struct feed_child child = tunnel("e.example", 100 + number, 4, "10.1.0.0/24");
	char text[32];
	unsigned int i;

	for (i = 0; i < 254; i++) {
		snprintf(text, sizeof(text), "10.3.%u.%u/32", number, i);
		traffic_selector_set_add(&child.remote_ts, text, strlen(text));
	}
	bring_up(&child);
	feed_child_release(&child);
}

static uint64_t *due_of(const struct feed_child *child)
{
	struct latch_sa_key key = in_key(child, ns.cookie);
	struct child_sa_end *end = child_sas_find(&attribution->child_sas, &key);

	return &attribution->questions_due_ms[end->child->peer];
}

/* An answer takes some milliseconds. */
Test(pair_decisions, questions_of_a_peer_that_cost_much_time_have_a_pace)
{
	uint64_t before;

	many(bring_up_with_many_selectors);
	before = loop_now_ms();
	cr_expect_not(is_refused(&hq, 2));
	cr_expect_eq(decision_of(&hq, 2), LATCH_PAIR_ALONE);
	cr_expect_geq(*due_of(&hq), before + 5);
}

Test(pair_decisions, a_peer_whose_questions_wait_delays_those_of_no_other_peer)
{
	default_and_branch(100);
	settle_for(A_SECOND_MS);
	*due_of(&hq) = loop_now_ms() + A_SECOND_MS;
	cr_expect_not(is_refused(&hq, 1), "lost, not refused");
	cr_expect_eq(decision_of(&hq, 1), -1);
	cr_expect_not(is_refused(&branch, 2));
	cr_expect_eq(decision_of(&branch, 2), LATCH_PAIR_ALONE);
	settle_for(A_SECOND_MS);
	cr_expect_not(is_refused(&hq, 1));
	cr_expect_eq(decision_of(&hq, 1), LATCH_PAIR_ALONE);
}
