/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The event loop of user/common/ in virtual time: the linker replaces epoll_wait() and
 * clock_gettime() (--wrap). No call waits. When no descriptor is ready, the target decides.
 */
#ifndef LATCHD_TESTS_VIRTUAL_LOOP_H
#define LATCHD_TESTS_VIRTUAL_LOOP_H

#include <stdint.h>

enum virtual_idle {
	VIRTUAL_CONTINUE, /* a descriptor may be ready now */
	VIRTUAL_PASS,	  /* the time passes to the next timer */
	VIRTUAL_STOP,	  /* the target has called loop_stop() */
};

/* The target has both: the present time, and its decision. */
extern uint64_t virtual_ms;
enum virtual_idle virtual_idle(void);

#endif
