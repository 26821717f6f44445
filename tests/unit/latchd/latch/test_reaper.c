/* SPDX-License-Identifier: BSD-2-Clause */
/* Latches whose owner ended without an event, and latches whose owner is still there. */
#include "latch_fixture.h"

#include "latchd/net/socket_diag.h"
#include "latchd/latch/reaper.h"

static struct reaper reaper;
static struct latch_flow marker; /* due in every round: its deletion shows the end of a round */

static void set_up(void)
{
	latches_start();
	reaper = (struct reaper){.maps = &maps};
}

static void tear_down(void)
{
	reaper_stop(&reaper);
	latches_finish();
}

TestSuite(reaper, .init = set_up, .fini = tear_down, .timeout = 120);

static bool marker_is_gone(void)
{
	return !has_latch(&marker);
}

/* One round at once. The loop checks the marker only after the whole round. */
static void run_round(void)
{
	marker = lonely(9999);
	put_latch(&marker, LATCH_STATE_ESTABLISHED, LATCH_OWNER_HANDSHAKE, 1);
	reaper_start(&reaper, loop);
	cr_expect(loop_timer_armed(&reaper.timer));
	loop_timer_arm(&reaper.timer, 0);
	wait_until(marker_is_gone);
	cr_expect(loop_timer_armed(&reaper.timer));
}

static struct latch_flow put_lonely(uint16_t port, enum latch_owner owner, uint64_t age)
{
	struct latch_flow flow = lonely(port);

	put_latch(&flow, LATCH_STATE_ESTABLISHED, owner, clock_boot_ns() - age);
	return flow;
}

Test(reaper, a_round_deletes_only_latches_that_are_due)
{
	struct latch_flow old[] = {
		put_lonely(1, LATCH_OWNER_HANDSHAKE, 4 * SECOND),
		put_lonely(2, LATCH_OWNER_TIME_WAIT, 61 * SECOND),
		put_lonely(3, LATCH_OWNER_SOCKET, 61 * SECOND),
	};
	struct latch_flow young[] = {
		put_lonely(5, LATCH_OWNER_TIME_WAIT, 10 * SECOND),
		put_lonely(6, LATCH_OWNER_SOCKET, 10 * SECOND),
	};
	size_t i;

	run_round();
	for (i = 0; i < 3; i++)
		cr_expect_not(has_latch(&old[i]), "%zu", i);
	for (i = 0; i < 2; i++)
		cr_expect(has_latch(&young[i]), "%zu", i);
}

/* The age of a latch created during the round would be negative. */
Test(reaper, a_round_keeps_latches_created_after_its_start)
{
	struct latch_flow owners[] = {lonely(1), lonely(2), lonely(3)};
	uint64_t later = clock_boot_ns() + 3600 * SECOND;
	size_t i;

	put_latch(&owners[0], LATCH_STATE_ESTABLISHED, LATCH_OWNER_HANDSHAKE, later);
	put_latch(&owners[1], LATCH_STATE_ESTABLISHED, LATCH_OWNER_TIME_WAIT, later);
	put_latch(&owners[2], LATCH_STATE_ESTABLISHED, LATCH_OWNER_SOCKET, later);
	run_round();
	for (i = 0; i < 3; i++)
		cr_expect(has_latch(&owners[i]), "%zu", i);
}

Test(reaper, a_latch_stays_while_its_socket_is_open)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL);
	struct latch_flow client = flow_of(pair.client), server = flow_of(pair.server);

	put_latch(&client, LATCH_STATE_ESTABLISHED, LATCH_OWNER_SOCKET, 1);
	put_latch(&server, LATCH_STATE_ESTABLISHED, LATCH_OWNER_HANDSHAKE, 1);
	run_round();
	cr_expect(has_latch(&client));
	cr_expect(has_latch(&server));
	expect_alive(pair.client, pair.server);
	close_pair(&pair);
}

Test(reaper, a_latch_stays_while_its_socket_is_in_time_wait)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL);
	struct latch_flow client = flow_of(pair.client);

	end_pair(&pair);
	put_latch(&client, LATCH_STATE_ESTABLISHED, LATCH_OWNER_TIME_WAIT, 1);
	run_round();
	cr_expect(has_latch(&client));
}

/* Of the connection only the TIME_WAIT socket of the client is left, not the server's. */
Test(reaper, L_2_2_3_the_latch_of_a_closed_socket_is_deleted)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL);
	struct latch_flow server = flow_of(pair.server);
	uint64_t limit = loop_now_ms() + LIMIT_MS;

	end_pair(&pair);
	while (!socket_diag_find(&server) && loop_now_ms() < limit)
		sched_yield();
	put_latch(&server, LATCH_STATE_ESTABLISHED, LATCH_OWNER_HANDSHAKE, 1);
	run_round();
	cr_expect_not(has_latch(&server));
}

Test(reaper, full_sockets_are_checked_in_the_first_sweep_only)
{
	struct latch_flow flow;

	run_round();
	reaper_stop(&reaper);
	flow = put_lonely(1, LATCH_OWNER_SOCKET, 61 * SECOND);
	run_round();
	cr_expect(has_latch(&flow));
}

/* The quick lookup does not find the socket. */
Test(reaper, a_socket_bound_to_a_device_keeps_its_latch)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t length = sizeof(address);
	int listener = namespace_socket(&ns, AF_INET, SOCK_STREAM);
	int client = namespace_socket(&ns, AF_INET, SOCK_STREAM);
	struct latch_flow flow;

	cr_assert_eq(setsockopt(client, SOL_SOCKET, SO_BINDTODEVICE, "lo", 2), 0);
	cr_assert_eq(bind(listener, (struct sockaddr *)&address, length), 0);
	cr_assert_eq(listen(listener, 8), 0);
	cr_assert_eq(getsockname(listener, (struct sockaddr *)&address, &length), 0);
	cr_assert_eq(connect(client, (struct sockaddr *)&address, length), 0);
	flow = flow_of(client);
	put_latch(&flow, LATCH_STATE_ESTABLISHED, LATCH_OWNER_SOCKET, 1);
	run_round();
	cr_expect(has_latch(&flow));
	close(client);
	close(listener);
}

/* A failed lookup does not allow the deletion. */
Test(reaper, a_latch_stays_while_its_socket_cannot_be_looked_up)
{
	struct latch_flow flow = lonely(1);

	flow.protocol = IPPROTO_SCTP;
	put_latch(&flow, LATCH_STATE_ESTABLISHED, LATCH_OWNER_SOCKET, 1);
	run_round();
	cr_expect(has_latch(&flow));
}

/* ---- SCTP: marks of associations without a latch are deleted */

static struct latch_flow put_mark(uint64_t association, uint64_t age)
{
	struct latch_flow key = {
		.netns = ns.cookie,
		.remote_addr = {(uint8_t)association, (uint8_t)(age / SECOND)},
		.protocol = IPPROTO_SCTP,
		.pad = LATCH_MARK_LOCAL_TAG,
	};
	struct latch_association mark = {.id = association, .changed = clock_boot_ns() - age};

	cr_assert_eq(bpf_map_update_elem(maps.associations, &key, &mark, BPF_NOEXIST), 0);
	return key;
}

static bool has_mark(const struct latch_flow *key)
{
	struct latch_association mark;

	return !bpf_map_lookup_elem(maps.associations, key, &mark);
}

Test(reaper, sctp_marks_are_deleted_with_the_last_latch_of_their_association)
{
	struct latch_flow flow = lonely(1), kept, young, left;
	struct latch latch = {
		.id = 1,
		.owner = LATCH_OWNER_HANDSHAKE,
		.owner_since = clock_boot_ns() + 3600 * SECOND,
		.association = 5,
		.word = {.generation = 1, .params = 1, .state = LATCH_STATE_ESTABLISHED},
	};

	flow.protocol = IPPROTO_SCTP;
	cr_assert_eq(bpf_map_update_elem(maps.latches, &flow, &latch, BPF_NOEXIST), 0);
	kept = put_mark(5, 60 * SECOND);
	young = put_mark(6, 1 * SECOND);
	left = put_mark(7, 60 * SECOND);
	run_round();
	cr_expect(has_mark(&kept));
	cr_expect(has_mark(&young));
	cr_expect_not(has_mark(&left));
	cr_expect(has_latch(&flow));
}
