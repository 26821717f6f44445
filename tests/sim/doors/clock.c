/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Virtual time. latchd's loop never waits: when no descriptor is ready, the world acts until the
 * loop's next timer is due.
 */
#include <signal.h>
#include <sys/epoll.h>
#include <time.h>

#include "common/loop.h"
#include "doors/doors.h"
#include "sim.h"
#include "world.h"

int __real_epoll_wait(int fd, struct epoll_event *events, int max, int timeout);
int __wrap_epoll_wait(int fd, struct epoll_event *events, int max, int timeout);
int __wrap_clock_gettime(clockid_t clock, struct timespec *out);
int __wrap_loop_stop_on_signals(struct loop *loop);

static struct loop *running;

int __wrap_loop_stop_on_signals(struct loop *loop)
{
	running = loop;
	return 0;
}

void clock_stop_latchd(void)
{
	if (running)
		loop_stop(running);
}

void clock_release(void)
{
	running = NULL;
}

/* Returns without events, too, when a timer is due or latchd is to stop. */
int __wrap_epoll_wait(int fd, struct epoll_event *events, int max, int timeout)
{
	uint64_t due = timeout < 0 ? UINT64_MAX : sim.now_ms + (uint64_t)timeout;
	int count;

	for (;;) {
		world_check();
		count = __real_epoll_wait(fd, events, max, 0);
		if (count || sim.now_ms >= due || world_is_over())
			return count;
		world_pass_time(due);
	}
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *out)
{
	(void)clock;
	*out = (struct timespec){
		.tv_sec = (time_t)(sim.now_ms / 1000),
		.tv_nsec = (long)(sim.now_ms % 1000 * 1000000),
	};
	return 0;
}
