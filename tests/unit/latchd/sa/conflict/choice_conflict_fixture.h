/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * For tests of what the kernel could do, which decides which latches break and which SAs are
 * contested. Tunnels of
 *
 *   W 10.8.0.1 --- 0.0.0.0/0 at 10.9.0.2     c.example (SPI 1), headquarters
 *              \-- 10.2.0.0/16 at 10.9.0.3   d.example (SPI 2), branch
 *
 * and an SPD and devices that the test states.
 */
#ifndef LATCHD_TESTS_CHOICE_CONFLICT_FIXTURE_H
#define LATCHD_TESTS_CHOICE_CONFLICT_FIXTURE_H

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

static inline int load_devices(uint64_t netns, struct choice_table *ret)
{
	size_t i;

	(void)netns;
	for (i = 0; i < kernel.devices_count; i++)
		cr_assert_eq(choice_table_add_device(ret, kernel.devices[i]), 0);
	return kernel.err;
}

static inline int load(uint64_t netns, struct choice_table *ret)
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
	if (ret->has_ids)
		load_devices(netns, ret);
	return choice_table_build(ret);
}

static inline int last_edit(void *context, uint64_t netns, uint64_t *ret_ns)
{
	(void)context;
	(void)netns;
	*ret_ns = kernel.edited_ns;
	return 0;
}

static const struct choice_source source = {
	.load = load, .load_devices = load_devices, .last_edit = last_edit};

static inline void edited(void)
{
	kernel.edited_ns = clock_boot_ns();
	attribution_spd_edited(attribution, ns.cookie);
}

static inline uint8_t prefix_of(const struct traffic_selector *selector)
{
	uint8_t bits = 0;

	while (bits < 32 &&
	       !((selector->low[bits / 8] ^ selector->high[bits / 8]) >> (7 - bits % 8) & 1))
		bits++;
	return bits;
}

static inline void add_policy(const struct feed_child *child, enum policy_direction direction,
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

static inline void add_policies(const struct feed_child *child, uint32_t priority, uint32_t if_id)
{
	add_policy(child, POLICY_OUT, priority, if_id);
	add_policy(child, POLICY_IN, priority, if_id);
	edited();
}

static inline void remove_last_policies(void)
{
	kernel.count -= 2;
	edited();
}

static inline void until(bool (*condition)(void))
{
	unsigned int i;

	for (i = 0; i < 2000 && !condition(); i++)
		settle();
	cr_expect(condition());
}

static inline void settle_for(unsigned int ms)
{
	uint64_t end = loop_now_ms() + ms;

	while (loop_now_ms() < end)
		settle();
}

/* ---- tunnels */

static inline struct feed_child tunnel(const char *peer, uint32_t spi, uint8_t host,
				       const char *remote)
{
	struct feed_child child = child_of(peer, spi);

	child.mode = FEED_MODE_TUNNEL;
	child.remote_host[3] = host;
	child.local_ts = selectors("10.8.0.1/32");
	child.remote_ts = selectors(remote);
	return child;
}

static inline void install_end(const struct latch_sa_key *key, const uint8_t source_address[16],
			       bool inbound, uint32_t if_id, uint32_t mark)
{
	struct latch_sa sa = sa_from(source_address, inbound);

	sa.mode = XFRM_MODE_TUNNEL;
	sa.if_id = if_id;
	sa.mark = sa.mark_mask = mark;
	install(key, sa);
}

static inline void bring_up_marked(const struct feed_child *child, uint32_t mark)
{
	struct latch_sa_key in = in_key(child, ns.cookie), out = out_key(child, ns.cookie);

	install_end(&in, child->remote_host, true, child->if_id_in, mark);
	install_end(&out, child->local_host, false, child->if_id_out, mark);
	up(&charon, child);
	expect_states(child, LATCH_SA_BOUND);
}

static inline void bring_up(const struct feed_child *child)
{
	bring_up_marked(child, 0);
}

static inline struct latch_flow latch_inside(uint16_t port, uint8_t network,
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

static inline void start(void)
{
	memset(&kernel, 0, sizeof(kernel));
	fixture_start_synced();
	cr_assert_eq(attribution_watch_choice(attribution, loop, &source), 0);
	hq = tunnel("c.example", 1, 2, "0.0.0.0/0");
	branch = tunnel("d.example", 2, 3, "10.2.0.0/16");
}

static inline void default_and_branch(uint32_t branch_priority)
{
	add_policies(&hq, 200, 0);
	bring_up(&hq);
	to_hq = latch_inside(1000, 1, &hq);
	add_policies(&branch, branch_priority, 0);
	bring_up(&branch);
	to_branch = latch_inside(1001, 2, &branch);
}

static inline void expect_both_whole(void)
{
	cr_expect_not(is_contested(&hq));
	cr_expect_not(is_contested(&branch));
	cr_expect_eq(latch_state_of(&to_hq), LATCH_STATE_ESTABLISHED);
	cr_expect_eq(latch_state_of(&to_branch), LATCH_STATE_ESTABLISHED);
}

static inline void expect_contested(void)
{
	cr_expect(is_contested(&hq));
	cr_expect(is_contested(&branch));
}

static inline bool branch_is_broken(void)
{
	return latch_state_of(&to_branch) == LATCH_STATE_BROKEN;
}

static inline bool branch_is_whole(void)
{
	return !branch_is_broken();
}

static inline void two_tunnels(uint32_t one, uint32_t other)
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

#endif
