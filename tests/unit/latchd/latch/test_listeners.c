/* SPDX-License-Identifier: BSD-2-Clause */
/* LISTENER latches of sockets that no program saw: only the control program is loaded. */
#define LATCHES_ROOM 16384 /* the scan finds the listening sockets of this host, too */
#include "latch_fixture.h"

#include "latchd/latch/listeners.h"

TestSuite(listeners, .init = latches_start, .fini = latches_finish, .timeout = 120);

static struct listeners listeners;

static void scan(bool adopt)
{
	listeners = (struct listeners){.maps = &maps, .adopt = adopt};
	listeners_start(&listeners, loop);
	cr_expect(loop_timer_armed(&listeners.timer));
	listeners_stop(&listeners);
}

static int group_socket(uint16_t port)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		.sin_port = htons(port),
	};
	int fd = namespace_socket(&ns, AF_INET, SOCK_STREAM), on = 1;

	cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)), 0);
	cr_assert_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	cr_assert_eq(listen(fd, 1), 0);
	return fd;
}

static struct latch_flow listener(uint16_t port)
{
	struct latch_flow flow = lonely(port);

	memset(flow.remote_addr, 0, sizeof(flow.remote_addr));
	flow.remote_port = 0;
	return flow;
}

static struct latch latch_at(const struct latch_flow *flow)
{
	struct latch latch = {0};

	cr_assert_eq(latch_get(&maps, flow, &latch), 0);
	return latch;
}

Test(listeners, R_2_16_existing_listening_sockets_get_listener_latches)
{
	struct latch_flow one = listener(1000), two = listener(1001);
	int fds[] = {group_socket(1000), group_socket(1001), group_socket(1000)};
	uint64_t id;
	size_t i;

	scan(true);
	cr_expect_eq(latch_at(&one).word.state, LATCH_STATE_LISTENER);
	cr_expect_eq(latch_at(&one).word.params, 2);
	cr_expect_eq(latch_at(&one).owner, LATCH_OWNER_SOCKET);
	cr_expect_eq(latch_at(&two).word.params, 1);
	id = latch_at(&one).id;
	scan(true);
	cr_expect_eq(latch_at(&one).id, id);
	cr_expect_eq(latch_at(&one).word.params, 2);
	for (i = 0; i < 3; i++)
		close(fds[i]);
}

/* The latches of an earlier latchd: their sockets were closed while no program was attached. */
Test(listeners, R_2_3_20_the_listener_latch_of_closed_sockets_is_released)
{
	struct latch_flow one = listener(1000), two = listener(1001);
	int fds[] = {group_socket(1000), group_socket(1001), group_socket(1000)};

	scan(true);
	close(fds[0]);
	close(fds[1]);
	scan(false);
	cr_expect_eq(latch_at(&one).word.params, 1);
	cr_expect_not(has_latch(&two));
	close(fds[2]);
	scan(true);
	cr_expect_not(has_latch(&one));
}

/* The cgroup of a socket cannot be read, so the gates may not apply to these sockets. */
Test(listeners, listening_sockets_get_no_latch_if_the_gates_are_not_at_the_root_cgroup)
{
	struct latch_flow flow = listener(1000);
	int fd = group_socket(1000), second;

	scan(false);
	cr_expect_not(has_latch(&flow));
	scan(true);
	second = group_socket(1000);
	scan(false);
	cr_expect_eq(latch_at(&flow).word.params, 1);
	close(second);
	close(fd);
}

Test(listeners, a_count_of_an_outdated_listener_latch_changes_nothing)
{
	struct latch_flow flow = listener(1000);
	union latch_word none = {0}, seen;

	cr_assert_eq(latch_listen(&maps, &flow, none, 1), LATCH_CONTROL_DONE);
	seen = latch_at(&flow).word;
	cr_expect_eq(latch_listen(&maps, &flow, seen, 1), LATCH_CONTROL_UNCHANGED);
	cr_expect_eq(latch_listen(&maps, &flow, seen, 2), LATCH_CONTROL_DONE);
	cr_expect_eq(latch_listen(&maps, &flow, seen, 0), LATCH_CONTROL_NOT_FOUND);
	cr_expect_eq(latch_at(&flow).word.params, 2);
	cr_expect_eq(latch_listen(&maps, &flow, none, 1), LATCH_CONTROL_NOT_FOUND);
	cr_expect_eq(latch_listen(&maps, &flow, latch_at(&flow).word, 0), LATCH_CONTROL_DONE);
	cr_expect_not(has_latch(&flow));
	cr_expect_eq(latch_listen(&maps, &flow, none, 0), LATCH_CONTROL_NOT_FOUND);
	cr_expect_not(has_latch(&flow));
}

Test(listeners, the_latch_of_a_connection_is_no_listener_latch)
{
	struct latch_flow flow = lonely(1000);

	put_latch(&flow, LATCH_STATE_ESTABLISHED, LATCH_OWNER_SOCKET, 1);
	cr_expect_eq(latch_listen(&maps, &flow, latch_at(&flow).word, 0), LATCH_CONTROL_REFUSED);
	scan(true);
	cr_expect(has_latch(&flow));
}
