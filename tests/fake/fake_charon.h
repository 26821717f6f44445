/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A vici server in the test's own process, on the test's loop. It answers as it
 * is told, and misbehaves on request. Trace lines: "charon: accept",
 * "charon: register EVENT", "charon: COMMAND [ike=NAME]", "charon: answer COMMAND",
 * "charon: closed by peer".
 */
#ifndef LATCHD_TESTS_FAKE_CHARON_H
#define LATCHD_TESTS_FAKE_CHARON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "latchd/feeds/vici/packet.h"

#define FAKE_CLIENTS_MAX  8
#define FAKE_MESSAGES_MAX 64
#define FAKE_EVENTS_MAX	  16

struct loop;
struct fake_charon;

struct fake_client {
	struct fake_charon *charon;
	int fd; /* -1: free */
	struct vici_frames frames;
	char events[FAKE_EVENTS_MAX][32];
	size_t event_count;
	uint8_t *out; /* queued, growing */
	size_t out_length, out_sent;
};

struct fake_charon {
	struct loop *loop;
	char path[108];
	int listen_fd; /* -1: stopped */
	struct fake_client clients[FAKE_CLIENTS_MAX];

	/* list-conn and list-sa events, as JSON; a list-conns with "ike" gets those of that name.
	 */
	const char *conns[FAKE_MESSAGES_MAX], *sas[FAKE_MESSAGES_MAX];
	size_t conn_count, sa_count;

	const char *unknown_event;   /* answered with EVENT_UNKNOWN */
	const char *unknown_command; /* answered with CMD_UNKNOWN */
	const char *failing_command; /* answered with success = no */
	const char *close_on; /* the connection ends when this command or registration arrives */
	const char *held_command; /* not answered until fake_charon_release() */
	struct fake_client *held_client;
	char held_ike[64];
	/* Sent between that registration and its confirmation, and between that command and its
	 * answer. */
	const char *early_on, *early_event, *early_json;
};

void fake_charon_init(struct fake_charon *charon, struct loop *loop, const char *path);
void fake_charon_start(struct fake_charon *charon);
/* Closes all connections and removes the socket, as a daemon that ends. */
void fake_charon_stop(struct fake_charon *charon);

/* Both keep the pointer. */
void fake_charon_add_conn(struct fake_charon *charon, const char *json);
void fake_charon_add_sa(struct fake_charon *charon, const char *json);

/* To every connection that is registered for it. */
void fake_charon_push(struct fake_charon *charon, const char *event, const char *json);
void fake_charon_push_message(struct fake_charon *charon, const char *event,
			      struct vici_span message);
/* Bytes as they are, to every connection that is registered for that event. */
void fake_charon_push_raw(struct fake_charon *charon, const char *event, const void *bytes,
			  size_t length);
/* Answers what held_command held back, and holds no more. */
void fake_charon_release(struct fake_charon *charon);

/* What list-conns says about a configuration whose peers use one class, kept until the process
 * ends. */
const char *fake_conn(const char *config_name, const char *class);

#endif
