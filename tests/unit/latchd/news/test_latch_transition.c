/* SPDX-License-Identifier: BSD-2-Clause */
/* Break and heal by the real control program: the steps that are published. */
#include "latch_fixture.h"

#include "latchd/news/latch_transition.h"

#define RECORDS_MAX 16

static struct latch_flow flow;
static struct {
	const void *subscriber;
	enum news_kind kind;
	uint8_t reason;
	enum latch_state before, now;
} records[RECORDS_MAX];
static size_t count;

static struct latch latch_now(void)
{
	struct latch latch = {0};

	cr_assert_eq(latch_get(&maps, &flow, &latch), 0);
	return latch;
}

static void on_news(void *context, const struct news *news)
{
	cr_assert_lt(count, RECORDS_MAX);
	cr_expect_arr_eq(news->flow, &flow, sizeof(flow));
	records[count].subscriber = context;
	records[count].kind = news->kind;
	records[count].reason = news->cause.reason;
	records[count].before = news->latch->word.state;
	records[count].now = latch_now().word.state;
	count++;
}

static struct news_subscriber first = {.fn = on_news, .context = &first};
static struct news_subscriber second = {.fn = on_news, .context = &second};
static struct news_bus bus;

static void set_up(void)
{
	latches_start();
	bus = (struct news_bus){0};
	news_subscribe(&bus, &first);
	flow = lonely(1000);
	put_latch(&flow, LATCH_STATE_ESTABLISHED, LATCH_OWNER_SOCKET, 1);
}

TestSuite(latch_transition, .init = set_up, .fini = latches_finish, .timeout = 60);

static int step(enum latch_transition_kind kind, enum latch_reason reason)
{
	struct latch latch = latch_now();
	const struct latch_transition transition = {
		.kind = kind,
		.flow = &flow,
		.latch = &latch,
		.cause.reason = (uint8_t)reason,
	};
	union latch_word now = {0};
	int result = latch_transition(&maps, &bus, &transition, &now);

	cr_expect_eq(now.state, latch_now().word.state);
	cr_expect_eq(now.reasons, latch_now().word.reasons);
	return result;
}

static void expect_record(size_t i, enum news_kind kind, enum latch_reason reason,
			  enum latch_state before, enum latch_state now)
{
	cr_assert_gt(count, i);
	cr_expect_eq(records[i].kind, kind);
	cr_expect_eq(records[i].reason, reason);
	cr_expect_eq(records[i].before, before);
	cr_expect_eq(records[i].now, now, "published after the step");
}

Test(latch_transition, break_and_heal_are_published_after_the_step)
{
	cr_expect_eq(step(LATCH_TRANSITION_BREAK, LATCH_REASON_ADMIN), LATCH_CONTROL_DONE);
	cr_expect_eq(step(LATCH_TRANSITION_HEAL, LATCH_REASON_ADMIN), LATCH_CONTROL_DONE);
	cr_expect_eq(count, 2);
	expect_record(0, NEWS_LATCH_BROKEN, LATCH_REASON_ADMIN, LATCH_STATE_ESTABLISHED,
		      LATCH_STATE_BROKEN);
	expect_record(1, NEWS_LATCH_HEALED, LATCH_REASON_ADMIN, LATCH_STATE_BROKEN,
		      LATCH_STATE_ESTABLISHED);
}

Test(latch_transition, step_that_changes_nothing_is_no_news)
{
	cr_expect_eq(step(LATCH_TRANSITION_HEAL, LATCH_REASON_ADMIN), LATCH_CONTROL_UNCHANGED);
	cr_expect_eq(count, 0);
	step(LATCH_TRANSITION_BREAK, LATCH_REASON_ADMIN);
	cr_expect_eq(step(LATCH_TRANSITION_BREAK, LATCH_REASON_ADMIN), LATCH_CONTROL_UNCHANGED);
	cr_expect_eq(count, 1);
}

Test(latch_transition, reason_beside_another_is_no_news)
{
	step(LATCH_TRANSITION_BREAK, LATCH_REASON_SA_CONFLICT);
	cr_expect_eq(step(LATCH_TRANSITION_BREAK, LATCH_REASON_ADMIN), LATCH_CONTROL_DONE);
	cr_expect_eq(step(LATCH_TRANSITION_HEAL, LATCH_REASON_SA_CONFLICT), LATCH_CONTROL_DONE);
	cr_expect_eq(count, 1);
	cr_expect_eq(step(LATCH_TRANSITION_HEAL, LATCH_REASON_ADMIN), LATCH_CONTROL_DONE);
	cr_expect_eq(count, 2);
	expect_record(1, NEWS_LATCH_HEALED, LATCH_REASON_ADMIN, LATCH_STATE_BROKEN,
		      LATCH_STATE_ESTABLISHED);
}

/* The flow has a new latch: the id in the transition is the id of the old one. */
Test(latch_transition, latch_that_is_gone_is_no_news)
{
	struct latch latch = latch_now();
	const struct latch_transition transition = {
		.kind = LATCH_TRANSITION_BREAK,
		.flow = &flow,
		.latch = &latch,
		.cause.reason = LATCH_REASON_SA_CONFLICT,
	};

	cr_assert_eq(latch_close(&maps, &flow, latch.id), LATCH_CONTROL_DONE);
	put_latch(&flow, LATCH_STATE_ESTABLISHED, LATCH_OWNER_SOCKET, 1);
	cr_expect_eq(latch_transition(&maps, &bus, &transition, NULL), LATCH_CONTROL_NOT_FOUND);
	cr_expect_eq(latch_now().word.state, LATCH_STATE_ESTABLISHED);
	cr_expect_eq(count, 0);
}

Test(latch_transition, subscribers_are_called_in_the_order_of_their_subscription)
{
	news_subscribe(&bus, &second);
	step(LATCH_TRANSITION_BREAK, LATCH_REASON_PEER_DEAD);
	cr_expect_eq(count, 2);
	cr_expect_eq(records[0].subscriber, &first);
	cr_expect_eq(records[1].subscriber, &second);
}
