/* SPDX-License-Identifier: BSD-2-Clause */
/* The subscribers of the daemon's news, in their order, and its own reactions. */
#ifndef LATCHD_DAEMON_EVENTS_H
#define LATCHD_DAEMON_EVENTS_H

#include "latchd/daemon_parts.h"

/* Call it before the first news. control and source must be set. */
void daemon_subscribe(struct daemon *d);

/* Writes the namespaces of the feeds for the programs. After a failure the housekeeping tries
 * again. */
void daemon_write_served(struct daemon *d);
/* Call it at the end of latchd. */
void daemon_keep_served(const struct daemon *d);

/* For event_ring_new(); context is the daemon. */
void daemon_kernel_event(void *context, const struct latch_event *event);

#endif
