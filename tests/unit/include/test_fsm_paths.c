/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The state machine against a model of another shape. The model has no states
 * and takes no steps: it reads the whole history of a latch backwards and answers
 * from what RFC 5660 says of it. A latch has ended if its owner or the
 * administrator ended it; it listens if it began so; it has no params before it was
 * created; a reason holds if it was given later than it was last taken back.
 *
 * Every history of up to LATCHD_MODEL_DEPTH steps is tried, and long random ones.
 * LATCHD_MODEL_SEED and LATCHD_MODEL_STEPS choose which and how many.
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
	{LATCH_TRIGGER_BREAK, 0x20},
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

/* ---- the model: questions to a history */

static bool is_sound(const struct event *e)
{
	return !(e->reasons & ~LATCH_REASONS_ALL);
}

static bool begins(const struct event *e)
{
	return is_sound(e) &&
	       (e->trigger == LATCH_TRIGGER_LISTEN || e->trigger == LATCH_TRIGGER_ACQUIRE ||
		e->trigger == LATCH_TRIGGER_CREATE);
}

static bool ends(const struct event *e)
{
	return is_sound(e) &&
	       (e->trigger == LATCH_TRIGGER_RELEASE || e->trigger == LATCH_TRIGGER_CLOSE);
}

/* The first event from a position on that is so, or count. */
static size_t first(const struct history *h, size_t from, bool (*is)(const struct event *))
{
	while (from < h->count && !is(&h->events[from]))
		from++;
	return from;
}

static bool creates(const struct event *e)
{
	return is_sound(e) && e->trigger == LATCH_TRIGGER_CREATE;
}

/* Where each part of a latch's life begins; count = not yet. */
struct life {
	size_t born, created, ended;
	bool listener;
};

static struct life life_of(const struct history *h)
{
	struct life life = {.born = first(h, 0, begins)};

	life.listener =
		life.born < h->count && h->events[life.born].trigger == LATCH_TRIGGER_LISTEN;
	life.created = life.listener ? h->count : first(h, life.born, creates);
	life.ended = first(h, life.born, ends);
	if (life.created > life.ended)
		life.created = h->count;
	return life;
}

static bool gives(const struct event *e, size_t at, size_t created, uint8_t reason)
{
	return is_sound(e) && e->reasons & reason &&
	       (e->trigger == LATCH_TRIGGER_BREAK || at == created);
}

/* RFC 5660 section 2: a dead or rebooted peer breaks its latches irremediably. */
static bool takes(const struct event *e, uint8_t reason)
{
	return is_sound(e) && e->trigger == LATCH_TRIGGER_HEAL && e->reasons & reason &&
	       reason != LATCH_REASON_PEER_DEAD && reason != LATCH_REASON_PEER_REBOOTED;
}

static bool holds(const struct history *h, const struct life *life, uint8_t reason)
{
	size_t at = life->ended;

	while (at-- > life->created) {
		if (takes(&h->events[at], reason))
			return false;
		if (gives(&h->events[at], at, life->created, reason))
			return true;
	}
	return false;
}

static struct latch_position expected(const struct history *h, const struct life *life)
{
	struct latch_position p = {.state = LATCH_STATE_NONE};
	uint8_t reason;

	for (reason = 1; reason <= LATCH_REASONS_ALL && life->created < h->count; reason <<= 1)
		p.reasons |= holds(h, life, reason) ? reason : 0;
	if (life->ended < h->count)
		p.state = LATCH_STATE_CLOSED;
	else if (life->listener)
		p.state = LATCH_STATE_LISTENER;
	else if (life->created < h->count)
		p.state = p.reasons ? LATCH_STATE_BROKEN : LATCH_STATE_ESTABLISHED;
	else if (life->born < h->count)
		p.state = LATCH_STATE_LARVAL;
	return p;
}

/* May the last event happen to the latch that it has met? */
static bool last_is_allowed(const struct history *h, const struct life *life)
{
	const size_t last = h->count - 1;
	const struct event *e = &h->events[last];

	if (!is_sound(e) || life->born > last)
		return false;
	if (ends(e) || life->ended < last)
		return ends(e) && life->born < last;
	if (begins(e))
		return life->born == last || life->created == last;
	return life->created < last && (e->trigger == LATCH_TRIGGER_HEAL || e->reasons);
}

/* ---- the machine beside it */

static void tell(const struct history *h)
{
	size_t i;

	fprintf(stderr, "the shortest history that fails (trigger/reasons):");
	for (i = 0; i < h->count; i++)
		fprintf(stderr, " %d/%#x", h->events[i].trigger, h->events[i].reasons);
	fprintf(stderr, "\n");
}

static bool step_agrees(const struct history *h, struct latch_position was,
			struct latch_position *ret_is)
{
	const struct event *e = &h->events[h->count - 1];
	struct life life = life_of(h);
	struct latch_position want = expected(h, &life);
	enum latch_outcome outcome = latch_fsm_step(was, e->trigger, e->reasons, ret_is);
	bool same = was.state == ret_is->state && was.reasons == ret_is->reasons;
	enum latch_outcome wanted = LATCH_OUTCOME_REFUSED;

	if (last_is_allowed(h, &life))
		wanted = same ? LATCH_OUTCOME_KEPT : LATCH_OUTCOME_MOVED;
	return ret_is->state == want.state && ret_is->reasons == want.reasons && outcome == wanted;
}

static void check_step(const struct history *h, struct latch_position was,
		       struct latch_position *ret_is)
{
	if (step_agrees(h, was, ret_is))
		return;
	tell(h);
	cr_assert_fail("the state machine and the model part: it is in state %d, reasons %#x",
		       ret_is->state, ret_is->reasons);
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

/* Depth by depth, so that what fails first is short. */
Test(fsm_paths, L_2_2_1_every_short_history)
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
		/* Else hardly one lives long enough to be broken and healed often. */
		if (ends(e) && draw(&random, 16))
			e->trigger = LATCH_TRIGGER_HEAL;
		e->reasons = (uint8_t)draw(&random, LATCH_REASONS_ALL + 2);
		check_step(&h, now, &now);
	}
}

Test(fsm_paths, R_2_19_long_random_histories)
{
	uint64_t seed = env_number("LATCHD_MODEL_SEED", 5660);
	unsigned long round, rounds = env_number("LATCHD_MODEL_STEPS", 0) / HISTORY_LONG + 20000;

	for (round = 0; round < rounds; round++)
		random_history(seed + round);
}

static struct latch_position read_history(const struct event *events, size_t count)
{
	struct history h = {.count = count};
	struct life life;

	memcpy(h.events, events, count * sizeof(*events));
	life = life_of(&h);
	return expected(&h, &life);
}

/* The model by itself, on a life worked out by hand. */
Test(fsm_paths, the_model_reads_a_life)
{
	const struct event life[] = {
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

	for (i = 0; i < sizeof(life) / sizeof(life[0]); i++) {
		struct latch_position got = read_history(life, i + 1);

		cr_expect(got.state == want[i].state && got.reasons == want[i].reasons,
			  "after %zu events: state %d, reasons %#x", i + 1, got.state, got.reasons);
	}
}
