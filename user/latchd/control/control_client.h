/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A client of the control socket: its place, its answer or its events, and the bytes that wait to
 * be sent. Members of the control group cannot take root's places, and a client that does not read
 * holds no whole document. A function that sends may free the client, as its comment states.
 */
#ifndef LATCHD_CONTROL_CONTROL_CLIENT_H
#define LATCHD_CONTROL_CONTROL_CLIENT_H

#include "common/loop.h"
#include "latchd/control/control_handlers.h"
#include "latchd/control/control_queue.h"
#include "latchd/control/control_socket.h"

typedef bool (*control_part_fn)(void *context, struct map_cursor *cursor, struct json_writer *w);

enum client_state {
	CLIENT_STATE_REQUESTING,
	CLIENT_STATE_ANSWERED, /* closed when the answer is sent */
	CLIENT_STATE_MONITORING,
};

struct client {
	struct control *control;
	struct client *next;
	int fd;
	enum control_peer peer;
	enum client_state state;
	struct loop_timer deadline; /* not of monitors: they may have nothing to read for long */
	char request[CONTROL_REQUEST_MAX];
	size_t request_length;
	struct control_queue queue;
	control_part_fn part; /* of an answer in parts, until its last part is queued */
	bool explains;	      /* its parts come from the handler explain instead */
	struct control_explain asked;
	struct json_writer writer; /* of that answer */
	struct map_cursor cursor;
	uint64_t answer_end_ms; /* loop_now_ms() at which an answer is given up */
	uint64_t lost;		/* events dropped for this monitor and not reported to it yet */
};

struct control {
	struct loop *loop;
	struct control_socket socket;
	struct control_handlers handlers;
	struct loop_timer accept_again;
	struct client *clients;
	unsigned int root_count, member_count, monitor_count;
};

/* The number of clients of the same kind. Members of the control group must not occupy the places
 * of root. */
unsigned int *control_client_count(struct control *control, enum control_peer peer);

void control_client_free(struct client *client);

/* A line for a monitor. False: its queue is full. */
bool control_client_queue(struct client *client, const char *line, size_t length);
/* Once the queue is half empty again: one line for a run of dropped events. */
void control_client_queue_lost(struct client *client);

/*
 * Sends as much as the socket takes, but of an answer in parts at most the waiting part and the
 * next one. So other clients get their turn. Frees the client when its answer is sent or the peer
 * has closed.
 */
void control_client_flush(struct client *client);

/* The same with an answer in parts, or with what is queued (NULL). */
void control_client_begin(struct client *client, control_part_fn part);
/* The writer's text becomes the whole answer. */
void control_client_answer(struct client *client, struct json_writer *w);
/* An error with its code is the whole answer. */
void control_client_refuse(struct client *client, const char *code, const char *error);

#endif
