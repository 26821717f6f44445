/* SPDX-License-Identifier: BSD-2-Clause */
/* The handlers and bounds of the service of control.h. */
#ifndef LATCHD_CONTROL_CONTROL_HANDLERS_H
#define LATCHD_CONTROL_CONTROL_HANDLERS_H

#include <stdbool.h>

#include "common/json_writer.h"
#include "latchd/control/control_request.h"
#include "latchd/maps/map_walk.h"

#define CONTROL_CLIENTS_ROOT	  32	     /* places of root */
#define CONTROL_CLIENTS_MEMBERS	  28	     /* places of all members of the group together */
#define CONTROL_REQUEST_MAX	  256	     /* bytes of a line, with its newline */
#define CONTROL_MONITOR_QUEUE_MAX (1U << 20) /* bytes that may wait for a monitor */

/*
 * Each writes one whole document. list, sa and audit write it in parts, each after the one
 * before was sent. True: it was the last part. The service calls json_finish().
 */
struct control_handlers {
	void *context;
	void (*status)(void *context, bool for_root, struct json_writer *w);
	bool (*list)(void *context, struct map_cursor *cursor, struct json_writer *w);
	bool (*sa)(void *context, struct map_cursor *cursor, struct json_writer *w);
	/* As a document in parts; the parts before the last one may be empty. */
	bool (*explain)(void *context, struct control_explain *asked, struct map_cursor *cursor,
			struct json_writer *w);
	bool (*audit)(void *context, struct map_cursor *cursor, struct json_writer *w);
	void (*request)(void *context, const struct control_request *request,
			struct json_writer *w);
	void (*mode)(void *context, const struct control_mode_request *request,
		     struct json_writer *w);
};

#endif
