/* SPDX-License-Identifier: BSD-2-Clause */
/* Which policy decides over a flow, against a matcher of another making and a real kernel. */
#include "policy_message.h"

#include <stdio.h>
#include <stdlib.h>

#include "latchd/spd/policy_dump.h"
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

static struct policy_verdict judge(const struct policy *policies, size_t count,
				   enum policy_direction direction)
{
	const struct spd spd = {(struct policy *)policies, count, {POLICY_BYPASS, POLICY_BLOCK}};
	const struct policy_query query = {
		.flow = &flow,
		.protocol = IPPROTO_ESP,
		.mode = XFRM_MODE_TRANSPORT,
		.if_id_known = true,
	};

	return policy_judge(&spd, &query, direction);
}

/* ---- what is congruent */

static bool protects(const struct policy *policy)
{
	return judge(policy, 1, policy->direction).congruent;
}

Test(policy, R_2_3_12_protection_as_latched_is_congruent)
{
	struct policy out = policy_protecting(POLICY_OUT), in = policy_protecting(POLICY_IN);

	cr_expect(protects(&out));
	cr_expect(protects(&in));
	cr_expect_not(judge(&out, 1, POLICY_IN).congruent);
	cr_expect_not(judge(&in, 1, POLICY_OUT).congruent);
}

Test(policy, R_2_3_12_another_template_is_not)
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

Test(policy, without_a_policy_the_default_decides)
{
	struct policy_verdict verdict = judge(NULL, 0, POLICY_OUT);

	cr_expect(verdict.absent);
	cr_expect_eq(verdict.action, POLICY_BYPASS);
	cr_expect_eq(judge(NULL, 0, POLICY_IN).action, POLICY_BLOCK);
}

Test(policy, R_2_3_12_the_smallest_priority_decides)
{
	struct policy policies[] = {policy_protecting(POLICY_OUT),
				    policy_above(POLICY_OUT, POLICY_BYPASS)};
	struct policy_verdict verdict = judge(policies, 2, POLICY_OUT);

	cr_expect_not(verdict.congruent);
	cr_expect_eq(verdict.policy, &policies[1]);
	cr_expect_eq(verdict.action, POLICY_BYPASS);
	policies[1].priority = 101;
	cr_expect(judge(policies, 2, POLICY_OUT).congruent);
}

/* Nobody can tell which the kernel asks. */
Test(policy, of_equals_one_that_protects_is_enough)
{
	struct policy policies[] = {policy_protecting(POLICY_OUT),
				    policy_above(POLICY_OUT, POLICY_BYPASS)};

	policies[1].priority = policies[0].priority;
	cr_expect(judge(policies, 2, POLICY_OUT).congruent);
}

Test(policy, S15_what_is_for_some_packets_only_breaks_nothing)
{
	struct policy policies[] = {policy_protecting(POLICY_OUT),
				    policy_above(POLICY_OUT, POLICY_BYPASS)};

	policies[1].limited = true;
	cr_expect(judge(policies, 2, POLICY_OUT).congruent);
	policies[0].limited = true;
	policies[1].limited = false;
	cr_expect_not(judge(policies, 2, POLICY_OUT).congruent);
	policies[0].priority = 0;
	cr_expect(judge(policies, 2, POLICY_OUT).congruent);
}

Test(policy, S15_the_policies_of_another_interface_id_do_not_count)
{
	struct policy policies[] = {policy_protecting(POLICY_OUT),
				    policy_above(POLICY_OUT, POLICY_BYPASS)};
	const struct spd spd = {policies, 2, {POLICY_BYPASS, POLICY_BYPASS}};
	struct policy_query query = {&flow, IPPROTO_ESP, XFRM_MODE_TRANSPORT, true, 0};

	policies[1].if_id = 42;
	cr_expect(policy_judge(&spd, &query, POLICY_OUT).congruent);
	query.if_id = 42;
	cr_expect_not(policy_judge(&spd, &query, POLICY_OUT).congruent);
	/* Its SAs are gone: it may be anyone's. */
	query.if_id_known = false;
	cr_expect(policy_judge(&spd, &query, POLICY_OUT).congruent);
	cr_expect_not(policy_judge(&spd, &query, POLICY_IN).congruent);
}

/* R-2-15: no SA is no break, so whatever is for other interfaces must be none either. */
Test(policy, S15_without_sas_a_policy_of_no_interface_breaks_no_flow_of_one)
{
	struct policy policies[] = {policy_protecting(POLICY_OUT),
				    policy_above(POLICY_OUT, POLICY_BYPASS)};
	const struct spd spd = {policies, 2, {POLICY_BYPASS, POLICY_BYPASS}};
	const struct policy_query query = {&flow, IPPROTO_ESP, XFRM_MODE_TRANSPORT, false, 0};

	policies[0].if_id = 42;
	cr_expect(policy_judge(&spd, &query, POLICY_OUT).congruent);
	policies[1].if_id = 42;
	cr_expect_not(policy_judge(&spd, &query, POLICY_OUT).congruent);
	policies[0].if_id = 0;
	cr_expect(policy_judge(&spd, &query, POLICY_OUT).congruent);
	policies[1].if_id = 0;
	cr_expect_not(policy_judge(&spd, &query, POLICY_OUT).congruent);
}

/* ---- another matcher: bit by bit, all that match sorted */

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

Test(policy, R_2_3_12_random_policies_against_another_matcher)
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

/* ---- the policies that all flows of two hosts share, against all policies */

static void fill_view(struct spd_view *view, size_t count)
{
	size_t i;

	*view = (struct spd_view){.spd.count = count};
	view->spd.policies = calloc(count, sizeof(*view->spd.policies));
	cr_assert_not_null(view->spd.policies);
	view->spd.otherwise[POLICY_IN] = POLICY_BLOCK;
	for (i = 0; i < count; i++) {
		view->spd.policies[i] = any_policy(random() % 2 ? AF_INET : AF_INET6);
		view->spd.policies[i].priority = (uint32_t)i;
	}
}

Test(policy, R_2_3_12_what_hosts_share_decides_like_all)
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
				struct policy_verdict one = policy_judge(narrow, &query, way);
				struct policy_verdict all = policy_judge(&view.spd, &query, way);

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

/* ---- the kernel's own answer: connect(2) of UDP looks up the policy; EPERM is a block */

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

static int ask_kernel(const struct latch_flow *f)
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

/* Each of another priority, and no selector twice: that would be an update. */
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

Test(policy, R_2_3_12_random_policies_against_the_kernel)
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
			action = policy_judge(&spd, &query, POLICY_OUT).action;
			answer = ask_kernel(&f);
			cr_assert_eq(answer, action == POLICY_BLOCK ? -EPERM : 0,
				     "round %u: the kernel says %s, not %s", round,
				     strerror(-answer), policy_action_name(action));
			answer ? blocked++ : passed++;
		}
	}
	cr_expect_gt(blocked, 100);
	cr_expect_gt(passed, 100);
	namespace_end(&ns);
}

/* ---- what a socket remembers of a BYPASS that is gone */

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

Test(policy, S14_after_a_revert_sockets_look_up_their_policies_again)
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
	cr_expect_eq(send_byte(fd), 0, "this kernel forgets by itself: %m");
	cr_assert_eq(policy_forget_routes(ns.cookie), 0);
	cr_expect_eq(send_byte(fd), -EPERM);
	close(fd);
	namespace_end(&ns);
}
