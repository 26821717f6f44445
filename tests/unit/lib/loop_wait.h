/* SPDX-License-Identifier: BSD-2-Clause */
/* Waits for a condition while the loop runs. The fixture defines loop, TICK_MS and LIMIT_MS. */
#ifndef LATCHD_TESTS_LOOP_WAIT_H
#define LATCHD_TESTS_LOOP_WAIT_H

static struct {
	struct loop_timer tick;
	bool (*done)(void);
	uint64_t limit;
} awaited;

static void on_tick(void *context)
{
	(void)context;
	if (awaited.done() || loop_now_ms() >= awaited.limit)
		loop_stop(loop);
	else
		loop_timer_arm(&awaited.tick, TICK_MS);
}

static inline void wait_until(bool (*done)(void))
{
	awaited.done = done;
	awaited.limit = loop_now_ms() + LIMIT_MS;
	loop_timer_init(loop, &awaited.tick, on_tick, NULL);
	loop_timer_arm(&awaited.tick, 0);
	cr_assert_eq(loop_run(loop), 0);
	cr_assert(done(), "still waiting after %d ms", LIMIT_MS);
}

#endif
