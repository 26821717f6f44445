/* SPDX-License-Identifier: BSD-2-Clause */
/* What one part of the daemon tells the others: to announce it, and to act on it. */
#ifndef LATCHD_DAEMON_EVENTS_H
#define LATCHD_DAEMON_EVENTS_H

#include "latchd/daemon_parts.h"

/* Sets what the parts tell; the rest of each is the caller's. */
void daemon_observe(struct daemon *d);

/* For event_ring_new(); context is the daemon. */
void daemon_kernel_event(void *context, const struct latch_event *event);

#endif
