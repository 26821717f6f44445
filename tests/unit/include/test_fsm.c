/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The state machine against a table that is written from RFC 5660 section 2.2, not from the header.
 * The test takes every state, every trigger, and every set of reasons before and after.
 *
 *            listen    acquire  create   break   heal        release  close
 * NONE       LISTENER  LARVAL   live     -       -           -        -
 * LISTENER   -         -        -        -       -           CLOSED   CLOSED
 * LARVAL     -         -        live     -       -           CLOSED   CLOSED
 * live       -         -        -        BROKEN  live        CLOSED   CLOSED
 * CLOSED     -         -        -        -       -           CLOSED   CLOSED
 *
 * live = ESTABLISHED while no reason is left, else BROKEN.
 */
#include <criterion/criterion.h>

#include "latch_fsm.h"

#define TRIGGERS (LATCH_TRIGGER_CLOSE + 1)
#define STATES	 (LATCH_STATE_CLOSED + 1)

static const char *const expected[STATES] = {
	[LATCH_STATE_NONE] = "Lal----",	  [LATCH_STATE_LISTENER] = "-----CC",
	[LATCH_STATE_LARVAL] = "--l--CC", [LATCH_STATE_ESTABLISHED] = "---BlCC",
	[LATCH_STATE_BROKEN] = "---BlCC", [LATCH_STATE_CLOSED] = "-----CC",
};

static int allowed(enum latch_state state, enum latch_trigger trigger)
{
	return expected[state][trigger] != '-';
}

static int consistent(struct latch_position p)
{
	if (p.state == LATCH_STATE_ESTABLISHED)
		return p.reasons == 0;
	if (p.state == LATCH_STATE_BROKEN)
		return p.reasons != 0;
	return p.state == LATCH_STATE_CLOSED || p.reasons == 0;
}

static unsigned int reasons_after(struct latch_position now, enum latch_trigger trigger,
				  unsigned int reasons)
{
	if (trigger == LATCH_TRIGGER_CREATE)
		return reasons;
	if (trigger == LATCH_TRIGGER_BREAK)
		return now.reasons | reasons;
	if (trigger == LATCH_TRIGGER_HEAL)
		return now.reasons & ~(reasons & 0x13u); /* conflict, policy, administrator */
	return now.state == LATCH_STATE_CLOSED || trigger >= LATCH_TRIGGER_RELEASE ? now.reasons
										   : 0;
}

static enum latch_state state_after(char letter, unsigned int reasons)
{
	switch (letter) {
	case 'L':
		return LATCH_STATE_LISTENER;
	case 'a':
		return LATCH_STATE_LARVAL;
	case 'C':
		return LATCH_STATE_CLOSED;
	case 'B':
		return LATCH_STATE_BROKEN;
	}
	return reasons ? LATCH_STATE_BROKEN : LATCH_STATE_ESTABLISHED;
}

static void check_step(struct latch_position now, enum latch_trigger trigger, unsigned int reasons)
{
	struct latch_position next;
	enum latch_outcome outcome = latch_fsm_step(now, trigger, (__u8)reasons, &next);
	unsigned int after = reasons_after(now, trigger, reasons);
	int same = next.state == now.state && next.reasons == now.reasons;

	if (!allowed(now.state, trigger) || (trigger == LATCH_TRIGGER_BREAK && !reasons)) {
		cr_assert(outcome == LATCH_OUTCOME_REFUSED && same,
			  "state %d trigger %d reasons %#x must be refused", now.state, trigger,
			  reasons);
		return;
	}
	cr_assert(next.state == state_after(expected[now.state][trigger], after),
		  "state %d trigger %d reasons %#x led to %d", now.state, trigger, reasons,
		  next.state);
	cr_assert(next.reasons == after, "state %d trigger %d: reasons %#x, expected %#x",
		  now.state, trigger, next.reasons, after);
	cr_assert(consistent(next), "state %d trigger %d: inconsistent", now.state, trigger);
	cr_assert((outcome == LATCH_OUTCOME_KEPT) == same);
}

Test(fsm, L_2_2_1_every_step_matches_the_table_of_section_2_2)
{
	struct latch_position now = {0};

	for (unsigned int state = 0; state < STATES; state++)
		for (unsigned int before = 0; before <= LATCH_REASONS_ALL; before++) {
			now.state = (enum latch_state)state;
			now.reasons = (__u8)before;
			if (!consistent(now))
				continue;
			for (unsigned int trigger = 0; trigger < TRIGGERS; trigger++)
				for (unsigned int r = 0; r <= LATCH_REASONS_ALL; r++)
					check_step(now, (enum latch_trigger)trigger, r);
		}
}

Test(fsm, a_break_with_an_unknown_reason_is_refused)
{
	struct latch_position now = {.state = LATCH_STATE_ESTABLISHED}, next;

	cr_assert(latch_fsm_step(now, LATCH_TRIGGER_BREAK, 0x40, &next) == LATCH_OUTCOME_REFUSED);
	cr_assert(next.state == LATCH_STATE_ESTABLISHED && next.reasons == 0);
}

/* R-2-19. The test takes all states that can follow, by every trigger with all reasons. */
Test(fsm, a_latch_broken_by_a_dead_or_rebooted_peer_never_becomes_established)
{
	struct latch_position reached[STATES * 32] = {
		{.state = LATCH_STATE_BROKEN, .reasons = LATCH_REASON_PEER_DEAD},
		{.state = LATCH_STATE_BROKEN, .reasons = LATCH_REASON_PEER_REBOOTED},
	};
	size_t count = 2;

	for (size_t i = 0; i < count; i++)
		for (unsigned int t = 0; t < TRIGGERS; t++)
			for (unsigned int r = 0; r <= LATCH_REASONS_ALL; r++) {
				struct latch_position next;
				size_t k = 0;

				latch_fsm_step(reached[i], (enum latch_trigger)t, (__u8)r, &next);
				cr_assert(next.state != LATCH_STATE_ESTABLISHED);
				while (k < count && (reached[k].state != next.state ||
						     reached[k].reasons != next.reasons))
					k++;
				if (k == count)
					reached[count++] = next;
			}
	cr_assert(count > 2, "no other state was reached");
}

/* Two reasons are cleared one by one. */
Test(fsm, L_2_2_5_a_latch_heals_only_when_its_last_reason_is_cleared)
{
	struct latch_position p = {.state = LATCH_STATE_ESTABLISHED};

	latch_fsm_step(p, LATCH_TRIGGER_BREAK, LATCH_REASON_SA_CONFLICT, &p);
	latch_fsm_step(p, LATCH_TRIGGER_BREAK, LATCH_REASON_SPD_CHANGE, &p);
	latch_fsm_step(p, LATCH_TRIGGER_HEAL, LATCH_REASON_SA_CONFLICT, &p);
	cr_assert(p.state == LATCH_STATE_BROKEN && p.reasons == LATCH_REASON_SPD_CHANGE);
	latch_fsm_step(p, LATCH_TRIGGER_HEAL, LATCH_REASON_SPD_CHANGE, &p);
	cr_assert(p.state == LATCH_STATE_ESTABLISHED && p.reasons == 0);
}
