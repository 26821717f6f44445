/* SPDX-License-Identifier: BSD-2-Clause */
/* LISTENER latches: born with listen(), shared by a group, gone with the last socket. */
#include "gate_fixture.h"

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

static void set_up(void)
{
	gate_set_up();
	attach(GATES_SOCKET);
	attach(GATES_RELEASE);
}

TestSuite(gate_listener, .init = set_up, .fini = gate_tear_down, .timeout = 120);

/* As the flow of a LISTENER: no remote end. */
static struct latch_flow listener_at(int fd)
{
	struct address here = name_of(fd, getsockname);
	struct latch_flow flow = {.netns = ns.cookie, .protocol = IPPROTO_TCP};

	flow.family = put_address(flow.local_addr, &flow.local_port, &here);
	return flow;
}

static int bound(struct address here)
{
	int fd = new_socket(&here, NULL), on = 1;

	cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)), 0);
	cr_assert_eq(bind(fd, &here.any, here.length), 0, "%s", strerror(errno));
	return fd;
}

static int join(struct address here)
{
	int fd = bound(here);

	cr_assert_eq(listen(fd, 1), 0);
	return fd;
}

static void expect_sockets(const struct latch_flow *flow, unsigned int sockets)
{
	cr_expect_eq(latch_of(flow).word.state, LATCH_STATE_LISTENER);
	cr_expect_eq(latch_of(flow).word.params, sockets);
}

static int count_one(void *context, const struct latch_flow *flow, const struct latch *latch)
{
	(void)flow;
	(void)latch;
	++*(unsigned int *)context;
	return 0;
}

static unsigned int latches_in_all(void)
{
	unsigned int count = 0;

	cr_assert_eq(latches_walk(&maps, count_one, &count), 0);
	return count;
}

static struct latch_clock clock_now(void)
{
	struct latch_clock now = {0};
	__u32 key = 0;

	cr_assert_eq(bpf_map_lookup_elem(maps.clock, &key, &now), 0);
	return now;
}

static void expect_none_left(void)
{
	cr_expect_eq(latches_in_all(), 0);
	cr_expect_eq(clock_now().listeners, 0);
}

/* As if so many others listened. */
static void count_others(uint64_t listeners)
{
	struct latch_clock now = clock_now();
	__u32 key = 0;

	now.listeners = listeners;
	cr_assert_eq(bpf_map_update_elem(maps.clock, &key, &now, BPF_ANY), 0);
}

static uint32_t capacity(void)
{
	struct bpf_map_info info = {0};
	__u32 length = sizeof(info);

	cr_assert_eq(bpf_map_get_info_by_fd(maps.latches, &info, &length), 0);
	return info.max_entries;
}

/* ---- one socket */

Test(gate_listener, L_5_1_1_R_2_3_20_it_lives_as_long_as_its_socket_listens)
{
	static const char *const places[] = {IPV4, "0.0.0.0", IPV6, "::", MAPPED};
	size_t i;

	for (i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		int fd = bound(address_of(places[i], 0));
		struct latch_flow flow = listener_at(fd);

		cr_expect_eq(latches_in_all(), 0);
		cr_assert_eq(listen(fd, 1), 0);
		expect_sockets(&flow, 1);
		cr_expect_eq(latch_of(&flow).direction, LATCH_DIRECTION_IN);
		cr_expect_eq(latch_of(&flow).owner, LATCH_OWNER_SOCKET);
		cr_expect_eq(listen(fd, 5), 0);
		expect_sockets(&flow, 1);
		cr_expect_eq(clock_now().listeners, 1);
		close(fd);
		cr_expect_eq(latches_in_all(), 0, "%s", places[i]);
		cr_expect_eq(clock_now().listeners, 0, "%s", places[i]);
	}
}

/* Whoever may listen could fill the table, and no connection would begin any more. */
Test(gate_listener, L_2_3_3_most_of_the_table_is_for_connections)
{
	int first, second, third;
	struct latch_flow of_first, of_second;

	count_others(capacity() / 4 - 1);
	first = join(address_of(IPV4, 0));
	second = join(address_of(IPV4, 0));
	of_first = listener_at(first);
	of_second = listener_at(second);
	expect_sockets(&of_first, 1);
	cr_expect_not(has_latch(&of_second));
	cr_expect_eq(clock_now().listeners, capacity() / 4);
	third = join(name_of(first, getsockname));
	expect_sockets(&of_first, 2);
	close(second);
	close(third);
	close(first);
	cr_expect_eq(clock_now().listeners, capacity() / 4 - 1);
	second = join(address_of(IPV4, 0));
	of_second = listener_at(second);
	expect_sockets(&of_second, 1);
	close(second);
}

Test(gate_listener, R_2_3_20_shutdown_ends_it_and_listen_begins_another)
{
	int holder = bound(address_of(IPV4, 0)), fd = join(name_of(holder, getsockname));
	struct latch_flow flow = listener_at(fd);
	uint64_t id = latch_of(&flow).id;

	cr_assert_eq(shutdown(fd, SHUT_RD), 0);
	cr_expect_not(has_latch(&flow));
	cr_assert_eq(listen(fd, 1), 0);
	expect_sockets(&flow, 1);
	cr_expect_gt(latch_of(&flow).id, id);
	close(fd);
	close(holder);
	cr_expect_not(has_latch(&flow));
}

Test(gate_listener, R_2_3_20_the_death_of_its_process_ends_it)
{
	int fd = join(address_of(IPV4, 0));
	struct latch_flow flow = listener_at(fd);
	pid_t pid = fork();

	if (!pid)
		while (true)
			pause();
	cr_assert_gt(pid, 0);
	close(fd);
	expect_sockets(&flow, 1);
	cr_assert_eq(kill(pid, SIGKILL), 0);
	cr_assert_eq(waitpid(pid, NULL, 0), pid);
	wait_for(!has_latch(&flow));
}

Test(gate_listener, a_connection_neither_counts_nor_ends_it)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL);
	struct latch_flow flow = listener_at(pair.listener);

	expect_sockets(&flow, 1);
	close(pair.client);
	close(pair.server);
	expect_sockets(&flow, 1);
	close(pair.listener);
	cr_expect_not(has_latch(&flow));
}

/* ---- no other */

Test(gate_listener, R_2_3_6_no_second_one_for_a_3_tuple)
{
	int fd = start_listener(IPV4, NULL), second;
	struct latch_flow flow = listener_at(fd);
	struct latch before = latch_of(&flow);
	struct address here = name_of(fd, getsockname);
	union latch_word none = {0};

	second = new_socket(&here, NULL);
	cr_expect_neq(bind(second, &here.any, here.length), 0);
	cr_expect_eq(errno, EADDRINUSE);
	cr_expect_eq(latch_listen(&maps, &flow, none, 1), LATCH_CONTROL_NOT_FOUND);
	cr_expect_eq(latch_of(&flow).id, before.id);
	cr_expect_eq(latch_of(&flow).word.raw, before.word.raw);
	cr_expect_eq(latches_in_all(), 1);
	close(second);
	close(fd);
}

Test(gate_listener, an_address_of_its_own_and_the_wildcard_are_two)
{
	int all = join(address_of("0.0.0.0", 0)), one, both;
	uint16_t port = ntohs(name_of(all, getsockname).v4.sin_port);
	struct latch_flow of_all = listener_at(all), of_one;

	one = join(address_of(IPV4, port));
	both = join(address_of("::", port));
	of_one = listener_at(one);
	cr_expect_eq(latches_in_all(), 3);
	close(both);
	close(all);
	cr_expect_not(has_latch(&of_all));
	expect_sockets(&of_one, 1);
	close(one);
}

Test(gate_listener, L_2_2_1_it_goes_to_closed_only)
{
	int fd = join(address_of(IPV4, 0));
	struct latch_flow flow = listener_at(fd);
	uint64_t id = latch_of(&flow).id;

	cr_expect_eq(latch_break(&maps, &flow, id, LATCH_REASON_SA_CONFLICT, NULL),
		     LATCH_CONTROL_REFUSED);
	cr_expect_eq(latch_heal(&maps, &flow, id, LATCH_REASON_SA_CONFLICT, NULL),
		     LATCH_CONTROL_REFUSED);
	expect_sockets(&flow, 1);
	cr_expect_eq(latch_close(&maps, &flow, id), LATCH_CONTROL_DONE);
	cr_expect_not(has_latch(&flow));
	close(fd);
	expect_none_left();
}

/* ---- a group */

Test(gate_listener, R_2_3_20_a_group_shares_it_and_the_last_ends_it)
{
	int first = join(address_of(IPV4, 0)), second, third;
	struct latch_flow flow = listener_at(first);
	struct address here = name_of(first, getsockname);
	uint64_t id = latch_of(&flow).id;

	second = join(here);
	third = bound(here);
	expect_sockets(&flow, 2);
	close(third);
	expect_sockets(&flow, 2);
	close(first);
	expect_sockets(&flow, 1);
	cr_expect_eq(latch_of(&flow).id, id);
	close(second);
	cr_expect_not(has_latch(&flow));
}

#define THREADS 4
#define ROUNDS	1500

static struct address race_at;
static struct latch_flow race_flow;
static unsigned int races_lost;

/* Whoever listens has a LISTENER, whatever the others do. */
static void *come_and_go(void *unused)
{
	struct latch latch;
	int i, fd;

	for (i = 0; i < ROUNDS; i++) {
		fd = bound(race_at);
		if (listen(fd, 1) || latch_get(&maps, &race_flow, &latch) ||
		    latch.word.state != LATCH_STATE_LISTENER || !latch.word.params)
			__sync_fetch_and_add(&races_lost, 1);
		close(fd);
	}
	return unused;
}

/* holder: has the port, so that it stays the same. */
static void race(int holder)
{
	pthread_t threads[THREADS];
	int i;

	race_at = name_of(holder, getsockname);
	race_flow = listener_at(holder);
	for (i = 0; i < THREADS; i++)
		cr_assert_eq(pthread_create(&threads[i], NULL, come_and_go, NULL), 0);
	for (i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	cr_expect_eq(races_lost, 0);
}

Test(gate_listener, L_2_3_4_many_come_and_go_at_once_and_none_is_left)
{
	int holder = bound(address_of(IPV4, 0));

	race(holder);
	expect_none_left();
	close(holder);
}

Test(gate_listener, L_2_3_4_many_come_and_go_beside_one_that_stays)
{
	int stays = join(address_of(IPV4, 0));
	struct latch_flow flow = listener_at(stays);
	uint64_t id = latch_of(&flow).id;

	race(stays);
	expect_sockets(&flow, 1);
	cr_expect_eq(latch_of(&flow).id, id);
	close(stays);
	expect_none_left();
}

/* ---- older than the programs */

Test(gate_listener_of_old, R_2_3_20_it_ends_with_its_socket, .init = gate_set_up,
     .fini = gate_tear_down, .timeout = 60)
{
	int first = join(address_of(IPV4, 0)), second;
	struct latch_flow flow = listener_at(first);
	union latch_word none = {0};

	attach(GATES_SOCKET);
	attach(GATES_RELEASE);
	cr_assert_eq(latch_listen(&maps, &flow, none, 1), LATCH_CONTROL_DONE);
	second = join(name_of(first, getsockname));
	expect_sockets(&flow, 2);
	close(first);
	expect_sockets(&flow, 1);
	close(second);
	cr_expect_not(has_latch(&flow));
}
