/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The control socket's service. A client sends one line, "status", "list",
 * "sa", "monitor", or as root "break ID", "heal ID" or "close ID", and gets one
 * JSON document and the end of the stream; to "monitor" it gets one object a line
 * until it leaves. What goes wrong is one object with "error" (for people) and "code".
 */
#ifndef LATCHD_CONTROL_CONTROL_H
#define LATCHD_CONTROL_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/failure.h"
#include "common/json_writer.h"
#include "latchd/control/control_request.h"
#include "common/loop.h"

#define CONTROL_CLIENTS_MAX	  32
#define CONTROL_CLIENTS_ROOT	  4	       /* of these places are root's alone */
#define CONTROL_REQUEST_MAX	  256	       /* bytes of the line, its newline included */
#define CONTROL_MONITOR_QUEUE_MAX (1U << 20)   /* bytes a monitor may be behind */
#define CONTROL_DOCUMENTS_MAX	  (256U << 20) /* bytes of documents on their way to all clients */

/* Each writes one whole document; the service calls json_finish(). */
struct control_handlers {
	void *context;
	void (*status)(void *context, struct json_writer *w);
	void (*list)(void *context, struct json_writer *w);
	void (*sa)(void *context, struct json_writer *w);
	void (*order)(void *context, const struct control_request *order, struct json_writer *w);
};

struct control;

/*
 * Starts listening, see control_socket_open(). The handlers are copied. 0, or a negative
 * errno and a failure.
 */
int control_new(struct loop *loop, const char *socket_path, const char *group,
		const struct control_handlers *handlers, struct control **ret,
		struct failure *failure);

/* Before the loop's own end. */
void control_free(struct control *control);

/*
 * One event, one JSON object with or without its newline, to all monitors. A
 * monitor that is too far behind misses it, and is told how many it missed.
 */
void control_publish(struct control *control, const char *json_line, size_t length);

/* False: nobody would see an event, it need not be written. */
bool control_has_monitors(const struct control *control);

#endif
