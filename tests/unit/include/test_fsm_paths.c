/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The state machine against a model of another shape. The model has no states and no steps: it
 * reads the history of a latch backwards and derives the state from RFC 5660.
 *
 *	history: acquire, create, break 2, heal 1, ...
 *	  |--> latch_fsm_step() for each event --------> state, reasons --+
 *	  +--> model: one pass over the whole history -> state, reasons --+-> equal?
 *
 * - A latch is CLOSED if its owner or the administrator has ended it.
 * - It is a LISTENER if its first event was listen.
 * - It has no params before its creation.
 * - A reason holds if a break set it later than the last heal cleared it.
 *
 * The test takes every history of up to LATCHD_MODEL_DEPTH events, and long random ones.
 * LATCHD_MODEL_SEED and LATCHD_MODEL_STEPS set their seed and number.
 */
#include <criterion/criterion.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "latch_fsm.h"
#include "seed.h"

#define DEPTH_MAX    8
#define HISTORY_LONG 64

struct event {
	enum latch_trigger trigger;
	uint8_t reasons;
};

static const struct event alphabet[] = {
	{LATCH_TRIGGER_LISTEN, 0},
	{LATCH_TRIGGER_ACQUIRE, 0},
	{LATCH_TRIGGER_CREATE, 0},
	{LATCH_TRIGGER_CREATE, LATCH_REASON_SA_CONFLICT},
	{LATCH_TRIGGER_CREATE, LATCH_REASON_PEER_DEAD | LATCH_REASON_ADMIN},
	{LATCH_TRIGGER_BREAK, 0},
	{LATCH_TRIGGER_BREAK, LATCH_REASON_SA_CONFLICT},
	{LATCH_TRIGGER_BREAK, LATCH_REASON_SPD_CHANGE},
	{LATCH_TRIGGER_BREAK, LATCH_REASON_PEER_REBOOTED},
	{LATCH_TRIGGER_BREAK, LATCH_REASON_SPD_CHANGE | LATCH_REASON_ADMIN},
	{LATCH_TRIGGER_BREAK, 0x40},
	{LATCH_TRIGGER_HEAL, 0},
	{LATCH_TRIGGER_HEAL, LATCH_REASON_SA_CONFLICT},
	{LATCH_TRIGGER_HEAL, LATCH_REASON_SPD_CHANGE},
	{LATCH_TRIGGER_HEAL, LATCH_REASON_PEER_REBOOTED | LATCH_REASON_SA_CONFLICT},
	{LATCH_TRIGGER_HEAL, LATCH_REASONS_ALL},
	{LATCH_TRIGGER_RELEASE, 0},
	{LATCH_TRIGGER_CLOSE, 0},
};
#define LETTERS (sizeof(alphabet) / sizeof(alphabet[0]))

struct history {
	struct event events[HISTORY_LONG];
	size_t count;
};

/* ---- the model: predicates over a history */

static bool has_known_reasons(const struct event *e)
{
	return !(e->reasons & ~LATCH_REASONS_ALL);
}

static bool starts(const struct event *e)
{
	return has_known_reasons(e) &&
	       (e->trigger == LATCH_TRIGGER_LISTEN || e->trigger == LATCH_TRIGGER_ACQUIRE ||
		e->trigger == LATCH_TRIGGER_CREATE);
}

static bool ends(const struct event *e)
{
	return has_known_reasons(e) &&
	       (e->trigger == LATCH_TRIGGER_RELEASE || e->trigger == LATCH_TRIGGER_CLOSE);
}

/* The first matching event at or behind a position, or count. */
static size_t first(const struct history *h, size_t from, bool (*matches)(const struct event *))
{
	while (from < h->count && !matches(&h->events[from]))
		from++;
	return from;
}

static bool creates(const struct event *e)
{
	return has_known_reasons(e) && e->trigger == LATCH_TRIGGER_CREATE;
}

/* The positions of a latch's first event, of its creation with params, and of its end; count =
 * none.
 */
struct phases {
	size_t started, created, ended;
	bool listener;
};

static struct phases phases_of(const struct history *h)
{
	struct phases phases = {.started = first(h, 0, starts)};

	phases.listener = phases.started < h->count &&
			  h->events[phases.started].trigger == LATCH_TRIGGER_LISTEN;
	phases.created = phases.listener ? h->count : first(h, phases.started, creates);
	phases.ended = first(h, phases.started, ends);
	if (phases.created > phases.ended)
		phases.created = h->count;
	return phases;
}

static bool sets(const struct event *e, size_t at, size_t created, uint8_t reason)
{
	return has_known_reasons(e) && e->reasons & reason &&
	       (e->trigger == LATCH_TRIGGER_BREAK || at == created);
}

/* RFC 5660 section 2: latches broken by a dead or rebooted peer do not heal. */
static bool clears(const struct event *e, uint8_t reason)
{
	return has_known_reasons(e) && e->trigger == LATCH_TRIGGER_HEAL && e->reasons & reason &&
	       reason != LATCH_REASON_PEER_DEAD && reason != LATCH_REASON_PEER_REBOOTED &&
	       reason != LATCH_REASON_REFUSED;
}

static bool holds(const struct history *h, const struct phases *phases, uint8_t reason)
{
	size_t at = phases->ended;

	while (at-- > phases->created) {
		if (clears(&h->events[at], reason))
			return false;
		if (sets(&h->events[at], at, phases->created, reason))
			return true;
	}
	return false;
}

static struct latch_position expected(const struct history *h, const struct phases *phases)
{
	struct latch_position p = {.state = LATCH_STATE_NONE};
	uint8_t reason;

	for (reason = 1; reason <= LATCH_REASONS_ALL && phases->created < h->count; reason <<= 1)
		p.reasons |= holds(h, phases, reason) ? reason : 0;
	if (phases->ended < h->count)
		p.state = LATCH_STATE_CLOSED;
	else if (phases->listener)
		p.state = LATCH_STATE_LISTENER;
	else if (phases->created < h->count)
		p.state = p.reasons ? LATCH_STATE_BROKEN : LATCH_STATE_ESTABLISHED;
	else if (phases->started < h->count)
		p.state = LATCH_STATE_LARVAL;
	return p;
}

/* True if the state machine must accept the last event of the history. */
static bool last_is_allowed(const struct history *h, const struct phases *phases)
{
	const size_t last = h->count - 1;
	const struct event *e = &h->events[last];

	if (!has_known_reasons(e) || phases->started > last)
		return false;
	if (ends(e) || phases->ended < last)
		return ends(e) && phases->started < last;
	if (starts(e))
		return phases->started == last || phases->created == last;
	return phases->created < last && (e->trigger == LATCH_TRIGGER_HEAL || e->reasons);
}

/* ---- the comparison with the state machine */

static void print_history(const struct history *h)
{
	size_t i;

	fprintf(stderr, "the shortest history that fails (trigger/reasons):");
	for (i = 0; i < h->count; i++)
		fprintf(stderr, " %d/%#x", h->events[i].trigger, h->events[i].reasons);
	fprintf(stderr, "\n");
}

static bool step_agrees(const struct history *h, struct latch_position before,
			struct latch_position *ret_after)
{
	const struct event *e = &h->events[h->count - 1];
	struct phases phases = phases_of(h);
	struct latch_position want = expected(h, &phases);
	enum latch_outcome outcome = latch_fsm_step(before, e->trigger, e->reasons, ret_after);
	bool same = before.state == ret_after->state && before.reasons == ret_after->reasons;
	enum latch_outcome wanted = LATCH_OUTCOME_REFUSED;

	if (last_is_allowed(h, &phases))
		wanted = same ? LATCH_OUTCOME_KEPT : LATCH_OUTCOME_MOVED;
	return ret_after->state == want.state && ret_after->reasons == want.reasons &&
	       outcome == wanted;
}

static void check_step(const struct history *h, struct latch_position before,
		       struct latch_position *ret_after)
{
	if (step_agrees(h, before, ret_after))
		return;
	print_history(h);
	cr_assert_fail("the model differs from the state machine in state %d, reasons %#x",
		       ret_after->state, ret_after->reasons);
}

static unsigned long histories;

static void try_all(struct history *h, struct latch_position now, size_t depth)
{
	struct latch_position next;
	size_t letter;

	if (h->count == depth)
		return;
	h->count++;
	for (letter = 0; letter < LETTERS; letter++) {
		h->events[h->count - 1] = alphabet[letter];
		histories++;
		check_step(h, now, &next);
		try_all(h, next, depth);
	}
	h->count--;
}

/* The depth grows by one, so the first history that fails is a shortest one. */
Test(fsm_paths, L_2_2_1_the_state_machine_matches_the_model_on_every_short_history)
{
	size_t limit = env_number("LATCHD_MODEL_DEPTH", 5), depth;
	struct history h = {.count = 0};

	if (limit > DEPTH_MAX)
		limit = DEPTH_MAX;
	for (depth = 1; depth <= limit; depth++)
		try_all(&h, (struct latch_position){.state = LATCH_STATE_NONE}, depth);
	cr_assert_gt(histories, LETTERS);
}

static void random_history(uint64_t seed)
{
	struct latch_position now = {.state = LATCH_STATE_NONE};
	struct random random = {seed};
	struct history h = {.count = 0};
	struct event *e;

	while (h.count < HISTORY_LONG) {
		e = &h.events[h.count++];
		e->trigger = (enum latch_trigger)draw(&random, LATCH_TRIGGER_CLOSE + 1);
		/* Else most histories would end before several breaks and heals. */
		if (ends(e) && draw(&random, 16))
			e->trigger = LATCH_TRIGGER_HEAL;
		e->reasons = (uint8_t)draw(&random, LATCH_REASONS_ALL + 2);
		check_step(&h, now, &now);
	}
}

Test(fsm_paths, R_2_19_the_state_machine_matches_the_model_on_long_random_histories)
{
	uint64_t seed = env_number("LATCHD_MODEL_SEED", 5660);
	unsigned long round, rounds = env_number("LATCHD_MODEL_STEPS", 0) / HISTORY_LONG + 20000;

	for (round = 0; round < rounds; round++)
		random_history(seed + round);
}

static struct latch_position read_history(const struct event *events, size_t count)
{
	struct history h = {.count = count};
	struct phases phases;

	memcpy(h.events, events, count * sizeof(*events));
	phases = phases_of(&h);
	return expected(&h, &phases);
}

/* The model alone, on a history worked out by hand. */
Test(fsm_paths, the_model_derives_state_and_reasons_of_a_known_history)
{
	const struct event events[] = {
		{LATCH_TRIGGER_HEAL, 1},    {LATCH_TRIGGER_ACQUIRE, 0}, {LATCH_TRIGGER_BREAK, 1},
		{LATCH_TRIGGER_CREATE, 1},  {LATCH_TRIGGER_BREAK, 2},	{LATCH_TRIGGER_HEAL, 1},
		{LATCH_TRIGGER_BREAK, 4},   {LATCH_TRIGGER_HEAL, 7},	{LATCH_TRIGGER_RELEASE, 0},
		{LATCH_TRIGGER_CREATE, 16},
	};
	const struct latch_position want[] = {
		{LATCH_STATE_NONE, 0},	 {LATCH_STATE_LARVAL, 0}, {LATCH_STATE_LARVAL, 0},
		{LATCH_STATE_BROKEN, 1}, {LATCH_STATE_BROKEN, 3}, {LATCH_STATE_BROKEN, 2},
		{LATCH_STATE_BROKEN, 6}, {LATCH_STATE_BROKEN, 4}, {LATCH_STATE_CLOSED, 4},
		{LATCH_STATE_CLOSED, 4},
	};
	size_t i;

	for (i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
		struct latch_position got = read_history(events, i + 1);

		cr_expect(got.state == want[i].state && got.reasons == want[i].reasons,
			  "after %zu events: state %d, reasons %#x", i + 1, got.state, got.reasons);
	}
}
