/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One stream connection to charon's vici socket, on the loop. Events may arrive
 * before the answer to a request: the packet type separates them. One request
 * is outstanding at a time.
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
	/* An event; name and message are valid until the handler returns. The handler may close
	 * the connection. */
	void (*event)(void *context, struct vici_text name, struct vici_span message);
	/* Called once, after the connection closed itself: error 0 is end of file, else a negative
	 * errno. */
	void (*lost)(void *context, int error);
};

/*
 * type is VICI_CMD_RESPONSE or VICI_CMD_UNKNOWN for a command, VICI_EVENT_CONFIRM
 * or VICI_EVENT_UNKNOWN for a registration. The callback may send the next request.
 */
typedef void (*vici_answer_fn)(void *context, enum vici_packet_type type, struct vici_span message);

struct vici_connection {
	struct loop *loop;
	const struct vici_handlers *handlers;
	void *context;
	int fd;	    /* -1 when closed */
	pid_t peer; /* the process that listens, from the kernel's credentials */
	struct vici_frames frames;
	uint8_t *request; /* the last request until it is written whole; owned */
	size_t request_length, request_sent;
	enum vici_packet_type request_type;
	vici_answer_fn answer; /* not NULL while a request is outstanding */
};

void vici_connection_init(struct vici_connection *connection, struct loop *loop,
			  const struct vici_handlers *handlers, void *context);

/* 0 or a negative errno; never blocks. Sets peer. */
int vici_connection_open(struct vici_connection *connection, const char *socket_path);

/* Calls no handler. */
void vici_connection_close(struct vici_connection *connection);

bool vici_connection_is_open(const struct vici_connection *connection);

/* 0; -EBUSY while another request is outstanding, -EMSGSIZE, -ENOMEM or -ENOTCONN. lost() reports a
 * failed write. */
int vici_connection_register(struct vici_connection *connection, const char *event,
			     vici_answer_fn answer);
int vici_connection_command(struct vici_connection *connection, const char *command,
			    struct vici_span message, vici_answer_fn answer);

#endif
