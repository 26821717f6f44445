/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Requests about certificates that charon may answer late: flush-certs waits for each chain that
 * charon verifies online, and list-certs compares each certificate with each other one. They have a
 * connection of their own, and one is outstanding at a time. If an answer is late, the feed goes on
 * without it. charon works on, so nothing is asked until it has answered.
 */
#ifndef LATCHD_FEEDS_VICI_SLOW_REQUEST_H
#define LATCHD_FEEDS_VICI_SLOW_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "common/loop.h"
#include "latchd/feeds/feed.h"
#include "latchd/feeds/vici/connection.h"

#define VICI_FLUSH_LIMIT_MS 4000 /* less than pending-limit: meanwhile SAs wait for their peer */
/* After a list that was late: such a list would be late again. Each next pause is twice as long. */
#define VICI_LIST_PAUSE_MS	600000u
#define VICI_LIST_PAUSE_LAST_MS 86400000u

enum vici_slow_result {
	VICI_SLOW_ANSWERED,
	VICI_SLOW_REFUSED,
	VICI_SLOW_LATE,
};

typedef void (*vici_slow_fn)(void *context, enum vici_slow_result result);

struct vici_slow_owner {
	/* An event; valid while an answer is awaited. */
	void (*event)(void *context, struct vici_text name, struct vici_span message);
	/* The request cannot be sent, or error is that of vici_handlers.lost(). The owner calls
	 * vici_slow_stop(). */
	void (*failed)(void *context, int error);
};

struct vici_slow_request {
	const struct vici_slow_owner *owner;
	void *context;
	const struct feed *feed;
	const char *socket_path;
	pid_t peer;
	struct vici_connection connection;
	struct loop_timer limit;
	unsigned int flush_limit_ms;
	bool refused; /* charon has no list-cert events */
	const char *command, *type;
	unsigned int limit_ms;
	vici_slow_fn answered; /* NULL: nothing awaits the answer */
	uint64_t pause_ends_ms;
	unsigned int pause_ms;
};

/* Keeps owner, context and feed. */
void vici_slow_init(struct vici_slow_request *slow, struct loop *loop, const struct feed *feed,
		    const struct vici_slow_owner *owner, void *context);
/* The connection will be to this socket and process; keeps the path. */
void vici_slow_begin(struct vici_slow_request *slow, const char *socket_path, pid_t peer);
void vici_slow_stop(struct vici_slow_request *slow);

/* False: charon has not answered yet, or it does not list certificates. */
bool vici_slow_is_free(const struct vici_slow_request *slow);
/* False: also while such lists take charon too long. */
bool vici_slow_may_list(const struct vici_slow_request *slow);

/* Of this type of certificates. They need the function above, and call answered() later unless the
 * request fails. */
void vici_slow_flush(struct vici_slow_request *slow, const char *type, vici_slow_fn answered);
void vici_slow_list(struct vici_slow_request *slow, const char *type, unsigned int limit_ms,
		    vici_slow_fn answered);

#endif
