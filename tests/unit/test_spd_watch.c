/* SPDX-License-Identifier: BSD-2-Clause */
/* Real latches, by the real control program, and the SPD of a real namespace, edited. */
#include "policy_message.h"

#include "latch_fixture.h"

#include "latchd/identities.h"
#include "latchd/kernel/policy_dump.h"
#include "latchd/kernel/policy_entry.h"
#include "latchd/spd_watch.h"

static struct spd_watch watch;
static struct identities *identities;
static struct latch_flow flow;
static uint16_t params;
static struct {
	unsigned int broken, healed, held, released;
	enum policy_direction direction;
	struct policy_verdict verdict;
	uint32_t priority;
} seen;

static void on_broken(void *context, const struct latch_flow *of, const struct latch *latch,
		      enum policy_direction direction, const struct policy_verdict *verdict)
{
	cr_expect_eq(context, &watch);
	cr_expect_arr_eq(of, &flow, sizeof(flow));
	cr_expect_eq(latch->word.state, LATCH_STATE_ESTABLISHED);
	seen.broken++;
	seen.direction = direction;
	seen.verdict = *verdict;
	seen.priority = verdict->policy ? verdict->policy->priority : 0;
}

static void on_healed(void *context, const struct latch_flow *of, const struct latch *latch,
		      uint8_t reasons)
{
	(void)of;
	cr_expect_eq(context, &watch);
	cr_expect_eq(latch->word.state, LATCH_STATE_BROKEN);
	cr_expect_eq(reasons, LATCH_REASON_SPD_CHANGE);
	seen.healed++;
}

static void on_held(void *context, const struct latch_flow *of, const struct latch *latch,
		    enum policy_direction direction, const struct policy_verdict *verdict)
{
	(void)latch;
	cr_expect_eq(context, &watch);
	cr_expect_arr_eq(of, &flow, sizeof(flow));
	seen.held++;
	seen.direction = direction;
	seen.verdict = *verdict;
}

static void on_released(void *context, const struct latch_flow *of, const struct latch *latch)
{
	(void)latch;
	cr_expect_eq(context, &watch);
	cr_expect_arr_eq(of, &flow, sizeof(flow));
	seen.released++;
}

static const struct spd_observer observer = {&watch, on_broken, on_healed, on_held, on_released};

static uint16_t intern_peer(void)
{
	struct latch_identity identity = {.authority = "manual", .id = "c.example", .auth = 1};
	struct latch_params wanted = {.protocol = IPPROTO_ESP, .mode = XFRM_MODE_TRANSPORT};
	uint16_t index = 0;

	cr_assert_eq(identities_intern(identities, &identity, &wanted.peer_id), 0);
	wanted.local_id = wanted.peer_id;
	cr_assert_eq(identities_intern_params(identities, &wanted, &index), 0);
	return index;
}

static void start_watch(void)
{
	watch = (struct spd_watch){.maps = &maps, .identities = identities, .observer = &observer};
	spd_watch_start(&watch, loop);
}

static void set_up(void)
{
	struct policy out = policy_protecting(POLICY_OUT), in = policy_protecting(POLICY_IN);

	latches_start();
	cr_assert_eq(identities_load(&maps, &identities), 0);
	params = intern_peer();
	policy_add(&ns, &out);
	policy_add(&ns, &in);
	flow = lonely(1000);
	put_latch(&flow, LATCH_STATE_ESTABLISHED, LATCH_OWNER_SOCKET, 0);
	cr_assert_eq(params, 1, "the fixture's latches have params 1");
	start_watch();
}

static void tear_down(void)
{
	spd_watch_stop(&watch);
	identities_free(identities);
	latches_finish();
}

TestSuite(spd_watch, .init = set_up, .fini = tear_down, .timeout = 120);

static struct latch now(void)
{
	struct latch latch = {0};

	cr_assert_eq(latch_get(&maps, &flow, &latch), 0);
	return latch;
}

static bool is_seen(void)
{
	return now().spd == (LATCH_SPD_OUT | LATCH_SPD_IN);
}

static bool is_broken(void)
{
	return now().word.state == LATCH_STATE_BROKEN;
}

static bool is_whole(void)
{
	return now().word.state == LATCH_STATE_ESTABLISHED;
}

static unsigned int round_before;

static bool has_looked_twice(void)
{
	return watch.round >= round_before + 2;
}

/* As an event of the kernel does, and until it was judged. */
static void edited_without_effect(void)
{
	spd_watch_edited(&watch, ns.cookie);
	round_before = watch.round;
	wait_until(has_looked_twice);
	cr_expect(is_whole());
	cr_expect_eq(seen.broken + seen.healed, 0);
}

static void edited(bool (*done)(void))
{
	spd_watch_edited(&watch, ns.cookie);
	wait_until(done);
}

/* ---- break and heal ---- */

Test(spd_watch, a_latch_is_judged_when_it_is_found)
{
	wait_until(is_seen);
	cr_expect(is_whole());
	cr_expect_eq(seen.broken, 0);
}

Test(spd_watch, R_2_3_13_a_bypass_breaks_and_its_removal_heals)
{
	struct policy bypass = policy_above(POLICY_OUT, POLICY_BYPASS);

	wait_until(is_seen);
	policy_add(&ns, &bypass);
	edited(is_broken);
	cr_expect_eq(now().word.reasons, LATCH_REASON_SPD_CHANGE);
	cr_expect_eq(seen.broken, 1);
	cr_expect_eq(seen.direction, POLICY_OUT);
	cr_expect_eq(seen.verdict.action, POLICY_BYPASS);
	cr_expect_eq(seen.priority, 1);
	policy_delete(&ns, &bypass);
	edited(is_whole);
	cr_expect_eq(now().word.reasons, 0);
	cr_expect_eq(seen.broken, 1);
	cr_expect_eq(seen.healed, 1);
}

Test(spd_watch, R_2_3_13_a_block_for_packets_in_breaks)
{
	struct policy block = policy_above(POLICY_IN, POLICY_BLOCK);

	wait_until(is_seen);
	policy_add(&ns, &block);
	edited(is_broken);
	cr_expect_eq(seen.direction, POLICY_IN);
	cr_expect_eq(seen.verdict.action, POLICY_BLOCK);
}

Test(spd_watch, R_2_3_13_a_policy_that_is_gone_breaks_after_a_while)
{
	struct policy out = policy_protecting(POLICY_OUT);
	uint64_t began = loop_now_ms();

	wait_until(is_seen);
	policy_delete(&ns, &out);
	edited(is_broken);
	cr_expect_geq(loop_now_ms() - began, SPD_ABSENT_MS);
	cr_expect(seen.verdict.absent);
	policy_add(&ns, &out);
	edited(is_whole);
}

static bool is_suspected(void)
{
	return watch.suspects != NULL;
}

static bool is_not_suspected(void)
{
	return watch.suspects == NULL;
}

/* A key manager that starts again. */
Test(spd_watch, S15_policies_that_come_back_in_time_break_nothing)
{
	struct policy out = policy_protecting(POLICY_OUT), in = policy_protecting(POLICY_IN);

	wait_until(is_seen);
	policy_flush(&ns);
	edited(is_suspected);
	policy_add(&ns, &out);
	policy_add(&ns, &in);
	wait_until(is_not_suspected);
	edited_without_effect();
}

/* No event tells. */
Test(spd_watch, R_2_3_12_an_edit_of_which_no_event_came_is_found)
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

static bool is_seen_at_birth(void)
{
	return is_seen();
}

Test(spd_watch, a_new_latch_is_judged_at_birth)
{
	wait_until(is_seen);
	/* Nothing else may find it. */
	loop_timer_cancel(&watch.period);
	flow = lonely(1001);
	put_latch(&flow, LATCH_STATE_ESTABLISHED, LATCH_OWNER_SOCKET, 0);
	spd_watch_latch_born(&watch, &flow);
	wait_until(is_seen_at_birth);
}

static unsigned int reasons_wanted;

static bool has_reasons(void)
{
	return now().word.reasons == reasons_wanted;
}

/* L-2.2-5: ESTABLISHED only when no reason is left. */
Test(spd_watch, S14_another_reason_stays)
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

/* ---- what breaks nothing ---- */

Test(spd_watch, S15_edits_of_other_flows_break_nothing)
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

/* The policies of its socket, or none for packets in, as SAs made by hand often have it. */
Test(spd_watch, S15_what_the_spd_never_protected_it_cannot_lose)
{
	struct policy bypass = policy_above(POLICY_IN, POLICY_BYPASS);

	policy_flush(&ns);
	edited_without_effect();
	policy_add(&ns, &bypass);
	edited_without_effect();
	cr_expect_eq(now().spd, 0);
}

Test(spd_watch, S15_an_edit_of_another_namespace_breaks_nothing)
{
	struct policy bypass = policy_above(POLICY_OUT, POLICY_BYPASS);
	struct namespace other;

	struct latch_flow elsewhere = flow;

	wait_until(is_seen);
	namespace_start(&other);
	elsewhere.netns = other.cookie;
	put_latch(&elsewhere, LATCH_STATE_ESTABLISHED, LATCH_OWNER_SOCKET, 0);
	policy_add(&other, &bypass);
	spd_watch_edited(&watch, other.cookie);
	edited_without_effect();
	namespace_end(&other);
}

/* ---- interface ids ---- */

static void put_sa(uint32_t spi, uint32_t if_id)
{
	const struct latch_sa_key key = {.netns = ns.cookie, .daddr = {10}, .spi = spi};
	struct latch_sa sa = {.if_id = if_id, .reqid = 7, .word = {.params = params}};

	cr_assert_eq(bpf_map_update_elem(maps.sas, &key, &sa, BPF_ANY), 0);
}

/* Only the policies of the SA's interface decide. */
Test(spd_watch, R_2_3_12_the_interface_id_is_the_sas)
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

/* ---- R-2.3-14 ---- */

/* As the rule said at its birth; its SAs are known. */
static void want_protection(void)
{
	struct latch latch = now();

	latch.rule_flags = LATCH_RULE_PROTECT;
	latch.spi_out = 0x1001;
	latch.spi_in = 0x1002;
	cr_assert_eq(bpf_map_update_elem(maps.latches, &flow, &latch, BPF_EXIST), 0);
	put_sa(0x1001, 0);
	put_sa(0x1002, 0);
}

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
	want_protection();
	policy_add(&ns, &bypass);
	edited(is_held);
	cr_expect_eq(seen.verdict.action, POLICY_BYPASS);
}

Test(spd_watch, R_2_3_14_an_edit_does_not_reach_the_flow)
{
	struct policy bypass = policy_above(POLICY_OUT, POLICY_BYPASS);

	hold();
	spd_watch_edited(&watch, ns.cookie);
	round_before = watch.round;
	wait_until(has_looked_twice);
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
	/* R-2-18: it goes by itself. */
	cr_expect_eq(info->lft.hard_add_expires_seconds, POLICY_ENTRY_S);
	(*checked)++;
	return 0;
}

Test(spd_watch, R_2_3_15_an_entry_is_for_one_flow_and_for_a_while)
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

Test(spd_watch, R_2_17_the_entries_end_with_the_latch)
{
	hold();
	cr_assert_eq(bpf_map_delete_elem(maps.latches, &flow), 0);
	spd_watch_latch_closed(&watch, &flow);
	wait_until(has_no_entries);
}

/* A crash: the next latchd finds what belongs to no latch. */
Test(spd_watch, R_2_18_what_a_crash_left_is_taken_away)
{
	const struct latch_flow another = lonely(1002);

	hold();
	spd_watch_stop(&watch);
	cr_assert_eq(bpf_map_delete_elem(maps.latches, &flow), 0);
	put_latch(&another, LATCH_STATE_ESTABLISHED, LATCH_OWNER_SOCKET, 0);
	cr_expect_eq(entries(), 2);
	start_watch();
	wait_until(has_no_entries);
}

/* Who names exactly this flow means it; and to replace his policy would be to edit the SPD. */
Test(spd_watch, R_2_3_13_a_policy_for_this_very_flow_breaks)
{
	struct policy bypass = policy_above(POLICY_IN, POLICY_BYPASS);

	wait_until(is_seen);
	want_protection();
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

Test(spd_watch, R_2_3_13_without_an_sa_nothing_can_hold_it)
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
