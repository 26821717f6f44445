/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What an SA allows a packet of a latched flow. The test compiles the text of bpf/gate/verdict.h,
 * with one latch, one SA and two sets of params.
 */
#include <criterion/criterion.h>
#include <linux/bpf.h>
#include <linux/types.h>
#include <stdbool.h>
#include <string.h>

/* ---- in place of bpf/db/ and the kernel ---- */

#define LATCH_BPF_DB_MAPS_H
#define LATCH_BPF_DB_LATCH_DB_H
#define LATCH_BPF_DB_RULES_H
#define OWN_FRAME __attribute__((unused))
#define __noinline
#define EEXIST 17

#include "latch_abi.h"
#include "latch_mode.h"
#include "latch_sockopt.h"
#include "db/packet_protection.h"
#include "db/protocols.h"
#include "db/read_once.h"
#include "db/rule_decision.h"

#define PEER	 7
#define IMPOSTOR 8

static char latches[1], params[1], drops[1];
static struct latch_sa sas[1];
static bool sa_is_known;
static struct latch_drop_count counts[LATCH_DROP_COUNT];
static struct latch_params known_params[IMPOSTOR + 1] = {
	[PEER] = {.peer_id = 2}, [IMPOSTOR] = {.peer_id = 3}};
static struct latch_settings settings = {.pending_limit = 5};
static __u64 boot_time = 100;

static void *bpf_map_lookup_elem(void *map, const void *key)
{
	if (map == (void *)sas)
		return sa_is_known ? sas : NULL;
	if (map == (void *)params)
		return &known_params[*(const __u32 *)key];
	return map == (void *)drops ? &counts[*(const __u32 *)key] : NULL;
}

static __u64 bpf_ktime_get_boot_ns(void)
{
	return boot_time;
}

static struct latch_settings *settings_get(void)
{
	return &settings;
}

static __u32 mode_get(void)
{
	return settings.mode;
}

static struct latch_event *event_begin(enum latch_event_type type)
{
	(void)type;
	return NULL;
}

static void bpf_ringbuf_submit(void *event, __u64 flags)
{
	(void)event, (void)flags;
}

static int latch_establish(const struct latch_flow *flow, struct latch *latch, union latch_word was,
			   __u16 params_id)
{
	(void)flow, (void)was;
	latch->word.state = LATCH_STATE_ESTABLISHED;
	latch->word.params = params_id;
	return 0;
}

struct socket_verdict {
	__u8 was_latched;
	__u32 mode;
};

#define LATCH_BPF_DB_PAIR_H
#define PAIR_UNDECIDED -1

static int decided;	/* between the addresses of the flow, ... */
static int decided_for; /* ... for SAs of these params */

static int pair_decision(const struct latch_flow *flow, int under)
{
	(void)flow;
	return under == decided_for ? decided : PAIR_UNDECIDED;
}

#include "db/audit.h"
#include "gate/verdict.h"
#include "gate/drop.bpf.c"

static int served;

int is_served(__u64 netns, int foreign)
{
	(void)netns, (void)foreign;
	return served;
}

static int refused_for;

int refuse(struct passage *p, int why)
{
	(void)p;
	refused_for = why;
	return GATE_DROP;
}

static struct latch latch;

static void begin(void)
{
	memset(counts, 0, sizeof(counts));
	memset(sas, 0, sizeof(sas));
	memset(&latch, 0, sizeof(latch));
	sa_is_known = true;
	served = 1;
	decided = PAIR_UNDECIDED;
	decided_for = PEER;
	refused_for = -1;
	settings.mode = 0;
	sas[0].word.state = LATCH_SA_BOUND;
	sas[0].word.params = PEER;
	sas[0].installed = boot_time;
	latch.word.state = LATCH_STATE_LARVAL;
	(void)latches;
}

TestSuite(verdict, .init = begin);

static bool passes(void)
{
	struct passage p = {.protection = PACKET_PROTECTED, .socket_cookie = 1};

	return pass_latched(&p, &latch) == GATE_PASS;
}

static bool is_dropped(enum latch_drop why)
{
	return !passes() && counts[why].ingress == 1;
}

Test(verdict, R_2_4_an_sa_that_is_not_in_the_table_does_not_carry_a_larval_latch_of_a_known_peer)
{
	latch.word.params = PEER;
	sa_is_known = false;
	cr_expect(is_dropped(LATCH_DROP_SA_UNKNOWN));
	cr_expect_eq(latch.word.state, LATCH_STATE_LARVAL);
}

Test(verdict, an_sa_that_is_not_in_the_table_carries_a_larval_latch_without_a_peer)
{
	sa_is_known = false;
	cr_expect(passes());
	cr_expect_eq(latch.word.state, LATCH_STATE_LARVAL);
}

Test(verdict, R_2_4_an_sa_that_is_not_in_the_table_does_not_carry_an_established_latch)
{
	latch.word.state = LATCH_STATE_ESTABLISHED;
	latch.word.params = PEER;
	sa_is_known = false;
	cr_expect(is_dropped(LATCH_DROP_SA_UNKNOWN));
}

Test(verdict, R_2_4_another_peers_sa_does_not_carry_a_larval_latch_of_a_known_peer)
{
	latch.word.params = PEER;
	sas[0].word.params = IMPOSTOR;
	cr_expect(is_dropped(LATCH_DROP_IDENTITY));
}

Test(verdict, the_first_attributed_sa_establishes_a_larval_latch)
{
	cr_expect(passes());
	cr_expect_eq(latch.word.state, LATCH_STATE_ESTABLISHED);
	cr_expect_eq(latch.word.params, PEER);
}

/* Of a peer with a tunnel it may have any source address; the cgroup gate sees what was accepted.
 */
Test(verdict, R_2_4_a_received_packet_settles_no_larval_latch_before_its_policy_check)
{
	struct passage p = {.protection = PACKET_PROTECTED};

	sas[0].word.params = IMPOSTOR;
	cr_expect_eq(pass_latched(&p, &latch), GATE_PASS);
	cr_expect_eq(latch.word.state, LATCH_STATE_LARVAL);
	p.egress = 1;
	sas[0].word.params = PEER;
	cr_expect_eq(pass_latched(&p, &latch), GATE_PASS);
	cr_expect_eq(latch.word.state, LATCH_STATE_ESTABLISHED);
	cr_expect_eq(latch.word.params, PEER);
}

Test(verdict, L_5_2_1_a_datagram_that_is_not_of_the_connection_establishes_no_larval_latch)
{
	struct passage p = {.protection = PACKET_PROTECTED,
			    .egress = 1,
			    .socket_cookie = 1,
			    .flow.protocol = IPPROTO_UDP_NUMBER};

	cr_expect_eq(pass_latched(&p, &latch), GATE_PASS);
	cr_expect_eq(latch.word.state, LATCH_STATE_LARVAL);
	p.may_start = 1;
	cr_expect_eq(pass_latched(&p, &latch), GATE_PASS);
	cr_expect_eq(latch.word.state, LATCH_STATE_ESTABLISHED);
}

Test(verdict, a_pending_sa_carries_a_larval_latch_only_beyond_the_limit)
{
	sas[0].word.state = LATCH_SA_PENDING;
	sas[0].word.params = 0;
	cr_expect(is_dropped(LATCH_DROP_SA_PENDING));
	sas[0].installed = boot_time - settings.pending_limit - 1;
	cr_expect(passes());
}

/* What waits for its own SA is lost (R-2-15), what is refused is not. */
Test(verdict, R_2_15_only_a_packet_that_waits_for_its_own_sa_is_lost)
{
	struct passage p = {.protection = PACKET_PROTECTED, .egress = 1};

	latch.word.state = LATCH_STATE_ESTABLISHED;
	latch.word.params = PEER;
	sas[0].word.state = LATCH_SA_PENDING;
	cr_expect_eq(pass_latched(&p, &latch), GATE_LOSE);
	sa_is_known = false;
	cr_expect_eq(pass_latched(&p, &latch), GATE_LOSE);
	sa_is_known = true;
	sas[0].word = (union latch_sa_word){.state = LATCH_SA_BOUND, .params = IMPOSTOR};
	cr_expect_eq(pass_latched(&p, &latch), GATE_LOSE);
	sas[0].word.flags = LATCH_SA_AMBIGUOUS;
	cr_expect_eq(pass_latched(&p, &latch), GATE_DROP);
	p.protection = PACKET_PLAIN;
	cr_expect_eq(pass_latched(&p, &latch), GATE_LOSE);
	latch.word.state = LATCH_STATE_BROKEN;
	cr_expect_eq(pass_latched(&p, &latch), GATE_DROP);
}

Test(verdict,
     where_no_feed_serves_a_pending_sa_carries_larval_latches_at_once_and_no_established_one)
{
	served = 0;
	sas[0].word = (union latch_sa_word){.state = LATCH_SA_PENDING};
	cr_expect(passes());
	cr_expect_eq(latch.word.state, LATCH_STATE_LARVAL);
	latch.word.state = LATCH_STATE_ESTABLISHED;
	latch.word.params = PEER;
	cr_expect(is_dropped(LATCH_DROP_SA_PENDING));
}

static bool passes_in_a_mode_that_latchd_does_not_know(void)
{
	struct passage p = {.protection = PACKET_OTHER_MODE};

	return pass_latched(&p, &latch) == GATE_PASS;
}

Test(verdict, R_2_4_an_sa_of_an_unknown_mode_carries_no_latched_flow)
{
	cr_expect_not(passes_in_a_mode_that_latchd_does_not_know(), "larval");
	cr_expect(passes(), "the SA of a known mode makes the latch established");
	cr_expect_eq(latch.word.state, LATCH_STATE_ESTABLISHED);
	cr_expect_not(passes_in_a_mode_that_latchd_does_not_know(), "established");
	cr_expect_eq(counts[LATCH_DROP_OTHER_MODE].ingress, 2);
}

Test(verdict, R_2_4_an_sa_of_an_unknown_mode_starts_no_latch_that_a_rule_requires)
{
	struct passage p = {.protection = PACKET_OTHER_MODE};
	__u16 params_id;

	cr_expect_eq(reject_reason(&p, &params_id), LATCH_DROP_OTHER_MODE);
	p.protection = PACKET_PROTECTED;
	cr_expect_eq(reject_reason(&p, &params_id), REJECT_NONE);
}

Test(verdict, a_packet_that_audit_mode_lets_pass_is_not_counted_as_dropped)
{
	latch.word.state = LATCH_STATE_ESTABLISHED;
	latch.word.params = PEER;
	sas[0].word.params = IMPOSTOR;
	settings.mode = latch_mode_next(settings.mode, 1);
	cr_expect(passes());
	cr_expect_eq(counts[LATCH_DROP_IDENTITY].ingress, 0);
	cr_expect_eq(latch.drops, 0);
}

/* ---- a contested SA */

static enum latch_drop contested_reason(int decision)
{
	struct passage p = {.protection = PACKET_PROTECTED};
	__u16 params_id = 0;

	sas[0].word.flags = LATCH_SA_CONTESTED;
	decided = decision;
	return reject_reason(&p, &params_id);
}

Test(verdict, R_2_3_8_a_contested_sa_starts_a_latch_only_where_no_other_sa_can_carry_the_flow)
{
	cr_expect_eq(contested_reason(LATCH_PAIR_ALONE), REJECT_NONE);
	cr_expect_eq(contested_reason(LATCH_PAIR_CONTESTED), LATCH_DROP_CONFLICT);
	cr_expect_eq(contested_reason(PAIR_UNDECIDED), LATCH_DROP_CONTESTED);
}

Test(verdict, R_2_3_8_a_decision_for_another_peer_starts_no_latch)
{
	decided_for = IMPOSTOR;
	cr_expect_eq(contested_reason(LATCH_PAIR_ALONE), LATCH_DROP_CONTESTED);
}

Test(verdict, R_2_3_8_an_sa_that_is_not_contested_needs_no_decision)
{
	struct passage p = {.protection = PACKET_PROTECTED};
	__u16 params_id = 0;

	decided = LATCH_PAIR_CONTESTED;
	cr_expect_eq(reject_reason(&p, &params_id), REJECT_NONE);
	cr_expect_eq(params_id, PEER);
}

Test(verdict, R_2_3_8_a_contested_sa_makes_a_larval_latch_established_only_by_a_decision)
{
	sas[0].word.flags = LATCH_SA_CONTESTED;
	cr_expect_not(passes());
	cr_expect_eq(refused_for, LATCH_DROP_CONTESTED, "latchd is asked");
	cr_expect_eq(latch.word.state, LATCH_STATE_LARVAL);
	decided = LATCH_PAIR_CONTESTED;
	cr_expect(is_dropped(LATCH_DROP_CONFLICT));
	decided = LATCH_PAIR_ALONE;
	decided_for = IMPOSTOR;
	cr_expect_not(passes());
	decided_for = PEER;
	cr_expect(passes());
	cr_expect_eq(latch.word.state, LATCH_STATE_ESTABLISHED);
	cr_expect_eq(latch.word.params, PEER);
}

Test(verdict, L_5_2_1_a_decision_does_not_move_an_established_latch_to_another_peer)
{
	latch.word.state = LATCH_STATE_ESTABLISHED;
	latch.word.params = PEER;
	sas[0].word = (union latch_sa_word){
		.state = LATCH_SA_BOUND, .params = IMPOSTOR, .flags = LATCH_SA_CONTESTED};
	decided = LATCH_PAIR_ALONE;
	decided_for = IMPOSTOR;
	cr_expect(is_dropped(LATCH_DROP_IDENTITY));
}
