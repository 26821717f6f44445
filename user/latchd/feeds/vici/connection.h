/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One stream to charon's vici socket on the loop. Packets are told apart by
 * their type, since events may stand before the answer to a request. One
 * request is outstanding at a time.
 */
#ifndef LATCHD_FEEDS_VICI_CONNECTION_H
#define LATCHD_FEEDS_VICI_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "latchd/feeds/vici/packet.h"

struct loop;

struct vici_handlers {
	/* Any event; name and message last until the handler returns. The handler may close the
	 * connection. */
	void (*event)(void *context, struct vici_text name, struct vici_span message);
	/* Once, after the connection closed itself: error 0 is end of file, else a negative errno.
	 */
	void (*lost)(void *context, int error);
};

/*
 * type is VICI_CMD_RESPONSE or VICI_CMD_UNKNOWN for a command, VICI_EVENT_CONFIRM
 * or VICI_EVENT_UNKNOWN for a registration. The next request may be made from here.
 */
typedef void (*vici_answer_fn)(void *context, enum vici_packet_type type, struct vici_span message);

struct vici_connection {
	struct loop *loop;
	const struct vici_handlers *handlers;
	void *context;
	int fd; /* -1 when closed */
	pid_t peer;
	struct vici_frames frames;
	uint8_t *request; /* what is left to write of the last request */
	size_t request_length, request_sent;
	enum vici_packet_type request_type;
	vici_answer_fn answer; /* not NULL while a request is outstanding */
};

void vici_connection_init(struct vici_connection *connection, struct loop *loop,
			  const struct vici_handlers *handlers, void *context);

/* 0 or a negative errno; never blocks. */
int vici_connection_open(struct vici_connection *connection, const char *socket_path);

/* Silent: calls no handler. */
void vici_connection_close(struct vici_connection *connection);

bool vici_connection_is_open(const struct vici_connection *connection);

/* -EBUSY while another request is outstanding, -EMSGSIZE, -ENOMEM, -ENOTCONN. A failed write is
 * reported by lost(). */
int vici_connection_register(struct vici_connection *connection, const char *event,
			     vici_answer_fn answer);
int vici_connection_command(struct vici_connection *connection, const char *command,
			    struct vici_span message, vici_answer_fn answer);

#endif
