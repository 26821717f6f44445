/* SPDX-License-Identifier: BSD-2-Clause */
#include "namespace.h"

#include <bpf/bpf.h>
#include <netinet/in.h>

#include "common/clock.h"
#include "fake/control_program.h"
#include "latchd/net/socket_diag.h"
#include "latchd/maps/tables.h"
#include "common/loop.h"
#include "latchd/latch/reaper.h"

#define LIMIT_MS  40000
#define TICK_MS	  20
#define SECOND_NS 1000000000ull
#define HALF_OPEN 200  /* more than the slow search checks in one round */
#define KEPT	  1500 /* more than one round checks */
#define ENDED	  50

static struct control_program *program;
static struct kernel_maps maps;
static struct loop *loop;
static struct reaper reaper;
static struct namespace ns;
static struct loop_timer tick;
static uint64_t limit;
static unsigned int awaited; /* latches left */

static void start(void)
{
	int err;

	namespace_need_root();
	err = control_program_load(4096, &program, &maps);
	if (err == -EPERM)
		cr_skip_test("BPF programs need root");
	cr_assert_eq(err, 0, "%s", strerror(-err));
	if (socket_diag_prepare())
		cr_skip_test("no sock_diag");
	namespace_start(&ns);
	loop = loop_new();
	cr_assert_not_null(loop);
	reaper = (struct reaper){.maps = &maps};
}

static void finish(void)
{
	loop_free(loop);
	close(ns.fd);
	control_program_free(program);
}

TestSuite(reaper_rounds, .init = start, .fini = finish, .timeout = 90);

static struct latch_flow put(uint16_t port, enum latch_owner owner, uint64_t age)
{
	struct latch_flow flow = {
		.netns = ns.cookie,
		.local_addr = {127, 0, 0, 1},
		.remote_addr = {127, 0, 0, 1},
		.local_port = port,
		.remote_port = 9,
		.family = AF_INET,
		.protocol = IPPROTO_TCP,
	};
	struct latch latch = {
		.id = port,
		.owner = owner,
		.owner_since = clock_boot_ns() - age,
		.word = {.generation = 1, .params = 1, .state = LATCH_STATE_ESTABLISHED},
	};

	cr_assert_eq(bpf_map_update_elem(maps.latches, &flow, &latch, BPF_NOEXIST), 0);
	return flow;
}

static int count_one(void *context, const struct latch_flow *flow, const struct latch *latch)
{
	(void)flow;
	(void)latch;
	++*(unsigned int *)context;
	return 0;
}

static unsigned int left(void)
{
	unsigned int count = 0;

	cr_assert_eq(latches_walk(&maps, count_one, &count), 0);
	return count;
}

static void on_tick(void *context)
{
	(void)context;
	if (left() <= awaited || loop_now_ms() >= limit)
		loop_stop(loop);
	else
		loop_timer_arm(&tick, TICK_MS);
}

/* A round may delete more after it gets there: the rest is counted after the round. */
static void reap_until(unsigned int count)
{
	awaited = count;
	limit = loop_now_ms() + LIMIT_MS;
	reaper_start(&reaper, loop);
	loop_timer_init(loop, &tick, on_tick, NULL);
	loop_timer_arm(&tick, TICK_MS);
	cr_assert_eq(loop_run(loop), 0);
	reaper_stop(&reaper);
	cr_expect_eq(left(), count);
}

/* A peer can open any number of handshakes: their latches must be deleted as fast. */
Test(reaper_rounds, all_half_open_handshakes_are_deleted_in_one_round)
{
	uint16_t i;

	for (i = 1; i <= HALF_OPEN; i++)
		put(i, LATCH_OWNER_HANDSHAKE, 200 * SECOND_NS);
	put(1000, LATCH_OWNER_SOCKET, 0);
	reap_until(1);
	namespace_leave(&ns);
}

/* A descriptor or a thread can keep the sockets of a namespace without a process. */
Test(reaper_rounds, a_namespace_without_a_process_keeps_its_connections)
{
	struct latch_flow flow = put(1, LATCH_OWNER_SOCKET, 200 * SECOND_NS);
	struct latch latch;

	put(2, LATCH_OWNER_TIME_WAIT, 200 * SECOND_NS);
	put(3, LATCH_OWNER_HANDSHAKE, 200 * SECOND_NS);
	namespace_leave(&ns);
	if (namespace_gone_error() != -ENOENT)
		cr_skip_test("this machine hides processes");
	reap_until(1);
	cr_expect_eq(latch_get(&maps, &flow, &latch), 0);
}

/* Due in every round, and the lookup of the socket always fails. */
static void put_kept(uint16_t port)
{
	struct latch_flow flow = {
		.netns = ns.cookie,
		.local_port = port,
		.family = AF_UNIX,
		.protocol = IPPROTO_UDP,
	};
	struct latch latch = {
		.id = port,
		.owner = LATCH_OWNER_SOCKET,
		.word = {.generation = 1, .params = 1, .state = LATCH_STATE_ESTABLISHED},
	};

	cr_assert_eq(bpf_map_update_elem(maps.latches, &flow, &latch, BPF_NOEXIST), 0);
}

/* The order of a map is unknown, but the same in each walk. */
static void expect_deleted_beside_many_kept(enum latch_owner owner)
{
	uint16_t i;

	for (i = 1; i <= KEPT; i++)
		put_kept(i);
	for (i = 1; i <= ENDED; i++)
		put(i, owner, 200 * SECOND_NS);
	reap_until(KEPT);
	namespace_leave(&ns);
}

Test(reaper_rounds, latches_that_are_kept_do_not_delay_others)
{
	expect_deleted_beside_many_kept(LATCH_OWNER_HANDSHAKE);
}

/* Audits are rare, so each must be complete. */
Test(reaper_rounds, L_2_2_3_an_audit_checks_every_full_socket)
{
	expect_deleted_beside_many_kept(LATCH_OWNER_SOCKET);
}
