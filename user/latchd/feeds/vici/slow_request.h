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
#include "latchd/feeds/vici/connection.h"

#define VICI_FLUSH_LIMIT_MS 4000 /* less than pending-limit: meanwhile SAs wait for their peer */
/* After a list that was late: such a list would be late again. Each next pause is twice as long. */
#define VICI_LIST_PAUSE_MS	600000u
#define VICI_LIST_PAUSE_LAST_MS 86400000u

struct vici_session;

enum vici_slow_result {
	VICI_SLOW_ANSWERED,
	VICI_SLOW_REFUSED,
	VICI_SLOW_LATE,
};

typedef void (*vici_slow_fn)(struct vici_session *session, enum vici_slow_result result);

struct vici_slow_request {
	struct vici_connection connection;
	struct loop_timer limit;
	unsigned int flush_limit_ms;
	bool registered, refused; /* for list-cert events */
	const char *command, *type;
	unsigned int limit_ms;
	vici_slow_fn answered; /* NULL: nothing awaits the answer */
	uint64_t pause_ends_ms;
	unsigned int pause_ms;
};

/* The session's connection is initialised, with handlers of its owner. */
void vici_slow_init(struct vici_session *session);
void vici_slow_stop(struct vici_session *session);

/* False: charon has not answered yet, or lists take it too long, or it does not list. */
bool vici_slow_is_free(const struct vici_session *session);

/* Of this type of certificates. Both need vici_slow_is_free(), and call answered() later unless the
 * session fails. */
void vici_slow_flush(struct vici_session *session, const char *type, vici_slow_fn answered);
void vici_slow_list(struct vici_session *session, const char *type, vici_slow_fn answered);

#endif
