/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The properties, stated from the tables alone: whatever latchd has in memory, and also while it
 * does not run. At every moment the safety that tests/unit/latchd/world.h has too, in code of its
 * own. When all has settled, what latchd owes to honest peers.
 */
#include <stdio.h>
#include <string.h>

#include "doors/doors.h"
#include "kernel/table.h"
#include "kernel/traffic.h"
#include "sim.h"
#include "world.h"

static struct {
	struct latch_flow flow;
	struct latch latch;
} before[WORLD_FLOWS];

static unsigned long checked; /* tables_changes at the last check */

void world_check_begin(void)
{
	memset(before, 0, sizeof(before));
}

/* ---- identities */

static const struct latch_identity *identity_of(uint32_t index)
{
	return table_find(TABLE_IDENTITIES, &index);
}

static bool are_params_of(uint16_t index, struct world_params expected)
{
	const __u32 key = index;
	const struct latch_params *params = table_find(TABLE_PARAMS, &key);
	const struct latch_identity *peer = params ? identity_of(params->peer_id) : NULL;
	const struct latch_identity *local = params ? identity_of(params->local_id) : NULL;

	return peer && local && !strcmp(peer->id, world_peers[expected.peer]) &&
	       !strcmp(peer->config, "x509") && !strcmp(peer->authority, "charon") &&
	       !strcmp(local->id, world_locals[expected.local]) &&
	       !strcmp(params->qop.encryption, world_ciphers[expected.cipher]);
}

/* ---- at every moment */

/*
 * An SA is never bound to another identity than its key manager authenticated. The remote ids are
 * exact, so no fault makes the identity of a peer one that is decided to be unproven.
 */
static void check_sa(const struct latch_sa_key *key, const struct latch_sa *sa)
{
	const struct world_child *child = world_child_of(key);

	if (child && sa->word.flags & LATCH_SA_UNPROVEN)
		sim_fail("SA %#x of %s is marked as unproven", key->spi,
			 world_peers[child->params.peer]);
	if (!child || !sa->word.params)
		return;
	if (!are_params_of(sa->word.params, child->params))
		sim_fail("SA %#x of %s is %s under params %u, which are another's", key->spi,
			 world_peers[child->params.peer],
			 sa->word.state == LATCH_SA_BOUND ? "bound" : "known", sa->word.params);
}

/* R-2.3-7: no latch is ESTABLISHED while a conflicting SA is bound. */
static void check_no_conflict(const struct world_flow *flow)
{
	uint32_t at;

	for (at = 0; table_next(TABLE_SAS, &at); at++) {
		const struct latch_sa *sa = table_value(TABLE_SAS, at);
		const struct latch_sa_key *key = table_key(TABLE_SAS, at);
		const struct world_child *child = world_child_of(key);

		if (!child || sa->word.state != LATCH_SA_BOUND ||
		    sa->word.flags & LATCH_SA_AMBIGUOUS || !world_covers(child, flow) ||
		    world_same(child->params, flow->params))
			continue;
		sim_fail("flow %u is latched to %s, and conflicting SA %#x of %s is bound",
			 flow->key.local_port, world_peers[flow->params.peer], key->spi,
			 world_peers[child->params.peer]);
	}
}

/* Every transition takes a new generation, and the params never change (R-2-14). */
static void check_transition(size_t i, const struct latch *now)
{
	const struct latch *was = &before[i].latch;

	if (was->id != now->id)
		return;
	if ((now->word.raw == was->word.raw) != (now->word.generation == was->word.generation))
		sim_fail("latch %llu changed under the same generation",
			 (unsigned long long)now->id);
	if (now->word.params != was->word.params && was->word.state != LATCH_STATE_LARVAL)
		sim_fail("latch %llu has changed its params", (unsigned long long)now->id);
}

static void check_latch(size_t i)
{
	const struct world_flow *flow = &world.flows[i];
	const struct latch *latch = table_find(TABLE_LATCHES, &flow->key);

	if (!latch) {
		before[i].latch = (struct latch){0};
		return;
	}
	check_transition(i, latch);
	before[i].latch = *latch;
	if ((latch->word.state == LATCH_STATE_ESTABLISHED && latch->word.reasons) ||
	    (latch->word.state == LATCH_STATE_BROKEN && !latch->word.reasons))
		sim_fail("latch %llu is in state %d for reasons %#x", (unsigned long long)latch->id,
			 latch->word.state, latch->word.reasons);
	if (latch->word.state != LATCH_STATE_ESTABLISHED || !flow->latched ||
	    latch->id != flow->latch_id)
		return;
	if (!are_params_of(latch->word.params, flow->params))
		sim_fail("latch %llu has the params of another peer than %s",
			 (unsigned long long)latch->id, world_peers[flow->params.peer]);
	check_no_conflict(flow);
}

void world_check(void)
{
	uint32_t at;
	size_t i;

	/* The world changes no child and no flow without a call of a program. */
	if (sim.other || checked == tables_changes)
		return;
	checked = tables_changes;
	for (at = 0; table_next(TABLE_SAS, &at); at++)
		check_sa(table_key(TABLE_SAS, at), table_value(TABLE_SAS, at));
	for (i = 0; i < WORLD_FLOWS; i++)
		check_latch(i);
}

/* ---- when all has settled */

static bool has_conflict(const struct world_flow *flow, struct world_params params)
{
	size_t i;

	for (i = 0; i < WORLD_CHILDREN; i++)
		if (world.children[i].exists && world_covers(&world.children[i], flow) &&
		    !world_same(world.children[i].params, params))
			return true;
	return false;
}

static bool overlap(const struct world_child *a, const struct world_child *b)
{
	size_t i;
	uint32_t port;

	for (i = 0; i < 256; i++)
		for (port = 999; port < 1003; port++) {
			struct world_flow flow = {.key = {.remote_addr = {10, 9, 0, (uint8_t)i},
							  .local_port = (uint16_t)port}};

			if (world_covers(a, &flow) && world_covers(b, &flow))
				return true;
		}
	return false;
}

static bool is_contested(const struct world_child *child)
{
	size_t i;

	for (i = 0; i < WORLD_CHILDREN; i++)
		if (world.children[i].exists &&
		    !world_same(world.children[i].params, child->params) &&
		    overlap(child, &world.children[i]))
			return true;
	return false;
}

#define UNNOTED_MAX 64

/* SPIs of SAs without a decision for lack of memory. They stay unattributed until their peer
 * authenticates again.
 */
static struct {
	uint64_t seed;
	uint32_t spi[UNNOTED_MAX];
	unsigned int count;
} unnoted;

void world_note_line(const char *line)
{
	unsigned int spi;

	if (unnoted.seed != sim.seed)
		unnoted.count = 0;
	unnoted.seed = sim.seed;
	if (sscanf(line, "sa 0x%x unattributed", &spi) == 1 && strstr(line, "memory is short") &&
	    unnoted.count < UNNOTED_MAX)
		unnoted.spi[unnoted.count++] = spi;
}

static bool is_unnoted(const struct world_child *child)
{
	unsigned int i;

	for (i = 0; unnoted.seed == sim.seed && i < unnoted.count; i++)
		if (unnoted.spi[i] == child->spi_in || unnoted.spi[i] == child->spi_out)
			return sim.failed_allocations > 0;
	return false;
}

static void check_settled_sa(const struct world_child *child, bool inbound)
{
	struct latch_sa_key key = world_key(child, inbound);
	const struct latch_sa *sa = table_find(TABLE_SAS, &key);

	if (!sa)
		sim_fail("SA %#x is in the kernel and not in the table", key.spi);
	if (sa->word.state == LATCH_SA_PENDING && is_unnoted(child))
		return;
	if (sa->word.state != LATCH_SA_BOUND)
		sim_fail("SA %#x of %s is in state %d and not bound", key.spi,
			 world_peers[child->params.peer], sa->word.state);
	if (!(sa->word.flags & LATCH_SA_CONTESTED) == is_contested(child))
		sim_fail("SA %#x of %s is %scontested", key.spi, world_peers[child->params.peer],
			 is_contested(child) ? "not marked as " : "still marked as ");
}

static uint8_t allrequired_reasons(const struct world_flow *flow, const struct latch *latch)
{
	uint64_t created = latch->created / 1000000;
	uint8_t reasons = flow->admin ? LATCH_REASON_ADMIN : 0;

	if (has_conflict(flow, flow->params))
		reasons |= LATCH_REASON_SA_CONFLICT;
	if (created <= world.dead_ms[flow->params.peer])
		reasons |= LATCH_REASON_PEER_DEAD;
	if (created <= world.rebooted_ms[flow->params.peer])
		reasons |= LATCH_REASON_PEER_REBOOTED;
	return reasons;
}

/* R-2-19: the report reached a latchd that has run since, and all memory that it asked for came. */
static uint8_t required_reasons(const struct world_flow *flow, const struct latch *latch)
{
	uint8_t peer = flow->params.peer, reasons = 0;
	uint64_t dead = world.last_dead_ms[peer], rebooted = world.last_reboot_ms[peer];

	if (!flow->latched || latch->id != flow->latch_id || sim.failed_allocations)
		return 0;
	if (flow->latched_ms < dead && dead <= world.dead_ms[peer] &&
	    sim.latchd_started_ms < world.dead_ms[peer])
		reasons |= LATCH_REASON_PEER_DEAD;
	if (flow->latched_ms < rebooted && rebooted <= world.rebooted_ms[peer] &&
	    sim.latchd_started_ms < world.rebooted_ms[peer])
		reasons |= LATCH_REASON_PEER_REBOOTED;
	return reasons;
}

static void check_settled_latch(const struct world_flow *flow)
{
	const struct latch *latch = table_find(TABLE_LATCHES, &flow->key);
	unsigned long long id = latch ? latch->id : 0;

	if (!latch || latch->word.state == LATCH_STATE_LARVAL)
		return;
	if (flow->socket == WORLD_NO_SOCKET)
		sim_fail("latch %llu has outlived its socket", id);
	if (latch->word.reasons & ~allrequired_reasons(flow, latch))
		sim_fail("latch %llu of flow %u remains broken for reasons %#x without a cause", id,
			 flow->key.local_port, latch->word.reasons);
	if (has_conflict(flow, flow->params) && !(latch->word.reasons & LATCH_REASON_SA_CONFLICT))
		sim_fail("latch %llu of flow %u is not broken by a conflict", id,
			 flow->key.local_port);
	if (required_reasons(flow, latch) & ~latch->word.reasons)
		sim_fail(
			"latch %llu of flow %u is not broken for reasons %#x: %s is dead or rebooted",
			id, flow->key.local_port, required_reasons(flow, latch),
			world_peers[flow->params.peer]);
}

/* Every entry is of an SA in the kernel. */
static void check_settled_table(void)
{
	uint32_t at;

	for (at = 0; table_next(TABLE_SAS, &at); at++) {
		const struct latch_sa_key *key = table_key(TABLE_SAS, at);

		if (!world_child_of(key))
			sim_fail("SA %#x is in the table and not in the kernel", key->spi);
	}
}

/* Each entry has one place in a share: of a pair of addresses. */
static void check_settled_shares(void)
{
	uint64_t taken = 0, entries = 0;
	uint32_t at;

	for (at = 0; table_next(TABLE_SAS, &at); at++)
		entries++;
	for (at = 1; at < tables[TABLE_SA_SHARES].max; at++)
		taken += *(uint64_t *)table_value(TABLE_SA_SHARES, at);
	if (taken != entries)
		sim_fail("%llu SAs are in the table, and %llu are counted",
			 (unsigned long long)entries, (unsigned long long)taken);
}

void world_check_settled(void)
{
	size_t i;

	world_check();
	check_settled_shares();
	if (!sim.latchd_runs)
		sim_fail("latchd does not run");
	for (i = 0; i < WORLD_CHILDREN; i++) {
		const struct world_child *child = &world.children[i];

		if (child->exists && child->listed && child->in >= 0)
			check_settled_sa(child, true);
		if (child->exists && child->listed && child->out >= 0)
			check_settled_sa(child, false);
	}
	for (i = 0; i < WORLD_FLOWS; i++)
		check_settled_latch(&world.flows[i]);
	check_settled_table();
}
