/* SPDX-License-Identifier: BSD-2-Clause */
/* What key managers do to the SPD every day must not break a latch, whatever stands beside it. */
#include <pthread.h>
#include <stdatomic.h>

#define LATCHES_ROOM 1024
#include "spd_fixture.h"

#include "latchd/spd/policy_dump.h"

TestSuite(spd_honest, .init = set_up, .fini = tear_down, .timeout = 120);

/* Below all others, as who wants nothing in clear has it. */
static struct policy last_resort(enum policy_direction direction)
{
	struct policy block = policy_above(direction, POLICY_BLOCK);

	block.priority = 10000;
	block.protocol = 0;
	block.source_bits = block.destination_bits = 24;
	return block;
}

/* ---- a policy that is replaced while the SPD is read ---- */

#define FLOWS	   600
#define FIRST_PORT 1000 /* the fixture's own flow has it */

static atomic_bool enough;

static struct policy for_port(uint16_t port)
{
	struct policy p = policy_protecting(POLICY_OUT);

	p.priority = 99;
	p.source_port = port;
	p.source_port_mask = 0xffff;
	return p;
}

static struct nlmsghdr *update_message(char *buffer, size_t size, const struct policy *p)
{
	struct nlmsghdr *message = policy_message(p);

	message->nlmsg_type = XFRM_MSG_UPDPOLICY;
	cr_assert_leq(message->nlmsg_len, size);
	return memcpy(buffer, message, message->nlmsg_len);
}

/* As on each rekey, one after the other: the one that was replaced longest ago is the next. */
static void *replace_all(void *context)
{
	static _Alignas(struct nlmsghdr) char messages[FLOWS][512];
	int fd = netlink_open(ns.cookie, NETLINK_XFRM);
	struct policy p;
	unsigned int i;

	(void)context;
	for (i = 0; i < FLOWS; i++) {
		p = for_port((uint16_t)(FIRST_PORT + i));
		update_message(messages[i], sizeof(messages[i]), &p);
	}
	while (!atomic_load(&enough))
		for (i = 0; i < FLOWS; i++)
			netlink_request(fd, (struct nlmsghdr *)messages[i], policy_ignore, NULL);
	close(fd);
	return NULL;
}

static bool has_looked_often(void)
{
	spd_watch_edited(&watch, ns.cookie);
	return seen.broken || seen.held || watch.round >= round_before + 20;
}

/* With a policy for each; all want protection. */
static void put_flows(void)
{
	struct policy out = policy_protecting(POLICY_OUT), block = last_resort(POLICY_OUT), p;
	struct latch_flow other;
	unsigned int i;

	several_flows = true;
	policy_delete(&ns, &out);
	policy_add(&ns, &block);
	for (i = 0; i < FLOWS; i++) {
		p = for_port((uint16_t)(FIRST_PORT + i));
		policy_add(&ns, &p);
	}
	for (i = 1; i < FLOWS; i++) {
		other = lonely((uint16_t)(FIRST_PORT + i));
		put_latch(&other, LATCH_STATE_ESTABLISHED, LATCH_OWNER_SOCKET, 0);
		want_protection(&other);
	}
	spd_watch_edited(&watch, ns.cookie);
	wait_until(is_seen);
}

static void look_often(void)
{
	round_before = watch.round;
	wait_until(has_looked_often);
	cr_expect_eq(seen.held, 0, "after %u looks", watch.round - round_before);
	cr_expect_eq(seen.broken, 0, "after %u looks", watch.round - round_before);
}

Test(spd_honest, S15_policies_that_are_replaced_while_it_looks)
{
	pthread_t thread;

	put_flows();
	cr_assert_eq(pthread_create(&thread, NULL, replace_all, NULL), 0);
	look_often();
	atomic_store(&enough, true);
	pthread_join(thread, NULL);
}

/* The same without chance: in the midst of each dump the policy that would come last. */
static struct {
	bool wanted;
	uint32_t sequence; /* of the dump that was met last */
	unsigned int replaced;
} rekey;

static void replace_the_oldest(void)
{
	struct policy p = for_port((uint16_t)(FIRST_PORT + rekey.replaced++ % FLOWS));
	struct nlmsghdr *message = policy_message(&p);

	message->nlmsg_type = XFRM_MSG_UPDPOLICY;
	cr_assert_eq(policy_send(&ns, message), 0);
}

/* Instead of the library's. The kernel dumps on when a part was taken, and is one part ahead. */
ssize_t recv(int fd, void *buffer, size_t size, int flags)
{
	ssize_t length = recvfrom(fd, buffer, size, flags, NULL, NULL);
	const struct nlmsghdr *message = buffer;

	if (!rekey.wanted || length < (ssize_t)sizeof(*message) ||
	    message->nlmsg_type != XFRM_MSG_NEWPOLICY || message->nlmsg_seq == rekey.sequence)
		return length;
	rekey.sequence = message->nlmsg_seq;
	replace_the_oldest();
	return length;
}

static size_t policies_in_a_dump(void)
{
	struct spd spd;
	size_t count;

	cr_assert_eq(policy_dump(ns.cookie, &spd), 0);
	count = spd.count;
	policy_dump_release(&spd);
	return count;
}

Test(spd_honest, S15_a_policy_that_is_replaced_in_the_midst_of_each_dump)
{
	size_t all;

	put_flows();
	all = policies_in_a_dump();
	rekey.wanted = true;
	cr_assert_eq(policies_in_a_dump(), all - 1, "it is in neither half");
	rekey.wanted = false;
	cr_assert_eq(policies_in_a_dump(), all);
	rekey.wanted = true;
	look_often();
	cr_expect_geq(rekey.replaced, 1 + 2 * (watch.round - round_before),
		      "each look needs a second dump");
}

/* ---- what stands below all others ---- */

static bool is_suspected(void)
{
	return watch.suspects.by_id != NULL;
}

static bool is_not_suspected(void)
{
	return watch.suspects.by_id == NULL;
}

/* Older than the latch, by the clock that counts seconds. */
static void put_last_resorts(void)
{
	struct policy out = last_resort(POLICY_OUT), in = last_resort(POLICY_IN);
	struct latch latch;

	policy_add(&ns, &out);
	policy_add(&ns, &in);
	latch = now();
	latch.created = clock_boot_ns() + 5 * SECOND;
	cr_assert_eq(bpf_map_update_elem(maps.latches, &flow, &latch, BPF_EXIST), 0);
	wait_until(is_seen);
}

static bool has_looked_again(void)
{
	return watch.round >= round_before + 4;
}

/* A key manager that starts again, on a host that lets nothing out in clear. */
Test(spd_honest, S15_policies_that_come_back_to_a_host_with_a_last_resort)
{
	struct policy out = policy_protecting(POLICY_OUT), in = policy_protecting(POLICY_IN);

	put_last_resorts();
	policy_delete(&ns, &out);
	policy_delete(&ns, &in);
	edited(is_suspected);
	round_before = watch.round;
	wait_until(has_looked_again);
	policy_add(&ns, &out);
	policy_add(&ns, &in);
	wait_until(is_not_suspected);
	edited_without_effect();
}

Test(spd_honest, R_2_3_13_policies_that_leave_it_to_the_last_resort)
{
	struct policy out = policy_protecting(POLICY_OUT);
	uint64_t began = loop_now_ms();

	put_last_resorts();
	policy_delete(&ns, &out);
	edited(is_broken);
	cr_expect_geq(loop_now_ms() - began, SPD_ABSENT_MS);
	cr_expect_not(seen.policy.is_default);
	cr_expect_str_eq(seen.policy.action, "block");
	cr_expect_eq(seen.policy.priority, 10000);
	policy_add(&ns, &out);
	edited(is_whole);
}

/* It takes the place of one that protects, in one step or in two. */
Test(spd_honest, S15_a_bypass_that_is_gone_at_once_breaks_nothing)
{
	struct policy bypass = policy_above(POLICY_OUT, POLICY_BYPASS);

	wait_until(is_seen);
	policy_add(&ns, &bypass);
	edited(is_suspected);
	policy_delete(&ns, &bypass);
	wait_until(is_not_suspected);
	edited_without_effect();
}
