/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The real control program and its maps, without the gates; a loop; and a namespace.
 *
 *	client <---- loopback of the test's network namespace ----> server
 *	test ---> latch_control (BPF_PROG_RUN) ---> maps: latches, sas, ...
 */
#ifndef LATCHD_TESTS_LATCH_FIXTURE_H
#define LATCHD_TESTS_LATCH_FIXTURE_H

#include <bpf/bpf.h>

#define LIMIT_MS 30000
#define TICK_MS	 20
#define SECOND	 1000000000ull

#include "loaded_control.h"
#include "tcp.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/loop.h"
#include "latchd/maps/latch_control.h"
#include "latchd/maps/tables.h"

static struct loop *loop;

#include "loop_wait.h"

static void ignore_log(enum log_level level, const char *subsystem, const char *text)
{
	(void)level;
	(void)subsystem;
	(void)text;
}

static inline void latches_start(void)
{
	control_set_up();
	log_set_sink(ignore_log);
	tcp_set_up();
	loop = loop_new();
	cr_assert_not_null(loop);
}

static inline void latches_finish(void)
{
	loop_free(loop);
	tcp_tear_down();
	control_tear_down();
}

static inline void put_latch(const struct latch_flow *flow, enum latch_state state,
			     enum latch_owner owner, uint64_t owner_since)
{
	static uint64_t last_id;
	struct latch latch = {
		.id = ++last_id,
		.owner = owner,
		.owner_since = owner_since,
		.word =
			{
				.generation = 1,
				.params = 1,
				.reasons =
					state == LATCH_STATE_BROKEN ? LATCH_REASON_SA_CONFLICT : 0,
				.state = state,
			},
	};

	cr_assert_eq(bpf_map_update_elem(maps.latches, flow, &latch, BPF_NOEXIST), 0);
}

static inline bool has_latch(const struct latch_flow *flow)
{
	struct latch latch;

	return !latch_get(&maps, flow, &latch);
}

/* A flow without a socket. */
static inline struct latch_flow lonely(uint16_t port)
{
	return (struct latch_flow){
		.netns = ns.cookie,
		.local_addr = {127, 0, 0, 1},
		.remote_addr = {127, 0, 0, 2},
		.local_port = port,
		.remote_port = 9,
		.family = AF_INET,
		.protocol = IPPROTO_TCP,
	};
}

#endif
