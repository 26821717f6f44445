/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A single-threaded epoll loop with file descriptors, one-shot timers and signals. SIGTERM and
 * SIGINT end the loop, and SIGHUP calls its handler.
 */
#ifndef LATCHD_COMMON_LOOP_H
#define LATCHD_COMMON_LOOP_H

#include <stdbool.h>
#include <stdint.h>

struct loop;

typedef void (*loop_fd_fn)(void *context, uint32_t epoll_events);
typedef void (*loop_timer_fn)(void *context);

struct loop *loop_new(void);
void loop_free(struct loop *loop);

/* Runs until loop_stop(). 0, or a negative errno of epoll. */
int loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

/*
 * The loop does not own fd: remove it before it is closed. A handler may remove its own and other
 * descriptors.
 */
int loop_fd_add(struct loop *loop, int fd, uint32_t epoll_events, loop_fd_fn handler,
		void *context);
int loop_fd_modify(struct loop *loop, int fd, uint32_t epoll_events);
void loop_fd_remove(struct loop *loop, int fd);

/* Part of its owner, and zeroed before first use. Arming it again replaces the deadline. */
struct loop_timer {
	struct loop *loop;
	loop_timer_fn handler;
	void *context;
	uint64_t deadline_ms; /* CLOCK_MONOTONIC; 0 = not armed */
	struct loop_timer *next;
};

void loop_timer_init(struct loop *loop, struct loop_timer *timer, loop_timer_fn handler,
		     void *context);
void loop_timer_arm(struct loop_timer *timer, unsigned int after_ms);
void loop_timer_cancel(struct loop_timer *timer);
bool loop_timer_armed(const struct loop_timer *timer);

/* SIGTERM and SIGINT stop the loop; SIGPIPE is ignored, and SIGHUP unless it has a handler. */
int loop_stop_on_signals(struct loop *loop);
/* Sets the handler of SIGHUP. The loop calls it outside of the signal's context. */
void loop_on_hangup(struct loop *loop, loop_timer_fn handler, void *context);

uint64_t loop_now_ms(void);

#endif
