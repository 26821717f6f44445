/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/sa/conflict/late_questions.h"

#include <string.h>

static bool has_addresses_of(const struct latch_flow *one, const struct latch_flow *other)
{
	return one->netns == other->netns && one->family == other->family &&
	       !memcmp(one->local_addr, other->local_addr, sizeof(one->local_addr)) &&
	       !memcmp(one->remote_addr, other->remote_addr, sizeof(one->remote_addr));
}

static bool has(const struct late_questions *questions, const struct late_question *question)
{
	size_t i;

	for (i = 0; i < questions->count; i++)
		if (!memcmp(&questions->kept[i].sa, &question->sa, sizeof(question->sa)) &&
		    has_addresses_of(&questions->kept[i].flow, &question->flow))
			return true;
	return false;
}

/* It keeps the order of the others. */
static void remove_at(struct late_questions *questions, size_t at)
{
	questions->of_peer[questions->kept[at].peer]--;
	questions->count--;
	memmove(&questions->kept[at], &questions->kept[at + 1],
		(questions->count - at) * sizeof(questions->kept[0]));
}

/* False: no peer has more of them than this one. */
static bool make_room(struct late_questions *questions, uint16_t peer)
{
	size_t i, last = 0;

	for (i = 1; i < questions->count; i++)
		if (questions->of_peer[questions->kept[i].peer] >=
		    questions->of_peer[questions->kept[last].peer])
			last = i;
	if (questions->of_peer[questions->kept[last].peer] <= questions->of_peer[peer])
		return false;
	remove_at(questions, last);
	return true;
}

void late_questions_add(struct late_questions *questions, const struct late_question *question)
{
	if (has(questions, question))
		return;
	if (questions->count == LATE_QUESTIONS_MAX && !make_room(questions, question->peer))
		return;
	questions->kept[questions->count++] = *question;
	questions->of_peer[question->peer]++;
}

bool late_questions_take(struct late_questions *questions, struct late_question *ret)
{
	if (!questions->count)
		return false;
	*ret = questions->kept[0];
	remove_at(questions, 0);
	return true;
}
