/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Wishes of an application at the cgroup gate. Each test has two peers, c and d, and wishes for one
 * and then for the other: an accidental answer fails.
 *
 *	client --> nft: protocol = ESP --> gate_egress --> lo
 *	   |            SA of c, or of d
 *	setsockopt(SOL_LATCH): the peer is c, or d
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
}

TestSuite(gate_wish, .init = set_up, .fini = gate_tear_down, .timeout = 60);

static const struct peer *const peers[] = {&c, &d};

static const struct peer *other_than(const struct peer *peer)
{
	return peer == &c ? &d : &c;
}

static void begin_audit(void)
{
	cr_assert_eq(latch_mode_switch(&maps, true), 1);
}

/* ---- a datagram under an SA */

struct sender {
	int fd, there;
	struct latch_flow flow;
};

/* Not connected yet. Each sender is a flow of its own. */
static struct sender sender_new(void)
{
	return (struct sender){.fd = udp_bound(IPV4), .there = udp_bound(IPV4)};
}

static void sender_connect(struct sender *s)
{
	udp_connect(s->fd, name_of(s->there, getsockname));
	s->flow = udp_flow(s->fd);
}

static void sender_end(struct sender *s)
{
	close(s->fd);
	close(s->there);
}

static int send_under(const struct sender *s, enum latch_sa_state state, const struct peer *peer)
{
	put_sa_of(&s->flow, state, peer ? peer->params : 0);
	return udp_send(s->fd);
}

static void expect_latched_to(const struct latch_flow *flow, const struct peer *peer)
{
	struct latch latch = latch_of(flow);

	cr_expect_eq(latch.word.state, LATCH_STATE_ESTABLISHED);
	cr_expect_eq(latch.word.params, peer->params);
	cr_expect(latch.rule_flags & LATCH_RULE_WISHED);
}

/* No latch, an event that says why, and the socket says the same. */
static void expect_unlatched(const struct sender *s, enum latch_why why)
{
	struct latch_event event = {0};

	cr_expect_not(has_latch(&s->flow));
	cr_expect_geq(events_of(LATCH_EVENT_REFUSED, &s->flow, &event), 1);
	cr_expect_eq(event.wish, why, "%u", event.wish);
	cr_expect_eq(event.drop, why == LATCH_WHY_QUALITY ? LATCH_DROP_QOP : LATCH_DROP_IDENTITY);
	expect_state(s->fd, LATCH_APP_NOT_LATCHED, why);
}

/* Esp. on a new port for each flow. */
static void make_all_esp(void)
{
	run("nft add table ip t");
	run("nft 'add chain ip t out { type filter hook output priority 0; }'");
	run("nft 'add rule ip t out meta l4proto { tcp, udp } ip protocol set 50'");
}

static void check_text(int option, const struct peer *wished, const char *text)
{
	struct sender s = sender_new();

	cr_assert_eq(set_text(s.fd, option, text), 0);
	sender_connect(&s);
	cr_expect_eq(send_under(&s, LATCH_SA_BOUND, other_than(wished)), -EPERM);
	expect_unlatched(&s, option == LATCH_OPT_EXPECT_LOCAL ? LATCH_WHY_LOCAL : LATCH_WHY_PEER);
	cr_expect_eq(send_under(&s, LATCH_SA_BOUND, wished), 0);
	expect_latched_to(&s.flow, wished);
	expect_peer(s.fd, wished);
	sender_end(&s);
}

Test(gate_wish, R_2_3_17_only_the_wished_peer_is_latched)
{
	size_t i;

	make_all_esp();
	for (i = 0; i < 2; i++) {
		check_text(LATCH_OPT_EXPECT_PEER, peers[i], peers[i]->id);
		check_text(LATCH_OPT_EXPECT_CONNECTION, peers[i], peers[i]->connection);
		check_text(LATCH_OPT_EXPECT_LOCAL, peers[i], peers[i]->local_id);
	}
}

Test(gate_wish, a_socket_without_a_wish_is_latched_to_either_peer)
{
	size_t i;

	make_all_esp();
	for (i = 0; i < 2; i++) {
		struct sender s = sender_new();

		sender_connect(&s);
		cr_expect_eq(send_under(&s, LATCH_SA_BOUND, peers[i]), 0);
		cr_expect_eq(latch_of(&s.flow).word.params, peers[i]->params);
		cr_expect_not(latch_of(&s.flow).rule_flags & LATCH_RULE_WISHED);
		sender_end(&s);
	}
}

/* A text is compared whole, and as it is. */
Test(gate_wish, a_text_that_begins_like_the_peers_is_another_peer)
{
	static const char *const others[] = {"c.exampl",   "c.example.evil", "C.example",
					     "c.example ", "*.example",	     "c",
					     "xc.example"};
	char longest[LATCH_TEXT_MAX];
	size_t i;

	make_all_esp();
	for (i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		struct sender s = sender_new();

		cr_assert_eq(set_text(s.fd, LATCH_OPT_EXPECT_PEER, others[i]), 0);
		sender_connect(&s);
		cr_expect_eq(send_under(&s, LATCH_SA_BOUND, &c), -EPERM, "%s", others[i]);
		expect_unlatched(&s, LATCH_WHY_PEER);
		sender_end(&s);
	}
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	put_identity(c.identity, longest, c.connection);
	for (i = 0; i < 2; i++) {
		struct sender s = sender_new();

		longest[sizeof(longest) - 2] = i ? 'x' : 'y';
		cr_assert_eq(set_text(s.fd, LATCH_OPT_EXPECT_PEER, longest), 0);
		sender_connect(&s);
		cr_expect_eq(send_under(&s, LATCH_SA_BOUND, &c), i ? 0 : -EPERM);
		sender_end(&s);
	}
}

Test(gate_wish, a_shorter_wish_leaves_nothing_of_the_longer_one)
{
	struct sender s = sender_new();

	make_all_esp();
	cr_assert_eq(set_text(s.fd, LATCH_OPT_EXPECT_PEER, d.id), 0);
	cr_assert_eq(set_text(s.fd, LATCH_OPT_EXPECT_PEER, c.id), 0);
	cr_assert_eq(set_text(s.fd, LATCH_OPT_EXPECT_CONNECTION, "a-longer-name"), 0);
	cr_assert_eq(set_text(s.fd, LATCH_OPT_EXPECT_CONNECTION, c.connection), 0);
	sender_connect(&s);
	cr_expect_eq(send_under(&s, LATCH_SA_BOUND, &c), 0);
	expect_latched_to(&s.flow, &c);
	sender_end(&s);
}

/* All terms of a wish hold, or none of it does. */
Test(gate_wish, each_term_has_to_be_fulfilled)
{
	struct sender s = sender_new();

	make_all_esp();
	cr_assert_eq(set_text(s.fd, LATCH_OPT_EXPECT_PEER, c.id), 0);
	cr_assert_eq(set_text(s.fd, LATCH_OPT_EXPECT_LOCAL, d.local_id), 0);
	sender_connect(&s);
	cr_expect_eq(send_under(&s, LATCH_SA_BOUND, &c), -EPERM);
	expect_unlatched(&s, LATCH_WHY_LOCAL);
	sender_end(&s);
}

/* ---- class and quality */

static void put_class(const struct peer *peer, enum latch_auth auth)
{
	struct latch_identity identity;

	cr_assert_eq(bpf_map_lookup_elem(maps.identities, &peer->identity, &identity), 0);
	identity.auth = auth;
	cr_assert_eq(bpf_map_update_elem(maps.identities, &peer->identity, &identity, BPF_ANY), 0);
}

Test(gate_wish, the_class_of_the_peer_is_at_least_the_wished_one)
{
	static const struct {
		enum latch_app_class wished;
		enum latch_auth auth;
		bool passes;
	} cases[] = {
		{LATCH_CLASS_PSK, LATCH_AUTH_PSK, true},
		{LATCH_CLASS_PSK, LATCH_AUTH_PUBKEY, true},
		{LATCH_CLASS_PSK, LATCH_AUTH_EAP, false},
		{LATCH_CLASS_PSK, LATCH_AUTH_UNKNOWN, false},
		{LATCH_CLASS_PSK, LATCH_AUTH_NULL, false},
		{LATCH_CLASS_PUBLIC_KEY, LATCH_AUTH_PUBKEY, true},
		{LATCH_CLASS_PUBLIC_KEY, LATCH_AUTH_PSK, false},
		{LATCH_CLASS_PUBLIC_KEY, LATCH_AUTH_EAP, false},
		{LATCH_CLASS_PUBLIC_KEY, LATCH_AUTH_XAUTH, false},
		{LATCH_CLASS_EAP, LATCH_AUTH_EAP, true},
		{LATCH_CLASS_EAP, LATCH_AUTH_PUBKEY, false},
		{LATCH_CLASS_EAP, LATCH_AUTH_XAUTH, false},
	};
	size_t i;

	make_all_esp();
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sender s = sender_new();

		put_class(&c, cases[i].auth);
		cr_assert_eq(set_int(s.fd, LATCH_OPT_EXPECT_CLASS, cases[i].wished), 0);
		sender_connect(&s);
		cr_expect_eq(send_under(&s, LATCH_SA_BOUND, &c), cases[i].passes ? 0 : -EPERM,
			     "case %zu", i);
		if (!cases[i].passes)
			expect_unlatched(&s, LATCH_WHY_CLASS);
		sender_end(&s);
	}
}

struct quality {
	const char *encryption;
	uint16_t bits, icv;
	uint8_t replay_protection, esn;
};

static void put_quality(const struct peer *peer, const struct quality *quality)
{
	uint32_t index = peer->params;
	struct latch_params params;

	cr_assert_eq(bpf_map_lookup_elem(maps.params, &index, &params), 0);
	memset(&params.qop, 0, sizeof(params.qop));
	strcpy(params.qop.encryption, quality->encryption);
	params.qop.encryption_bits = quality->bits;
	params.qop.icv_bits = quality->icv;
	params.qop.replay_protection = quality->replay_protection;
	params.qop.esn = quality->esn;
	cr_assert_eq(bpf_map_update_elem(maps.params, &index, &params, BPF_ANY), 0);
}

static void check_quality(const struct quality *quality, struct latch_least least, bool passes)
{
	struct sender s = sender_new();

	least.size = sizeof(least);
	put_quality(&c, quality);
	cr_assert_eq(set_wish(s.fd, LATCH_OPT_EXPECT_QUALITY, &least, sizeof(least)), 0);
	sender_connect(&s);
	cr_expect_eq(send_under(&s, LATCH_SA_BOUND, &c), passes ? 0 : -EPERM, "%s %u",
		     quality->encryption, least.encryption_bits);
	if (!passes)
		expect_unlatched(&s, LATCH_WHY_QUALITY);
	sender_end(&s);
}

/* The kernel's length of an AEAD's key includes its salt. */
Test(gate_wish, the_key_of_the_cipher_counts_without_its_salt)
{
	static const struct {
		struct quality quality;
		uint16_t strength;
	} ciphers[] = {
		{{.encryption = "rfc4106(gcm(aes))", .bits = 160}, 128},
		{{.encryption = "rfc4106(gcm(aes))", .bits = 288}, 256},
		{{.encryption = "rfc4309(ccm(aes))", .bits = 152}, 128},
		{{.encryption = "rfc7539esp(chacha20,poly1305)", .bits = 288}, 256},
		{{.encryption = "rfc3686(ctr(aes))", .bits = 160}, 128},
		{{.encryption = "cbc(aes)", .bits = 192}, 192},
		{{.encryption = "cbc(des3_ede)", .bits = 192}, 112},
		{{.encryption = "cbc(des)", .bits = 64}, 56},
	};
	size_t i;

	make_all_esp();
	for (i = 0; i < sizeof(ciphers) / sizeof(ciphers[0]); i++) {
		uint16_t bits = ciphers[i].strength;

		check_quality(&ciphers[i].quality, (struct latch_least){.encryption_bits = bits},
			      true);
		check_quality(&ciphers[i].quality,
			      (struct latch_least){.encryption_bits = (uint16_t)(bits + 1)}, false);
		check_quality(&ciphers[i].quality, (struct latch_least){.confidential = 1}, true);
	}
}

Test(gate_wish, what_does_not_encrypt_is_not_confidential)
{
	static const struct quality open[] = {
		{.encryption = "", .icv = 128},
		{.encryption = "ecb(cipher_null)", .icv = 128},
		{.encryption = "rfc4543(gcm(aes))", .bits = 288, .icv = 128},
		{.encryption = "a-cipher-of-later", .bits = 288, .icv = 128},
	};
	size_t i;

	make_all_esp();
	for (i = 0; i < sizeof(open) / sizeof(open[0]); i++) {
		check_quality(&open[i], (struct latch_least){.confidential = 1}, false);
		check_quality(&open[i], (struct latch_least){.encryption_bits = 1}, false);
		check_quality(&open[i], (struct latch_least){.icv_bits = 128}, true);
		check_quality(&open[i], (struct latch_least){.icv_bits = 129}, false);
	}
}

Test(gate_wish, replay_protection_and_extended_numbers_are_wished_apart)
{
	static const struct quality replay = {.encryption = "cbc(aes)", .replay_protection = 1};
	static const struct quality esn = {.encryption = "cbc(aes)", .esn = 1};

	make_all_esp();
	check_quality(&replay, (struct latch_least){.replay_protection = 1}, true);
	check_quality(&esn, (struct latch_least){.replay_protection = 1}, false);
	check_quality(&esn, (struct latch_least){.esn = 1}, true);
	check_quality(&replay, (struct latch_least){.esn = 1}, false);
}

/* ---- without a peer */

Test(gate_wish, R_2_11_a_wish_refuses_what_the_rules_pass_in_clear)
{
	struct sender wishing = sender_new(), plain = sender_new();
	struct latch_event event = {0};

	put_rule_of(IPPROTO_UDP, LATCH_ACTION_OFF, LATCH_DIRECTION_NONE, NULL);
	cr_assert_eq(set_int(wishing.fd, LATCH_OPT_REQUIRE, 1), 0);
	sender_connect(&wishing);
	sender_connect(&plain);
	cr_expect_eq(udp_send(wishing.fd), -EPERM);
	cr_expect_eq(events_of(LATCH_EVENT_REFUSED, &wishing.flow, &event), 1);
	cr_expect_eq(event.drop, LATCH_DROP_REQUIRED);
	cr_expect_eq(event.wish, LATCH_WHY_REQUIRED);
	expect_state(wishing.fd, LATCH_APP_NOT_LATCHED, LATCH_WHY_REQUIRED);
	cr_expect_eq(udp_send(plain.fd), 0, "its neighbour is not concerned");
	wait_for(is_readable(plain.there));
	expect_state(plain.fd, LATCH_APP_NOT_LATCHED, LATCH_WHY_RULE_OFF);
	cr_expect_not(is_readable(wishing.there));
	cr_assert_eq(udp_send_to(wishing.there, name_of(wishing.fd, getsockname)), 0);
	wait_for(drops_for(LATCH_DROP_REQUIRED).ingress == 1);
	cr_expect_not(is_readable(wishing.fd));
	sender_end(&wishing);
	sender_end(&plain);
}

/* No latch can be LARVAL: what is sent under it may go to any peer. */
Test(gate_wish, an_sa_without_a_peer_carries_nothing_of_a_wish)
{
	static const enum latch_sa_state states[] = {LATCH_SA_ORPHAN, LATCH_SA_DYING};
	struct sender s, plain;
	size_t i;

	make_all_esp();
	for (i = 0; i < 2; i++) {
		s = sender_new();
		plain = sender_new();
		cr_assert_eq(set_int(s.fd, LATCH_OPT_REQUIRE, 1), 0);
		sender_connect(&s);
		sender_connect(&plain);
		cr_expect_eq(udp_send(s.fd), -EPERM, "an SA that is not in the table");
		cr_expect_eq(send_under(&s, states[i], &c), -EPERM);
		cr_expect_not(has_latch(&s.flow));
		cr_expect_eq(send_under(&plain, states[i], &c), 0, "as ever");
		cr_expect_eq(latch_of(&plain.flow).word.state, LATCH_STATE_LARVAL);
		sender_end(&s);
		sender_end(&plain);
	}
}

/* R-2-15: the datagram is lost, and the next one may pass. */
Test(gate_wish, an_sa_whose_peer_comes_later_is_waited_for)
{
	struct latch_settings settings;
	struct sender s = sender_new();
	uint32_t key = 0;

	make_all_esp();
	cr_assert_eq(bpf_map_lookup_elem(maps.settings, &key, &settings), 0);
	settings.served[0] = ns.cookie;
	cr_assert_eq(bpf_map_update_elem(maps.settings, &key, &settings, BPF_ANY), 0);
	cr_assert_eq(set_text(s.fd, LATCH_OPT_EXPECT_PEER, d.id), 0);
	sender_connect(&s);
	cr_expect_eq(send_under(&s, LATCH_SA_PENDING, NULL), 0);
	cr_expect_eq(drops_for(LATCH_DROP_SA_PENDING).egress, 1);
	cr_expect_not(has_latch(&s.flow));
	cr_expect_eq(events_of(LATCH_EVENT_REFUSED, &s.flow, NULL), 0);
	cr_expect_eq(send_under(&s, LATCH_SA_BOUND, &c), -EPERM);
	cr_expect_eq(send_under(&s, LATCH_SA_BOUND, &d), 0);
	expect_latched_to(&s.flow, &d);
	sender_end(&s);
}

/* A LARVAL latch of the flow, of a packet that crossed connect(), does not carry it. */
static void check_larval(const struct peer *wished)
{
	struct sender s = sender_new();
	struct latch larval;

	cr_assert_eq(set_text(s.fd, LATCH_OPT_EXPECT_PEER, wished->id), 0);
	sender_connect(&s);
	larval = latch_to(wished, cookie_of(s.fd));
	larval.word.state = LATCH_STATE_LARVAL;
	larval.word.params = 0;
	store_latch(&s.flow, &larval);
	cr_expect_eq(udp_send(s.fd), -EPERM);
	cr_expect_eq(send_under(&s, LATCH_SA_ORPHAN, wished), -EPERM);
	cr_expect_eq(send_under(&s, LATCH_SA_BOUND, other_than(wished)), -EPERM);
	cr_expect_eq(latch_of(&s.flow).word.state, LATCH_STATE_LARVAL);
	cr_expect_eq(send_under(&s, LATCH_SA_BOUND, wished), 0);
	expect_latched_to(&s.flow, wished);
	sender_end(&s);
}

Test(gate_wish, a_larval_latch_settles_on_the_wished_peer_only)
{
	make_all_esp();
	check_larval(&c);
	check_larval(&d);
}

/* ---- the latch of the flow is another one's */

/* Another listener of the port may have made it (SO_REUSEPORT). */
static void check_latch_of_other(const struct peer *wished)
{
	struct sender s = sender_new();
	struct latch latch;

	cr_assert_eq(set_text(s.fd, LATCH_OPT_EXPECT_PEER, wished->id), 0);
	sender_connect(&s);
	latch = latch_to(other_than(wished), cookie_of(s.fd));
	store_latch(&s.flow, &latch);
	cr_expect_eq(send_under(&s, LATCH_SA_BOUND, other_than(wished)), 0, "lost");
	cr_expect_eq(drops_for(LATCH_DROP_IDENTITY).egress, 1);
	cr_expect_eq(send_under(&s, LATCH_SA_BOUND, wished), 0, "lost");
	cr_expect_eq(drops_for(LATCH_DROP_IDENTITY).egress, 2, "not the latch's");
	sender_end(&s);
}

Test(gate_wish, R_2_3_16_a_latch_to_another_peer_carries_nothing_of_a_wish)
{
	make_all_esp();
	check_latch_of_other(&d);
}

/* ---- sockets that are not connected, or send elsewhere */

Test(gate_wish, a_datagram_socket_with_a_wish_is_silent_until_it_is_connected)
{
	struct sender s = sender_new();

	cr_assert_eq(set_int(s.fd, LATCH_OPT_REQUIRE, 1), 0);
	cr_expect_eq(udp_send_to(s.fd, name_of(s.there, getsockname)), -EPERM);
	cr_assert_eq(udp_send_to(s.there, name_of(s.fd, getsockname)), 0);
	wait_for(drops_for(LATCH_DROP_REQUIRED).ingress == 1);
	cr_expect_not(is_readable(s.fd));
	cr_expect_not(is_readable(s.there));
	cr_assert_eq(set_int(s.fd, LATCH_OPT_REQUIRE, 0), 0);
	cr_expect_eq(udp_send_to(s.fd, name_of(s.there, getsockname)), 0);
	wait_for(is_readable(s.there));
	sender_end(&s);
}

/* ---- a socket that is not connected, for each datagram */

static struct sender unconnected_new(const char *peer)
{
	struct sender s = sender_new();

	if (peer) {
		cr_assert_eq(set_text(s.fd, LATCH_OPT_EXPECT_PEER, peer), 0);
		cr_assert_eq(set_int(s.fd, LATCH_OPT_DATAGRAMS, 1), 0);
	}
	s.flow = flow_between(name_of(s.fd, getsockname), name_of(s.there, getsockname));
	s.flow.protocol = IPPROTO_UDP;
	return s;
}

static int send_loose(const struct sender *s, enum latch_sa_state state, const struct peer *peer)
{
	put_sa_of(&s->flow, state, peer ? peer->params : 0);
	return udp_send_to(s->fd, name_of(s->there, getsockname));
}

Test(gate_wish, each_datagram_of_an_unconnected_socket_goes_to_the_wished_peer_only)
{
	struct sender plain = unconnected_new(NULL);
	size_t i;

	make_all_esp();
	for (i = 0; i < 2; i++) {
		struct sender s = unconnected_new(peers[i]->id);
		const struct peer *other = other_than(peers[i]);

		cr_expect_eq(send_loose(&s, LATCH_SA_BOUND, peers[i]), 0);
		cr_expect_eq(send_loose(&s, LATCH_SA_BOUND, other), -EPERM);
		cr_expect_eq(send_loose(&s, LATCH_SA_BOUND, peers[i]), 0);
		cr_expect_not(has_latch(&s.flow), "no latch without a connection");
		cr_expect_eq(drops_for(LATCH_DROP_IDENTITY).egress, i + 1);
		cr_expect_eq(send_loose(&s, LATCH_SA_PENDING, NULL), 0, "lost: it waits");
		cr_expect_eq(drops_for(LATCH_DROP_SA_PENDING).egress, i + 1);
		cr_expect_eq(send_loose(&plain, LATCH_SA_BOUND, other), 0);
		sender_end(&s);
	}
	cr_expect_eq(drops_in_all().egress, 4);
	sender_end(&plain);
}

Test(gate_wish, a_socket_that_wishes_for_each_datagram_sends_and_receives_none_in_clear)
{
	struct sender s = unconnected_new(c.id);

	cr_expect_eq(udp_send_to(s.fd, name_of(s.there, getsockname)), -EPERM);
	cr_assert_eq(udp_send_to(s.there, name_of(s.fd, getsockname)), 0);
	wait_for(drops_for(LATCH_DROP_REQUIRED).ingress == 1);
	cr_expect_not(is_readable(s.fd));
	cr_expect_not(is_readable(s.there));
	cr_assert_eq(latch_mode_switch(&maps, true), 1);
	cr_expect_eq(udp_send_to(s.fd, name_of(s.there, getsockname)), -EPERM,
		     "in audit mode, too");
	cr_assert_eq(set_int(s.fd, LATCH_OPT_DATAGRAMS, 0), 0);
	cr_expect_eq(udp_send_to(s.fd, name_of(s.there, getsockname)), -EPERM, "silent");
	sender_end(&s);
}

/* The connection has its latch, as with any wish. */
Test(gate_wish, a_socket_that_wishes_for_each_datagram_is_latched_when_it_is_connected)
{
	struct sender s = unconnected_new(c.id);

	make_all_esp();
	sender_connect(&s);
	cr_expect_eq(send_under(&s, LATCH_SA_BOUND, &d), -EPERM);
	cr_expect_not(has_latch(&s.flow));
	cr_expect_eq(send_under(&s, LATCH_SA_BOUND, &c), 0);
	expect_latched_to(&s.flow, &c);
	udp_disconnect(s.fd);
	cr_expect_eq(send_loose(&s, LATCH_SA_BOUND, &c), 0);
	cr_expect_eq(send_loose(&s, LATCH_SA_BOUND, &d), -EPERM);
	sender_end(&s);
}

Test(gate_wish, a_connected_socket_with_a_wish_sends_nothing_in_clear_to_another_address)
{
	struct sender s = sender_new(), plain = sender_new();
	int elsewhere = udp_bound(IPV4);

	attach(GATES_SEND4);
	attach(GATES_SEND6);
	cr_assert_eq(set_int(s.fd, LATCH_OPT_REQUIRE, 1), 0);
	sender_connect(&s);
	sender_connect(&plain);
	cr_expect_eq(udp_send_to(s.fd, name_of(elsewhere, getsockname)), -EPERM);
	cr_expect_eq(udp_send_to(plain.fd, name_of(elsewhere, getsockname)), 0);
	wait_for(is_readable(elsewhere));
	cr_expect_eq(drops_in_all().egress, 1);
	close(elsewhere);
	sender_end(&s);
	sender_end(&plain);
}

/* connect() of a socket that was connected: the passes of before do not count. */
Test(gate_wish, a_wish_between_two_connections_counts_for_the_next_one)
{
	struct sender s = sender_new();
	int i;

	sender_connect(&s);
	for (i = 0; i < 3; i++)
		cr_assert_eq(udp_send(s.fd), 0, "in clear, remembered");
	udp_disconnect(s.fd);
	cr_assert_eq(set_int(s.fd, LATCH_OPT_REQUIRE, 1), 0);
	sender_connect(&s);
	cr_expect_eq(udp_send(s.fd), -EPERM);
	sender_end(&s);
}

static uint64_t slow_path(void)
{
	uint64_t counters[LATCH_COUNTER_COUNT];

	cr_assert_eq(counters_read(&maps, counters), 0);
	return counters[LATCH_COUNTER_SLOW_PATH];
}

/* The steady path is that of any latched flow. */
Test(gate_wish, a_steady_flow_with_a_wish_is_checked_in_full_once)
{
	struct sender s = sender_new();
	uint64_t before;
	int i;

	make_all_esp();
	cr_assert_eq(set_text(s.fd, LATCH_OPT_EXPECT_PEER, c.id), 0);
	sender_connect(&s);
	cr_assert_eq(send_under(&s, LATCH_SA_BOUND, &c), 0);
	cr_assert_eq(udp_send(s.fd), 0);
	before = slow_path();
	for (i = 0; i < 100; i++)
		cr_expect_eq(udp_send(s.fd), 0);
	cr_expect_eq(slow_path(), before);
	sender_end(&s);
}

/* ---- TCP */

static int connecting(const char *peer, int disposition, int listener, struct latch_flow *ret_flow,
		      const struct peer *under)
{
	struct address there = name_of(listener, getsockname);
	int fd = bound_socket(IPV4, NULL);

	if (peer)
		cr_assert_eq(set_text(fd, LATCH_OPT_EXPECT_PEER, peer), 0);
	if (disposition)
		cr_assert_eq(set_int(fd, LATCH_OPT_DISPOSITION, disposition), 0);
	*ret_flow = flow_between(name_of(fd, getsockname), there);
	if (under)
		put_sa_of(ret_flow, LATCH_SA_BOUND, under->params);
	begin_connect(fd, &there);
	return fd;
}

Test(gate_wish, R_2_3_17_connect_under_the_wished_peers_sa_gets_a_latch)
{
	int listener = start_listener(IPV4, NULL), fd;
	struct latch_flow flow;
	size_t i;

	make_all_esp();
	for (i = 0; i < 2; i++) {
		fd = connecting(peers[i]->id, 0, listener, &flow, peers[i]);
		wait_for(has_latch(&flow));
		expect_latched_to(&flow, peers[i]);
		close(fd);
	}
	cr_expect_eq(drops_in_all().egress, 0);
	close(listener);
}

/* An IPv6 socket, with an IPv6 or an IPv4 peer. */
static void check_ipv6(const char *listen_on, const char *local, const char *family)
{
	int listener = start_listener(listen_on, NULL), fd;
	struct address there = address_of(local, port_of(listener));
	struct latch_event event = {0};
	struct latch_flow flow;
	size_t i;

	make_esp(family, "tcp", port_of(listener));
	for (i = 0; i < 2; i++) {
		fd = bound_socket(local, NULL);
		cr_assert_eq(set_text(fd, LATCH_OPT_EXPECT_PEER, d.id), 0);
		flow = flow_between(name_of(fd, getsockname), there);
		put_sa_of(&flow, LATCH_SA_BOUND, peers[i]->params);
		begin_connect(fd, &there);
		if (peers[i] == &d)
			wait_for(has_latch(&flow));
		else
			wait_for(events_of(LATCH_EVENT_REFUSED, &flow, &event));
		cr_expect_eq(has_latch(&flow), peers[i] == &d);
		close(fd);
	}
	cr_expect_eq(event.wish, LATCH_WHY_PEER);
	close(listener);
}

Test(gate_wish, R_2_3_17_an_ipv6_socket_is_latched_to_the_wished_peer_only)
{
	check_ipv6(IPV6, IPV6, "ip6");
	check_ipv6("::", MAPPED, "ip");
}

/* So does latchd's end: only purge ends a wish. */
Test(gate_wish, a_wish_holds_when_the_interface_is_switched_off)
{
	struct sender s = sender_new();

	make_all_esp();
	cr_assert_eq(set_text(s.fd, LATCH_OPT_EXPECT_PEER, c.id), 0);
	change_settings(false, 0, 0);
	sender_connect(&s);
	cr_expect_eq(send_under(&s, LATCH_SA_BOUND, &d), -EPERM);
	cr_expect_not(has_latch(&s.flow));
	cr_expect_eq(send_under(&s, LATCH_SA_BOUND, &c), 0);
	expect_latched_to(&s.flow, &c);
	sender_end(&s);
}

static void expect_ended(int fd, const struct latch_event *event, enum latch_why why)
{
	struct pollfd failed = {.fd = fd, .events = POLLOUT};
	int err = refused_connect_end(&maps, event);

	if (err == -EOPNOTSUPP)
		cr_skip_test("this kernel has no SOCK_DESTROY");
	cr_assert_eq(err, 0, "%s", strerror(-err));
	cr_assert_eq(poll(&failed, 1, LIMIT_MS), 1);
	cr_expect_eq(pending_error(fd), ECONNABORTED);
	expect_state(fd, LATCH_APP_NOT_LATCHED, why);
	expect_no_text(fd, -ENODATA);
}

Test(gate_wish, R_2_3_18_connect_under_another_peers_sa_ends_and_says_why)
{
	int listener = start_listener(IPV4, NULL), fd;
	struct latch_event event = {0};
	struct latch_flow flow;
	size_t i;

	make_all_esp();
	for (i = 0; i < 2; i++) {
		fd = connecting(peers[i]->id, 0, listener, &flow, other_than(peers[i]));
		wait_for(events_of(LATCH_EVENT_REFUSED, &flow, &event));
		cr_expect_eq(event.wish, LATCH_WHY_PEER);
		cr_expect_eq(event.drop, LATCH_DROP_IDENTITY);
		cr_expect_not(has_latch(&flow));
		expect_ended(fd, &event, LATCH_WHY_PEER);
		expect_text(fd, LATCH_OPT_EXPECT_PEER, peers[i]->id);
		close(fd);
	}
	close(listener);
}

Test(gate_wish, connect_in_clear_with_a_wish_ends_and_says_why)
{
	int listener = start_listener(IPV4, NULL), fd;
	struct latch_event event = {0};
	struct latch_flow flow;

	fd = connecting(c.id, 0, listener, &flow, NULL);
	wait_for(events_of(LATCH_EVENT_REFUSED, &flow, &event));
	cr_expect_eq(event.wish, LATCH_WHY_REQUIRED);
	expect_ended(fd, &event, LATCH_WHY_REQUIRED);
	close(fd);
	close(listener);
}

/* Without a wish the same connect() goes on: the SA may be attributed, or replaced. */
Test(gate_wish, R_2_15_connect_goes_on_where_it_is_wished_to_wait_and_where_nothing_is_wished)
{
	int listener = start_listener(IPV4, NULL), fd;
	struct latch_event event = {0};
	struct latch_flow flow;

	make_all_esp();
	fd = connecting(c.id, LATCH_DISPOSE_WAIT, listener, &flow, &d);
	wait_for(events_of(LATCH_EVENT_REFUSED, &flow, &event));
	cr_expect_eq(event.waits, 1);
	expect_state(fd, LATCH_APP_NOT_LATCHED, LATCH_WHY_PEER);
	cr_expect_eq(refused_connect_end(&maps, &event), -ENOENT);
	event.waits = 0;
	event.wish = LATCH_WHY_NONE;
	event.drop = LATCH_DROP_REQUIRED;
	cr_expect_neq(event.sa.spi, 0);
	cr_expect_eq(refused_connect_end(&maps, &event), -ENOENT);
	cr_expect_eq(tcp_state_of(fd), TCP_SYN_SENT);
	put_sa_of(&flow, LATCH_SA_BOUND, c.params);
	wait_for(has_latch(&flow));
	expect_latched_to(&flow, &c);
	cr_expect_eq(latch_of(&flow).disposition, LATCH_DISPOSITION_WAIT);
	close(fd);
	close(listener);
}

Test(gate_wish, R_5_5_1_the_latch_has_the_wished_disposition)
{
	static const struct {
		int wished;
		enum latch_disposition disposition;
		bool timeout;
	} cases[] = {
		{0, LATCH_DISPOSITION_UNREACHABLE, true}, /* as the rule says */
		{LATCH_DISPOSE_RESET, LATCH_DISPOSITION_RESET, false},
		{LATCH_DISPOSE_TIMEOUT, LATCH_DISPOSITION_RESET, true},
		{LATCH_DISPOSE_WAIT, LATCH_DISPOSITION_WAIT, false},
		{LATCH_DISPOSE_UNREACHABLE, LATCH_DISPOSITION_UNREACHABLE, false},
	};
	int listener = start_listener(IPV4, NULL), fd;
	struct latch_flow flow;
	size_t i;

	make_all_esp();
	config.rules[0].rule.disposition = LATCH_DISPOSITION_UNREACHABLE;
	put_rule(LATCH_ACTION_AUTO, LATCH_DIRECTION_NONE, NULL);
	clear_rules();
	config.rules[0].rule.disposition = LATCH_DISPOSITION_UNREACHABLE;
	config.rules[0].rule.flags = LATCH_RULE_TIMEOUT;
	config.rule_count = 1;
	cr_assert_eq(rules_load(&maps, &config, true, &(struct rules_change){0}), 0);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		fd = connecting(c.id, cases[i].wished, listener, &flow, &c);
		wait_for(has_latch(&flow));
		cr_expect_eq(latch_of(&flow).disposition, cases[i].disposition, "case %zu", i);
		cr_expect_eq(!!(latch_of(&flow).rule_flags & LATCH_RULE_TIMEOUT), cases[i].timeout);
		close(fd);
	}
	close(listener);
}

/* ---- listeners */

Test(gate_wish, R_2_3_16_a_listener_with_a_wish_accepts_nothing_in_clear)
{
	int wishing = bound_socket(IPV4, NULL), plain = start_listener(IPV4, NULL), fd;
	struct latch_event event = {0};
	struct latch_flow flow;

	cr_assert_eq(set_text(wishing, LATCH_OPT_EXPECT_PEER, c.id), 0);
	cr_assert_eq(listen(wishing, 8), 0);
	fd = start_connect(IPV4, wishing);
	flow = other_end(flow_to(fd, IPV4, wishing));
	wait_for(events_of(LATCH_EVENT_REFUSED, &flow, &event));
	cr_expect_eq(event.drop, LATCH_DROP_REQUIRED);
	cr_expect_eq(event.wish, LATCH_WHY_REQUIRED);
	cr_expect_eq(refused_connect_end(&maps, &event), -ENOENT, "of another host");
	cr_expect_not(is_readable(wishing));
	close(fd);
	fd = connect_to(IPV4, plain, NULL);
	close(fd);
	close(wishing);
	close(plain);
}

/*
 * The gate is attached behind the handshake: this machine's listeners see no ESP. The accepted
 * socket has the wishes of the listener, and sends under the SA of their peer only.
 */
static void check_accepted(const struct peer *wished, const struct peer *latched, bool passes)
{
	int listener = bound_socket(IPV4, NULL), client, server;
	struct latch_flow flow;
	struct latch latch;

	cr_assert_eq(set_text(listener, LATCH_OPT_EXPECT_PEER, wished->id), 0);
	cr_assert_eq(listen(listener, 8), 0);
	client = connect_to(IPV4, listener, NULL);
	server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	cr_assert_geq(server, 0);
	flow = flow_of(server);
	latch = latch_to(latched, cookie_of(server));
	store_latch(&flow, &latch);
	put_sa_of(&flow, LATCH_SA_BOUND, latched->params);
	attach_gates();
	make_all_esp();
	cr_assert_eq(send(server, "x", 1, MSG_NOSIGNAL), 1);
	if (passes)
		wait_for(latch_of(&flow).spi_out);
	else
		wait_for(drops_for(LATCH_DROP_IDENTITY).egress);
	cr_expect_eq(drops_for(LATCH_DROP_IDENTITY).egress > 0, !passes);
	cr_expect_eq(latch_of(&flow).spi_out != 0, passes);
	close(client);
	close(server);
	close(listener);
}

TestSuite(gate_wish_accepted, .init = api_set_up, .fini = gate_tear_down, .timeout = 60);

Test(gate_wish_accepted, R_2_3_16_the_wished_peers_latch_carries_an_accepted_socket)
{
	check_accepted(&d, &d, true);
}

Test(gate_wish_accepted, R_2_3_16_another_peers_latch_does_not_carry_an_accepted_socket)
{
	check_accepted(&d, &c, false);
}

/* ---- a pass of before the wish. The hook of connect() has run too early: it is not attached. */

static void set_up_without_connect(void)
{
	gate_set_up();
	change_settings(true, 0, 0);
	attach(GATES_OPTION);
	attach(GATES_WISH);
	put_peer(&c);
	attach_gates();
}

TestSuite(gate_wish_raced, .init = set_up_without_connect, .fini = gate_tear_down, .timeout = 60);

/* Both directions are remembered. */
static void warm_sender(const struct sender *s)
{
	uint64_t before;
	char byte;
	int i;

	do {
		before = slow_path();
		for (i = 0; i < 3; i++) {
			cr_assert_eq(udp_send(s->fd), 0);
			cr_assert_eq(udp_send_to(s->there, name_of(s->fd, getsockname)), 0);
			wait_for(is_readable(s->fd));
			cr_assert_eq(recv(s->fd, &byte, 1, MSG_DONTWAIT), 1);
		}
	} while (slow_path() != before);
}

static void expect_silent(const struct sender *s)
{
	cr_expect_eq(udp_send(s->fd), -EPERM);
	cr_assert_eq(udp_send_to(s->there, name_of(s->fd, getsockname)), 0);
	wait_for(drops_for(LATCH_DROP_REQUIRED).ingress == 1);
	cr_expect_not(is_readable(s->fd));
}

Test(gate_wish_raced, a_pass_in_clear_of_before_the_wish_does_not_count)
{
	struct sender s = sender_new();

	sender_connect(&s);
	warm_sender(&s);
	udp_disconnect(s.fd);
	cr_assert_eq(set_int(s.fd, LATCH_OPT_REQUIRE, 1), 0);
	sender_connect(&s);
	expect_silent(&s);
	sender_end(&s);
}

Test(gate_wish_raced, a_pass_by_a_bypass_that_was_taken_back_does_not_count)
{
	struct sender s = sender_new();

	put_rule_of(IPPROTO_UDP, LATCH_ACTION_REQUIRE, LATCH_DIRECTION_NONE, NULL);
	cr_assert_eq(set_int(s.fd, LATCH_OPT_PROTECTION, LATCH_PROTECTION_BYPASS), 0);
	sender_connect(&s);
	warm_sender(&s);
	udp_disconnect(s.fd);
	cr_assert_eq(set_int(s.fd, LATCH_OPT_PROTECTION, 0), 0);
	sender_connect(&s);
	expect_silent(&s);
	sender_end(&s);
}

/* ---- events: any user may have sockets with wishes refused */

#define REFUSED_SOCKETS 1000 /* for 64 slots of a kind */

static void refuse_many(void)
{
	struct sender s = {.there = udp_bound(IPV4)};
	int i;

	for (i = 0; i < REFUSED_SOCKETS; i++) {
		s.fd = udp_bound(IPV4);
		cr_assert_eq(set_int(s.fd, LATCH_OPT_REQUIRE, 1), 0);
		sender_connect(&s);
		cr_assert_eq(udp_send(s.fd), -EPERM);
		close(s.fd);
	}
	close(s.there);
}

/* By a rule, or by a wish: has an event. */
static bool has_event(bool wish)
{
	struct sender s = sender_new();
	bool has;

	if (wish)
		cr_assert_eq(set_int(s.fd, LATCH_OPT_REQUIRE, 1), 0);
	sender_connect(&s);
	cr_expect_eq(udp_send(s.fd), -EPERM);
	has = events_of(LATCH_EVENT_REFUSED, &s.flow, NULL) == 1;
	sender_end(&s);
	return has;
}

Test(gate_wish, refused_wishes_do_not_hide_the_refusals_of_a_rule)
{
	put_rule_of(IPPROTO_UDP, LATCH_ACTION_REQUIRE, LATCH_DIRECTION_NONE, NULL);
	set_drop_event_interval(3600ull * 1000000000);
	refuse_many();
	cr_expect_not(has_event(true), "their own slots are taken");
	cr_expect(has_event(false));
}

/* ---- audit mode */

Test(gate_wish, audit_mode_enforces_a_wish_and_nothing_else)
{
	struct sender wishing = sender_new(), plain = sender_new();

	make_all_esp();
	put_rule_of(IPPROTO_UDP, LATCH_ACTION_REQUIRE, LATCH_DIRECTION_NONE, NULL);
	begin_audit();
	cr_assert_eq(set_text(wishing.fd, LATCH_OPT_EXPECT_PEER, d.id), 0);
	sender_connect(&wishing);
	sender_connect(&plain);
	cr_expect_eq(send_under(&plain, LATCH_SA_ORPHAN, &c), 0, "audited");
	cr_expect_eq(send_under(&wishing, LATCH_SA_ORPHAN, &d), -EPERM);
	cr_expect_eq(send_under(&wishing, LATCH_SA_BOUND, &c), -EPERM);
	expect_unlatched(&wishing, LATCH_WHY_PEER);
	cr_expect_eq(send_under(&wishing, LATCH_SA_BOUND, &d), 0);
	expect_latched_to(&wishing.flow, &d);
	expect_state(wishing.fd, LATCH_APP_ESTABLISHED, LATCH_WHY_NONE);
	expect_peer(wishing.fd, &d);
	cr_expect_eq(send_under(&wishing, LATCH_SA_BOUND, &c), 0, "lost");
	cr_expect_eq(drops_for(LATCH_DROP_IDENTITY).egress, 2);
	sender_end(&wishing);
	sender_end(&plain);
}

Test(gate_wish, in_audit_mode_a_latch_with_a_wish_breaks_as_under_enforcement)
{
	struct sender wishing = sender_new(), plain = sender_new();

	make_all_esp();
	begin_audit();
	cr_assert_eq(set_int(wishing.fd, LATCH_OPT_REQUIRE, 1), 0);
	sender_connect(&wishing);
	sender_connect(&plain);
	cr_assert_eq(send_under(&wishing, LATCH_SA_BOUND, &c), 0);
	cr_assert_eq(send_under(&plain, LATCH_SA_BOUND, &c), 0);
	expect_state(plain.fd, LATCH_APP_AUDITED, LATCH_WHY_AUDIT);
	break_latch(&wishing.flow, LATCH_REASON_ADMIN);
	break_latch(&plain.flow, LATCH_REASON_ADMIN);
	cr_expect_eq(udp_send(wishing.fd), -EPERM);
	cr_expect_eq(drops_for(LATCH_DROP_BROKEN).egress, 1);
	cr_expect_eq(udp_send(plain.fd), 0, "audited");
	sender_end(&wishing);
	sender_end(&plain);
}

/* Two sockets of one flow, one of them with a wish: the other one is not enforced. */
Test(gate_wish, in_audit_mode_the_latch_of_a_socket_without_a_wish_stays_audited)
{
	int there = udp_bound(IPV4), plain = udp_socket(address_of(IPV4, 0), true), wishing;
	struct latch_flow flow;

	make_all_esp();
	wishing = udp_socket(name_of(plain, getsockname), true);
	cr_assert_eq(set_text(wishing, LATCH_OPT_EXPECT_PEER, c.id), 0);
	udp_connect(plain, name_of(there, getsockname));
	udp_connect(wishing, name_of(there, getsockname));
	flow = udp_flow(plain);
	put_sa_of(&flow, LATCH_SA_BOUND, c.params);
	cr_assert_eq(udp_send(plain), 0);
	begin_audit();
	cr_expect_eq(udp_send(wishing), 0);
	cr_expect_not(latch_of(&flow).rule_flags & LATCH_RULE_WISHED);
	expect_state(plain, LATCH_APP_AUDITED, LATCH_WHY_AUDIT);
	expect_state(wishing, LATCH_APP_NOT_LATCHED, LATCH_WHY_OTHER_SOCKET);
	close(plain);
	close(wishing);
	close(there);
}
