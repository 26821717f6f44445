/* SPDX-License-Identifier: BSD-2-Clause */
#include "traffic_steps.h"

#include "kernel/table.h"
#include "kernel/traffic.h"
#include "sim.h"
#include "steps.h"

#define SYN_TRIES    4
#define TIME_WAIT_MS 60000

static uint64_t last_cookie;
static unsigned int tries[WORLD_FLOWS];

void traffic_steps_begin(void)
{
	last_cookie = 0;
}

/* ---- packets */

struct carried {
	struct world_flow *flow;
	const struct world_child *child; /* NULL: in clear */
	bool egress, syn, listener;
};

/* The id of the ESTABLISHED latch of the flow, or 0. */
static uint64_t latch_of(const struct world_flow *flow)
{
	const struct latch *latch = table_find(TABLE_LATCHES, &flow->key);

	return latch && latch->word.state == LATCH_STATE_ESTABLISHED ? latch->id : 0;
}

/* RFC 5660 section 2: what a latched connection may not do. */
static void check_passed(const struct carried *packet)
{
	const struct world_flow *flow = packet->flow;

	if (!packet->child)
		sim_fail("a packet of latched flow %u passed in clear", flow->key.local_port);
	if (!world_same(packet->child->params, flow->params))
		sim_fail("a packet of flow %u, latched to %s, passed under an SA of %s",
			 flow->key.local_port, world_peers[flow->params.peer],
			 world_peers[packet->child->params.peer]);
}

/* The SA of the packet that creates the latch, or establishes it, is the one it is latched to. */
static void note_latch(const struct carried *packet, uint64_t latch)
{
	struct world_flow *flow = packet->flow;

	if (!packet->child)
		sim_fail("flow %u got its latch from a packet in clear", flow->key.local_port);
	flow->latched = true;
	flow->params = packet->child->params;
	flow->latch_id = latch;
	flow->latched_ms = sim.now_ms;
	flow->admin = false;
	sim_trace("flow %u is latched to %s by latch %llu", flow->key.local_port,
		  world_peers[flow->params.peer], (unsigned long long)latch);
}

static void check_verdict(const struct carried *packet, uint64_t before, bool passed)
{
	struct world_flow *flow = packet->flow;
	uint64_t after = latch_of(flow);

	if (passed && flow->latched && before == flow->latch_id && after == before)
		check_passed(packet);
	else if (passed && flow->blocked && !before && !after && !packet->syn)
		sim_fail("a packet of flow %u passed without its latch", flow->key.local_port);
	if (after && (!flow->latched || after != flow->latch_id))
		note_latch(packet, after);
	/* A SYN releases the latch of the connection before. */
	if (!packet->listener && (after || (before && !packet->syn)))
		flow->blocked = true;
}

static bool carry(const struct carried *packet)
{
	struct world_flow *flow = packet->flow;
	struct latch_sa_key key;
	struct traffic_packet sent = {
		.socket = packet->listener ? -1 : (int)(flow - world.flows),
		.flow = flow->key,
		.cookie = flow->cookie,
		.egress = packet->egress,
		.syn = packet->syn,
		.connecting = flow->socket == WORLD_CONNECTING,
	};
	uint64_t before = latch_of(flow);
	bool passed;

	if (packet->child) {
		key = world_key(packet->child, !packet->egress);
		sent.sa = &key;
	}
	passed = traffic_packet(&sent);
	if (traffic_stale)
		sim_fail("a remembered pass of flow %u is stale", flow->key.local_port);
	sim.packets++;
	sim_trace("packet of flow %u %s%s under %s: %s", flow->key.local_port,
		  packet->egress ? "out" : "in", packet->syn ? " (SYN)" : "",
		  packet->child ? world_peers[packet->child->params.peer] : "no SA",
		  passed ? "passes" : "dropped");
	check_verdict(packet, before, passed);
	return passed;
}

/* ---- which SA the kernel chooses, or the peer sends under */

static const struct world_child *any_sa(const struct world_flow *flow, bool inbound, bool fitting)
{
	size_t start = sim_draw(WORLD_CHILDREN), i;

	for (i = 0; i < WORLD_CHILDREN; i++) {
		const struct world_child *child = &world.children[(start + i) % WORLD_CHILDREN];

		if (!child->exists || (inbound ? child->in : child->out) < 0)
			continue;
		if (!fitting || (world_covers(child, flow) &&
				 (inbound || child->host == flow->key.remote_addr[3])))
			return child;
	}
	return NULL;
}

/* ---- connections */

static void set_established(struct world_flow *flow)
{
	flow->socket = WORLD_ESTABLISHED;
	traffic_established((int)(flow - world.flows), &flow->key, flow->cookie);
}

static void new_socket(struct world_flow *flow, enum world_socket state)
{
	flow->socket = state;
	flow->cookie = ++last_cookie;
	flow->blocked = false;
	traffic_connect((int)(flow - world.flows));
}

/* A SYN without an SA waits for one in the kernel, unless no policy wants an SA. */
static void send_syn(uint32_t at)
{
	struct world_flow *flow = &world.flows[at];
	const struct world_child *child = any_sa(flow, false, true);
	struct carried syn = {flow, child, .egress = true, .syn = true};
	struct carried answer = {flow, NULL, .egress = false};
	bool passed;

	if (flow->socket != WORLD_CONNECTING)
		return;
	passed = (child || !world.policies) && carry(&syn);
	if (passed && flow->socket == WORLD_CONNECTING) {
		answer.child = any_sa(flow, true, true);
		if (carry(&answer))
			set_established(flow);
	}
	if (flow->socket != WORLD_CONNECTING)
		return;
	if (tries[at]++ < SYN_TRIES)
		steps_later(1000u << tries[at], send_syn, at);
	else
		steps_close_socket(flow, false);
}

static struct world_flow *any_flow(bool open)
{
	size_t start = sim_draw(WORLD_FLOWS), i;

	for (i = 0; i < WORLD_FLOWS; i++) {
		struct world_flow *flow = &world.flows[(start + i) % WORLD_FLOWS];

		if ((flow->socket == WORLD_ESTABLISHED) == open &&
		    (open || flow->socket == WORLD_NO_SOCKET))
			return flow;
	}
	return NULL;
}

void traffic_step_connect(void)
{
	struct world_flow *flow = any_flow(false);

	if (!flow)
		return;
	sim_trace("application: connect %u", flow->key.local_port);
	new_socket(flow, WORLD_CONNECTING);
	tries[flow - world.flows] = 0;
	send_syn((uint32_t)(flow - world.flows));
}

/* The SYN of a peer; the socket follows when the handshake is complete. */
void traffic_step_accept(void)
{
	struct world_flow *flow = any_flow(false);
	struct carried syn = {flow, NULL, .egress = false, .syn = true, .listener = true};

	if (!flow)
		return;
	syn.child = any_sa(flow, true, true);
	if (!carry(&syn) || !sim_draw(4))
		return;
	sim_trace("application: accept %u", flow->key.local_port);
	new_socket(flow, WORLD_ESTABLISHED);
	set_established(flow);
}

/*
 * Both ways, sometimes in clear. Mostly under an SA with selectors for the flow. The kernel
 * accepts no other, as its policies have the same selectors; the gate of a latched flow must not
 * depend on that.
 */
static void send_packet(struct world_flow *flow, bool egress)
{
	struct carried packet = {flow, NULL, .egress = egress};
	uint32_t kind = sim_draw(8);

	if (kind)
		packet.child = any_sa(flow, !egress, kind > 2 || !latch_of(flow));
	carry(&packet);
}

void traffic_step_packets(void)
{
	struct world_flow *flow = any_flow(true);
	unsigned int count = 1 + sim_draw(6);

	while (flow && count-- && flow->socket == WORLD_ESTABLISHED)
		send_packet(flow, sim_draw(2));
}

static void end_time_wait(uint32_t at)
{
	struct world_flow *flow = &world.flows[at];

	if (flow->socket == WORLD_TIME_WAIT)
		flow->socket = WORLD_NO_SOCKET;
}

void steps_close_socket(struct world_flow *flow, bool time_wait)
{
	time_wait = time_wait && flow->socket == WORLD_ESTABLISHED;
	traffic_closed(&flow->key, flow->cookie, time_wait);
	flow->socket = time_wait ? WORLD_TIME_WAIT : WORLD_NO_SOCKET;
	if (time_wait)
		steps_later(TIME_WAIT_MS, end_time_wait, (uint32_t)(flow - world.flows));
}

void traffic_step_close(void)
{
	struct world_flow *flow = any_flow(true);

	if (!flow)
		return;
	sim_trace("application: close %u", flow->key.local_port);
	steps_close_socket(flow, sim_draw(2));
}
