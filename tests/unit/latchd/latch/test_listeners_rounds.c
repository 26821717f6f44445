/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How many namespaces and listening sockets a sweep counts. The linker prefers the functions here
 * to those of the archive: namespaces are made up.
 */
#define LATCHES_ROOM 64 /* so that 16 may be those of listeners */
#include "latch_fixture.h"

#include "latchd/latch/listeners.h"
#include "latchd/net/socket_diag.h"

#define TURN	8
#define FOREIGN 64
#define SHARE	16
#define FIRST	100 /* cookie of the first namespace of a local user; below: of the host */
#define COOKIES 2000

static struct listeners listeners;
static unsigned int own, foreign;     /* namespaces that there are */
static unsigned int sockets[COOKIES]; /* listening */
static unsigned int dumps[COOKIES];   /* of each namespace */
static unsigned int visits[COOKIES];  /* of sockets */
static unsigned int all_dumps, sweeps;

/* ---- in place of the kernel */

void netns_hint(uint64_t cookie, pid_t pid)
{
	(void)cookie;
	(void)pid;
}

int netns_open(uint64_t cookie)
{
	(void)cookie;
	return -ENOENT;
}

uint64_t netns_passes(void)
{
	return 0;
}

int netns_is_foreign(uint64_t cookie)
{
	return cookie >= FIRST;
}

int netns_walk(netns_visit_fn visit, void *context)
{
	int err = 0;
	uint64_t i;

	sweeps++;
	for (i = 1; !err && i <= own; i++)
		err = visit(context, i);
	for (i = 0; !err && i < foreign; i++)
		err = visit(context, FIRST + i);
	return err;
}

static struct latch_flow listener(uint64_t netns, uint16_t port)
{
	return (struct latch_flow){
		.netns = netns,
		.local_port = port,
		.family = AF_INET,
		.protocol = IPPROTO_TCP,
	};
}

int socket_diag_prepare(void)
{
	return 0;
}

int socket_diag_listeners(uint64_t netns, socket_diag_visit_fn visit, void *context)
{
	struct latch_flow flow;
	unsigned int i;
	int err = 0;

	dumps[netns]++;
	all_dumps++;
	for (i = 1; !err && i <= sockets[netns]; i++) {
		flow = listener(netns, (uint16_t)i);
		visits[netns]++;
		err = visit(context, &flow);
	}
	return err;
}

/* ---- sweeps */

static void finish(void)
{
	listeners_stop(&listeners);
	latches_finish();
}

TestSuite(listeners_rounds, .init = latches_start, .fini = finish, .timeout = 120);

static void start(void)
{
	listeners = (struct listeners){.maps = &maps, .adopt = true};
	listeners_start(&listeners, loop);
}

static unsigned int sweeps_before;

static bool sweep_is_over(void)
{
	return sweeps > sweeps_before && !listeners.namespaces;
}

static void sweep(void)
{
	sweeps_before = sweeps;
	loop_timer_arm(&listeners.timer, 0);
	wait_until(sweep_is_over);
}

static unsigned int sockets_of(uint64_t netns, uint16_t port)
{
	struct latch_flow flow = listener(netns, port);
	struct latch latch;

	return latch_get(&maps, &flow, &latch) ? 0 : latch.word.params;
}

static unsigned int counted(uint64_t first, unsigned int number)
{
	unsigned int i, found = 0;

	for (i = 0; i < number; i++)
		found += dumps[first + i] > 0;
	return found;
}

/* Rootless containers are such namespaces. */
Test(listeners_rounds, a_few_namespaces_of_local_users_are_counted_with_those_of_the_host)
{
	own = 2;
	foreign = 3;
	sockets[2] = sockets[FIRST + 2] = 1;
	start();
	cr_expect_eq(sockets_of(2, 1), 1, "before the start ends");
	wait_until(sweep_is_over);
	cr_expect_eq(sockets_of(FIRST + 2, 1), 1);
	sockets[FIRST + 2] = 0;
	sweep();
	cr_expect_eq(sockets_of(FIRST + 2, 1), 0);
	cr_expect_eq(sockets_of(2, 1), 1);
}

Test(listeners_rounds, many_namespaces_of_local_users_are_counted_some_in_each_sweep)
{
	unsigned int i, before;

	own = 5;
	foreign = 1024;
	start();
	cr_expect_eq(all_dumps, 5, "the start does not wait for them");
	before = all_dumps;
	wait_until(sweep_is_over);
	cr_expect_eq(all_dumps - before, FOREIGN);
	for (i = 1; i < 1024 / FOREIGN; i++) {
		before = all_dumps;
		sweep();
		cr_expect_eq(all_dumps - before, 5 + FOREIGN);
	}
	cr_expect_eq(counted(FIRST, 1024), 1024, "each has its turn");
	cr_expect_eq(sweeps, 16);
}

static unsigned int dumps_before, most_dumps;

/* Called after each tick, which is shorter than the pause between two turns. */
static bool turns_are_counted(void)
{
	unsigned int new = all_dumps - dumps_before;

	dumps_before = all_dumps;
	most_dumps = new > most_dumps ? new : most_dumps;
	return sweeps && !listeners.namespaces;
}

Test(listeners_rounds, a_turn_counts_few_namespaces)
{
	own = 50;
	foreign = 200;
	start();
	wait_until(sweep_is_over);
	dumps_before = all_dumps;
	sweeps = 0;
	loop_timer_arm(&listeners.timer, 0);
	wait_until(turns_are_counted);
	cr_expect_leq(most_dumps, 2 * TURN);
}

Test(listeners_rounds, a_local_user_s_listening_sockets_beyond_the_share_are_not_counted)
{
	own = foreign = 1;
	sockets[1] = 10 * SHARE;
	sockets[FIRST] = 10 * SHARE;
	start();
	wait_until(sweep_is_over);
	cr_expect_eq(visits[1], 10 * SHARE);
	cr_expect_eq(visits[FIRST], SHARE + 1);
}

/* Of a namespace that is not counted to its end a latch may still have its socket. */
Test(listeners_rounds, latches_of_a_namespace_with_too_many_listening_sockets_stay)
{
	foreign = 1;
	sockets[FIRST] = 3;
	start();
	wait_until(sweep_is_over);
	cr_expect_eq(sockets_of(FIRST, 3), 1);
	sockets[FIRST] = 10 * SHARE;
	sweep();
	cr_expect_eq(sockets_of(FIRST, 3), 1);
	sockets[FIRST] = 2;
	sweep();
	cr_expect_eq(sockets_of(FIRST, 3), 0);
	cr_expect_eq(sockets_of(FIRST, 2), 1);
}
