/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The first packet of a flow under a contested SA (R-2.3-8): it is lost, and latchd is asked. What
 * latchd has decided for the two addresses holds for the next packet.
 *
 *	client --> nft: protocol = ESP --> gate_egress --> lo: nothing receives ESP
 */
#include "gate_rules.h"
#include "pretended_esp.h"
#include "udp.h"

#include "latch_mode.h"

#define PEER	 3
#define IMPOSTOR 4

static void set_up(void)
{
	gate_set_up();
	attach_gates();
	attach(GATES_SOCKET);
	config.rule_count = 0;
	set_drop_event_interval(0);
}

TestSuite(gate_contested, .init = set_up, .fini = gate_tear_down, .timeout = 180);

static void put_contested_to(const struct latch_sa_key *key, uint16_t params)
{
	struct latch_sa sa = {
		.word = {.serial = 1,
			 .params = params,
			 .state = LATCH_SA_BOUND,
			 .flags = LATCH_SA_CONTESTED},
		.installed = clock_boot_ns(),
	};

	cr_assert_eq(bpf_map_update_elem(maps.sas, key, &sa, BPF_ANY), 0);
}

static void put_contested(const struct latch_sa_key *key)
{
	put_contested_to(key, PEER);
}

static void put_contested_sa(const struct latch_flow *flow)
{
	struct latch_sa_key key = sa_of(flow);

	put_contested(&key);
}

/* A connected UDP socket with datagrams that seem to leave under a contested SA of PEER. */
static struct pair contested_pair(const char *address, struct latch_flow *ret_flow)
{
	struct pair pair = udp_pair(address, address);

	*ret_flow = udp_flow(pair.client);
	make_esp(strchr(address, ':') ? "ip6" : "ip", "udp", port_of(pair.server));
	put_contested_sa(ret_flow);
	return pair;
}

static struct latch_pair addresses_of(const struct latch_flow *flow)
{
	struct latch_pair pair = {.netns = flow->netns, .params = PEER, .family = flow->family};

	memcpy(pair.local_addr, flow->local_addr, sizeof(pair.local_addr));
	memcpy(pair.remote_addr, flow->remote_addr, sizeof(pair.remote_addr));
	return pair;
}

static void decide_for(const struct latch_pair *pair, uint32_t decision)
{
	cr_assert_eq(bpf_map_update_elem(maps.pairs, pair, &decision, BPF_ANY), 0);
}

static void decide(const struct latch_flow *flow, uint32_t decision)
{
	struct latch_pair pair = addresses_of(flow);

	decide_for(&pair, decision);
}

static void expect_asked(const struct latch_flow *flow, unsigned int times)
{
	struct latch_event event = {0};

	cr_expect_eq(events_of(LATCH_EVENT_REFUSED, flow, &event), times);
	if (!times)
		return;
	cr_expect_eq(event.drop, LATCH_DROP_CONTESTED);
	cr_expect_eq(event.sa.spi, sa_of(flow).spi);
	cr_expect_eq(event.packet, LATCH_DIRECTION_OUT);
}

static void check_lost_and_asked(const char *address)
{
	struct latch_flow flow;
	struct pair pair = contested_pair(address, &flow);
	uint64_t before = drops_for(LATCH_DROP_CONTESTED).egress;

	cr_expect_eq(udp_send(pair.client), 0, "the application sees a loss");
	cr_expect_eq(drops_for(LATCH_DROP_CONTESTED).egress, before + 1);
	cr_expect_not(has_latch(&flow));
	expect_asked(&flow, 1);
	udp_close(&pair);
}

Test(gate_contested, R_2_3_8_a_first_datagram_under_a_contested_sa_is_lost_and_latchd_is_asked)
{
	check_lost_and_asked(IPV4);
	check_lost_and_asked(IPV6);
}

static void check_begins(const char *address)
{
	struct latch_flow flow;
	struct pair pair = contested_pair(address, &flow);

	cr_expect_eq(udp_send(pair.client), 0);
	cr_expect_not(has_latch(&flow));
	decide(&flow, LATCH_PAIR_ALONE);
	cr_expect_eq(udp_send(pair.client), 0);
	cr_assert(has_latch(&flow));
	cr_expect_eq(latch_of(&flow).word.state, LATCH_STATE_ESTABLISHED);
	cr_expect_eq(latch_of(&flow).word.params, PEER);
	udp_close(&pair);
}

Test(gate_contested, R_2_3_8_a_flow_begins_where_only_its_sa_can_carry_it)
{
	check_begins(IPV4);
	check_begins(IPV6);
}

Test(gate_contested, R_2_3_8_a_flow_that_another_sa_can_carry_is_refused)
{
	struct latch_flow flow;
	struct pair pair = contested_pair(IPV4, &flow);

	decide(&flow, LATCH_PAIR_CONTESTED);
	cr_expect_eq(udp_send(pair.client), -EPERM);
	cr_expect_eq(drops_for(LATCH_DROP_CONFLICT).egress, 1);
	cr_expect_not(has_latch(&flow));
	udp_close(&pair);
}

Test(gate_contested, R_2_3_8_a_decision_for_another_peer_starts_no_flow)
{
	struct latch_flow flow;
	struct pair pair = contested_pair(IPV4, &flow);
	struct latch_pair impostor = addresses_of(&flow);

	impostor.params = IMPOSTOR;
	decide_for(&impostor, LATCH_PAIR_ALONE);
	cr_expect_eq(udp_send(pair.client), 0);
	cr_expect_eq(drops_for(LATCH_DROP_CONTESTED).egress, 1);
	cr_expect_not(has_latch(&flow));
	expect_asked(&flow, 1);
	udp_close(&pair);
}

/* Each member of the key, at its first and last byte. */
Test(gate_contested, R_2_3_8_a_decision_holds_for_its_two_addresses_only)
{
	struct latch_flow flow;
	struct pair pair = contested_pair(IPV4, &flow);
	struct latch_pair other = addresses_of(&flow);
	uint8_t *const bytes[] = {(uint8_t *)&other.netns,
				  &other.local_addr[0],
				  &other.local_addr[15],
				  &other.remote_addr[0],
				  &other.remote_addr[15],
				  (uint8_t *)&other.params,
				  &other.family};
	size_t i;

	for (i = 0; i < sizeof(bytes) / sizeof(bytes[0]); i++) {
		*bytes[i] ^= 1;
		decide_for(&other, LATCH_PAIR_ALONE);
		*bytes[i] ^= 1;
	}
	cr_expect_eq(udp_send(pair.client), 0);
	cr_expect_not(has_latch(&flow));
	udp_close(&pair);
}

Test(gate_contested, R_2_2_a_rule_that_requires_a_latch_is_content_with_a_decision)
{
	struct latch_flow flow;
	struct pair pair = contested_pair(IPV4, &flow);

	put_rule_of(IPPROTO_UDP, LATCH_ACTION_REQUIRE, LATCH_DIRECTION_NONE, NULL);
	cr_expect_eq(udp_send(pair.client), 0);
	cr_expect_eq(drops_for(LATCH_DROP_CONTESTED).egress, 1);
	expect_asked(&flow, 1);
	decide(&flow, LATCH_PAIR_CONTESTED);
	cr_expect_eq(udp_send(pair.client), -EPERM);
	decide(&flow, LATCH_PAIR_ALONE);
	cr_expect_eq(udp_send(pair.client), 0);
	cr_expect(has_latch(&flow));
	udp_close(&pair);
}

/* The SYN is sent again after a second. Before connect() its port is not known: all have one SPI.
 */
Test(gate_contested, R_2_3_8_a_connect_that_was_lost_begins_with_the_next_syn)
{
	int listener = start_listener(IPV4, NULL), client;
	struct latch_sa_key key = {
		.netns = ns.cookie, .spi = 4711, .protocol = IPPROTO_ESP, .family = AF_INET};
	struct latch_flow flow;

	cr_assert_eq(inet_pton(AF_INET, IPV4, key.daddr), 1);
	put_contested(&key);
	make_esp("ip", "tcp", port_of(listener));
	run("nft add rule ip t out ip protocol 50 @th,0,32 set 4711");
	client = start_connect(IPV4, listener);
	flow = flow_to(client, IPV4, listener);
	wait_for(drops_for(LATCH_DROP_CONTESTED).egress > 0);
	cr_expect_not(has_latch(&flow));
	decide(&flow, LATCH_PAIR_ALONE);
	wait_for(has_latch(&flow));
	cr_expect_eq(latch_of(&flow).word.state, LATCH_STATE_ESTABLISHED);
	cr_expect_eq(latch_of(&flow).word.params, PEER);
	cr_expect_eq(tcp_state_of(client), TCP_SYN_SENT, "no error was seen");
	close(client);
	close(listener);
}

Test(gate_contested, R_2_3_24_a_decision_starts_no_latch_for_a_socket_with_a_closed_one)
{
	struct latch_flow flow;
	struct pair pair = contested_pair(IPV4, &flow);

	decide(&flow, LATCH_PAIR_ALONE);
	cr_expect_eq(udp_send(pair.client), 0);
	cr_assert_eq(latch_close(&maps, &flow, latch_of(&flow).id), LATCH_CONTROL_DONE);
	cr_expect_neq(udp_send(pair.client), 0);
	udp_close(&pair);
}

/* ---- audit mode */

static struct pair audited_pair(struct latch_flow *ret_flow)
{
	struct pair pair;

	cr_assert_eq(latch_mode_switch(&maps, true), 1);
	pair = contested_pair(IPV4, ret_flow);
	cr_expect_eq(udp_send(pair.client), 0, "audited");
	cr_expect_eq(drops_for(LATCH_DROP_CONTESTED).egress, 0);
	expect_asked(ret_flow, 1);
	cr_assert(has_latch(ret_flow));
	cr_expect_eq(latch_of(ret_flow).word.state, LATCH_STATE_LARVAL);
	cr_expect_eq(latch_of(ret_flow).word.params, PEER);
	return pair;
}

/* Enforcement would have lost one packet: the flow is not one that it refuses. */
Test(gate_contested, a_flow_of_the_audit_continues_where_only_its_sa_can_carry_it)
{
	struct latch_flow flow;
	struct pair pair = audited_pair(&flow);

	decide(&flow, LATCH_PAIR_ALONE);
	cr_expect_eq(udp_send(pair.client), 0);
	cr_expect_eq(latch_of(&flow).word.state, LATCH_STATE_ESTABLISHED);
	cr_assert_eq(latch_mode_switch(&maps, false), 1);
	cr_expect_eq(udp_send(pair.client), 0);
	cr_expect_eq(drops_in_all().egress, 0);
	udp_close(&pair);
}

Test(gate_contested, R_2_3_8_a_flow_of_the_audit_that_another_sa_can_carry_ends_with_the_audit)
{
	struct latch_flow flow;
	struct pair pair = audited_pair(&flow);

	decide(&flow, LATCH_PAIR_CONTESTED);
	cr_expect_eq(udp_send(pair.client), 0, "audited");
	cr_assert_eq(latch_mode_switch(&maps, false), 1);
	cr_expect_eq(udp_send(pair.client), -EPERM);
	cr_expect_eq(drops_for(LATCH_DROP_CONFLICT).egress, 1);
	udp_close(&pair);
}

/* Enforcement would lose one datagram, and pass the next ones. */
Test(gate_contested, a_flow_of_the_audit_is_not_refused_for_a_conflict_that_has_ended)
{
	struct latch_flow flow;
	struct latch_pair addresses;
	struct pair pair;

	cr_assert_eq(latch_mode_switch(&maps, true), 1);
	pair = contested_pair(IPV4, &flow);
	decide(&flow, LATCH_PAIR_CONTESTED);
	cr_expect_eq(udp_send(pair.client), 0, "audited");
	cr_assert(has_latch(&flow));
	cr_expect_eq(latch_of(&flow).word.state, LATCH_STATE_BROKEN);
	cr_expect_eq(udp_send(pair.client), 0);
	cr_expect_eq(latch_of(&flow).word.state, LATCH_STATE_BROKEN, "the conflict goes on");
	addresses = addresses_of(&flow);
	cr_assert_eq(bpf_map_delete_elem(maps.pairs, &addresses), 0);
	cr_expect_eq(udp_send(pair.client), 0);
	cr_expect_eq(latch_of(&flow).word.state, LATCH_STATE_LARVAL);
	decide(&flow, LATCH_PAIR_ALONE);
	cr_assert_eq(latch_mode_switch(&maps, false), 1);
	cr_expect_eq(udp_send(pair.client), 0);
	cr_expect_eq(latch_of(&flow).word.state, LATCH_STATE_ESTABLISHED);
	cr_expect_eq(drops_in_all().egress, 0);
	udp_close(&pair);
}

Test(gate_contested, R_2_4_a_flow_of_the_audit_does_not_change_to_another_peer)
{
	struct latch_flow flow;
	struct pair pair = audited_pair(&flow);
	struct latch_sa_key key = sa_of(&flow);

	put_contested_to(&key, IMPOSTOR);
	cr_assert_eq(latch_mode_switch(&maps, false), 1);
	cr_expect_eq(udp_send(pair.client), 0, "lost");
	cr_expect_eq(drops_for(LATCH_DROP_IDENTITY).egress, 1);
	cr_expect_eq(latch_of(&flow).word.state, LATCH_STATE_LARVAL);
	udp_close(&pair);
}

/* ---- how often latchd is asked */

#define ONE_TURN (1ull << 62) /* since the boot */
#define IN_A_ROW 128	      /* params that share no places */
#define FLOOD	 1000	      /* pairs of addresses: all slots of a peer are taken */

/* A datagram to a host of its own that seems to leave under a contested SA of these params. */
static bool asks(uint32_t host, uint16_t params)
{
	struct address there = address_of(IPV4, 9);
	int fd = udp_bound(IPV4);
	struct latch_flow flow;
	struct latch_sa_key key;
	bool asked;

	there.v4.sin_addr.s_addr = htonl(0x7f010000 + host);
	udp_connect(fd, there);
	flow = udp_flow(fd);
	key = sa_of(&flow);
	put_contested_to(&key, params);
	event_count = 0;
	cr_expect_eq(udp_send(fd), 0);
	asked = events_of(LATCH_EVENT_REFUSED, &flow, NULL) == 1;
	close(fd);
	return asked;
}

static void begin_flood(void)
{
	make_esp("ip", "udp", 9);
	set_drop_event_interval(ONE_TURN);
}

/* No latch begins without a question: an impostor must not use up those of other peers. */
Test(gate_contested, R_2_15_the_questions_of_one_peer_do_not_hide_those_of_another)
{
	unsigned int i, asked = 0;

	begin_flood();
	for (i = 0; i < FLOOD; i++)
		asked += asks(i, IMPOSTOR);
	cr_expect_leq(asked, 64);
	cr_expect_gt(asked, 32);
	cr_expect_not(asks(FLOOD, IMPOSTOR));
	cr_expect(asks(FLOOD, PEER));
}

/* The number of params is the order of their use: a peer that negotiates many can choose it. */
Test(gate_contested, R_2_15_a_peer_with_a_number_128_apart_does_not_hide_the_questions_of_another)
{
	unsigned int i;

	begin_flood();
	for (i = 0; i < FLOOD; i++)
		asks(i, PEER + IN_A_ROW);
	cr_expect(asks(FLOOD, PEER));
}

Test(gate_contested, R_2_15_params_that_share_places_do_not_share_them_for_long)
{
	uint16_t params, shares = 0;

	begin_flood();
	cr_expect(asks(1, PEER));
	for (params = IN_A_ROW; params < 2 * IN_A_ROW; params++)
		if (!asks(1, params)) {
			cr_expect_eq(shares, 0);
			shares = params;
		}
	cr_assert(shares);
	set_drop_event_interval(clock_boot_ns()); /* the second turn begins now */
	cr_expect(asks(1, shares));
	cr_expect(asks(1, PEER));
	cr_expect_not(asks(1, PEER));
}

Test(gate_contested, flows_between_two_addresses_ask_once)
{
	begin_flood();
	cr_expect(asks(1, PEER));
	cr_expect_not(asks(1, PEER), "from another port");
}

/* What is refused for good may be refused in floods, too. */
Test(gate_contested, R_2_15_refused_flows_do_not_hide_a_question)
{
	unsigned int i;

	begin_flood();
	put_rule_of(IPPROTO_UDP, LATCH_ACTION_REQUIRE, LATCH_DIRECTION_NONE, NULL);
	for (i = 0; i < FLOOD; i++) {
		int fd = udp_bound(IPV4);
		struct address there = address_of(IPV4, 10);

		there.v4.sin_addr.s_addr = htonl(0x7f010000 + i);
		udp_connect(fd, there);
		cr_expect_eq(udp_send(fd), -EPERM);
		close(fd);
	}
	cr_expect(asks(1, PEER));
}
