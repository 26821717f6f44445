/* SPDX-License-Identifier: BSD-2-Clause */
#include "virtual_loop.h"

#include <sys/epoll.h>
#include <time.h>

/* A target that starts at 0 would meet deadline_ms 0, which means that a timer is not armed. */
uint64_t virtual_ms = 1000;

int __real_epoll_wait(int fd, struct epoll_event *events, int max, int timeout);
int __wrap_epoll_wait(int fd, struct epoll_event *events, int max, int timeout);
int __wrap_clock_gettime(clockid_t clock, struct timespec *out);

int __wrap_epoll_wait(int fd, struct epoll_event *events, int max, int timeout)
{
	int count;

	for (;;) {
		count = __real_epoll_wait(fd, events, max, 0);
		if (count)
			return count;
		switch (virtual_idle()) {
		case VIRTUAL_CONTINUE:
			break;
		case VIRTUAL_PASS:
			virtual_ms += timeout > 0 ? (uint64_t)timeout : 0;
			return 0;
		case VIRTUAL_STOP:
			return 0;
		}
	}
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *out)
{
	(void)clock;
	*out = (struct timespec){
		.tv_sec = (time_t)(virtual_ms / 1000),
		.tv_nsec = (long)(virtual_ms % 1000 * 1000000),
	};
	return 0;
}
