/* SPDX-License-Identifier: BSD-2-Clause */
/* Latches whose owner left without a word, and those whose owner is still there. */
#include "latch_fixture.h"

#include "latchd/net/socket_diag.h"
#include "latchd/latch/reaper.h"

static struct reaper reaper;
static struct latch_flow marker; /* due in every round: when it is gone, one is over */

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

/* One round, now and not after its period. The loop looks at the marker only when all of it is
 * over. */
static void let_it_reap(void)
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

Test(reaper, only_what_is_due)
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

	let_it_reap();
	for (i = 0; i < 3; i++)
		cr_expect_not(has_latch(&old[i]), "%zu", i);
	for (i = 0; i < 2; i++)
		cr_expect(has_latch(&young[i]), "%zu", i);
}

/* It was born after the round began, and its age would be below zero. */
Test(reaper, a_latch_from_after_the_round_began)
{
	struct latch_flow owners[] = {lonely(1), lonely(2), lonely(3)};
	uint64_t later = clock_boot_ns() + 3600 * SECOND;
	size_t i;

	put_latch(&owners[0], LATCH_STATE_ESTABLISHED, LATCH_OWNER_HANDSHAKE, later);
	put_latch(&owners[1], LATCH_STATE_ESTABLISHED, LATCH_OWNER_TIME_WAIT, later);
	put_latch(&owners[2], LATCH_STATE_ESTABLISHED, LATCH_OWNER_SOCKET, later);
	let_it_reap();
	for (i = 0; i < 3; i++)
		cr_expect(has_latch(&owners[i]), "%zu", i);
}

Test(reaper, not_while_the_socket_lives)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL);
	struct latch_flow client = flow_of(pair.client), server = flow_of(pair.server);

	put_latch(&client, LATCH_STATE_ESTABLISHED, LATCH_OWNER_SOCKET, 1);
	put_latch(&server, LATCH_STATE_ESTABLISHED, LATCH_OWNER_HANDSHAKE, 1);
	let_it_reap();
	cr_expect(has_latch(&client));
	cr_expect(has_latch(&server));
	expect_alive(pair.client, pair.server);
	close_pair(&pair);
}

Test(reaper, not_while_time_wait_lasts)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL);
	struct latch_flow client = flow_of(pair.client);

	end_pair(&pair);
	put_latch(&client, LATCH_STATE_ESTABLISHED, LATCH_OWNER_TIME_WAIT, 1);
	let_it_reap();
	cr_expect(has_latch(&client));
}

/* What is left of the connection is the client's TIME_WAIT, and nothing of the server's. */
Test(reaper, L_2_2_3_a_socket_that_has_ended)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL);
	struct latch_flow server = flow_of(pair.server);
	uint64_t limit = loop_now_ms() + LIMIT_MS;

	end_pair(&pair);
	while (!socket_diag_find(&server) && loop_now_ms() < limit)
		sched_yield();
	put_latch(&server, LATCH_STATE_ESTABLISHED, LATCH_OWNER_HANDSHAKE, 1);
	let_it_reap();
	cr_expect_not(has_latch(&server));
}

/* Full sockets are looked for at the first round, and then not for a while. */
Test(reaper, full_sockets_are_looked_for_at_the_start_only)
{
	struct latch_flow flow;

	let_it_reap();
	reaper_stop(&reaper);
	flow = put_lonely(1, LATCH_OWNER_SOCKET, 61 * SECOND);
	let_it_reap();
	cr_expect(has_latch(&flow));
}

/* The quick lookup does not see it. */
Test(reaper, not_from_a_socket_bound_to_a_device)
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
	let_it_reap();
	cr_expect(has_latch(&flow));
	close(client);
	close(listener);
}

/* No answer is no permission. */
Test(reaper, not_what_cannot_be_looked_for)
{
	struct latch_flow flow = lonely(1);

	flow.protocol = IPPROTO_SCTP;
	put_latch(&flow, LATCH_STATE_ESTABLISHED, LATCH_OWNER_SOCKET, 1);
	let_it_reap();
	cr_expect(has_latch(&flow));
}

/* ---- SCTP: marks go when no latch is left that has their association */

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

Test(reaper, marks_of_sctp_go_with_the_last_latch)
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
	let_it_reap();
	cr_expect(has_mark(&kept));
	cr_expect(has_mark(&young));
	cr_expect_not(has_mark(&left));
	cr_expect(has_latch(&flow));
}
