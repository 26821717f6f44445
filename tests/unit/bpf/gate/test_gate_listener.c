/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * LISTENER latches (RFC 5660 section 5.1). listen() creates one, all sockets of an address and port
 * share it. The end of the last socket releases it.
 *
 *	test's cgroup: watch_socket, socket_released
 *	+---------------------------------+      latches: A:p LISTENER, params = number of sockets
 *	| listen(A:p) listen(A:p) ...     | ---> clock:   number of LISTENER latches
 *	+---------------------------------+
 */
#include "gate_fixture.h"

#include <pthread.h>

static void set_up(void)
{
	gate_set_up();
	attach(GATES_SOCKET);
	attach(GATES_RELEASE);
}

TestSuite(gate_listener, .init = set_up, .fini = gate_tear_down, .timeout = 120);

/* The flow of a LISTENER has no remote end. */
static struct latch_flow listener_at(int fd)
{
	struct address here = name_of(fd, getsockname);
	struct latch_flow flow = {.netns = ns.cookie, .protocol = IPPROTO_TCP};

	flow.family = put_address(flow.local_addr, &flow.local_port, &here);
	return flow;
}

/* SO_REUSEPORT: several sockets may have the same name. */
static int shared_socket(struct address here)
{
	int fd = new_socket(&here, NULL), on = 1;

	cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)), 0);
	cr_assert_eq(bind(fd, &here.any, here.length), 0, "%s", strerror(errno));
	return fd;
}

static int listen_at(struct address here)
{
	int fd = shared_socket(here);

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

static unsigned int count_latches(void)
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

static void expect_no_latch(void)
{
	cr_expect_eq(count_latches(), 0);
	cr_expect_eq(clock_now().listeners, 0);
}

/* As if there were so many LISTENER latches. */
static void set_listener_count(uint64_t listeners)
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

Test(gate_listener, L_5_1_1_R_2_3_20_a_listener_latch_exists_while_its_socket_listens)
{
	static const char *const places[] = {IPV4, "0.0.0.0", IPV6, "::", MAPPED};
	size_t i;

	for (i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		int fd = shared_socket(address_of(places[i], 0));
		struct latch_flow flow = listener_at(fd);

		cr_expect_eq(count_latches(), 0);
		cr_assert_eq(listen(fd, 1), 0);
		expect_sockets(&flow, 1);
		cr_expect_eq(latch_of(&flow).direction, LATCH_DIRECTION_IN);
		cr_expect_eq(latch_of(&flow).owner, LATCH_OWNER_SOCKET);
		cr_expect_eq(listen(fd, 5), 0);
		expect_sockets(&flow, 1);
		cr_expect_eq(clock_now().listeners, 1);
		close(fd);
		cr_expect_eq(count_latches(), 0, "%s", places[i]);
		cr_expect_eq(clock_now().listeners, 0, "%s", places[i]);
	}
}

/* An unprivileged process that listens could fill the map: no connection could get a latch. */
Test(gate_listener, L_2_3_3_listener_latches_take_at_most_a_quarter_of_the_map)
{
	int first, second, third;
	struct latch_flow of_first, of_second;

	set_listener_count(capacity() / 4 - 1);
	first = listen_at(address_of(IPV4, 0));
	second = listen_at(address_of(IPV4, 0));
	of_first = listener_at(first);
	of_second = listener_at(second);
	expect_sockets(&of_first, 1);
	cr_expect_not(has_latch(&of_second));
	cr_expect_eq(clock_now().listeners, capacity() / 4);
	third = listen_at(name_of(first, getsockname));
	expect_sockets(&of_first, 2);
	close(second);
	close(third);
	close(first);
	cr_expect_eq(clock_now().listeners, capacity() / 4 - 1);
	second = listen_at(address_of(IPV4, 0));
	of_second = listener_at(second);
	expect_sockets(&of_second, 1);
	close(second);
}

Test(gate_listener, R_2_3_20_shutdown_releases_a_listener_latch_and_listen_creates_another)
{
	int holder = shared_socket(address_of(IPV4, 0)),
	    fd = listen_at(name_of(holder, getsockname));
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

Test(gate_listener, R_2_3_20_the_end_of_its_last_process_releases_a_listener_latch)
{
	int fd = listen_at(address_of(IPV4, 0));
	struct latch_flow flow = listener_at(fd);
	pid_t pid = start_holder();

	close(fd);
	expect_sockets(&flow, 1);
	kill_holder(pid);
	wait_for(!has_latch(&flow));
}

Test(gate_listener, a_connection_does_not_change_the_socket_count_of_its_listener_latch)
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

/* ---- one latch for one 3-tuple */

Test(gate_listener, R_2_3_6_a_3_tuple_has_at_most_one_listener_latch)
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
	cr_expect_eq(count_latches(), 1);
	close(second);
	close(fd);
}

Test(gate_listener, a_specific_address_and_both_wildcards_have_latches_of_their_own)
{
	int all = listen_at(address_of("0.0.0.0", 0)), one, both;
	uint16_t port = ntohs(name_of(all, getsockname).v4.sin_port);
	struct latch_flow of_all = listener_at(all), of_one;

	one = listen_at(address_of(IPV4, port));
	both = listen_at(address_of("::", port));
	of_one = listener_at(one);
	cr_expect_eq(count_latches(), 3);
	close(both);
	close(all);
	cr_expect_not(has_latch(&of_all));
	expect_sockets(&of_one, 1);
	close(one);
}

Test(gate_listener, L_2_2_1_a_listener_latch_can_only_be_closed)
{
	int fd = listen_at(address_of(IPV4, 0));
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
	expect_no_latch();
}

/* ---- several sockets of one address and port */

Test(gate_listener, R_2_3_20_the_last_of_several_sockets_releases_their_listener_latch)
{
	int first = listen_at(address_of(IPV4, 0)), second, third;
	struct latch_flow flow = listener_at(first);
	struct address here = name_of(first, getsockname);
	uint64_t id = latch_of(&flow).id;

	second = listen_at(here);
	third = shared_socket(here);
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

/* While a thread's socket listens there is a LISTENER, whatever the other threads do. */
static void *listen_and_close(void *unused)
{
	struct latch latch;
	int i, fd;

	for (i = 0; i < ROUNDS; i++) {
		fd = shared_socket(race_at);
		if (listen(fd, 1) || latch_get(&maps, &race_flow, &latch) ||
		    latch.word.state != LATCH_STATE_LISTENER || !latch.word.params)
			__sync_fetch_and_add(&races_lost, 1);
		close(fd);
	}
	return unused;
}

/* The socket holder keeps the port. */
static void race(int holder)
{
	pthread_t threads[THREADS];
	int i;

	race_at = name_of(holder, getsockname);
	race_flow = listener_at(holder);
	for (i = 0; i < THREADS; i++)
		cr_assert_eq(pthread_create(&threads[i], NULL, listen_and_close, NULL), 0);
	for (i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	cr_expect_eq(races_lost, 0);
}

Test(gate_listener, L_2_3_4_concurrent_listen_and_close_leave_no_listener_latch)
{
	int holder = shared_socket(address_of(IPV4, 0));

	race(holder);
	expect_no_latch();
	close(holder);
}

Test(gate_listener, L_2_3_4_concurrent_listen_and_close_keep_the_latch_of_another_socket)
{
	int listener = listen_at(address_of(IPV4, 0));
	struct latch_flow flow = listener_at(listener);
	uint64_t id = latch_of(&flow).id;

	race(listener);
	expect_sockets(&flow, 1);
	cr_expect_eq(latch_of(&flow).id, id);
	close(listener);
	expect_no_latch();
}

/* ---- sockets that listened before the programs were attached */

Test(gate_listener_before_attach, R_2_3_20_the_last_socket_releases_a_listener_latch_made_by_latchd,
     .init = gate_set_up, .fini = gate_tear_down, .timeout = 60)
{
	int first = listen_at(address_of(IPV4, 0)), second;
	struct latch_flow flow = listener_at(first);
	union latch_word none = {0};

	attach(GATES_SOCKET);
	attach(GATES_RELEASE);
	cr_assert_eq(latch_listen(&maps, &flow, none, 1), LATCH_CONTROL_DONE);
	second = listen_at(name_of(first, getsockname));
	expect_sockets(&flow, 2);
	close(first);
	expect_sockets(&flow, 1);
	close(second);
	cr_expect_not(has_latch(&flow));
}
