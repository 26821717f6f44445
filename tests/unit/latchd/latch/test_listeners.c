/* SPDX-License-Identifier: BSD-2-Clause */
/* LISTENERs of sockets that no program saw begin, or end: no program but the control is there. */
#define LATCHES_ROOM 16384 /* this machine's own listeners are found, too */
#include "latch_fixture.h"

#include "latchd/latch/listeners.h"

TestSuite(listeners, .init = latches_start, .fini = latches_finish, .timeout = 120);

static struct listeners listeners;

static void count_anew(bool adopt)
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

Test(listeners, R_2_16_those_that_are_there_are_found)
{
	struct latch_flow one = listener(1000), two = listener(1001);
	int fds[] = {group_socket(1000), group_socket(1001), group_socket(1000)};
	uint64_t id;
	size_t i;

	count_anew(true);
	cr_expect_eq(latch_at(&one).word.state, LATCH_STATE_LISTENER);
	cr_expect_eq(latch_at(&one).word.params, 2);
	cr_expect_eq(latch_at(&one).owner, LATCH_OWNER_SOCKET);
	cr_expect_eq(latch_at(&two).word.params, 1);
	id = latch_at(&one).id;
	count_anew(true);
	cr_expect_eq(latch_at(&one).id, id);
	cr_expect_eq(latch_at(&one).word.params, 2);
	for (i = 0; i < 3; i++)
		close(fds[i]);
}

/* An earlier latchd's, whose sockets left while nothing watched. */
Test(listeners, R_2_3_20_those_that_are_gone_are_released)
{
	struct latch_flow one = listener(1000), two = listener(1001);
	int fds[] = {group_socket(1000), group_socket(1001), group_socket(1000)};

	count_anew(true);
	close(fds[0]);
	close(fds[1]);
	count_anew(false);
	cr_expect_eq(latch_at(&one).word.params, 1);
	cr_expect_not(has_latch(&two));
	close(fds[2]);
	count_anew(true);
	cr_expect_not(has_latch(&one));
}

/* Where only a part of all sockets is enforced, nobody knows whether these belong to it. */
Test(listeners, not_found_where_they_may_be_in_another_cgroup)
{
	struct latch_flow flow = listener(1000);
	int fd = group_socket(1000), second;

	count_anew(false);
	cr_expect_not(has_latch(&flow));
	count_anew(true);
	second = group_socket(1000);
	count_anew(false);
	cr_expect_eq(latch_at(&flow).word.params, 1);
	close(second);
	close(fd);
}

Test(listeners, whoever_joins_meanwhile_wins)
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

Test(listeners, no_connections_latch_is_taken_for_one)
{
	struct latch_flow flow = lonely(1000);

	put_latch(&flow, LATCH_STATE_ESTABLISHED, LATCH_OWNER_SOCKET, 1);
	cr_expect_eq(latch_listen(&maps, &flow, latch_at(&flow).word, 0), LATCH_CONTROL_REFUSED);
	count_anew(true);
	cr_expect(has_latch(&flow));
}
