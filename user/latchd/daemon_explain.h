/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The requests "explain ID" and "explain FLOW". Decides which latch or refused connection a flow
 * without a local port means.
 */
#ifndef LATCHD_DAEMON_EXPLAIN_H
#define LATCHD_DAEMON_EXPLAIN_H

#include "latchd/daemon_parts.h"

/* Before news: -ENOMEM or 0. */
int daemon_explain_start(struct daemon *daemon);
void daemon_explain_stop(struct daemon *daemon);

/* A handler of control.h. Searches for the latch in parts, and writes with the last one. */
bool daemon_explain(void *context, struct control_explain *asked, struct map_cursor *cursor,
		    struct json_writer *w);

#endif
