/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the kernel could do decides which latches break and which SAs are contested. Tunnels of
 *
 *   W 10.8.0.1 --- 0.0.0.0/0 at 10.9.0.2     c.example (SPI 1), headquarters
 *              \-- 10.2.0.0/16 at 10.9.0.3   d.example (SPI 2), branch
 *
 * and an SPD and devices that the test states.
 */
#include "attribution_fixture.h"

#include "latchd/choice/choice.h"

#define POLICIES    16
#define A_SECOND_MS 1000

static struct feed_child hq, branch;
static struct latch_flow to_hq, to_branch;

/* ---- the SPD and the devices */

static struct {
	struct choice_policy policies[POLICIES];
	size_t count;
	uint32_t devices[4];
	size_t devices_count;
	int err;
	uint64_t edited_ns;
	unsigned int loads;
	size_t churning; /* the last ones of the policies are in each other dump only */
} kernel;

static int load_devices(uint64_t netns, struct choice_table *ret)
{
	size_t i;

	(void)netns;
	for (i = 0; i < kernel.devices_count; i++)
		cr_assert_eq(choice_table_add_device(ret, kernel.devices[i]), 0);
	return kernel.err;
}

static int load(uint64_t netns, struct choice_table *ret)
{
	size_t i;

	kernel.loads++;
	if (kernel.err)
		return kernel.err;
	*ret = (struct choice_table){0};
	for (i = 0; i < kernel.count; i++) {
		if (i + kernel.churning >= kernel.count && (kernel.loads + i) % 2)
			continue;
		cr_assert_eq(choice_table_add_policy(ret, &kernel.policies[i]), 0);
		ret->has_ids = ret->has_ids || kernel.policies[i].if_id;
	}
	load_devices(netns, ret);
	return choice_table_build(ret);
}

static int last_edit(void *context, uint64_t netns, uint64_t *ret_ns)
{
	(void)context;
	(void)netns;
	*ret_ns = kernel.edited_ns;
	return 0;
}

static const struct choice_source source = {
	.load = load, .load_devices = load_devices, .last_edit = last_edit};

static void edited(void)
{
	kernel.edited_ns = clock_boot_ns();
	attribution_spd_edited(attribution, ns.cookie);
}

static uint8_t prefix_of(const struct traffic_selector *selector)
{
	uint8_t bits = 0;

	while (bits < 32 &&
	       !((selector->low[bits / 8] ^ selector->high[bits / 8]) >> (7 - bits % 8) & 1))
		bits++;
	return bits;
}

static void add_policy(const struct feed_child *child, enum policy_direction direction,
		       uint32_t priority, uint32_t if_id)
{
	struct xfrm_user_tmpl template = {
		.id.proto = IPPROTO_ESP,
		.mode = XFRM_MODE_TUNNEL,
		.family = AF_INET,
	};
	bool out = direction == POLICY_OUT;
	struct policy policy = {
		.family = AF_INET,
		.direction = direction,
		.action = POLICY_PROTECT,
		.priority = priority,
		.if_id = if_id,
		.template_count = 1,
	};
	const struct traffic_selector *remote = &child->remote_ts.selector[0];

	memcpy(out ? policy.destination : policy.source, remote->low, 16);
	*(out ? &policy.destination_bits : &policy.source_bits) = prefix_of(remote);
	memcpy(&template.saddr, out ? child->local_host : child->remote_host, 4);
	memcpy(&template.id.daddr, out ? child->remote_host : child->local_host, 4);
	choice_policy_of(&policy, &template, &kernel.policies[kernel.count++]);
}

static void add_policies(const struct feed_child *child, uint32_t priority, uint32_t if_id)
{
	add_policy(child, POLICY_OUT, priority, if_id);
	add_policy(child, POLICY_IN, priority, if_id);
	edited();
}

static void remove_last_policies(void)
{
	kernel.count -= 2;
	edited();
}

static void until(bool (*condition)(void))
{
	unsigned int i;

	for (i = 0; i < 2000 && !condition(); i++)
		settle();
	cr_expect(condition());
}

/* ---- tunnels */

static struct feed_child tunnel(const char *peer, uint32_t spi, uint8_t host, const char *remote)
{
	struct feed_child child = child_of(peer, spi);

	child.mode = FEED_MODE_TUNNEL;
	child.remote_host[3] = host;
	child.local_ts = selectors("10.8.0.1/32");
	child.remote_ts = selectors(remote);
	return child;
}

static void install_end(const struct latch_sa_key *key, const uint8_t source_address[16],
			bool inbound, uint32_t if_id, uint32_t mark)
{
	struct latch_sa sa = sa_from(source_address, inbound);

	sa.mode = XFRM_MODE_TUNNEL;
	sa.if_id = if_id;
	sa.mark = sa.mark_mask = mark;
	install(key, sa);
}

static void bring_up_marked(const struct feed_child *child, uint32_t mark)
{
	struct latch_sa_key in = in_key(child, ns.cookie), out = out_key(child, ns.cookie);

	install_end(&in, child->remote_host, true, child->if_id_in, mark);
	install_end(&out, child->local_host, false, child->if_id_out, mark);
	up(&charon, child);
	expect_states(child, LATCH_SA_BOUND);
}

static void bring_up(const struct feed_child *child)
{
	bring_up_marked(child, 0);
}

static struct latch_flow latch_inside(uint16_t port, uint8_t network,
				      const struct feed_child *child)
{
	static uint64_t last_id = 0x1000;
	struct latch_flow flow = flow_at(port, ns.cookie);
	struct latch latch = {
		.id = ++last_id,
		.owner = LATCH_OWNER_SOCKET,
		.word = {.generation = 1,
			 .params = in_params(child),
			 .state = LATCH_STATE_ESTABLISHED},
	};

	memcpy(flow.local_addr, (uint8_t[]){10, 8, 0, 1}, 4);
	memcpy(flow.remote_addr, (uint8_t[]){10, network, 0, 1}, 4);
	cr_assert_eq(bpf_map_update_elem(maps.latches, &flow, &latch, BPF_NOEXIST), 0);
	attribution_latch_created(attribution, &flow);
	return flow;
}

static void start(void)
{
	memset(&kernel, 0, sizeof(kernel));
	fixture_start_synced();
	cr_assert_eq(attribution_watch_choice(attribution, loop, &source), 0);
	hq = tunnel("c.example", 1, 2, "0.0.0.0/0");
	branch = tunnel("d.example", 2, 3, "10.2.0.0/16");
}

TestSuite(choice_conflict, .init = start, .fini = fixture_finish, .timeout = 60);

static void default_and_branch(uint32_t branch_priority)
{
	add_policies(&hq, 200, 0);
	bring_up(&hq);
	to_hq = latch_inside(1000, 1, &hq);
	add_policies(&branch, branch_priority, 0);
	bring_up(&branch);
	to_branch = latch_inside(1001, 2, &branch);
}

static void expect_both_whole(void)
{
	cr_expect_not(is_contested(&hq));
	cr_expect_not(is_contested(&branch));
	cr_expect_eq(latch_state_of(&to_hq), LATCH_STATE_ESTABLISHED);
	cr_expect_eq(latch_state_of(&to_branch), LATCH_STATE_ESTABLISHED);
}

static void expect_contested(void)
{
	cr_expect(is_contested(&hq));
	cr_expect(is_contested(&branch));
}

Test(choice_conflict, a_default_route_and_a_branch_are_distinguished_by_the_order_of_policies)
{
	default_and_branch(100);
	expect_both_whole();
	settle();
	expect_both_whole();
}

Test(choice_conflict, R_2_3_8_policies_of_equal_priority_tell_no_sas_apart)
{
	default_and_branch(200);
	expect_contested();
	cr_expect_eq(latch_state_of(&to_branch), LATCH_STATE_BROKEN);
	cr_expect_eq(latch_state_of(&to_hq), LATCH_STATE_ESTABLISHED);
}

Test(choice_conflict, R_2_3_10_an_impostor_at_the_same_address_under_the_same_policy_conflicts)
{
	struct feed_child impostor = tunnel("d.example", 3, 2, "0.0.0.0/0");

	default_and_branch(100);
	bring_up(&impostor);
	cr_expect_eq(latch_state_of(&to_hq), LATCH_STATE_BROKEN);
	cr_expect(is_contested(&hq));
	cr_expect(is_contested(&impostor));
	cr_expect_eq(latch_state_of(&to_branch), LATCH_STATE_ESTABLISHED);
}

/* The SPD has only the policy of the newest. */
Test(choice_conflict, R_2_3_8_two_gateways_with_equal_selectors_are_contested)
{
	struct feed_child other = tunnel("d.example", 3, 3, "0.0.0.0/0");

	add_policies(&hq, 200, 0);
	bring_up(&hq);
	remove_last_policies();
	add_policies(&other, 200, 0);
	bring_up(&other);
	cr_expect(is_contested(&hq));
	cr_expect(is_contested(&other));
}

Test(choice_conflict, R_2_3_10_a_narrower_policy_of_an_impostor_breaks_the_latches_within)
{
	add_policies(&hq, 200, 0);
	bring_up(&hq);
	to_hq = latch_inside(1000, 1, &hq);
	to_branch = latch_inside(1001, 2, &hq);
	add_policies(&branch, 100, 0);
	bring_up(&branch);
	cr_expect_eq(latch_state_of(&to_branch), LATCH_STATE_BROKEN);
	cr_expect_eq(seen.got, in_params(&branch));
	cr_expect_eq(latch_state_of(&to_hq), LATCH_STATE_ESTABLISHED);
}

Test(choice_conflict, R_2_3_10_an_impostor_within_an_overlap_of_two_honest_peers_conflicts)
{
	struct feed_child impostor = tunnel("e.example", 3, 3, "10.2.0.0/16");

	default_and_branch(100);
	bring_up(&impostor);
	cr_expect_eq(latch_state_of(&to_branch), LATCH_STATE_BROKEN);
	cr_expect(is_contested(&branch));
	cr_expect(is_contested(&impostor));
	cr_expect_eq(latch_state_of(&to_hq), LATCH_STATE_ESTABLISHED);
	cr_expect_not(is_contested(&hq));
}

static bool branch_is_broken(void)
{
	return latch_state_of(&to_branch) == LATCH_STATE_BROKEN;
}

static bool branch_is_whole(void)
{
	return !branch_is_broken();
}

Test(choice_conflict, R_2_3_10_an_edit_that_gives_the_flow_to_the_other_peer_breaks_the_latch)
{
	default_and_branch(100);
	remove_last_policies();
	until(branch_is_broken);
	cr_expect_eq(latch_state_of(&to_hq), LATCH_STATE_ESTABLISHED);
	add_policies(&branch, 100, 0);
	until(branch_is_whole);
	expect_both_whole();
}

static bool hq_is_contested(void)
{
	return is_contested(&hq);
}

Test(choice_conflict, R_2_3_8_an_unreadable_spd_tells_no_sas_apart)
{
	default_and_branch(100);
	kernel.err = -ENOMEM;
	edited();
	until(hq_is_contested);
	expect_contested();
	until(branch_is_broken);
}

Test(choice_conflict, R_2_3_8_sas_are_contested_where_no_spd_was_read)
{
	kernel.err = -EACCES;
	default_and_branch(100);
	expect_contested();
}

Test(choice_conflict, a_rekey_looks_at_no_spd_again)
{
	struct feed_child next = tunnel("d.example", 3, 3, "10.2.0.0/16");
	unsigned int loads;

	default_and_branch(100);
	kernel.edited_ns = 0;
	settle();
	loads = kernel.loads;
	bring_up(&next);
	cr_expect_leq(kernel.loads, loads + 1);
	expect_both_whole();
}

Test(choice_conflict, a_contested_sa_names_the_other_peers_sa_and_the_traffic_of_both)
{
	struct latch_sa_key in = in_key(&hq, ns.cookie), out = out_key(&branch, ns.cookie);
	struct news_rival rival;

	default_and_branch(200);
	cr_assert(attribution_rival(attribution, &in, &rival));
	cr_expect_eq(rival.params, in_params(&hq));
	cr_expect_eq(rival.rival_params, in_params(&branch));
	cr_expect_eq(rival.rival_spi, 2);
	cr_expect_str_eq(rival.local, "10.8.0.1");
	cr_expect_str_eq(rival.remote, "10.2.0.0/16");
	cr_assert(attribution_rival(attribution, &out, &rival));
	cr_expect_eq(rival.rival_spi, 1);
}

Test(choice_conflict, an_sa_that_none_contests_names_none)
{
	struct latch_sa_key in = in_key(&hq, ns.cookie);
	struct news_rival rival;

	default_and_branch(100);
	cr_expect_not(attribution_rival(attribution, &in, &rival));
}

/* ---- interface ids */

static void two_tunnels(uint32_t one, uint32_t other)
{
	branch = tunnel("d.example", 2, 3, "0.0.0.0/0");
	hq.if_id_in = hq.if_id_out = one;
	branch.if_id_in = branch.if_id_out = other;
	kernel.devices[0] = one;
	kernel.devices[1] = other;
	kernel.devices_count = 2;
	add_policies(&hq, 200, one);
	add_policies(&branch, 200, other);
	bring_up(&hq);
	to_hq = latch_inside(1000, 1, &hq);
	bring_up(&branch);
	to_branch = latch_inside(1001, 2, &branch);
}

Test(choice_conflict, two_tunnels_are_distinguished_by_their_interface_ids)
{
	two_tunnels(41, 42);
	expect_both_whole();
}

Test(choice_conflict, R_2_3_8_an_interface_id_and_none_tell_no_sas_apart)
{
	two_tunnels(0, 42);
	expect_contested();
}

static bool is_contested_now(void)
{
	return is_contested(&branch);
}

Test(choice_conflict, R_2_3_8_a_device_that_disappears_makes_its_sas_conflict_again)
{
	two_tunnels(41, 42);
	kernel.devices_count = 1;
	until(is_contested_now);
	expect_contested();
	until(branch_is_broken);
	kernel.devices_count = 2;
	until(branch_is_whole);
	expect_both_whole();
}

Test(choice_conflict, R_2_3_8_a_marked_sa_conflicts_whatever_the_policies_say)
{
	add_policies(&hq, 200, 0);
	add_policies(&branch, 100, 0);
	bring_up(&hq);
	to_branch = latch_inside(1001, 2, &hq);
	bring_up_marked(&branch, 5);
	cr_expect_eq(latch_state_of(&to_branch), LATCH_STATE_BROKEN);
}

Test(choice_conflict, a_tunnel_that_is_down_for_a_while_keeps_its_latches)
{
	two_tunnels(41, 42);
	down(&charon, &hq);
	delete_both(&hq);
	settle();
	cr_expect_eq(latch_state_of(&to_hq), LATCH_STATE_ESTABLISHED);
	cr_expect_eq(seen.broken, 0);
}

/* ---- an SPD that changes all the time */

static void settle_for(unsigned int ms)
{
	uint64_t end = loop_now_ms() + ms;

	while (loop_now_ms() < end)
		settle();
}

/* Two policies of the peer, of which each dump has another one. */
static void churn(const struct feed_child *child, uint32_t priority)
{
	add_policies(child, priority, 0);
	kernel.churning = 2;
	edited();
}

Test(choice_conflict, policies_of_one_peer_that_come_and_go_make_no_others_conflict)
{
	struct feed_child peer = tunnel("e.example", 9, 4, "10.9.0.4/32");

	default_and_branch(100);
	churn(&peer, 50);
	settle_for(2 * A_SECOND_MS);
	expect_both_whole();
	cr_expect_eq(seen.broken, 0);
}

Test(choice_conflict, R_2_3_10_an_impostor_whose_policies_come_and_go_is_found)
{
	struct feed_child impostor = tunnel("e.example", 3, 4, "10.2.0.0/16");

	default_and_branch(100);
	churn(&impostor, 50);
	bring_up(&impostor);
	until(branch_is_broken);
	cr_expect_eq(latch_state_of(&to_hq), LATCH_STATE_ESTABLISHED);
}

/* What is in some dumps only rules nothing out: it may be gone. */
Test(choice_conflict, R_2_3_10_a_policy_that_comes_and_goes_hides_no_impostor)
{
	struct feed_child impostor = tunnel("e.example", 3, 4, "0.0.0.0/0");

	add_policies(&impostor, 100, 0);
	add_policies(&branch, 50, 0);
	kernel.churning = 2;
	edited();
	bring_up(&branch);
	to_branch = latch_inside(1001, 2, &branch);
	bring_up(&impostor);
	until(branch_is_broken);
}

static bool branch_is_not_contested(void)
{
	return !is_contested(&branch);
}

Test(choice_conflict, an_spd_that_has_come_to_rest_counts_as_it_is)
{
	struct feed_child impostor = tunnel("e.example", 3, 4, "10.2.0.0/17");

	default_and_branch(100);
	churn(&impostor, 50);
	bring_up(&impostor);
	until(branch_is_broken);
	kernel.churning = 0;
	remove_last_policies();
	until(branch_is_whole);
	until(branch_is_not_contested);
	expect_both_whole();
}

Test(choice_conflict, a_rekey_waits_for_no_edit_of_others)
{
	struct feed_child next = tunnel("d.example", 3, 3, "10.2.0.0/16");

	default_and_branch(100);
	kernel.err = -ENOMEM;
	edited();
	bring_up(&next);
	expect_both_whole();
}

Test(choice_conflict, R_2_3_8_a_new_child_sa_waits_for_the_spd)
{
	struct feed_child impostor = tunnel("e.example", 3, 3, "10.2.0.0/16");
	struct latch_sa_key in = in_key(&impostor, ns.cookie);
	struct latch_sa sa;

	default_and_branch(100);
	kernel.err = -ENOMEM;
	edited();
	install_end(&in, impostor.remote_host, true, 0, 0);
	up(&charon, &impostor);
	cr_assert_eq(sa_get(&maps, &in, &sa), 0);
	cr_expect_eq(sa.word.state, LATCH_SA_PENDING);
}

/* ---- a policy is gone for a moment */

static void remove_policies_within_grace(unsigned int grace_ms)
{
	attribution_set_policy_grace(attribution, grace_ms);
	default_and_branch(100);
	remove_last_policies();
}

static struct latch_event dropped_of(const struct latch_flow *flow, const struct feed_child *under)
{
	return (struct latch_event){
		.type = LATCH_EVENT_DROP,
		.drop = LATCH_DROP_IDENTITY,
		.flow = *flow,
		.word = latch_of(flow).word,
		.latch_id = latch_of(flow).id,
		.packet = LATCH_DIRECTION_OUT,
		.sa = out_key(under, ns.cookie),
		.time = clock_boot_ns(),
	};
}

Test(choice_conflict, a_policy_that_is_replaced_in_two_steps_lets_no_wider_tunnel_break_the_latch)
{
	struct latch_event event;

	remove_policies_within_grace(60 * A_SECOND_MS);
	settle_for(A_SECOND_MS);
	event = dropped_of(&to_branch, &hq);
	attribution_sent_elsewhere(attribution, &event);
	expect_both_whole();
	add_policies(&branch, 100, 0);
	settle_for(A_SECOND_MS);
	expect_both_whole();
	cr_expect_eq(seen.broken, 0);
}

Test(choice_conflict, R_2_3_10_a_policy_that_does_not_come_back_lets_the_wider_tunnel_conflict)
{
	remove_policies_within_grace(A_SECOND_MS / 2);
	until(branch_is_broken);
	cr_expect_eq(latch_state_of(&to_hq), LATCH_STATE_ESTABLISHED);
}

Test(choice_conflict, R_2_3_10_an_impostor_with_a_policy_of_its_own_has_no_grace)
{
	struct feed_child impostor = tunnel("e.example", 3, 4, "10.2.0.0/17");

	remove_policies_within_grace(60 * A_SECOND_MS);
	settle_for(A_SECOND_MS / 2);
	add_policies(&impostor, 50, 0);
	bring_up(&impostor);
	until(branch_is_broken);
}

Test(choice_conflict, R_2_3_10_a_policy_in_the_very_place_of_the_former_one_has_no_grace)
{
	struct feed_child impostor = tunnel("e.example", 3, 4, "10.2.0.0/16");

	attribution_set_policy_grace(attribution, 60 * A_SECOND_MS);
	default_and_branch(100);
	bring_up(&impostor);
	to_branch = latch_inside(1002, 2, &branch);
	kernel.count -= 2;
	add_policies(&impostor, 100, 0);
	until(branch_is_broken);
}

Test(choice_conflict, R_2_3_10_the_policy_of_a_third_peer_is_awaited_by_none)
{
	struct feed_child third = tunnel("e.example", 3, 4, "10.2.0.0/17");

	attribution_set_policy_grace(attribution, 60 * A_SECOND_MS);
	default_and_branch(100);
	add_policies(&third, 50, 0);
	settle_for(A_SECOND_MS / 2);
	kernel.count -= 2;
	edited();
	settle_for(A_SECOND_MS / 2);
	kernel.count -= 2;
	add_policies(&branch, 300, 0);
	until(branch_is_broken);
}

/* ---- several interface ids of one peer */

Test(choice_conflict, a_second_interface_id_of_a_peer_counts_until_its_sa_is_gone)
{
	struct feed_child extra = tunnel("c.example", 7, 2, "10.7.0.0/16");

	hq.if_id_in = hq.if_id_out = 41;
	extra.if_id_in = extra.if_id_out = 43;
	kernel.devices[2] = 43;
	two_tunnels(41, 42);
	bring_up(&extra);
	down(&charon, &extra);
	delete_both(&extra);
	down(&charon, &hq);
	delete_both(&hq);
	attribution_reconcile(attribution);
	settle();
	cr_expect_eq(latch_state_of(&to_hq), LATCH_STATE_ESTABLISHED);
	cr_expect_eq(seen.broken, 0);
}

Test(choice_conflict, R_2_3_10_where_a_peer_has_several_interface_ids_none_separates)
{
	struct feed_child extra = tunnel("c.example", 7, 2, "10.7.0.0/16");

	extra.if_id_in = extra.if_id_out = 43;
	kernel.devices[2] = 43;
	two_tunnels(41, 42);
	bring_up(&extra);
	down(&charon, &hq);
	delete_both(&hq);
	attribution_reconcile(attribution);
	settle();
	cr_expect_eq(latch_state_of(&to_hq), LATCH_STATE_BROKEN);
}

/* ---- a route changes: no event but a dropped packet */

static struct latch_event dropped(const struct feed_child *under, enum latch_direction packet)
{
	struct latch_event event = {
		.type = LATCH_EVENT_DROP,
		.drop = LATCH_DROP_IDENTITY,
		.flow = to_hq,
		.latch_id = latch_of(&to_hq).id,
		.packet = packet,
	};

	event.sa = packet == LATCH_DIRECTION_OUT ? out_key(under, ns.cookie)
						 : in_key(under, ns.cookie);
	event.time = clock_boot_ns();
	return event;
}

Test(choice_conflict, R_2_3_10_a_packet_that_left_under_another_peers_sa_breaks_the_latch)
{
	struct latch_event event;

	two_tunnels(41, 42);
	event = dropped(&branch, LATCH_DIRECTION_OUT);
	attribution_sent_elsewhere(attribution, &event);
	cr_expect_eq(latch_state_of(&to_hq), LATCH_STATE_BROKEN);
	cr_expect_eq(seen.got, in_params(&branch));
}

Test(choice_conflict, a_packet_that_arrived_under_another_peers_sa_breaks_no_latch)
{
	struct latch_event event;

	two_tunnels(41, 42);
	event = dropped(&branch, LATCH_DIRECTION_IN);
	attribution_sent_elsewhere(attribution, &event);
	event = dropped(&branch, LATCH_DIRECTION_OUT);
	event.drop = LATCH_DROP_SA_PENDING;
	attribution_sent_elsewhere(attribution, &event);
	event = dropped(&branch, LATCH_DIRECTION_OUT);
	event.time = 1; /* the SA under this key is a later one */
	attribution_sent_elsewhere(attribution, &event);
	event = dropped(&branch, LATCH_DIRECTION_OUT);
	event.latch_id++;
	attribution_sent_elsewhere(attribution, &event);
	cr_expect_eq(latch_state_of(&to_hq), LATCH_STATE_ESTABLISHED);
}
