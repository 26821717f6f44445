/* SPDX-License-Identifier: BSD-2-Clause */
/* The steps in the random worlds of test_model, and their weights. */
#ifndef LATCHD_TESTS_MODEL_STEPS_H
#define LATCHD_TESTS_MODEL_STEPS_H

#include "model_actors.h"

#include "latchd/latch/recovery.h"

/* ---- steps: each returns true if it had an effect */

static bool step_child_created(void)
{
	size_t i = any_child(is_free), how = draw(&chance, 5), s = draw(&chance, SELECTORS);
	struct world_child *c = &world.children[i];

	if (i == WORLD_CHILDREN)
		return false;
	*c = (struct world_child){
		.defined = true,
		.listed = true,
		.selector = selector_table[s].world,
		.params = {(uint8_t)(draw(&chance, 4) == 0), (uint8_t)draw(&chance, 3),
			   (uint8_t)(draw(&chance, 6) == 0), (uint8_t)(draw(&chance, 6) == 0)},
	};
	feed_children[i] = child_of(peers[c->params.peer], ++next_spi);
	strcpy(feed_children[i].local_id, locals[c->params.local]);
	feed_children[i].local_ts = selectors(selector_table[s].local);
	feed_children[i].remote_ts = selectors(selector_table[s].remote);
	log_step(" created(%zu peer=%u selector=%zu how=%zu)", i, c->params.peer, s, how);
	if (how == 0)
		report_child(i);
	install_sa(i, true);
	hint_pending(i, true);
	if (how == 1)
		report_child(i);
	if (how == 4 && draw(&chance, 2))
		refuse_child(i);
	install_sa(i, false);
	hint_pending(i, false);
	if (how == 4)
		refuse_child(i);
	else if (how >= 1)
		report_child(i);
	return true;
}

/* A rekey: the same peer and selectors under a new SPI. The old child may be deleted at once. */
static bool step_rekey(void)
{
	size_t old = any_child(is_bound), i = any_child(is_free);

	if (old == WORLD_CHILDREN || i == WORLD_CHILDREN || !world.children[old].listed)
		return false;
	log_step(" rekey(%zu to %zu)", old, i);
	world.children[i] = (struct world_child){.defined = true,
						 .listed = true,
						 .selector = world.children[old].selector,
						 .params = world.children[old].params};
	feed_children[i] = feed_children[old];
	feed_children[i].spi_in = ++next_spi;
	feed_children[i].spi_out = feed_children[i].spi_in | 0x80000000;
	install_sa(i, true);
	install_sa(i, false);
	hint_pending(i, false);
	hint_pending(i, true);
	report_child(i);
	return true;
}

static bool step_child_reported_again(void)
{
	size_t i = any_child(is_listed);

	if (i == WORLD_CHILDREN)
		return false;
	log_step(" reported(%zu)", i);
	report_child(i);
	return true;
}

static bool step_child_deleted(void)
{
	size_t i = any_child(is_listed);

	if (i == WORLD_CHILDREN)
		return false;
	log_step(" child-deleted(%zu)", i);
	world.children[i].listed = false;
	if (!world.present[world.children[i].params.key_manager])
		return true;
	down(feed_of(world.children[i].params.key_manager), &feed_children[i]);
	world_delete_child(&world.children[i]);
	return true;
}

static bool remove_sas(bool hint)
{
	size_t i = any_child(is_installed), which = draw(&chance, 4);

	if (i == WORLD_CHILDREN)
		return false;
	log_step(" %s(%zu %s)", hint ? "sa-deleted" : "sa-deleted-silently", i,
		 which == 0   ? "in"
		 : which == 1 ? "out"
			      : "both");
	if (which != 1)
		remove_sa(i, true, hint);
	if (which != 0)
		remove_sa(i, false, hint);
	return true;
}

static bool step_sas_deleted(void)
{
	return remove_sas(true);
}

static bool step_sas_deleted_silently(void)
{
	return remove_sas(false);
}

static void reconcile(void)
{
	size_t i;

	attribution_reconcile(attribution);
	world.hints_lost = false;
	for (i = 0; i < WORLD_CHILDREN; i++)
		world_sa_gone(&world.children[i]);
}

static bool step_reconcile(void)
{
	log_step(" reconcile");
	reconcile();
	return true;
}

static bool step_key_manager_connects(void)
{
	uint8_t key_manager = (uint8_t)draw(&chance, 2);

	log_step(" connects(%u)", key_manager);
	connect_key_manager(key_manager);
	return true;
}

static bool step_snapshot(void)
{
	uint8_t key_manager = (uint8_t)draw(&chance, 2);

	if (!world.present[key_manager])
		return false;
	log_step(" snapshot(%u)", key_manager);
	report_snapshots(key_manager);
	return true;
}

static bool step_key_manager_lost(void)
{
	uint8_t key_manager = (uint8_t)draw(&chance, 2);

	if (!world.present[key_manager])
		return false;
	log_step(" lost(%u)", key_manager);
	set_feed_state(feed_of(key_manager),
		       draw(&chance, 2) ? FEED_STATE_LOST : FEED_STATE_ABSENT);
	world_lost(&world, key_manager);
	return true;
}

/* A key manager that is not connected has restarted and lost a child. */
static bool step_key_manager_loses_child(void)
{
	size_t i = any_child(is_listed);

	if (i == WORLD_CHILDREN || world.synced[world.children[i].params.key_manager])
		return false;
	log_step(" child-lost(%zu)", i);
	world.children[i].listed = false;
	return true;
}

static bool step_latchd_restarts(void)
{
	uint8_t key_managers = (uint8_t)draw(&chance, 4), key_manager;

	log_step(" restart(key managers=%#x)", key_managers);
	restart_latchd();
	world_restarted(&world);
	for (key_manager = 0; key_manager < WORLD_KEY_MANAGERS; key_manager++)
		if (key_managers & 1 << key_manager)
			connect_key_manager(key_manager);
	for (key_manager = 0; key_manager < WORLD_KEY_MANAGERS; key_manager++)
		if (key_managers & 1 << key_manager)
			report_snapshots(key_manager);
	return true;
}

static bool step_database_corrupt(void)
{
	uint32_t index = 1;
	struct latch_params damaged;
	bool is_damaged;
	size_t i;

	if (draw(&chance, 4) || bpf_map_lookup_elem(maps.params, &index, &damaged) ||
	    !damaged.checksum)
		return false;
	log_step(" corrupt");
	damaged.peer_id ^= 1;
	cr_assert_eq(bpf_map_update_elem(maps.params, &index, &damaged, BPF_ANY), 0);
	stop_latchd();
	must(!recovery_load_identities(&maps, &identities, &is_damaged) && is_damaged &&
		     !recovery_repair_identities(&maps, identities),
	     "the damaged table was not recovered");
	identities_free(identities);
	start_latchd();
	world_restarted(&world);
	for (i = 0; i < WORLD_LATCHES; i++)
		world.latches[i].exists &= world.latches[i].kind == WORLD_LISTENER;
	for (i = 0; i < WORLD_CHILDREN; i++)
		world.children[i].ever_reported = world.children[i].bound_once = false;
	return true;
}

static bool step_connect(void)
{
	size_t at = any_latch(false);
	uint16_t params;

	if (at == WORLD_LATCHES || !prepare_latch(at, WORLD_LATCHED) ||
	    !choose_params(&world.latches[at], &params))
		return false;
	log_step(" connect(%zu peer=%u)", at, world.latches[at].params.peer);
	world.latches[at].exists = true;
	put_latch(at, LATCH_STATE_ESTABLISHED, params);
	report_creation(at);
	return true;
}

static bool step_listen_or_acquire(void)
{
	size_t at = any_latch(false);
	bool listen = draw(&chance, 2);

	if (at == WORLD_LATCHES || !prepare_latch(at, listen ? WORLD_LISTENER : WORLD_LARVAL))
		return false;
	log_step(" %s(%zu)", listen ? "listen" : "acquire", at);
	world.latches[at].exists = true;
	put_latch(at, listen ? LATCH_STATE_LISTENER : LATCH_STATE_LARVAL, 0);
	return true;
}

/* As the gate does at the first packet under a bound SA. */
static bool step_larval_established(void)
{
	size_t at = any_latch(true);
	struct world_latch *l = &world.latches[at];
	struct latch latch;
	uint16_t params;

	if (at == WORLD_LATCHES || l->kind != WORLD_LARVAL || !choose_params(l, &params))
		return false;
	log_step(" larval-established(%zu peer=%u)", at, l->params.peer);
	latch = latch_of(&flows[at]);
	latch.word.state = LATCH_STATE_ESTABLISHED;
	latch.word.params = params;
	latch.word.generation++;
	cr_assert_eq(bpf_map_update_elem(maps.latches, &flows[at], &latch, BPF_EXIST), 0);
	l->kind = WORLD_LATCHED;
	report_creation(at);
	return true;
}

static void must_result(int got, enum latch_control_result want)
{
	must(got == (int)want, "the control program returned %d, the model expects %d", got, want);
}

static uint8_t draw_reasons(void)
{
	/* The model knows no audit mode. */
	const uint32_t never = LATCH_REASON_SA_CONFLICT | LATCH_REASON_REFUSED;

	return (uint8_t)(draw(&chance, LATCH_REASONS_ALL + 1) & ~never);
}

static void set_reasons(struct world_latch *l, uint8_t reasons, bool to)
{
	l->spd = reasons & LATCH_REASON_SPD_CHANGE ? to : l->spd;
	l->admin = reasons & LATCH_REASON_ADMIN ? to : l->admin;
	if (!to)
		return;
	l->dead = l->dead || reasons & LATCH_REASON_PEER_DEAD;
	l->rebooted = l->rebooted || reasons & LATCH_REASON_PEER_REBOOTED;
}

static enum latch_control_result expected_result(const struct world_latch *l, uint8_t was)
{
	if (l->kind != WORLD_LATCHED)
		return LATCH_CONTROL_REFUSED;
	return world_reasons(l) == was ? LATCH_CONTROL_UNCHANGED : LATCH_CONTROL_DONE;
}

static bool break_or_heal(bool breaks)
{
	uint8_t reasons = draw_reasons(), was;
	size_t at = any_latch(true);
	struct world_latch *l = &world.latches[at];
	int got;

	if (at == WORLD_LATCHES || !reasons)
		return false;
	log_step(" %s(%zu reasons=%#x)", breaks ? "break" : "heal", at, reasons);
	was = world_reasons(l);
	got = (breaks ? latch_break : latch_heal)(&maps, &flows[at], latch_of(&flows[at]).id,
						  reasons, NULL);
	if (l->kind == WORLD_LATCHED)
		set_reasons(l, reasons, breaks);
	must_result(got, expected_result(l, was));
	return true;
}

/* A policy change, a dead peer, a rebooted peer or the administrator: one latch at a time. */
static bool step_break(void)
{
	return break_or_heal(true);
}

static bool step_heal(void)
{
	return break_or_heal(false);
}

static bool step_close(void)
{
	size_t at = any_latch(true);
	bool wrong = draw(&chance, 4) == 0, reap = draw(&chance, 2);
	struct latch latch;
	int got;

	if (at == WORLD_LATCHES)
		return false;
	log_step(" %s%s(%zu)", reap ? "release" : "close", wrong ? "-another" : "", at);
	latch = latch_of(&flows[at]);
	latch.owner_since += wrong && reap;
	latch.id += wrong && !reap ? 1000 : 0;
	got = reap ? latch_reap(&maps, &flows[at], &latch)
		   : latch_close(&maps, &flows[at], latch.id);
	must_result(got, wrong ? LATCH_CONTROL_NOT_FOUND : LATCH_CONTROL_DONE);
	world.latches[at].exists = wrong;
	return true;
}

static const struct {
	bool (*take)(void);
	unsigned int weight;
} steps[] = {
	{step_child_created, 16},
	{step_rekey, 5},
	{step_child_reported_again, 3},
	{step_child_deleted, 6},
	{step_sas_deleted, 9},
	{step_sas_deleted_silently, 3},
	{step_reconcile, 3},
	{step_key_manager_connects, 2},
	{step_snapshot, 4},
	{step_key_manager_lost, 2},
	{step_key_manager_loses_child, 3},
	{step_latchd_restarts, 2},
	{step_database_corrupt, 1},
	{step_connect, 18},
	{step_listen_or_acquire, 3},
	{step_larval_established, 6},
	{step_break, 5},
	{step_heal, 7},
	{step_close, 5},
};
#define STEP_KINDS (sizeof(steps) / sizeof(steps[0]))

#endif
