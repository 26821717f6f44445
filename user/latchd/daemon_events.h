/* SPDX-License-Identifier: BSD-2-Clause */
/* The subscribers of the daemon's news, in their order, and its own reactions. */
#ifndef LATCHD_DAEMON_EVENTS_H
#define LATCHD_DAEMON_EVENTS_H

#include "latchd/daemon_parts.h"

/* Before anything is published; control and source must be set. */
void daemon_subscribe(struct daemon *d);

/* Tells the programs where feeds are; after a failure the housekeeping tries again. */
void daemon_write_served(struct daemon *d);
/* At the end of latchd. */
void daemon_keep_served(const struct daemon *d);

/* For event_ring_new(); context is the daemon. */
void daemon_kernel_event(void *context, const struct latch_event *event);

#endif
