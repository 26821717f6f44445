/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A connection that a listener accepts, from the ACK that ends its handshake to its first packet.
 * The programs are compiled for this machine as in tests/sim/. Another processor reaps or closes
 * the latch at each helper call in turn.
 */
#include <criterion/criterion.h>

#include <netinet/in.h>
#include "simulated_kernel.h"

#include "other_cpu.h"

#define PEER	 3
#define IMPOSTOR 4
#define SOCKET	 0
#define COOKIE	 5
#define LATCH	 7

static const struct latch_flow flow = {
	.netns = 1,
	.local_addr = {10, 9, 0, 1},
	.remote_addr = {10, 9, 0, 2},
	.local_port = 1000,
	.remote_port = 4000,
	.family = AF_INET,
	.protocol = IPPROTO_TCP,
};

/* ---- SAs */

static struct latch_sa_key of_peer, of_impostor;

static struct latch_sa_key install(uint32_t spi, uint16_t params)
{
	struct traffic_sa sa = {
		.key = {.netns = 1,
			.daddr = {10, 9, 0, 1},
			.spi = spi,
			.protocol = IPPROTO_ESP,
			.family = AF_INET},
		.source = {10, 9, 0, 2},
		.cipher = "rfc4106(gcm(aes))",
		.inbound = true,
	};
	struct latch_control c = {
		.op = LATCH_CONTROL_SA_SET,
		.sa = sa.key,
		.sa_state = LATCH_SA_BOUND,
		.params = params,
	};
	const struct latch_sa *entry;

	cr_assert_geq(traffic_install(&sa), 0);
	entry = table_find(TABLE_SAS, &sa.key);
	cr_assert_not_null(entry);
	c.serial = entry->word.serial;
	traffic_control(&c);
	cr_assert_eq(c.result, LATCH_CONTROL_DONE);
	return sa.key;
}

static void start(void)
{
	helpers_preempted = NULL;
	sim.now_ms = 1000;
	tables_reset();
	traffic_reset();
	of_peer = install(0x1000, PEER);
	of_impostor = install(0x2000, IMPOSTOR);
}

TestSuite(accepted, .init = start, .timeout = 60);

/* ---- the handshake */

static const struct latch *latch(void)
{
	return table_find(TABLE_LATCHES, &flow);
}

static bool arrives(int socket, const struct latch_sa_key *sa)
{
	struct traffic_packet packet = {.socket = socket, .flow = flow, .cookie = COOKIE, .sa = sa};

	return traffic_packet(&packet);
}

/* The latch that the SYN has created, and that has no socket: the SYN-ACK was a SYN cookie. */
static void add_handshake(void)
{
	struct latch made = {
		.word = {.generation = 1, .params = PEER, .state = LATCH_STATE_ESTABLISHED},
		.id = LATCH,
		.owner = LATCH_OWNER_HANDSHAKE,
		.owner_since = 1000ull * 1000000,
	};

	cr_assert_eq(table_set(TABLE_LATCHES, &flow, &made, 0), 0);
	sim.now_ms += 4000;
}

static bool finish_handshake(const struct latch_sa_key *sa)
{
	if (!arrives(-1, sa))
		return false;
	traffic_accepted(SOCKET, &flow, COOKIE, sa);
	return true;
}

static void end_latch(enum latch_control_op op)
{
	struct latch_control c = {
		.op = op,
		.flow = flow,
		.latch_id = LATCH,
		.owner_since = 1000ull * 1000000,
	};

	traffic_control(&c);
}

/* As the reaper does, which saw the latch before the ACK came. */
static void reap(void)
{
	end_latch(LATCH_CONTROL_REAP);
}

static void close_latch(void)
{
	end_latch(LATCH_CONTROL_CLOSE);
}

Test(accepted, the_ack_at_a_listener_keeps_its_handshake_from_the_reaper)
{
	add_handshake();
	cr_assert(arrives(-1, &of_peer));
	reap();
	cr_assert_not_null(latch());
	traffic_accepted(SOCKET, &flow, COOKIE, &of_peer);
	cr_expect_eq(latch()->owner, LATCH_OWNER_SOCKET);
	cr_expect(arrives(SOCKET, &of_peer));
	cr_expect_not(arrives(SOCKET, &of_impostor));
}

/* Another host's ACK, or a forged one in clear, is dropped: it is no end of the handshake. */
Test(accepted, an_ack_that_is_dropped_does_not_keep_a_handshake)
{
	add_handshake();
	cr_expect_not(arrives(-1, &of_impostor));
	cr_expect_not(arrives(-1, NULL));
	reap();
	cr_expect_null(latch());
}

Test(accepted, a_syn_cookies_ack_without_a_latch_creates_one)
{
	cr_assert(finish_handshake(&of_peer));
	cr_assert_not_null(latch());
	cr_expect_eq(latch()->word.params, PEER);
	cr_expect(arrives(SOCKET, &of_peer));
	cr_expect_not(arrives(SOCKET, NULL));
}

Test(accepted, a_connection_in_clear_is_accepted_without_a_latch_and_goes_on)
{
	cr_assert(finish_handshake(NULL));
	cr_expect_null(latch());
	cr_expect(arrives(SOCKET, NULL));
}

/* ---- another processor acts at one helper call: all of them in turn */

/* The connection is latched to its peer, blocked, or was not accepted. */
static void expect_no_unlatched(unsigned int at, bool accepted)
{
	if (!accepted)
		return;
	cr_expect_not(arrives(SOCKET, &of_impostor), "point %u: another peer's data", at);
	cr_expect_not(arrives(SOCKET, NULL), "point %u: data in clear", at);
}

static void interleave(void (*act)(void))
{
	unsigned int at = 0, blocked = 0;
	bool accepted, acted;

	do {
		start();
		add_handshake();
		begin_turn(act, ++at);
		accepted = finish_handshake(&of_peer);
		acted = end_turn();
		blocked += acted && !latch();
		expect_no_unlatched(at, accepted);
	} while (acted);
	cr_expect_gt(at, 3);
	cr_expect_gt(blocked, 0, "no point at which the latch was lost");
	cr_expect(arrives(SOCKET, &of_peer), "undisturbed, the connection goes on");
}

Test(accepted, R_2_4_a_connection_that_loses_its_latch_meanwhile_does_not_run_unlatched)
{
	interleave(reap);
	interleave(close_latch);
}
