/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Routine edits of the SPD by key managers, which must break no latch. They are policies replaced
 * on a rekey during a dump, policies deleted and added again by a restart, a short-lived bypass.
 */
#include <pthread.h>
#include <stdatomic.h>

#define LATCHES_ROOM 1024
#include "spd_fixture.h"

#include "latchd/spd/policy_dump.h"

TestSuite(spd_routine, .init = set_up, .fini = tear_down, .timeout = 120);

/* Below all other policies, on a host that allows nothing in clear. */
static struct policy catch_all(enum policy_direction direction)
{
	struct policy block = policy_above(direction, POLICY_BLOCK);

	block.priority = 10000;
	block.protocol = 0;
	block.source_bits = block.destination_bits = 24;
	return block;
}

/* ---- a policy replaced during a dump ---- */

#define FLOWS	   600
#define ROUND_US   3000000 /* in which each policy is replaced once */
#define FIRST_PORT 1000	   /* of the fixture's own flow */

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

/*
 * Replaces the policies one after the other, as rekeys do. The oldest one is always the next. A
 * policy replaced in both dumps of a check would be missing twice: its next replacement comes
 * much later than the second dump.
 */
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
		for (i = 0; i < FLOWS && !atomic_load(&enough); i++) {
			netlink_request(fd, (struct nlmsghdr *)messages[i], policy_ignore, NULL);
			usleep(ROUND_US / FLOWS);
		}
	close(fd);
	return NULL;
}

static bool has_checked_often(void)
{
	spd_watch_edited(&watch, ns.cookie);
	return seen.broken || seen.held || watch.round >= round_before + 20;
}

/* Latches with one policy each; all of them have on-policy-change = protect. */
static void put_flows(void)
{
	struct policy out = policy_protecting(POLICY_OUT), block = catch_all(POLICY_OUT), p;
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
		other = flow_without_socket((uint16_t)(FIRST_PORT + i));
		put_latch(&other, LATCH_STATE_ESTABLISHED, LATCH_OWNER_SOCKET, 0);
		want_protection(&other);
	}
	spd_watch_edited(&watch, ns.cookie);
	wait_until(is_seen);
}

static void check_often(void)
{
	round_before = watch.round;
	wait_until(has_checked_often);
	cr_expect_eq(seen.held, 0, "after %u checks", watch.round - round_before);
	cr_expect_eq(seen.broken, 0, "after %u checks", watch.round - round_before);
}

Test(spd_routine, S15_policies_replaced_during_checks_break_no_latch)
{
	pthread_t thread;

	put_flows();
	cr_assert_eq(pthread_create(&thread, NULL, replace_all, NULL), 0);
	check_often();
	atomic_store(&enough, true);
	pthread_join(thread, NULL);
}

/* The same without chance: replaces the last policy of a dump in the middle of each dump. */
static struct {
	bool enabled;
	uint32_t sequence; /* of the last dump with a replacement */
	unsigned int replaced;
} rekey;

static void replace_the_oldest(void)
{
	struct policy p = for_port((uint16_t)(FIRST_PORT + rekey.replaced++ % FLOWS));
	struct nlmsghdr *message = policy_message(&p);

	message->nlmsg_type = XFRM_MSG_UPDPOLICY;
	cr_assert_eq(policy_send(&ns, message), 0);
}

/*
 * Replaces recv() of the C library. The kernel continues a dump when a part was received, and is
 * one part ahead.
 */
ssize_t recv(int fd, void *buffer, size_t size, int flags)
{
	ssize_t length = recvfrom(fd, buffer, size, flags, NULL, NULL);
	const struct nlmsghdr *message = buffer;

	if (!rekey.enabled || length < (ssize_t)sizeof(*message) ||
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

Test(spd_routine, S15_a_policy_replaced_in_the_middle_of_each_dump_breaks_no_latch)
{
	size_t all;

	put_flows();
	all = policies_in_a_dump();
	rekey.enabled = true;
	cr_assert_eq(policies_in_a_dump(), all - 1, "the replaced policy is in neither part");
	rekey.enabled = false;
	cr_assert_eq(policies_in_a_dump(), all);
	rekey.enabled = true;
	check_often();
	cr_expect_geq(rekey.replaced, 1 + 2 * (watch.round - round_before),
		      "each check needs a second dump");
}

/* ---- a block below all other policies ---- */

static bool is_in_grace(void)
{
	return watch.grace.by_id != NULL;
}

static bool is_clear(void)
{
	return watch.grace.by_id == NULL;
}

/* The blocks are older than the latch, although the kernel counts whole seconds. */
static void put_catch_alls(void)
{
	struct policy out = catch_all(POLICY_OUT), in = catch_all(POLICY_IN);
	struct latch latch;

	policy_add(&ns, &out);
	policy_add(&ns, &in);
	latch = now();
	latch.created = clock_boot_ns() + 5 * SECOND;
	cr_assert_eq(bpf_map_update_elem(maps.latches, &flow, &latch, BPF_EXIST), 0);
	wait_until(is_seen);
}

/* The key manager edits other policies meanwhile. */
static bool has_checked_again(void)
{
	if (!loop_timer_armed(&watch.check))
		spd_watch_edited(&watch, ns.cookie);
	return watch.round >= round_before + 4;
}

/* A key manager restarts on a host that sends nothing in clear. */
Test(spd_routine, S15_policies_that_come_back_above_a_catch_all_block_break_no_latch)
{
	struct policy out = policy_protecting(POLICY_OUT), in = policy_protecting(POLICY_IN);

	put_catch_alls();
	policy_delete(&ns, &out);
	policy_delete(&ns, &in);
	edited(is_in_grace);
	round_before = watch.round;
	wait_until(has_checked_again);
	policy_add(&ns, &out);
	policy_add(&ns, &in);
	edited(is_clear);
	edited_without_effect();
}

Test(spd_routine, R_2_3_13_a_catch_all_block_without_the_policy_above_breaks_a_latch)
{
	struct policy out = policy_protecting(POLICY_OUT);
	uint64_t began = loop_now_ms();

	put_catch_alls();
	policy_delete(&ns, &out);
	edited(is_broken);
	cr_expect_geq(loop_now_ms() - began, GRACE_MS);
	cr_expect_not(seen.policy.is_default);
	cr_expect_str_eq(seen.policy.action, "block");
	cr_expect_eq(seen.policy.priority, 10000);
	policy_add(&ns, &out);
	edited(is_whole);
}

/* A key manager replaces the protecting policy in several steps. */
Test(spd_routine, S15_a_bypass_policy_that_is_deleted_at_once_breaks_no_latch)
{
	struct policy bypass = policy_above(POLICY_OUT, POLICY_BYPASS);

	wait_until(is_seen);
	policy_add(&ns, &bypass);
	edited(is_in_grace);
	policy_delete(&ns, &bypass);
	wait_until(is_clear);
	edited_without_effect();
}
