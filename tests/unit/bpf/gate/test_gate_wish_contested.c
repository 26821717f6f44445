/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Wishes of an application whose peer's SA is contested: c and d have an SA for the same traffic,
 * and latchd decides for two addresses. The wish holds on top of that, in either order.
 */
#include "unit/bpf/api/wish_fixture.h"

#include "pretended_esp.h"

#include "latch_mode.h"
#include "latchd/latch/refused_connect.h"

static void set_up(void)
{
	api_set_up();
	set_drop_event_interval(1);
	attach_gates();
	run("nft add table ip t");
	run("nft 'add chain ip t out { type filter hook output priority 0; }'");
	run("nft 'add rule ip t out meta l4proto { tcp, udp } ip protocol set 50'");
}

TestSuite(gate_wish_contested, .init = set_up, .fini = gate_tear_down, .timeout = 60);

static const struct peer *const peers[] = {&c, &d};

static const struct peer *other_than(const struct peer *peer)
{
	return peer == &c ? &d : &c;
}

/* ---- the SA and the decision */

static void put_contested(const struct latch_flow *flow, const struct peer *peer)
{
	struct latch_sa_key key = sa_of(flow);
	struct latch_sa sa = {
		.word = {.serial = 1,
			 .params = peer->params,
			 .state = LATCH_SA_BOUND,
			 .flags = LATCH_SA_CONTESTED},
		.installed = clock_boot_ns(),
	};

	cr_assert_eq(bpf_map_update_elem(maps.sas, &key, &sa, BPF_ANY), 0);
	forget_passes();
}

static void decide(const struct latch_flow *flow, const struct peer *peer, uint32_t decision)
{
	struct latch_pair pair = {
		.netns = flow->netns, .params = peer->params, .family = flow->family};

	memcpy(pair.local_addr, flow->local_addr, sizeof(pair.local_addr));
	memcpy(pair.remote_addr, flow->remote_addr, sizeof(pair.remote_addr));
	cr_assert_eq(bpf_map_update_elem(maps.pairs, &pair, &decision, BPF_ANY), 0);
}

static void forget(const struct latch_flow *flow)
{
	struct latch_pair pair = {.netns = flow->netns, .family = flow->family};
	size_t i;

	memcpy(pair.local_addr, flow->local_addr, sizeof(pair.local_addr));
	memcpy(pair.remote_addr, flow->remote_addr, sizeof(pair.remote_addr));
	for (i = 0; i < 2; i++) {
		pair.params = peers[i]->params;
		bpf_map_delete_elem(maps.pairs, &pair);
	}
}

/* ---- datagrams */

struct sender {
	int fd, there;
	struct latch_flow flow;
};

static struct sender sender_to(const struct peer *wished)
{
	struct sender s = {.fd = udp_bound(IPV4), .there = udp_bound(IPV4)};

	if (wished)
		cr_assert_eq(set_text(s.fd, LATCH_OPT_EXPECT_PEER, wished->id), 0);
	udp_connect(s.fd, name_of(s.there, getsockname));
	s.flow = udp_flow(s.fd);
	return s;
}

static void sender_end(struct sender *s)
{
	forget(&s->flow);
	close(s->fd);
	close(s->there);
}

static int send_under(const struct sender *s, const struct peer *peer)
{
	put_contested(&s->flow, peer);
	return udp_send(s->fd);
}

static void expect_refused(const struct latch_flow *flow, enum latch_drop drop, enum latch_why wish)
{
	struct latch_event event = {0};

	cr_expect_not(has_latch(flow));
	cr_expect_geq(events_of(LATCH_EVENT_REFUSED, flow, &event), 1);
	cr_expect_eq(event.drop, drop, "%u", event.drop);
	cr_expect_eq(event.wish, wish, "%u", event.wish);
}

static void expect_latched_to(const struct latch_flow *flow, const struct peer *peer)
{
	cr_assert(has_latch(flow));
	cr_expect_eq(latch_of(flow).word.state, LATCH_STATE_ESTABLISHED);
	cr_expect_eq(latch_of(flow).word.params, peer->params);
	cr_expect(latch_of(flow).rule_flags & LATCH_RULE_WISHED);
}

static void check_decided(const struct peer *wished)
{
	struct sender s = sender_to(wished);

	cr_expect_eq(send_under(&s, wished), 0, "lost");
	expect_refused(&s.flow, LATCH_DROP_CONTESTED, LATCH_WHY_NONE);
	decide(&s.flow, wished, LATCH_PAIR_CONTESTED);
	cr_expect_eq(udp_send(s.fd), -EPERM);
	expect_refused(&s.flow, LATCH_DROP_CONFLICT, LATCH_WHY_NONE);
	decide(&s.flow, wished, LATCH_PAIR_ALONE);
	cr_expect_eq(udp_send(s.fd), 0);
	expect_latched_to(&s.flow, wished);
	expect_state(s.fd, LATCH_APP_ESTABLISHED, LATCH_WHY_NONE);
	expect_peer(s.fd, wished);
	sender_end(&s);
}

Test(gate_wish_contested, R_2_3_8_R_2_3_17_the_wished_peers_contested_sa_waits_for_a_decision)
{
	check_decided(&c);
	check_decided(&d);
}

/* The application learns at once that it is another peer, and latchd is not asked. */
static void check_another(const struct peer *wished)
{
	const struct peer *other = other_than(wished);
	struct sender s = sender_to(wished);
	static const uint32_t decisions[] = {LATCH_PAIR_ALONE, LATCH_PAIR_CONTESTED};
	size_t i;

	cr_expect_eq(send_under(&s, other), -EPERM);
	expect_refused(&s.flow, LATCH_DROP_IDENTITY, LATCH_WHY_PEER);
	expect_state(s.fd, LATCH_APP_NOT_LATCHED, LATCH_WHY_PEER);
	for (i = 0; i < 2; i++) {
		decide(&s.flow, other, decisions[i]);
		cr_expect_eq(udp_send(s.fd), -EPERM);
		expect_refused(&s.flow, LATCH_DROP_IDENTITY, LATCH_WHY_PEER);
	}
	cr_expect_eq(drops_for(LATCH_DROP_CONTESTED).egress, 0);
	sender_end(&s);
}

Test(gate_wish_contested, R_2_3_17_no_decision_gives_a_wish_another_peer)
{
	check_another(&c);
	check_another(&d);
}

Test(gate_wish_contested, R_2_3_17_a_decision_for_another_peer_fulfils_no_wish)
{
	struct sender s = sender_to(&c);

	decide(&s.flow, &d, LATCH_PAIR_ALONE);
	cr_expect_eq(send_under(&s, &c), 0, "lost");
	expect_refused(&s.flow, LATCH_DROP_CONTESTED, LATCH_WHY_NONE);
	sender_end(&s);
}

/* As far as a contested SA is concerned: either peer, by the decision. */
Test(gate_wish_contested, a_socket_without_a_wish_gets_the_peer_of_the_decision)
{
	size_t i;

	for (i = 0; i < 2; i++) {
		struct sender s = sender_to(NULL);

		decide(&s.flow, peers[i], LATCH_PAIR_ALONE);
		cr_expect_eq(send_under(&s, peers[i]), 0);
		cr_assert(has_latch(&s.flow));
		cr_expect_eq(latch_of(&s.flow).word.params, peers[i]->params);
		sender_end(&s);
	}
}

Test(gate_wish_contested, R_2_3_16_any_latch_is_wished_and_begins_by_a_decision)
{
	struct sender s = sender_to(NULL);

	udp_disconnect(s.fd);
	cr_assert_eq(set_int(s.fd, LATCH_OPT_REQUIRE, 1), 0);
	udp_connect(s.fd, name_of(s.there, getsockname));
	cr_expect_eq(send_under(&s, &c), 0, "lost");
	expect_refused(&s.flow, LATCH_DROP_CONTESTED, LATCH_WHY_NONE);
	decide(&s.flow, &c, LATCH_PAIR_ALONE);
	cr_expect_eq(udp_send(s.fd), 0);
	expect_latched_to(&s.flow, &c);
	sender_end(&s);
}

/* A wish counts in audit mode, and so does what contests its SA. */
Test(gate_wish_contested, audit_mode_enforces_a_wish_under_a_contested_sa)
{
	struct sender wishing, plain;

	cr_assert_eq(latch_mode_switch(&maps, true), 1);
	wishing = sender_to(&c);
	plain = sender_to(NULL);
	cr_expect_eq(send_under(&wishing, &c), 0, "lost");
	expect_refused(&wishing.flow, LATCH_DROP_CONTESTED, LATCH_WHY_NONE);
	cr_expect_eq(drops_for(LATCH_DROP_CONTESTED).egress, 1);
	cr_expect_eq(send_under(&plain, &c), 0, "audited");
	cr_expect_eq(drops_for(LATCH_DROP_CONTESTED).egress, 1);
	decide(&wishing.flow, &c, LATCH_PAIR_CONTESTED);
	cr_expect_eq(udp_send(wishing.fd), -EPERM);
	cr_expect_eq(udp_send(plain.fd), 0, "audited");
	sender_end(&wishing);
	sender_end(&plain);
}

/* ---- connect() */

static int connecting(const struct peer *wished, int listener, const struct peer *under,
		      struct latch_flow *ret_flow)
{
	struct address there = name_of(listener, getsockname);
	int fd = bound_socket(IPV4, NULL);

	cr_assert_eq(set_text(fd, LATCH_OPT_EXPECT_PEER, wished->id), 0);
	*ret_flow = flow_between(name_of(fd, getsockname), there);
	put_contested(ret_flow, under);
	begin_connect(fd, &there);
	return fd;
}

Test(gate_wish_contested, R_2_3_17_connect_to_the_wished_peer_goes_on_after_a_decision)
{
	int listener = start_listener(IPV4, NULL), fd;
	struct latch_flow flow;
	struct latch_event event = {0};
	size_t i;

	for (i = 0; i < 2; i++) {
		fd = connecting(peers[i], listener, peers[i], &flow);
		wait_for(events_of(LATCH_EVENT_REFUSED, &flow, &event));
		cr_expect_eq(event.drop, LATCH_DROP_CONTESTED);
		cr_expect_eq(refused_connect_end(&maps, &event), -ENOENT, "a question ends none");
		cr_expect_eq(tcp_state_of(fd), TCP_SYN_SENT);
		decide(&flow, peers[i], LATCH_PAIR_ALONE);
		wait_for(has_latch(&flow));
		expect_latched_to(&flow, peers[i]);
		forget(&flow);
		close(fd);
	}
	close(listener);
}

static void expect_ended(int fd, const struct latch_event *event)
{
	struct pollfd failed = {.fd = fd, .events = POLLOUT};
	int err = refused_connect_end(&maps, event);

	if (err == -EOPNOTSUPP)
		cr_skip_test("this kernel has no SOCK_DESTROY");
	cr_assert_eq(err, 0, "%s", strerror(-err));
	cr_assert_eq(poll(&failed, 1, LIMIT_MS), 1);
	cr_expect_eq(pending_error(fd), ECONNABORTED);
}

Test(gate_wish_contested, R_2_3_18_connect_to_the_wished_peer_ends_where_another_sa_can_carry_it)
{
	int listener = start_listener(IPV4, NULL), fd;
	struct latch_event event = {0};
	struct latch_flow flow;

	fd = connecting(&c, listener, &c, &flow);
	wait_for(events_of(LATCH_EVENT_REFUSED, &flow, &event));
	event.drop = LATCH_DROP_CONFLICT; /* as latchd decides */
	expect_ended(fd, &event);
	expect_state(fd, LATCH_APP_NOT_LATCHED, LATCH_WHY_REQUIRED);
	close(fd);
	close(listener);
}

Test(gate_wish_contested, R_2_3_18_connect_under_another_peers_contested_sa_ends_at_once)
{
	int listener = start_listener(IPV4, NULL), fd;
	struct latch_event event = {0};
	struct latch_flow flow;
	size_t i;

	for (i = 0; i < 2; i++) {
		fd = connecting(peers[i], listener, other_than(peers[i]), &flow);
		wait_for(events_of(LATCH_EVENT_REFUSED, &flow, &event));
		cr_expect_eq(event.drop, LATCH_DROP_IDENTITY);
		cr_expect_eq(event.wish, LATCH_WHY_PEER);
		expect_ended(fd, &event);
		expect_state(fd, LATCH_APP_NOT_LATCHED, LATCH_WHY_PEER);
		close(fd);
	}
	close(listener);
}
