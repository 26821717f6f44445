/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The control socket's service. A client sends one line: "status", "list", "sa", "audit",
 * "monitor", "explain ID" or "explain FLOW". As root it may send "break ID", "heal ID", "close ID",
 * "mode audit" or "mode enforce". The answer is one JSON document and the end of the stream. The
 * answer to "monitor" is one object a line until the client closes. An error is one object with
 * "error" (for people) and "code".
 */
#ifndef LATCHD_CONTROL_CONTROL_H
#define LATCHD_CONTROL_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/failure.h"
#include "common/loop.h"
#include "latchd/control/control_handlers.h"

struct control;

/* The clients' use of resources, for tests of the bounds. */
struct control_load {
	unsigned int root, members; /* connected */
	size_t bytes;		    /* of memory for answers and events */
};

/*
 * Starts listening, see control_socket_open(). The handlers are copied. 0, or a negative
 * errno and a failure.
 */
int control_new(struct loop *loop, const char *socket_path, const char *group,
		const struct control_handlers *handlers, struct control **ret,
		struct failure *failure);

/* Before loop_free(). */
void control_free(struct control *control);

/*
 * Sends one event, a JSON object with or without its newline, to all monitors. If the
 * queue of a monitor is full, the monitor misses the event and later gets the number of
 * missed events ("lost").
 */
void control_publish(struct control *control, const char *json_line, size_t length);

struct control_load control_load(const struct control *control);

/* False: there is no monitor, so no event need be written. */
bool control_has_monitors(const struct control *control);

#endif
