/* SPDX-License-Identifier: BSD-2-Clause */
/* One loop with timers and with pipes. A timer or a pipe stops each run. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "common/loop.h"

static struct loop *loop;

static void start(void)
{
	loop = loop_new();
	cr_assert_not_null(loop);
}

static void stop(void)
{
	loop_free(loop);
}

TestSuite(loop, .init = start, .fini = stop, .timeout = 30);

static void stop_loop(void *context)
{
	loop_stop(context);
}

static int calls[64]; /* the numbers of the timers, in the order of their calls */
static int call_count;

static void note(void *context)
{
	calls[call_count++] = *(int *)context;
}

Test(loop, timers_run_in_the_order_of_their_deadlines)
{
	struct loop_timer timers[4] = {0}, last = {0};
	int numbers[4] = {0, 1, 2, 3};
	uint64_t began = loop_now_ms();
	int i;

	for (i = 0; i < 4; i++)
		loop_timer_init(loop, &timers[i], note, &numbers[i]);
	loop_timer_init(loop, &last, stop_loop, loop);
	loop_timer_arm(&last, 60);
	loop_timer_arm(&timers[0], 40);
	loop_timer_arm(&timers[1], 10);
	loop_timer_arm(&timers[2], 20);
	loop_timer_arm(&timers[3], 30);
	loop_timer_cancel(&timers[3]);
	loop_timer_arm(&timers[1], 50); /* replaces 10 */
	cr_expect(loop_timer_armed(&timers[0]) && !loop_timer_armed(&timers[3]));
	cr_assert_eq(loop_run(loop), 0);
	cr_assert_eq(call_count, 3);
	cr_expect(calls[0] == 2 && calls[1] == 0 && calls[2] == 1);
	cr_expect_geq(loop_now_ms() - began, 59);
	cr_expect_not(loop_timer_armed(&timers[0]));
}

static struct loop_timer again;
static int again_count;
static int pipe_fds[2];

static void arm_again(void *context)
{
	(void)context;
	again_count++;
	loop_timer_arm(&again, 0);
}

static void on_pipe_stop(void *context, uint32_t events)
{
	(void)events;
	loop_stop(context);
}

Test(loop, a_timer_without_delay_does_not_starve_descriptors)
{
	cr_assert_eq(pipe2(pipe_fds, O_CLOEXEC), 0);
	cr_assert_eq(write(pipe_fds[1], "x", 1), 1);
	loop_timer_init(loop, &again, arm_again, NULL);
	loop_timer_arm(&again, 0);
	cr_assert_eq(loop_fd_add(loop, pipe_fds[0], EPOLLIN, on_pipe_stop, loop), 0);
	cr_assert_eq(loop_run(loop), 0);
	cr_expect_leq(again_count, 2);
}

static void cancel_other(void *context)
{
	loop_timer_cancel(context);
}

Test(loop, a_timer_may_cancel_another_that_is_due_in_the_same_round)
{
	struct loop_timer first = {0}, second = {0}, last = {0};
	int number = 7;

	loop_timer_init(loop, &first, cancel_other, &second);
	loop_timer_init(loop, &second, note, &number);
	loop_timer_init(loop, &last, stop_loop, loop);
	loop_timer_arm(&first, 1);
	loop_timer_arm(&second, 1);
	loop_timer_arm(&last, 5);
	usleep(3000); /* both are due in the same round */
	cr_assert_eq(loop_run(loop), 0);
	cr_expect_eq(call_count, 0);
}

struct pair {
	int fds[2];
	struct pair *other;
	int calls;
};

/* The first handler removes both descriptors. The other event of the round must not arrive. */
static void remove_both(void *context, uint32_t events)
{
	struct pair *pair = context;

	(void)events;
	pair->calls++;
	loop_fd_remove(loop, pair->fds[0]);
	loop_fd_remove(loop, pair->other->fds[0]);
}

Test(loop, a_handler_may_remove_itself_and_others)
{
	struct pair a = {.calls = 0}, b = {.calls = 0};
	struct loop_timer last = {0};

	a.other = &b;
	b.other = &a;
	cr_assert_eq(pipe2(a.fds, O_CLOEXEC), 0);
	cr_assert_eq(pipe2(b.fds, O_CLOEXEC), 0);
	cr_assert(write(a.fds[1], "x", 1) == 1 && write(b.fds[1], "x", 1) == 1);
	cr_assert_eq(loop_fd_add(loop, a.fds[0], EPOLLIN, remove_both, &a), 0);
	cr_assert_eq(loop_fd_add(loop, b.fds[0], EPOLLIN, remove_both, &b), 0);
	loop_timer_init(loop, &last, stop_loop, loop);
	loop_timer_arm(&last, 30);
	cr_assert_eq(loop_run(loop), 0);
	cr_expect_eq(a.calls + b.calls, 1);
}

static void replace(void *context, uint32_t events)
{
	(void)events;
	loop_fd_remove(loop, pipe_fds[0]);
	cr_expect_eq(loop_fd_add(loop, pipe_fds[0], EPOLLIN, on_pipe_stop, context), 0);
}

Test(loop, a_descriptor_can_be_added_again_by_its_handler)
{
	cr_assert_eq(pipe2(pipe_fds, O_CLOEXEC), 0);
	cr_assert_eq(write(pipe_fds[1], "x", 1), 1);
	cr_assert_eq(loop_fd_add(loop, pipe_fds[0], EPOLLIN, replace, loop), 0);
	cr_expect_eq(loop_run(loop), 0);
}

static void expect_writable(void *context, uint32_t events)
{
	cr_expect(events & EPOLLOUT);
	loop_stop(context);
}

Test(loop, modify_changes_the_awaited_events)
{
	cr_assert_eq(pipe2(pipe_fds, O_CLOEXEC), 0);
	cr_assert_eq(loop_fd_add(loop, pipe_fds[1], 0, expect_writable, loop), 0);
	cr_assert_eq(loop_fd_modify(loop, pipe_fds[1], EPOLLOUT), 0);
	cr_expect_eq(loop_run(loop), 0);
}

static void never(void *context, uint32_t events)
{
	(void)context;
	(void)events;
	cr_assert_fail("called");
}

Test(loop, bad_and_duplicate_descriptors_are_refused)
{
	cr_assert_eq(pipe2(pipe_fds, O_CLOEXEC), 0);
	cr_expect_eq(loop_fd_add(loop, -1, EPOLLIN, never, NULL), -EBADF);
	cr_expect_eq(loop_fd_add(loop, 4000, EPOLLIN, never, NULL), -EBADF);
	cr_expect_eq(loop_fd_modify(loop, pipe_fds[0], EPOLLIN), -ENOENT);
	cr_expect_eq(loop_fd_add(loop, pipe_fds[0], EPOLLIN, never, NULL), 0);
	cr_expect_eq(loop_fd_add(loop, pipe_fds[0], EPOLLIN, never, NULL), -EEXIST);
	loop_fd_remove(loop, 4000);
	loop_fd_remove(loop, -1);
}

static void count_call(void *context)
{
	(*(unsigned int *)context)++;
}

static void raise_term(void *context)
{
	(void)context;
	kill(getpid(), SIGTERM);
}

Test(loop, sigterm_stops_the_loop_and_sigpipe_does_nothing)
{
	struct loop_timer timer = {0};

	cr_assert_eq(loop_stop_on_signals(loop), 0);
	cr_assert_eq(pipe2(pipe_fds, O_CLOEXEC), 0);
	close(pipe_fds[0]);
	cr_expect(write(pipe_fds[1], "x", 1) == -1 && errno == EPIPE);
	loop_timer_init(loop, &timer, raise_term, NULL);
	loop_timer_arm(&timer, 1);
	cr_expect_eq(loop_run(loop), 0);
}

static void raise_hangup(void *context)
{
	(void)context;
	kill(getpid(), SIGHUP);
}

Test(loop, sighup_calls_its_handler_and_does_not_stop_the_loop)
{
	struct loop_timer first = {0}, second = {0};
	unsigned int hangups = 0;

	cr_assert_eq(loop_stop_on_signals(loop), 0);
	loop_timer_init(loop, &first, raise_hangup, NULL);
	loop_timer_arm(&first, 1);
	loop_timer_init(loop, &second, stop_loop, loop);
	loop_timer_arm(&second, 200);
	cr_expect_eq(loop_run(loop), 0);
	loop_on_hangup(loop, count_call, &hangups);
	loop_timer_arm(&first, 1);
	loop_timer_arm(&second, 200);
	cr_expect_eq(loop_run(loop), 0);
	cr_expect_eq(hangups, 1);
}

Test(loop, a_loop_stopped_before_its_run_returns_at_once_and_can_run_again)
{
	struct loop_timer timer = {0};

	loop_stop(loop);
	cr_expect_eq(loop_run(loop), 0);
	loop_timer_init(loop, &timer, stop_loop, loop);
	loop_timer_arm(&timer, 1);
	cr_expect_eq(loop_run(loop), 0);
	cr_expect_not(loop_timer_armed(&timer));
}
