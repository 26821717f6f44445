/* SPDX-License-Identifier: BSD-2-Clause */
#include "world.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "charon.h"
#include "doors/doors.h"
#include "kernel/table.h"
#include "kernel/traffic.h"
#include "sim.h"
#include "steps.h"

/* The reaper's audit and the resync of the feed, which come every 300 s, and what they start. */
#define SETTLE_MS 330000

struct world world;

const char *const world_peers[WORLD_PEERS] = {"c.example", "d.example", "e.example"};
const char *const world_locals[2] = {"w.example", "w2.example"};
const char *const world_ciphers[2] = {"rfc4106(gcm(aes))", "rfc7539esp(chacha20,poly1305)"};

/* ---- facts */

static const struct {
	const char *local, *remote;
	uint8_t remote_first, remote_last;
	uint16_t port_first, port_last;
} selectors[WORLD_SELECTORS] = {
	{"10.9.0.1/32", "10.9.0.2/32", 2, 2, 0, UINT16_MAX},
	{"10.9.0.1/32", "10.9.0.3/32", 3, 3, 0, UINT16_MAX},
	{"10.9.0.1/32[tcp/1000-1001]", "10.9.0.2/31[tcp]", 2, 3, 1000, 1001},
	{"10.9.0.0/24", "10.9.0.0/24", 0, 255, 0, UINT16_MAX},
};

bool world_same(struct world_params a, struct world_params b)
{
	return a.peer == b.peer && a.local == b.local && a.cipher == b.cipher;
}

bool world_covers(const struct world_child *child, const struct world_flow *flow)
{
	uint8_t remote = flow->key.remote_addr[3];
	uint8_t i = child->selector;

	return selectors[i].remote_first <= remote && remote <= selectors[i].remote_last &&
	       selectors[i].port_first <= flow->key.local_port &&
	       flow->key.local_port <= selectors[i].port_last;
}

const char *world_local_selector(const struct world_child *child)
{
	return selectors[child->selector].local;
}

const char *world_remote_selector(const struct world_child *child)
{
	return selectors[child->selector].remote;
}

struct latch_sa_key world_key(const struct world_child *child, bool inbound)
{
	return (struct latch_sa_key){
		.netns = SIM_NETNS,
		.daddr = {10, 9, 0, inbound ? 1 : child->host},
		.spi = inbound ? child->spi_in : child->spi_out,
		.protocol = IPPROTO_ESP,
		.family = AF_INET,
	};
}

const struct world_child *world_child_of(const struct latch_sa_key *key)
{
	size_t i;

	for (i = 0; i < WORLD_CHILDREN; i++) {
		const struct world_child *child = &world.children[i];
		struct latch_sa_key in = world_key(child, true), out = world_key(child, false);

		if (child->exists && child->in >= 0 && !memcmp(key, &in, sizeof(in)))
			return child;
		if (child->exists && child->out >= 0 && !memcmp(key, &out, sizeof(out)))
			return child;
	}
	return NULL;
}

struct world_flow *world_flow_of(const struct latch_flow *key)
{
	size_t i;

	for (i = 0; i < WORLD_FLOWS; i++)
		if (!memcmp(&world.flows[i].key, key, sizeof(*key)))
			return &world.flows[i];
	return NULL;
}

/* ---- for the doors */

bool world_has_policies(void)
{
	return world.policies;
}

int world_find_socket(const struct latch_flow *flow, uint64_t cookie)
{
	const struct world_flow *found = world_flow_of(flow);

	if (!found || found->socket == WORLD_NO_SOCKET)
		return -ENOENT;
	return cookie && found->cookie != cookie ? -ENOENT : 0;
}

int world_destroy_socket(const struct latch_flow *flow, uint64_t cookie, bool connecting)
{
	struct world_flow *found = world_flow_of(flow);
	int err = world_find_socket(flow, cookie);

	if (err)
		return err;
	if (connecting && found->socket != WORLD_CONNECTING)
		return -EISCONN;
	sim_trace("socket %u is destroyed", found->key.local_port);
	steps_close_socket(found, false);
	return 0;
}

void world_trace_control(const struct latch_control *control)
{
	sim_trace("control %d: result %d, flow %u, spi %#x, sa state %d params %u%s, latch %d/%#x",
		  control->op, control->result, control->flow.local_port, control->sa.spi,
		  control->sa_state, control->params, control->contested ? " contested" : "",
		  control->word.state, control->word.reasons);
}

/* ---- time */

static uint64_t next_step_ms, settled_ms;

static const struct sim_faults no_faults;

static uint32_t draw_rate(uint32_t often, uint32_t rarely)
{
	uint32_t kind = sim_draw(3);

	if (!kind)
		return 0;
	return kind == 1 ? often : rarely;
}

static void draw_faults(void)
{
	sim.faults = (struct sim_faults){
		.allocation = draw_rate(20, 300),
		.call = draw_rate(20, 300),
		.event = draw_rate(3, 30),
		.interleaving = draw_rate(8, 60),
		.crash = draw_rate(60, 1000),
	};
	charon_set_lateness(draw_rate(3000, 30));
	parts_choose_config(sim_draw(2));
	sim_trace("faults: allocation 1/%u, call 1/%u, event 1/%u, interleaving 1/%u, crash 1/%u",
		  sim.faults.allocation, sim.faults.call, sim.faults.event, sim.faults.interleaving,
		  sim.faults.crash);
}

void world_begin(void)
{
	size_t i;

	memset(&world, 0, sizeof(world));
	tables_reset();
	traffic_reset();
	charon_begin();
	draw_faults();
	world.policies = true;
	world.steps_left = 40 + sim_draw(80);
	next_step_ms = sim.now_ms;
	for (i = 0; i < WORLD_FLOWS; i++)
		world.flows[i].key = (struct latch_flow){
			.netns = SIM_NETNS,
			.local_addr = {10, 9, 0, 1},
			.remote_addr = {10, 9, 0, (uint8_t)(2 + i % 2)},
			.local_port = (uint16_t)(1000 + i),
			.remote_port = 4000,
			.family = AF_INET,
			.protocol = IPPROTO_TCP,
		};
	steps_begin();
	world_check_begin();
}

static uint32_t draw_pause(void)
{
	switch (sim_draw(8)) {
	case 0:
		return sim_draw(8000);
	case 1:
	case 2:
		return sim_draw(1500);
	case 3:
	case 4:
		return sim_draw(60);
	default:
		return sim_draw(3);
	}
}

/* The last step: from now on the world is honest and quiet. */
static void begin_quiet(void)
{
	sim.quiet = true;
	sim.faults = no_faults;
	steps_quiet();
	settled_ms = sim.now_ms + SETTLE_MS;
	sim_trace("quiet");
}

static void take_step(void)
{
	if (!world.steps_left) {
		begin_quiet();
		return;
	}
	world.steps_left--;
	next_step_ms = sim.now_ms + draw_pause();
	steps_take();
}

static uint64_t next_due(void)
{
	uint64_t due = charon_due(), task = steps_due();
	uint64_t step = sim.quiet ? settled_ms : next_step_ms;

	due = task < due ? task : due;
	return step < due ? step : due;
}

static void end_world(void)
{
	world_check_settled();
	world.over = true;
	clock_stop_latchd();
}

void world_pass_time(uint64_t due_ms)
{
	uint64_t next;

	charon_act();
	next = next_due();
	if (next > due_ms) {
		sim.now_ms = due_ms;
		return;
	}
	if (next > sim.now_ms)
		sim.now_ms = next;
	if (charon_due() <= sim.now_ms)
		charon_act();
	else if (steps_due() <= sim.now_ms)
		steps_run_task();
	else if (!sim.quiet)
		take_step();
	else
		end_world();
}

void world_act(void)
{
	if (steps_due() != UINT64_MAX && sim_draw(2))
		steps_run_task();
	else
		steps_act();
}

static void pause_once(void)
{
	uint64_t until = sim.now_ms + 1 + draw_pause();

	while (sim.now_ms < until && !sim.quiet)
		world_pass_time(until);
}

void world_pause(void)
{
	pause_once();
}

/* A reboot is reported by the end of an IKE_SA, and by the authentication that has ended it. */
static bool reboot_was_read(size_t peer, uint64_t since_ms)
{
	return world.rebooted_ms[peer] <= world.up_ms[peer] && world.up_ms[peer] < since_ms;
}

void world_forget_reports(uint64_t since_ms)
{
	size_t i;

	for (i = 0; i < WORLD_PEERS; i++) {
		if (world.dead_ms[i] >= since_ms)
			world.last_dead_ms[i] = 0;
		if (!reboot_was_read(i, since_ms))
			world.last_reboot_ms[i] = 0;
	}
}

bool world_is_over(void)
{
	return world.over;
}
