/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/loop.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#define LOOP_EVENTS_PER_ROUND 64

struct watch {
	int fd;
	loop_fd_fn handler; /* NULL once removed, since events of this round may still point here */
	void *context;
	struct watch *next_removed;
};

struct loop {
	int epoll_fd;
	int signal_fd;
	loop_timer_fn hangup; /* NULL: SIGHUP has no effect */
	void *hangup_context;
	bool stopping;
	struct watch **watches; /* by descriptor */
	size_t watch_slots;
	struct watch *removed;
	struct loop_timer *timers; /* earliest first */
};

uint64_t loop_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

struct loop *loop_new(void)
{
	struct loop *loop = calloc(1, sizeof(*loop));

	if (!loop)
		return NULL;
	loop->signal_fd = -1;
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll_fd < 0) {
		free(loop);
		return NULL;
	}
	return loop;
}

static void free_removed(struct loop *loop)
{
	struct watch *watch;

	while ((watch = loop->removed)) {
		loop->removed = watch->next_removed;
		free(watch);
	}
}

void loop_free(struct loop *loop)
{
	size_t i;

	if (!loop)
		return;
	for (i = 0; i < loop->watch_slots; i++)
		free(loop->watches[i]);
	free_removed(loop);
	free(loop->watches);
	if (loop->signal_fd >= 0)
		close(loop->signal_fd);
	close(loop->epoll_fd);
	free(loop);
}

static struct watch *find_watch(struct loop *loop, int fd)
{
	return fd >= 0 && (size_t)fd < loop->watch_slots ? loop->watches[fd] : NULL;
}

static int reserve_slot(struct loop *loop, int fd)
{
	size_t slots = loop->watch_slots ? loop->watch_slots : 64;
	struct watch **watches;

	while (slots <= (size_t)fd)
		slots *= 2;
	if (slots == loop->watch_slots)
		return 0;
	watches = realloc(loop->watches, slots * sizeof(*watches));
	if (!watches)
		return -ENOMEM;
	memset(watches + loop->watch_slots, 0, (slots - loop->watch_slots) * sizeof(*watches));
	loop->watches = watches;
	loop->watch_slots = slots;
	return 0;
}

int loop_fd_add(struct loop *loop, int fd, uint32_t epoll_events, loop_fd_fn handler, void *context)
{
	struct epoll_event event = {.events = epoll_events};
	struct watch *watch;
	int err;

	if (fd < 0)
		return -EBADF;
	if (find_watch(loop, fd))
		return -EEXIST;
	err = reserve_slot(loop, fd);
	if (err)
		return err;
	watch = calloc(1, sizeof(*watch));
	if (!watch)
		return -ENOMEM;
	watch->fd = fd;
	watch->handler = handler;
	watch->context = context;
	event.data.ptr = watch;
	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event)) {
		err = -errno;
		free(watch);
		return err;
	}
	loop->watches[fd] = watch;
	return 0;
}

int loop_fd_modify(struct loop *loop, int fd, uint32_t epoll_events)
{
	struct epoll_event event = {.events = epoll_events};
	struct watch *watch = find_watch(loop, fd);

	if (!watch)
		return -ENOENT;
	event.data.ptr = watch;
	return epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, fd, &event) ? -errno : 0;
}

void loop_fd_remove(struct loop *loop, int fd)
{
	struct watch *watch = find_watch(loop, fd);

	if (!watch)
		return;
	epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
	loop->watches[fd] = NULL;
	watch->handler = NULL;
	watch->next_removed = loop->removed;
	loop->removed = watch;
}

void loop_timer_init(struct loop *loop, struct loop_timer *timer, loop_timer_fn handler,
		     void *context)
{
	*timer = (struct loop_timer){.loop = loop, .handler = handler, .context = context};
}

void loop_timer_cancel(struct loop_timer *timer)
{
	struct loop_timer **at;

	if (!timer->deadline_ms)
		return;
	for (at = &timer->loop->timers; *at != timer; at = &(*at)->next)
		;
	*at = timer->next;
	timer->next = NULL;
	timer->deadline_ms = 0;
}

void loop_timer_arm(struct loop_timer *timer, unsigned int after_ms)
{
	struct loop_timer **at;

	loop_timer_cancel(timer);
	/* At least 1 ms, so that a timer armed by its handler does not starve the descriptors. */
	timer->deadline_ms = loop_now_ms() + (after_ms ? after_ms : 1);
	for (at = &timer->loop->timers; *at && (*at)->deadline_ms <= timer->deadline_ms;)
		at = &(*at)->next;
	timer->next = *at;
	*at = timer;
}

bool loop_timer_armed(const struct loop_timer *timer)
{
	return timer->deadline_ms != 0;
}

static void run_timers(struct loop *loop)
{
	uint64_t now = loop_now_ms();
	struct loop_timer *timer;

	while (!loop->stopping && (timer = loop->timers) && timer->deadline_ms <= now) {
		loop_timer_cancel(timer);
		timer->handler(timer->context);
	}
}

static int next_timeout(const struct loop *loop)
{
	uint64_t now = loop_now_ms(), left;

	if (!loop->timers)
		return -1;
	if (loop->timers->deadline_ms <= now)
		return 0;
	left = loop->timers->deadline_ms - now;
	return left < INT_MAX ? (int)left : INT_MAX;
}

static int run_descriptors(struct loop *loop)
{
	struct epoll_event events[LOOP_EVENTS_PER_ROUND];
	int count, i;

	count = epoll_wait(loop->epoll_fd, events, LOOP_EVENTS_PER_ROUND, next_timeout(loop));
	if (count < 0)
		return errno == EINTR ? 0 : -errno;
	for (i = 0; i < count && !loop->stopping; i++) {
		struct watch *watch = events[i].data.ptr;

		if (watch->handler)
			watch->handler(watch->context, events[i].events);
	}
	free_removed(loop);
	return 0;
}

int loop_run(struct loop *loop)
{
	int err = 0;

	while (!loop->stopping && !err) {
		err = run_descriptors(loop);
		if (!err)
			run_timers(loop);
	}
	loop->stopping = false;
	return err;
}

void loop_stop(struct loop *loop)
{
	loop->stopping = true;
}

static void on_signal(void *context, uint32_t epoll_events)
{
	struct loop *loop = context;
	struct signalfd_siginfo info;

	(void)epoll_events;
	if (read(loop->signal_fd, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo != SIGHUP)
		loop_stop(loop);
	else if (loop->hangup)
		loop->hangup(loop->hangup_context);
}

void loop_on_hangup(struct loop *loop, loop_timer_fn handler, void *context)
{
	loop->hangup = handler;
	loop->hangup_context = context;
}

int loop_stop_on_signals(struct loop *loop)
{
	sigset_t signals;
	int err;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &signals, NULL) || signal(SIGPIPE, SIG_IGN) == SIG_ERR)
		return -errno;
	loop->signal_fd = signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
	if (loop->signal_fd < 0)
		return -errno;
	err = loop_fd_add(loop, loop->signal_fd, EPOLLIN, on_signal, loop);
	if (err) {
		close(loop->signal_fd);
		loop->signal_fd = -1;
	}
	return err;
}
