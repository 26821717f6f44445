/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A vici server in the test's process, on the test's loop. The test sets its answers and errors.
 *
 *	feed under test <--- Unix socket at path ---> fake charon
 *	        \------------- one loop -------------/
 *
 * Trace lines: "charon: accept", "charon: register EVENT", "charon: COMMAND [ike=NAME]",
 * "charon: answer COMMAND", "charon: closes on NAME", "charon: closed by peer".
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
	char subject[4096], type[16]; /* of the command in hand; "": none */
	uint8_t *out;		      /* queued, growing */
	size_t out_length, out_sent;
};

struct fake_charon {
	struct loop *loop;
	char path[108];
	int listen_fd; /* -1: stopped */
	struct fake_client clients[FAKE_CLIENTS_MAX];

	/* list-conn and list-sa events, as JSON. list-conns with "ike" sends that connection only.
	 */
	const char *conns[FAKE_MESSAGES_MAX], *sas[FAKE_MESSAGES_MAX];
	size_t conn_count, sa_count;
	struct vici_span certs[FAKE_MESSAGES_MAX]; /* list-cert events */
	size_t cert_count;
	size_t cached_count; /* the last ones of certs are cached: flush-certs removes them */
	unsigned int planted_again; /* ... but at so many flushes a host has sent them again */

	const char *unknown_event;   /* answered with EVENT_UNKNOWN */
	bool has_alerts;	     /* else "alert" is an unknown event, as before 6.0.3 */
	const char *unknown_command; /* answered with CMD_UNKNOWN */
	const char *failing_command; /* answered with success = no */
	const char *close_on; /* the connection ends when this command or registration arrives */
	const char *held_command; /* not answered until fake_charon_release() */
	struct fake_client *held_client;
	char held_ike[64];
	/* The event is sent before the confirmation of that registration, and before the answer to
	 * that command. */
	const char *early_on, *early_event, *early_json;
};

void fake_charon_init(struct fake_charon *charon, struct loop *loop, const char *path);
void fake_charon_start(struct fake_charon *charon);
/* Closes all connections and removes the socket, as charon does when it ends. */
void fake_charon_stop(struct fake_charon *charon);

/* Both store the pointer; the caller keeps the text. */
void fake_charon_add_conn(struct fake_charon *charon, const char *json);
void fake_charon_add_sa(struct fake_charon *charon, const char *json);

/* Sends an event to every connection that is registered for the event. */
void fake_charon_push(struct fake_charon *charon, const char *event, const char *json);
void fake_charon_push_message(struct fake_charon *charon, const char *event,
			      struct vici_span message);
/* Sends bytes without framing to every connection that is registered for the event. */
void fake_charon_push_raw(struct fake_charon *charon, const char *event, const void *bytes,
			  size_t length);
/* Answers held_command and clears it. */
void fake_charon_release(struct fake_charon *charon);

/* The list-conn event of a configuration with one authentication class of the peer, and the remote
 * id "fqdn:*": each name is proof of its peer. Never freed. */
const char *fake_conn(const char *config_name, const char *class);

#endif
