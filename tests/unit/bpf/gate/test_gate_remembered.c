/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the cgroup gate remembers of a socket. A steady flow is checked in full once, and again
 * after each change that the check could see. Nothing that has passed before passes after such a
 * change.
 *
 *	client (latched) --> nft: protocol = ESP --> gate_egress --> lo: nothing receives ESP
 *	client           <------- in clear -------> server
 */
#include "remembered_fixture.h"

#include <pthread.h>
#include <stdatomic.h>

#define IMPOSTOR 4
#define OTHERS	 16

TestSuite(gate_remembered, .init = set_up, .fini = gate_tear_down, .timeout = 180);

/* ---- steady flows */

static void set_mark(int fd, int mark)
{
	cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)), 0);
}

Test(gate_remembered, a_steady_connection_in_clear_is_checked_in_full_once)
{
	size_t i;

	for (i = 0; i < TCP_WAYS; i++) {
		struct pair pair = connect_prompt_pair(tcp_ways[i][0], tcp_ways[i][1]);

		expect_steady(&pair);
		close_pair(&pair);
	}
}

Test(gate_remembered, steady_datagrams_in_clear_are_checked_in_full_once)
{
	static const char *const ways[][2] = {{IPV4, IPV4}, {IPV6, IPV6}, {MAPPED, IPV4}};
	size_t i;

	for (i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		struct pair pair = udp_pair(ways[i][0], ways[i][1]);

		expect_steady(&pair);
		udp_close(&pair);
	}
}

Test(gate_remembered, steady_datagrams_under_an_sa_are_checked_in_full_once)
{
	static const char *const addresses[] = {IPV4, IPV6};
	struct latch_flow flow;
	size_t i;

	for (i = 0; i < 2; i++) {
		struct pair pair = warm_latched_pair(addresses[i], &flow);

		cr_expect_eq(checks_of_datagrams(pair.client, PACKETS), 0);
		cr_expect_eq(latch_of(&flow).spi_out, sa_of(&flow).spi);
		udp_close(&pair);
		run("nft flush ruleset");
	}
}

/* ---- the latch changes */

static void break_latch(const struct latch_flow *flow)
{
	cr_assert_eq(latch_break(&maps, flow, LATCH_ID, LATCH_REASON_SA_CONFLICT, NULL),
		     LATCH_CONTROL_DONE);
}

Test(gate_remembered, R_2_3_21_a_broken_latch_stops_the_next_datagram_of_a_steady_flow)
{
	struct latch_flow flow;
	struct pair pair = warm_latched_pair(IPV4, &flow);

	break_latch(&flow);
	expect_refused(pair.client, LATCH_DROP_BROKEN);
	cr_assert_eq(latch_heal(&maps, &flow, LATCH_ID, LATCH_REASON_SA_CONFLICT, NULL),
		     LATCH_CONTROL_DONE);
	warm(pair.client);
	udp_close(&pair);
}

/* Some may share the epoch of the flow: see db/epochs.h. */
Test(gate_remembered, latches_of_other_flows_that_change_do_not_disturb_a_steady_flow)
{
	struct latch_flow flow, others[OTHERS];
	struct pair pair = warm_latched_pair(IPV4, &flow);
	uint64_t checks = 0;
	int i;

	for (i = 0; i < OTHERS; i++) {
		others[i] = flow;
		others[i].remote_port = (uint16_t)(i + 1);
		put_latch(&others[i], LATCH_OWNER_SOCKET);
	}
	warm(pair.client);
	for (i = 0; i < OTHERS; i++) {
		break_latch(&others[i]);
		checks += checks_of_datagrams(pair.client, 1);
	}
	cr_expect_lt(checks, OTHERS / 2);
	udp_close(&pair);
}

Test(gate_remembered, R_2_3_24_a_closed_latch_stops_the_next_datagram_of_a_steady_flow)
{
	struct latch_flow flow;
	struct pair pair = warm_latched_pair(IPV4, &flow);

	cr_assert_eq(latch_close(&maps, &flow, LATCH_ID), LATCH_CONTROL_DONE);
	expect_refused(pair.client, LATCH_DROP_CLOSED);
	udp_close(&pair);
}

Test(gate_remembered, the_release_of_a_latch_stops_the_other_socket_of_its_steady_flow)
{
	int one = udp_socket(address_of(IPV4, 0), true), peer = udp_bound(IPV4), other;
	struct latch_flow flow;

	other = second_socket(one, peer);
	udp_connect(one, name_of(peer, getsockname));
	flow = udp_flow(one);
	make_esp("ip", "udp", port_of(peer));
	put_sa_of(&flow, LATCH_SA_BOUND, PARAMS);
	put_latch_of(&flow, one);
	cr_assert_eq(udp_send(one), 0);
	warm(other);
	close(one);
	cr_assert_not(has_latch(&flow));
	expect_refused(other, LATCH_DROP_CLOSED);
	close(other);
	close(peer);
}

/* Only the datagrams of the marked socket seem to be ESP. */
Test(gate_remembered, a_latch_that_another_socket_of_the_flow_creates_stops_a_steady_flow_in_clear)
{
	int one = udp_socket(address_of(IPV4, 0), true), peer = udp_bound(IPV4), other;
	struct latch_flow flow;

	other = second_socket(one, peer);
	udp_connect(one, name_of(peer, getsockname));
	flow = udp_flow(one);
	run("nft add table ip t");
	run("nft 'add chain ip t out { type filter hook output priority 0; }'");
	run("nft add rule ip t out meta mark 1 ip protocol set 50");
	put_sa_of(&flow, LATCH_SA_BOUND, PARAMS);
	set_mark(other, 1);
	warm(one);
	cr_assert_eq(udp_send(other), 0);
	cr_assert(has_latch(&flow));
	expect_lost(one, LATCH_DROP_PLAINTEXT);
	close(other);
	close(one);
	close(peer);
}

/* Its first bound SA makes it ESTABLISHED, and until then a rule decides over each packet. */
Test(gate_remembered, a_latch_that_is_not_established_is_always_checked_in_full)
{
	struct pair pair = udp_pair(IPV4, IPV4);
	struct latch_flow flow = udp_flow(pair.client);

	make_esp("ip", "udp", port_of(pair.server));
	put_sa_of(&flow, LATCH_SA_ORPHAN, PARAMS);
	cr_assert_eq(udp_send(pair.client), 0);
	cr_assert_eq(latch_of(&flow).word.state, LATCH_STATE_LARVAL);
	cr_expect_eq(checks_of_datagrams(pair.client, PACKETS), PACKETS);
	udp_close(&pair);
}

/* ---- the SA changes */

static void set_sa(const struct latch_flow *flow, enum latch_sa_state state, uint16_t params)
{
	struct latch_sa_key key = sa_of(flow);

	cr_assert_eq(sa_set(&maps, &key, 1, state, params, 0), LATCH_CONTROL_DONE);
}

Test(gate_remembered, R_2_15_an_sa_that_waits_for_its_owner_again_carries_no_steady_flow)
{
	struct latch_flow flow;
	struct pair pair = warm_latched_pair(IPV4, &flow);

	set_sa(&flow, LATCH_SA_PENDING, 0);
	expect_lost(pair.client, LATCH_DROP_SA_PENDING);
	udp_close(&pair);
}

Test(gate_remembered, R_2_4_an_sa_that_is_bound_to_another_peer_carries_no_steady_flow)
{
	struct latch_flow flow;
	struct pair pair = warm_latched_pair(IPV4, &flow);

	set_sa(&flow, LATCH_SA_BOUND, IMPOSTOR);
	expect_lost(pair.client, LATCH_DROP_IDENTITY);
	udp_close(&pair);
}

Test(gate_remembered, a_deleted_sa_carries_no_steady_flow_and_neither_does_its_successor)
{
	struct latch_flow flow;
	struct pair pair = warm_latched_pair(IPV4, &flow);
	struct latch_sa_key key = sa_of(&flow);
	struct latch_sa successor = {0};

	cr_assert_eq(sa_forget(&maps, &key, 1), LATCH_CONTROL_DONE);
	expect_lost(pair.client, LATCH_DROP_SA_UNKNOWN);
	cr_assert_eq(sa_adopt(&maps, &key, &successor, false), LATCH_CONTROL_DONE);
	expect_lost(pair.client, LATCH_DROP_SA_PENDING);
	udp_close(&pair);
}

Test(gate_remembered, R_2_4_the_same_spi_to_another_destination_is_another_sa)
{
	struct latch_flow flow;
	struct pair pair = warm_latched_pair(IPV4, &flow);

	run("nft add rule ip t out ip protocol 50 ip daddr set 127.0.0.2");
	expect_lost(pair.client, LATCH_DROP_SA_UNKNOWN);
	udp_close(&pair);
}

Test(gate_remembered, R_2_4_another_spi_to_the_same_destination_is_another_sa)
{
	struct latch_flow flow;
	struct pair pair = warm_latched_pair(IPV4, &flow);

	run("nft add rule ip t out ip protocol 50 @th,0,32 set 4711");
	expect_lost(pair.client, LATCH_DROP_SA_UNKNOWN);
	udp_close(&pair);
}

Test(gate_remembered, R_2_4_ah_with_the_number_of_an_esp_sa_is_another_sa)
{
	struct latch_flow flow;
	struct pair pair = warm_latched_pair(IPV4, &flow);

	run("nft add rule ip t out ip protocol 50 ip protocol set 51");
	cr_expect_eq(udp_send(pair.client), 0);
	cr_expect_eq(drops_for(LATCH_DROP_SA_UNKNOWN).egress, 1);
	udp_close(&pair);
}

/* Only the datagrams with the mark have the other SPI. Both SAs are the peer's. */
Test(gate_remembered, R_2_4_of_two_sas_that_a_flow_uses_in_turn_one_is_steady)
{
	struct latch_flow flow;
	struct pair pair = warm_latched_pair(IPV4, &flow);
	struct latch_sa_key second = sa_of(&flow);
	struct latch_sa sa = {0};
	uint64_t checks = 0;
	int i;

	second.spi = 4711;
	cr_assert_eq(sa_adopt(&maps, &second, &sa, false), LATCH_CONTROL_DONE);
	cr_assert_eq(bpf_map_lookup_elem(maps.sas, &second, &sa), 0);
	cr_assert_eq(sa_set(&maps, &second, sa.word.serial, LATCH_SA_BOUND, PARAMS, 0),
		     LATCH_CONTROL_DONE);
	run("nft add rule ip t out meta mark 1 ip protocol 50 @th,0,32 set 4711");
	for (i = 0; i < PACKETS; i++) {
		set_mark(pair.client, 1);
		checks += checks_of_datagrams(pair.client, 1);
		set_mark(pair.client, 0);
		checks += checks_of_datagrams(pair.client, 1);
	}
	cr_expect_lt(checks, 2 * PACKETS - PACKETS / 4);
	udp_close(&pair);
}

#define SAS	  10   /* one after another, as after rekeys */
#define OF_ONE_SA 1000 /* datagrams */
#define OF_A_FLOW 50

/* Its first datagram begins a flow of its own, beside the steady one. */
static void begin_another_flow(const struct pair *pair)
{
	int fd = udp_socket(address_of(IPV4, 0), true);

	udp_connect(fd, name_of(pair->server, getsockname));
	cr_assert_eq(udp_send(fd), 0);
	close(fd);
}

/* How many of the datagrams under one SA are checked in full. */
static uint64_t checks_under_one_sa(const struct pair *pair)
{
	uint64_t checks = 0;
	int i;

	for (i = 0; i < OF_ONE_SA; i += OF_A_FLOW) {
		checks += checks_of_datagrams(pair->client, OF_A_FLOW);
		begin_another_flow(pair);
	}
	return checks;
}

/*
 * A jiffy has one new pass, so that the datagrams until the next one are checked in full. A machine
 * that is short of processor time may have long jiffies: warm() waits for their end.
 */
Test(gate_remembered, after_each_rekey_less_than_a_hundredth_of_a_steady_flow_is_checked_in_full)
{
	struct latch_flow flow;
	struct pair pair = warm_latched_pair(IPV4, &flow);
	struct latch_sa_key second = sa_of(&flow);
	struct latch_sa sa = {0};
	uint64_t before;
	int i;

	second.spi = 4711;
	cr_assert_eq(sa_adopt(&maps, &second, &sa, false), LATCH_CONTROL_DONE);
	cr_assert_eq(bpf_map_lookup_elem(maps.sas, &second, &sa), 0);
	cr_assert_eq(sa_set(&maps, &second, sa.word.serial, LATCH_SA_BOUND, PARAMS, 0),
		     LATCH_CONTROL_DONE);
	run("nft add rule ip t out meta mark 1 ip protocol 50 @th,0,32 set 4711");
	for (i = 1; i <= SAS; i++) {
		before = checks_in_full();
		set_mark(pair.client, i % 2);
		warm(pair.client);
		cr_expect_gt(checks_in_full(), before, "the first datagram under another SA");
		cr_expect_lt(checks_under_one_sa(&pair), OF_ONE_SA / 100);
	}
	udp_close(&pair);
}

/* ---- the packet is of another kind */

Test(gate_remembered, R_2_4_a_datagram_in_clear_of_a_steady_latched_flow_is_dropped)
{
	struct latch_flow flow;
	struct pair pair = warm_latched_pair(IPV4, &flow);

	run("nft flush ruleset");
	expect_lost(pair.client, LATCH_DROP_PLAINTEXT);
	udp_close(&pair);
}

Test(gate_remembered, R_2_15_a_datagram_under_an_sa_of_a_steady_flow_in_clear_is_checked)
{
	struct pair pair = udp_pair(IPV4, IPV4);
	struct latch_flow flow = udp_flow(pair.client);

	put_sa_of(&flow, LATCH_SA_PENDING, 0);
	warm(pair.client);
	make_esp("ip", "udp", port_of(pair.server));
	expect_lost(pair.client, LATCH_DROP_SA_PENDING);
	udp_close(&pair);
}

/* ---- the rules change */

Test(gate_remembered, R_2_2_a_rule_that_requires_a_latch_stops_a_steady_connection_in_clear)
{
	struct pair pair = connect_prompt_pair(IPV4, IPV4);

	expect_steady(&pair);
	put_rule(LATCH_ACTION_REQUIRE, LATCH_DIRECTION_NONE, NULL);
	send_byte(pair.client);
	wait_for(drops_for(LATCH_DROP_REQUIRED).egress > 0);
	cr_expect_not(is_readable(pair.server));
	close_pair(&pair);
}

Test(gate_remembered, R_2_2_a_rule_that_requires_a_latch_stops_steady_datagrams_in_clear)
{
	struct pair pair = warm_clear_pair(IPV4, IPV4);

	put_rule_of(IPPROTO_UDP, LATCH_ACTION_REQUIRE, LATCH_DIRECTION_NONE, NULL);
	expect_refused(pair.client, LATCH_DROP_REQUIRED);
	udp_close(&pair);
}

/* ---- races */

#define BREAKS 200

static struct {
	int fd;
	atomic_bool stop;
	atomic_uint reported; /* number of the break that was reported and not healed; 0: none */
	atomic_uint sent, refused, sent_late;
} race;

/* A datagram is late if the break was reported before its send() began, and not healed at its end.
 */
static void *send_until_stopped(void *none)
{
	unsigned int reported;

	(void)none;
	while (!atomic_load(&race.stop)) {
		reported = atomic_load(&race.reported);
		if (udp_send(race.fd)) {
			atomic_fetch_add(&race.refused, 1);
			continue;
		}
		atomic_fetch_add(&race.sent, 1);
		if (reported && atomic_load(&race.reported) == reported)
			atomic_fetch_add(&race.sent_late, 1);
	}
	return NULL;
}

static void break_and_heal(const struct latch_flow *flow, unsigned int number)
{
	unsigned int sent = atomic_load(&race.sent), refused;

	wait_for(atomic_load(&race.sent) > sent + 2);
	break_latch(flow);
	atomic_store(&race.reported, number);
	refused = atomic_load(&race.refused);
	wait_for(atomic_load(&race.refused) > refused + 2);
	atomic_store(&race.reported, 0);
	cr_assert_eq(latch_heal(&maps, flow, LATCH_ID, LATCH_REASON_SA_CONFLICT, NULL),
		     LATCH_CONTROL_DONE);
}

Test(gate_remembered, R_2_3_21_no_datagram_leaves_after_a_break_was_reported)
{
	pthread_t senders[2];
	struct latch_flow flow;
	struct pair pair = warm_latched_pair(IPV4, &flow);
	unsigned int i;

	race.fd = pair.client;
	for (i = 0; i < 2; i++)
		cr_assert_eq(pthread_create(&senders[i], NULL, send_until_stopped, NULL), 0);
	for (i = 1; i <= BREAKS; i++)
		break_and_heal(&flow, i);
	atomic_store(&race.stop, true);
	for (i = 0; i < 2; i++)
		pthread_join(senders[i], NULL);
	cr_expect_eq(atomic_load(&race.sent_late), 0);
	udp_close(&pair);
}
