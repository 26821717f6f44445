/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two peers with latches to them, on top of attribution_fixture.h:
 *
 *   W 10.9.0.1 --- C 10.9.0.2  IKE_SA 1, SPI 1, two latches (ports 1000, 1001)
 *              \-- D 10.9.0.3  IKE_SA 2, SPI 2, one latch (port 1002)
 */
#ifndef LATCHD_TESTS_PEER_FIXTURE_H
#define LATCHD_TESTS_PEER_FIXTURE_H

#include "attribution_fixture.h"

#include "latchd/sa/peers/peer_death.h"

static inline struct feed_peer peer_of(const char *id, uint32_t ike_unique_id)
{
	struct feed_peer peer = {.auth = FEED_AUTH_PUBKEY, .ike_unique_id = ike_unique_id};

	strcpy(peer.config_name, "x509");
	strcpy(peer.id, id);
	return peer;
}

static inline void ike_sa_up(struct feed *feed, const char *id, uint32_t ike_unique_id)
{
	struct feed_peer peer = peer_of(id, ike_unique_id);

	sink->peer_up(sink->context, feed, &peer);
}

static inline void ike_sa_down(struct feed *feed, const char *id, uint32_t ike_unique_id,
			       enum feed_down_cause cause)
{
	struct feed_peer peer = peer_of(id, ike_unique_id);

	sink->peer_down(sink->context, feed, &peer, cause);
}

static inline void peer_dead(const char *id, uint32_t ike_unique_id)
{
	ike_sa_down(&charon, id, ike_unique_id, FEED_DOWN_PEER_DEAD);
}

static inline void peer_rebooted(const char *id, uint32_t ike_unique_id, uint32_t successor)
{
	struct feed_peer peer = peer_of(id, ike_unique_id);

	peer.successor = successor;
	sink->peer_down(sink->context, &charon, &peer, FEED_DOWN_PEER_REBOOTED);
}

/* Peers at different hosts have different selectors: their CHILD_SAs do not conflict. */
static inline struct feed_child child_at(const char *peer, uint8_t host, uint32_t spi)
{
	struct feed_child child = child_of(peer, spi);
	char text[32];

	snprintf(text, sizeof(text), "10.9.0.%u/32", host);
	child.remote_host[3] = host;
	child.remote_ts = selectors(text);
	return child;
}

static inline struct latch_flow latch_to(uint8_t host, uint16_t port, uint16_t params,
					 uint8_t rule_flags)
{
	struct latch_flow flow = flow_at(port, ns.cookie);
	struct latch latch = {
		.id = 0x1000u + port,
		.created = clock_boot_ns(),
		.owner = LATCH_OWNER_SOCKET,
		.rule_flags = rule_flags,
		.word = {.generation = 1, .params = params, .state = LATCH_STATE_ESTABLISHED},
	};

	flow.remote_addr[3] = host;
	cr_assert_eq(bpf_map_update_elem(maps.latches, &flow, &latch, BPF_NOEXIST), 0);
	return flow;
}

/* A snapshot that reports a single IKE_SA. */
static inline void snapshot_of(const struct feed_peer *peer)
{
	sink->snapshot_begin(sink->context, &charon);
	sink->peer_up(sink->context, &charon, peer);
	sink->snapshot_end(sink->context, &charon);
}

static inline void expect_reasons(const struct latch_flow *flow, uint8_t reasons)
{
	settle();
	cr_expect_eq(latch_of(flow).word.reasons, reasons, "reasons 0x%x",
		     latch_of(flow).word.reasons);
	cr_expect_eq(latch_of(flow).word.state,
		     reasons ? LATCH_STATE_BROKEN : LATCH_STATE_ESTABLISHED);
}

/* The set-up of the drawing above. */
static struct feed_child c, d;
static struct latch_flow to_c, also_to_c, to_d;

static inline bool to_c_is_broken(void)
{
	return latch_of(&to_c).word.state == LATCH_STATE_BROKEN;
}

static inline void two_peers(void)
{
	c = child_at("c.example", 2, 1);
	d = child_at("d.example", 3, 2);
	c.ike_unique_id = 1;
	d.ike_unique_id = 2;
	ike_sa_up(&charon, "c.example", 1);
	ike_sa_up(&charon, "d.example", 2);
	install_and_report(&charon, &c);
	install_and_report(&charon, &d);
	to_c = latch_to(2, 1000, in_params(&c), 0);
	also_to_c = latch_to(2, 1001, in_params(&c), 0);
	to_d = latch_to(3, 1002, in_params(&d), 0);
	seen.reasons = LATCH_REASONS_STICKY;
}

#endif
