/* SPDX-License-Identifier: BSD-2-Clause */
/* Questions that wait for a read of the SPD: their shares. */
#include <criterion/criterion.h>
#include <string.h>

#include "latchd/sa/conflict/late_questions.h"

#define PEER	 3
#define IMPOSTOR 4

static struct late_questions questions;

static void begin(void)
{
	memset(&questions, 0, sizeof(questions));
}

TestSuite(late_questions, .init = begin);

static struct late_question question_of(uint32_t host, uint16_t peer)
{
	struct late_question question = {
		.sa.spi = peer, .flow = {.netns = 1, .family = 2, .protocol = 6}, .peer = peer};

	memcpy(question.flow.remote_addr, &host, sizeof(host));
	return question;
}

static void ask(uint32_t host, uint16_t peer)
{
	const struct late_question question = question_of(host, peer);

	late_questions_add(&questions, &question);
}

static unsigned int count_of(uint16_t peer)
{
	struct late_questions copy = questions;
	struct late_question question;
	unsigned int count = 0;

	while (late_questions_take(&copy, &question))
		count += question.peer == peer;
	return count;
}

Test(late_questions, they_are_taken_in_their_order)
{
	struct late_question question;

	ask(1, PEER);
	ask(2, IMPOSTOR);
	cr_assert(late_questions_take(&questions, &question));
	cr_expect_eq(question.peer, PEER);
	cr_assert(late_questions_take(&questions, &question));
	cr_expect_eq(question.peer, IMPOSTOR);
	cr_expect_not(late_questions_take(&questions, &question));
}

Test(late_questions, flows_between_two_addresses_have_one)
{
	struct late_question other = question_of(1, PEER);

	ask(1, PEER);
	other.flow.local_port = 4711;
	late_questions_add(&questions, &other);
	cr_expect_eq(count_of(PEER), 1);
	other.flow.local_addr[15] ^= 1;
	late_questions_add(&questions, &other);
	cr_expect_eq(count_of(PEER), 2);
}

Test(late_questions, R_2_15_a_peer_with_many_takes_no_place_from_another)
{
	uint32_t i;

	ask(1, PEER);
	for (i = 0; i < 2 * LATE_QUESTIONS_MAX; i++)
		ask(i, IMPOSTOR);
	cr_expect_eq(count_of(PEER), 1);
	cr_expect_eq(count_of(IMPOSTOR), LATE_QUESTIONS_MAX - 1);
	ask(2, PEER);
	cr_expect_eq(count_of(PEER), 2, "a full table takes from the peer with most");
	cr_expect_eq(count_of(IMPOSTOR), LATE_QUESTIONS_MAX - 2);
	for (i = 3; i < 2 * LATE_QUESTIONS_MAX; i++)
		ask(i, PEER);
	cr_expect_eq(count_of(PEER), LATE_QUESTIONS_MAX / 2);
}
