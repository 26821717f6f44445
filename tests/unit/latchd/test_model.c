/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * S37 without packets: attribution, conflicts and the control program in a random world, compared
 * with the reference model of world.h.
 *
 *	random step --+--> kernel: installs and deletes SAs, creates latches --> maps --+
 *	              +--> key managers: connect, report, are lost, lose children       |
 *	              |        --> attribution (user/latchd/sa) --> latch_control ------+
 *	              |                                                                 = ?
 *	              +--> reference model (world.h) -----------------------------------+
 *
 * After every step the maps and the model must agree, and the invariants hold.
 *
 * A run is short and starts in an empty world. Run N has the seed N. A failure prints the seed of
 * the run and all its steps.
 *
 *	LATCHD_MODEL_SEED=N    the seed of the first run (1)
 *	LATCHD_MODEL_STEPS=N   the approximate number of steps in all runs (6000)
 */
#include "model_steps.h"

#define STEPS_A_RUN   60
#define STEPS_DEFAULT 6000

TestSuite(model, .init = fixture_start, .fini = fixture_finish, .timeout = 3600);

/* ---- invariants */

/*
 * An earlier latchd has bound the SA, and its key manager has not reported it to this latchd yet.
 * This latchd then finds no conflict of the SA with another key manager's. The gate still drops
 * the packets of the SA.
 */
static bool is_inherited(const struct world_child *c)
{
	return !c->attributed && !world.synced[c->params.key_manager];
}

/* I1, R-2.3-7: from the map of the SAs, whatever latchd has in memory. */
static void check_no_conflict(size_t at, const struct latch *latch)
{
	size_t i;
	int end;

	for (i = 0; i < WORLD_CHILDREN; i++) {
		const struct world_child *c = &world.children[i];

		for (end = 0; end < 2 && c->defined && !is_inherited(c); end++) {
			struct latch_sa_key key = key_of(i, end);

			if (!(end ? c->in : c->out) || state_of(&key) != LATCH_SA_BOUND)
				continue;
			must(!world_conflicts(c, &world.latches[at]),
			     "I1: latch %zu is established, and conflicting SA 0x%08x is bound", at,
			     key.spi);
			must(!world_covers(&c->selector, &world.latches[at]) ||
				     sa_at(&key).word.params == latch->word.params,
			     "latch %zu and SA 0x%08x are congruent and differ in params", at,
			     key.spi);
		}
	}
}

/* latchd got no event of a deleted SA: it may have noticed the deletion, or not yet. */
static void allow_late_heal(struct world_latch *l, uint8_t got)
{
	if (world.hints_lost && !world_has_conflict(&world, l) && l->kind == WORLD_LATCHED)
		l->conflict = got & LATCH_REASON_SA_CONFLICT;
}

static void check_latch(size_t at)
{
	struct world_latch *l = &world.latches[at];
	struct latch latch = {0};

	if (!l->exists) {
		must(latch_get(&maps, &flows[at], &latch) == -ENOENT, "latch %zu still exists", at);
		return;
	}
	must(!latch_get(&maps, &flows[at], &latch), "latch %zu is gone", at);
	allow_late_heal(l, latch.word.reasons);
	must(latch.word.reasons == world_reasons(l), "latch %zu has reasons %#x, the model %#x", at,
	     latch.word.reasons, world_reasons(l));
	must(latch.word.state == world_state(l), "latch %zu is in state %d, the model's in %d", at,
	     latch.word.state, world_state(l));
	if (latch.word.state == LATCH_STATE_ESTABLISHED)
		check_no_conflict(at, &latch);
}

/*
 * 1 if a conflict has broken the latch, -1 if the end of a conflict has healed it (L-2.2-4).
 * Attribution reports no other reason.
 */
static int reported_change(const struct latch *old, const struct latch *now)
{
	bool broke = old->word.state != LATCH_STATE_BROKEN &&
		     now->word.state == LATCH_STATE_BROKEN &&
		     now->word.reasons & LATCH_REASON_SA_CONFLICT;
	bool healed = old->word.reasons & LATCH_REASON_SA_CONFLICT &&
		      now->word.state == LATCH_STATE_ESTABLISHED;

	return broke - healed;
}

/* Every transition takes a new generation. The params of a latch never change (R-2-14). */
static void check_transition(size_t at, int *ret_breaks)
{
	struct latch now = {0};

	if (latch_get(&maps, &flows[at], &now) || now.id != before[at].id) {
		*ret_breaks += reported_change(&(struct latch){0}, &now);
		before[at] = now;
		return;
	}
	must((now.word.raw == before[at].word.raw) ==
		     (now.word.generation == before[at].word.generation),
	     "latch %zu changed under the same generation", at);
	must(now.word.params == before[at].word.params ||
		     before[at].word.state == LATCH_STATE_LARVAL,
	     "latch %zu has changed its params", at);
	*ret_breaks += reported_change(&before[at], &now);
	before[at] = now;
}

static bool is_contested_now(size_t i)
{
	struct latch_sa_key key = key_of(i, world.children[i].in);

	return world_in_kernel(&world.children[i]) && sa_at(&key).word.flags & LATCH_SA_CONTESTED;
}

/* The gates wait for the owner of a pending SA, unless its key manager had no proof of its peer. */
static void check_unproven(size_t i, bool inbound)
{
	struct latch_sa_key key = key_of(i, inbound);
	union latch_sa_word word = sa_at(&key).word;

	must(!(word.flags & LATCH_SA_UNPROVEN) ||
		     (word.state == LATCH_SA_PENDING && world.children[i].refused),
	     "SA 0x%08x is marked as unproven", key.spi);
}

/* An unattributed SA is pending. The SAs of a reported child are bound. */
static void check_child(size_t i)
{
	struct world_child *c = &world.children[i];
	struct latch_sa_key in = key_of(i, true), out = key_of(i, false);

	if (c->in)
		check_unproven(i, true);
	if (c->out)
		check_unproven(i, false);
	if (c->in && !c->ever_reported)
		must(state_of(&in) == LATCH_SA_PENDING, "SA 0x%08x has no child", in.spi);
	if (c->out && !c->ever_reported)
		must(state_of(&out) == LATCH_SA_PENDING, "SA 0x%08x has no child", out.spi);
	c->bound_once = c->out && sa_at(&out).word.params;
	if (!c->attributed || c->deleted || c->orphan || world.hints_lost ||
	    !world.synced[c->params.key_manager])
		return;
	must(!c->in || state_of(&in) == LATCH_SA_BOUND, "SA 0x%08x is not bound", in.spi);
	must(!c->out || state_of(&out) == LATCH_SA_BOUND, "SA 0x%08x is not bound", out.spi);
	must(is_contested_now(i) == (world_in_kernel(c) && world_is_contested(&world, c)),
	     "SA 0x%08x: its contested flag differs from the model", in.spi);
}

static void check_world(void)
{
	int breaks = 0;
	size_t i;

	for (i = 0; i < WORLD_CHILDREN; i++)
		if (world.children[i].defined)
			check_child(i);
	for (i = 0; i < WORLD_LATCHES; i++) {
		check_latch(i);
		check_transition(i, &breaks);
	}
	/* L-2.2-4: one alert for each latch that a conflict breaks. */
	must((int)seen.broken - (int)seen.healed == breaks,
	     "%u breaks and %u heals were reported, their balance is %d", seen.broken, seen.healed,
	     breaks);
}

/* latchd retries pending SAs on a timer: it may attribute one to a deleted child. */
static void accept_late_attributions(void)
{
	size_t i;

	for (i = 0; i < WORLD_CHILDREN; i++) {
		struct world_child *c = &world.children[i];
		bool waits = c->in && in_state(&feed_children[i]) == LATCH_SA_PENDING;

		if (c->reported && c->in && c->waited && !waits)
			c->attributed = true;
		c->waited = waits;
	}
}

/* ---- runs */

static void reset_world(void)
{
	size_t i;

	for (i = 0; i < WORLD_LATCHES; i++) {
		bpf_map_delete_elem(maps.latches, &flows[i]);
		before[i] = (struct latch){0};
	}
	for (i = 0; i < WORLD_CHILDREN; i++) {
		if (world.children[i].in)
			remove_sa(i, true, false);
		if (world.children[i].out)
			remove_sa(i, false, false);
	}
	memset(&world, 0, sizeof(world));
	restart_latchd();
	connect_key_manager(0);
	report_snapshot(0);
	step_log_length = 0;
	step_log[0] = '\0';
}

/* R-2.3-11: when a conflict breaks a latch, the conflicting SA is not bound yet. */
static void on_break(void)
{
	size_t at, i;

	for (at = 0; at < WORLD_LATCHES && memcmp(&flows[at], &seen.flow, sizeof(flows[at]));)
		at++;
	must(at < WORLD_LATCHES, "an unknown latch broke");
	for (i = 0; i < WORLD_CHILDREN; i++)
		must(world.children[i].bound_before || !is_bound(i) ||
			     !world_conflicts(&world.children[i], &world.latches[at]),
		     "latch %zu broke after SA 0x%08x was bound", at, feed_children[i].spi_in);
}

static void begin_step(void)
{
	size_t i;

	seen.broken = seen.healed = 0;
	seen.on_break = on_break;
	for (i = 0; i < WORLD_CHILDREN; i++)
		world.children[i].bound_before = is_bound(i);
}

static size_t choose_step(void)
{
	unsigned int sum = 0, left;
	size_t kind;

	for (kind = 0; kind < STEP_KINDS; kind++)
		sum += steps[kind].weight;
	left = draw(&chance, sum);
	for (kind = 0; left >= steps[kind].weight; kind++)
		left -= steps[kind].weight;
	return kind;
}

static void run(uint64_t number)
{
	unsigned int step;

	seed = number;
	chance.state = number;
	reset_world();
	for (step = 0; step < STEPS_A_RUN; step++) {
		size_t kind = choose_step();

		begin_step();
		if (!steps[kind].take())
			continue;
		counts[kind]++;
		settle();
		accept_late_attributions();
		world_settle(&world);
		check_world();
	}
}

Test(model, S37_latchd_matches_the_model_in_random_worlds)
{
	uint64_t start = env_number("LATCHD_MODEL_SEED", 1), i;
	uint64_t runs = env_number("LATCHD_MODEL_STEPS", STEPS_DEFAULT) / STEPS_A_RUN + 1;
	size_t kind;

	for (i = 0; i < runs; i++)
		run(start + i);
	for (kind = 0; kind < STEP_KINDS && runs > 20; kind++)
		cr_expect_gt(counts[kind], 0, "step %zu was never taken", kind);
}

/* The model alone, on examples worked out by hand. */
Test(model_alone, the_model_breaks_and_heals_a_latch_by_conflicting_sas)
{
	struct world w = {.present = {true}, .synced = {true}};
	struct world_child *c = &w.children[0], *d = &w.children[1];
	struct world_latch *l = &w.latches[0];

	*l = (struct world_latch){.exists = true, .kind = WORLD_LATCHED, .port = 1000, .remote = 2};
	*c = (struct world_child){
		.defined = true, .selector = {1, 1, 2, 2, 0, 65535, 0}, .in = true};
	*d = *c;
	d->params.peer = 1;
	world_report_child(&w, c);
	world_settle(&w);
	cr_expect_eq(world_state(l), LATCH_STATE_ESTABLISHED);
	cr_expect_not(world_is_contested(&w, c));
	world_report_child(&w, d);
	world_settle(&w);
	cr_expect_eq(world_state(l), LATCH_STATE_BROKEN);
	cr_expect(world_is_contested(&w, c));
	world_lost(&w, 0);
	d->in = false;
	world_sa_gone(d);
	world_settle(&w);
	cr_expect_eq(world_state(l), LATCH_STATE_BROKEN, "the key manager is not synced");
	world_snapshot(&w, 0);
	world_settle(&w);
	cr_expect_eq(world_state(l), LATCH_STATE_ESTABLISHED);
	d->in = d->reported = d->attributed = true;
	d->selector.port_first = 1001;
	world_settle(&w);
	cr_expect_eq(world_state(l), LATCH_STATE_ESTABLISHED, "the SA does not cover the flow");
}
