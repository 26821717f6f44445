/* SPDX-License-Identifier: BSD-2-Clause */
/* Audit mode at the cgroup gate: the switch, the audit table, marks. Included by the tests of both.
 */
#ifndef LATCHD_TESTS_AUDIT_FIXTURE_H
#define LATCHD_TESTS_AUDIT_FIXTURE_H

#include "gate_rules.h"

#include "pretended_esp.h"
#include "udp.h"

#include "latch_mode.h"
#include "latchd/latch/refused_connect.h"

static inline void begin_audit(void)
{
	cr_assert_eq(latch_mode_switch(&maps, true), 1);
}

static inline void begin_enforcement(void)
{
	cr_assert_eq(latch_mode_switch(&maps, false), 1);
}

/* ---- the audit table */

struct sum {
	struct latch_audit_key key; /* drop, reasons and others are wanted */
	struct latch_audit row;	    /* of all rows that match */
	unsigned int rows;
};

static inline int add_row(void *context, const struct latch_audit_key *key,
			  const struct latch_audit *row)
{
	struct sum *sum = context;

	if (key->drop != sum->key.drop || key->reasons != sum->key.reasons ||
	    key->others != sum->key.others)
		return 0;
	sum->rows++;
	sum->key = *key;
	sum->row.flows += row->flows;
	sum->row.packets += row->packets;
	sum->row.flow = row->flow;
	return 0;
}

static inline struct sum audited_as(enum latch_drop why, uint8_t reasons, bool others)
{
	struct sum sum = {.key = {.drop = (uint8_t)why, .reasons = reasons, .others = others}};
	struct map_cursor cursor = {0};

	while (!cursor.ended)
		cr_assert_eq(audits_walk_part(&maps, &cursor, add_row, &sum), 0);
	return sum;
}

static inline struct latch_audit audited(enum latch_drop why)
{
	return audited_as(why, 0, false).row;
}

/* ---- traffic */

static inline void expect_both_ways(const struct pair *pair)
{
	expect_alive(pair->client, pair->server);
	expect_alive(pair->server, pair->client);
}

static inline void expect_no_drop(void)
{
	struct latch_drop_count drops = drops_in_all();

	cr_expect_eq(drops.egress, 0);
	cr_expect_eq(drops.ingress, 0);
}

static inline void expect_no_other_drop(enum latch_drop but)
{
	struct latch_drop_count drops = drops_for_others(but);

	cr_expect_eq(drops.egress, 0);
	cr_expect_eq(drops.ingress, 0);
}

static inline void expect_blocked(const struct pair *pair, enum latch_drop why)
{
	uint64_t before = drops_for(why).egress;

	send_byte(pair->client);
	wait_for(drops_for(why).egress > before);
	cr_expect_not(is_readable(pair->server));
}

/* Only the client's end has a latch. */
static inline struct pair latched_pair(struct latch_flow *ret_flow)
{
	struct pair pair = connect_prompt_pair(IPV4, IPV4);

	*ret_flow = flow_of(pair.client);
	put_latch_of(ret_flow, pair.client);
	return pair;
}

static inline void break_latch(const struct latch_flow *flow)
{
	cr_assert_eq(latch_break(&maps, flow, LATCH_ID, LATCH_REASON_SA_CONFLICT, NULL),
		     LATCH_CONTROL_DONE);
}

static inline uint64_t counter(enum latch_counter which)
{
	uint64_t counters[LATCH_COUNTER_COUNT];

	cr_assert_eq(counters_read(&maps, counters), 0);
	return counters[which];
}

/* ---- marks */

static inline void attach_all(void)
{
	attach_gates();
	attach(GATES_SOCKET);
}

static inline void expect_mark(const struct latch_flow *flow)
{
	struct latch latch = latch_of(flow);

	cr_expect_eq(latch.word.state, LATCH_STATE_BROKEN);
	cr_expect_eq(latch.word.reasons, LATCH_REASON_REFUSED);
	cr_expect_eq(latch.owner, LATCH_OWNER_SOCKET);
	cr_expect_eq(latch_heal(&maps, flow, latch.id, LATCH_REASONS_ALL, NULL),
		     LATCH_CONTROL_UNCHANGED);
}

static inline struct latch mark_of(enum latch_owner owner, uint8_t reasons)
{
	return (struct latch){
		.id = LATCH_ID,
		.owner = owner,
		.word = {.reasons = LATCH_REASON_REFUSED | reasons, .state = LATCH_STATE_BROKEN},
		.refusal = LATCH_DROP_REQUIRED,
	};
}

static inline void put_mark(const struct latch_flow *flow, const struct latch *mark)
{
	cr_assert_eq(bpf_map_update_elem(maps.latches, flow, mark, BPF_NOEXIST), 0);
}

/* A forged SYN has met the socket in SYN_SENT. Its own SYN is decided anew. */

#endif
