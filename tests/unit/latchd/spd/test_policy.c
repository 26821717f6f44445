/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Lists of policies and one flow: the verdict of policy.h. Random lists are compared with a second
 * matcher, and with the kernel in a namespace of the test.
 */
#include "policy_message.h"

#include <stdio.h>
#include <stdlib.h>

#include "latchd/spd/policy_dump.h"
#include "latchd/spd/policy_routes.h"
#include "latchd/spd/spd_view.h"

TestSuite(policy, .timeout = 120);

static const struct latch_flow flow = {
	.local_addr = {127, 0, 0, 1},
	.remote_addr = {127, 0, 0, 2},
	.local_port = 1000,
	.remote_port = 2000,
	.family = AF_INET,
	.protocol = IPPROTO_TCP,
};

static struct policy_verdict evaluate(const struct policy *policies, size_t count,
				      enum policy_direction direction)
{
	const struct spd spd = {(struct policy *)policies, count, {POLICY_BYPASS, POLICY_BLOCK}};
	const struct policy_query query = {
		.flow = &flow,
		.protocol = IPPROTO_ESP,
		.mode = XFRM_MODE_TRANSPORT,
		.if_id_known = true,
	};

	return policy_evaluate(&spd, &query, direction);
}

/* ---- congruent policies */

static bool protects(const struct policy *policy)
{
	return evaluate(policy, 1, policy->direction).congruent;
}

Test(policy, R_2_3_12_protection_as_latched_is_congruent)
{
	struct policy out = policy_protecting(POLICY_OUT), in = policy_protecting(POLICY_IN);

	cr_expect(protects(&out));
	cr_expect(protects(&in));
	cr_expect_not(evaluate(&out, 1, POLICY_IN).congruent);
	cr_expect_not(evaluate(&in, 1, POLICY_OUT).congruent);
}

Test(policy, R_2_3_12_another_template_is_not_congruent)
{
	struct policy p = policy_protecting(POLICY_OUT);

	p.templates[0].mode = XFRM_MODE_TUNNEL;
	cr_expect_not(protects(&p));
	p = policy_protecting(POLICY_OUT);
	p.templates[0].protocol = IPPROTO_AH;
	cr_expect_not(protects(&p));
	p = policy_protecting(POLICY_OUT);
	p.templates[0].optional = true;
	cr_expect_not(protects(&p));
	p = policy_protecting(POLICY_OUT);
	p.templates[p.template_count++] = p.templates[0];
	cr_expect_not(protects(&p));
	p.templates[1].protocol = IPPROTO_COMP;
	cr_expect(protects(&p));
	p = policy_protecting(POLICY_OUT);
	p.action = POLICY_BLOCK;
	cr_expect_not(protects(&p));
}

Test(policy, the_default_action_decides_without_a_policy)
{
	struct policy_verdict verdict = evaluate(NULL, 0, POLICY_OUT);

	cr_expect(verdict.absent);
	cr_expect_eq(verdict.action, POLICY_BYPASS);
	cr_expect_eq(evaluate(NULL, 0, POLICY_IN).action, POLICY_BLOCK);
}

Test(policy, R_2_3_12_the_policy_with_the_smallest_priority_decides)
{
	struct policy policies[] = {policy_protecting(POLICY_OUT),
				    policy_above(POLICY_OUT, POLICY_BYPASS)};
	struct policy_verdict verdict = evaluate(policies, 2, POLICY_OUT);

	cr_expect_not(verdict.congruent);
	cr_expect_eq(verdict.policy, &policies[1]);
	cr_expect_eq(verdict.action, POLICY_BYPASS);
	policies[1].priority = 101;
	cr_expect(evaluate(policies, 2, POLICY_OUT).congruent);
}

/* The kernel's choice among them is unknown. */
Test(policy, one_congruent_policy_among_equal_priorities_is_enough)
{
	struct policy policies[] = {policy_protecting(POLICY_OUT),
				    policy_above(POLICY_OUT, POLICY_BYPASS)};

	policies[1].priority = policies[0].priority;
	cr_expect(evaluate(policies, 2, POLICY_OUT).congruent);
}

Test(policy, S15_a_limited_policy_counts_only_if_it_protects)
{
	struct policy policies[] = {policy_protecting(POLICY_OUT),
				    policy_above(POLICY_OUT, POLICY_BYPASS)};

	policies[1].limited = true;
	cr_expect(evaluate(policies, 2, POLICY_OUT).congruent);
	policies[0].limited = true;
	policies[1].limited = false;
	cr_expect_not(evaluate(policies, 2, POLICY_OUT).congruent);
	policies[0].priority = 0;
	cr_expect(evaluate(policies, 2, POLICY_OUT).congruent);
}

Test(policy, S15_policies_with_another_interface_id_do_not_count)
{
	struct policy policies[] = {policy_protecting(POLICY_OUT),
				    policy_above(POLICY_OUT, POLICY_BYPASS)};
	const struct spd spd = {policies, 2, {POLICY_BYPASS, POLICY_BYPASS}};
	struct policy_query query = {&flow, IPPROTO_ESP, XFRM_MODE_TRANSPORT, true, 0};

	policies[1].if_id = 42;
	cr_expect(policy_evaluate(&spd, &query, POLICY_OUT).congruent);
	query.if_id = 42;
	cr_expect_not(policy_evaluate(&spd, &query, POLICY_OUT).congruent);
	/* The SAs are gone, so the interface is unknown. */
	query.if_id_known = false;
	cr_expect(policy_evaluate(&spd, &query, POLICY_OUT).congruent);
	cr_expect_not(policy_evaluate(&spd, &query, POLICY_IN).congruent);
}

/* R-2-15: a latch without an SA does not break. Policies of other interfaces must not break it. */
Test(policy, S15_without_an_sa_one_interface_with_a_congruent_policy_is_enough)
{
	struct policy policies[] = {policy_protecting(POLICY_OUT),
				    policy_above(POLICY_OUT, POLICY_BYPASS)};
	const struct spd spd = {policies, 2, {POLICY_BYPASS, POLICY_BYPASS}};
	const struct policy_query query = {&flow, IPPROTO_ESP, XFRM_MODE_TRANSPORT, false, 0};

	policies[0].if_id = 42;
	cr_expect(policy_evaluate(&spd, &query, POLICY_OUT).congruent);
	policies[1].if_id = 42;
	cr_expect_not(policy_evaluate(&spd, &query, POLICY_OUT).congruent);
	policies[0].if_id = 0;
	cr_expect(policy_evaluate(&spd, &query, POLICY_OUT).congruent);
	policies[1].if_id = 0;
	cr_expect_not(policy_evaluate(&spd, &query, POLICY_OUT).congruent);
}

/* ---- a second matcher: bit by bit */

static bool bit(const uint8_t *address, unsigned int n)
{
	return address[n / 8] >> (7 - n % 8) & 1;
}

static bool same_bits(const uint8_t *a, const uint8_t *b, unsigned int bits)
{
	while (bits--)
		if (bit(a, bits) != bit(b, bits))
			return false;
	return true;
}

static bool matches(const struct policy *p, const struct latch_flow *f)
{
	bool out = p->direction == POLICY_OUT;
	const uint8_t *source = out ? f->local_addr : f->remote_addr;
	const uint8_t *destination = out ? f->remote_addr : f->local_addr;
	uint16_t source_port = out ? f->local_port : f->remote_port;
	uint16_t destination_port = out ? f->remote_port : f->local_port;

	return p->family == f->family && same_bits(p->source, source, p->source_bits) &&
	       same_bits(p->destination, destination, p->destination_bits) &&
	       (source_port & p->source_port_mask) == (p->source_port & p->source_port_mask) &&
	       (destination_port & p->destination_port_mask) ==
		       (p->destination_port & p->destination_port_mask) &&
	       (!p->protocol || p->protocol == f->protocol);
}

static uint16_t any_port(void)
{
	return (uint16_t)(1000 + random() % 3);
}

static void any_address(uint8_t out[16], unsigned int family)
{
	unsigned int i, length = family == AF_INET ? 4 : 16;

	memset(out, 0, 16);
	out[0] = 127;
	for (i = 1; i < length; i++)
		out[i] = random() % 8 ? 0 : (uint8_t)(random() % 4 << 6);
	out[length - 1] = (uint8_t)(1 + random() % 3);
}

static uint16_t any_mask(void)
{
	static const uint16_t masks[] = {0, 0, 0xffff, 0xfffe};

	return masks[random() % 4];
}

static struct policy any_policy(unsigned int family)
{
	unsigned int bits = family == AF_INET ? 32 : 128;
	struct policy p = {
		.source_port = any_port(),
		.source_port_mask = any_mask(),
		.destination_port = any_port(),
		.destination_port_mask = any_mask(),
		.source_bits = (uint8_t)(random() % 2 ? bits : random() % (bits + 1)),
		.destination_bits = (uint8_t)(random() % 2 ? bits : random() % (bits + 1)),
		.family = (uint8_t)family,
		.protocol = random() % 4   ? 0
			    : random() % 2 ? IPPROTO_TCP
					   : IPPROTO_UDP,
		.direction = random() % 2 ? POLICY_OUT : POLICY_IN,
		.action = random() % 2 ? POLICY_BYPASS : POLICY_BLOCK,
	};

	any_address(p.source, family);
	any_address(p.destination, family);
	return p;
}

static struct latch_flow any_flow(unsigned int family)
{
	struct latch_flow f = {
		.local_port = any_port(),
		.remote_port = any_port(),
		.family = (uint8_t)family,
		.protocol = random() % 2 ? IPPROTO_TCP : IPPROTO_UDP,
	};

	any_address(f.local_addr, family);
	any_address(f.remote_addr, family);
	return f;
}

Test(policy, R_2_3_12_policy_covers_agrees_with_a_second_matcher)
{
	unsigned int round, matched = 0, other = 0;

	srandom(5660);
	for (round = 0; round < 200000; round++) {
		unsigned int family = random() % 2 ? AF_INET : AF_INET6;
		struct policy p = any_policy(random() % 16 ? family : AF_INET + AF_INET6 - family);
		struct latch_flow f = any_flow(family);

		cr_assert_eq(policy_covers(&p, &f), matches(&p, &f), "round %u", round);
		matches(&p, &f) ? matched++ : other++;
	}
	cr_expect_gt(matched, 1000);
	cr_expect_gt(other, 1000);
}

/* ---- the narrow SPD of two hosts against the whole SPD */

static void fill_view(struct spd_view *view, size_t count)
{
	size_t i;

	*view = (struct spd_view){.spd.count = count};
	view->spd.policies = calloc(count, sizeof(*view->spd.policies));
	cr_assert_not_null(view->spd.policies);
	view->spd.default_action[POLICY_IN] = POLICY_BLOCK;
	for (i = 0; i < count; i++) {
		view->spd.policies[i] = any_policy(random() % 2 ? AF_INET : AF_INET6);
		view->spd.policies[i].priority = (uint32_t)i;
	}
}

Test(policy, R_2_3_12_the_policies_of_two_hosts_decide_like_the_whole_spd)
{
	unsigned int round, i, decided = 0, fewer = 0;
	enum policy_direction way;
	struct spd_view view;

	srandom(5660);
	for (round = 0; round < 200; round++) {
		fill_view(&view, 40);
		for (i = 0; i < 100; i++) {
			struct latch_flow f = any_flow(random() % 2 ? AF_INET : AF_INET6);
			const struct policy_query query = {&f, IPPROTO_ESP, 0, true, 0};
			const struct spd *narrow = spd_view_narrow(&view, &f);

			fewer += narrow->count < view.spd.count;
			for (way = POLICY_OUT; way < POLICY_DIRECTIONS; way++) {
				struct policy_verdict one = policy_evaluate(narrow, &query, way);
				struct policy_verdict all = policy_evaluate(&view.spd, &query, way);

				decided += !all.absent;
				cr_assert_eq(one.absent, all.absent, "round %u", round);
				cr_assert_eq(one.action, all.action, "round %u", round);
				if (all.policy)
					cr_assert_eq(one.policy->priority, all.policy->priority);
			}
		}
		spd_view_release(&view);
	}
	cr_expect_gt(decided, 1000);
	cr_expect_gt(fewer, 19000);
}

/* ---- the kernel: connect(2) of UDP looks up the policy; EPERM is a block */

#define SPD_SIZE 10

static void enable_xfrm_on_loopback(const struct namespace *ns)
{
	FILE *file;

	cr_assert_eq(setns(ns->fd, CLONE_NEWNET), 0);
	file = fopen("/proc/sys/net/ipv4/conf/lo/disable_xfrm", "w");
	cr_assert_not_null(file);
	fputs("0", file);
	cr_assert_eq(fclose(file), 0);
}

static int connect_result(const struct latch_flow *f)
{
	struct sockaddr_in local = {.sin_family = AF_INET, .sin_port = htons(f->local_port)};
	struct sockaddr_in remote = {.sin_family = AF_INET, .sin_port = htons(f->remote_port)};
	auto_close int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	memcpy(&local.sin_addr, f->local_addr, 4);
	memcpy(&remote.sin_addr, f->remote_addr, 4);
	cr_assert_geq(fd, 0);
	cr_assert_eq(bind(fd, (struct sockaddr *)&local, sizeof(local)), 0, "%m");
	return connect(fd, (struct sockaddr *)&remote, sizeof(remote)) ? -errno : 0;
}

/* Each policy has another priority and another selector: the same selector would be an update. */
static void fill(const struct namespace *ns, struct policy policies[SPD_SIZE])
{
	unsigned int i;

	policy_flush(ns);
	for (i = 0; i < SPD_SIZE; i++) {
		policies[i] = any_policy(AF_INET);
		policies[i].priority = 1000 - 100 * i + (uint32_t)(random() % 100);
		policies[i].source[1] = policies[i].source[2] = 0;
		policies[i].destination[1] = policies[i].destination[2] = 0;
		if (policy_send(ns, policy_message(&policies[i])) == -EEXIST)
			i--;
	}
}

Test(policy, R_2_3_12_random_policies_decide_as_they_do_in_the_kernel)
{
	unsigned int round, i, blocked = 0, passed = 0;
	struct policy policies[SPD_SIZE];
	const struct spd spd = {policies, SPD_SIZE, {POLICY_BYPASS, POLICY_BYPASS}};
	struct namespace ns;

	namespace_need_root();
	namespace_start(&ns);
	namespace_loopback_up(&ns);
	enable_xfrm_on_loopback(&ns);
	srandom(5660);
	for (round = 0; round < 100; round++) {
		fill(&ns, policies);
		for (i = 0; i < 20; i++) {
			struct latch_flow f = any_flow(AF_INET);
			struct policy_query query = {&f, IPPROTO_ESP, 0, true, 0};
			enum policy_action action;
			int answer;

			f.protocol = IPPROTO_UDP;
			f.local_addr[1] = f.local_addr[2] = 0;
			f.remote_addr[1] = f.remote_addr[2] = 0;
			action = policy_evaluate(&spd, &query, POLICY_OUT).action;
			answer = connect_result(&f);
			cr_assert_eq(answer, action == POLICY_BLOCK ? -EPERM : 0,
				     "round %u: the kernel answers %s, not %s", round,
				     strerror(-answer), policy_action_name(action));
			answer ? blocked++ : passed++;
		}
	}
	cr_expect_gt(blocked, 100);
	cr_expect_gt(passed, 100);
	namespace_end(&ns);
}

/* ---- the cached route of a deleted BYPASS */

static struct policy for_udp(enum policy_action action, uint32_t priority)
{
	struct policy p = policy_above(POLICY_OUT, action);

	p.protocol = action == POLICY_BYPASS ? IPPROTO_UDP : 0;
	p.priority = priority;
	return p;
}

static int send_byte(int fd)
{
	return send(fd, "x", 1, MSG_NOSIGNAL) == 1 || errno == ECONNREFUSED ? 0 : -errno;
}

Test(policy, S14_forgetting_routes_makes_sockets_look_up_their_policies_again)
{
	struct policy block = for_udp(POLICY_BLOCK, 100), bypass = for_udp(POLICY_BYPASS, 1);
	struct sockaddr_in remote = {.sin_family = AF_INET, .sin_port = htons(9)};
	struct namespace ns;
	int fd;

	namespace_need_root();
	namespace_start(&ns);
	namespace_loopback_up(&ns);
	enable_xfrm_on_loopback(&ns);
	policy_add(&ns, &block);
	policy_add(&ns, &bypass);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	inet_pton(AF_INET, "127.0.0.2", &remote.sin_addr);
	cr_assert_eq(connect(fd, (struct sockaddr *)&remote, sizeof(remote)), 0, "%m");
	cr_expect_eq(send_byte(fd), 0);
	policy_delete(&ns, &bypass);
	cr_expect_eq(send_byte(fd), 0, "this kernel drops the cached route by itself: %m");
	cr_assert_eq(policy_routes_forget(ns.cookie), 0);
	cr_expect_eq(send_byte(fd), -EPERM);
	close(fd);
	namespace_end(&ns);
}
