/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/feeds/vici/slow_request.h"

#include <errno.h>
#include <string.h>

#include "common/log.h"
#include "latchd/feeds/vici/session_parts.h"

/* A list of all certificates may take so many times the limit of other answers. */
#define LONG_LIMITS 6

static void pause_lists(struct vici_slow_request *slow)
{
	slow->pause_ms = slow->pause_ms ? 2 * slow->pause_ms : VICI_LIST_PAUSE_MS;
	if (slow->pause_ms > VICI_LIST_PAUSE_LAST_MS)
		slow->pause_ms = VICI_LIST_PAUSE_LAST_MS;
	slow->pause_ends_ms = loop_now_ms() + slow->pause_ms;
}

static bool is_list(const struct vici_slow_request *slow)
{
	return !strcmp(slow->command, "list-certs");
}

static void end(struct vici_session *session, enum vici_slow_result result)
{
	vici_slow_fn answered = session->certs.answered;

	session->certs.answered = NULL;
	loop_timer_cancel(&session->certs.limit);
	if (result != VICI_SLOW_ANSWERED && is_list(&session->certs))
		pause_lists(&session->certs);
	answered(session, result);
}

static void on_late(void *context)
{
	struct vici_session *session = context;
	const struct vici_slow_request *slow = &session->certs;

	log_warn(
		"vici",
		"feed %s goes on without keys (charon did not answer %s within %u ms): new IKE_SAs "
		"of connections with a new certificate have none; see: latchd(8)",
		session->feed->name, slow->command, slow->limit_ms);
	end(session, VICI_SLOW_LATE);
}

/* A late answer only ends the request. */
static void on_answered(void *context, enum vici_packet_type type, struct vici_span message)
{
	struct vici_session *session = context;

	if (session->certs.answered)
		end(session, vici_session_is_refusal(type, message) ? VICI_SLOW_REFUSED
								    : VICI_SLOW_ANSWERED);
}

static void fail(struct vici_session *session, int err)
{
	vici_session_fail(session, "cannot send %s: %s", session->certs.command, strerror(-err));
}

static void send_command(struct vici_session *session)
{
	struct vici_slow_request *slow = &session->certs;
	uint8_t memory[32];
	struct vici_builder builder;
	int err;

	vici_builder_init(&builder, memory, sizeof(memory));
	vici_build_value(&builder, "type", slow->type);
	err = vici_connection_command(&slow->connection, slow->command,
				      vici_builder_message(&builder), on_answered);
	if (err)
		fail(session, err);
}

static void on_registered(void *context, enum vici_packet_type type, struct vici_span message)
{
	struct vici_session *session = context;
	struct vici_slow_request *slow = &session->certs;

	(void)message;
	slow->registered = type == VICI_EVENT_CONFIRM;
	slow->refused = !slow->registered;
	if (!slow->answered)
		return;
	if (slow->registered)
		send_command(session);
	else
		end(session, VICI_SLOW_REFUSED);
}

static int open_connection(struct vici_session *session)
{
	struct vici_connection *connection = &session->certs.connection;
	int err;

	err = vici_connection_open(connection, session->socket_path);
	if (!err && connection->peer != session->events.peer)
		err = -ECONNRESET;
	if (!err)
		err = vici_connection_register(connection, "list-cert", on_registered);
	return err;
}

static void begin(struct vici_session *session, const char *command, const char *type,
		  unsigned int limit_ms, vici_slow_fn answered)
{
	struct vici_slow_request *slow = &session->certs;
	int err;

	slow->command = command;
	slow->type = type;
	slow->limit_ms = limit_ms;
	slow->answered = answered;
	loop_timer_arm(&slow->limit, limit_ms);
	if (vici_connection_is_open(&slow->connection)) {
		send_command(session);
		return;
	}
	err = open_connection(session);
	if (err)
		fail(session, err);
}

void vici_slow_flush(struct vici_session *session, const char *type, vici_slow_fn answered)
{
	begin(session, "flush-certs", type, session->certs.flush_limit_ms, answered);
}

void vici_slow_list(struct vici_session *session, const char *type, vici_slow_fn answered)
{
	begin(session, "list-certs", type, LONG_LIMITS * session->answer_limit_ms, answered);
}

bool vici_slow_is_free(const struct vici_session *session)
{
	const struct vici_slow_request *slow = &session->certs;

	return !slow->connection.answer && !slow->refused && loop_now_ms() >= slow->pause_ends_ms;
}

void vici_slow_init(struct vici_session *session)
{
	loop_timer_init(session->certs.connection.loop, &session->certs.limit, on_late, session);
	session->certs.flush_limit_ms = VICI_FLUSH_LIMIT_MS;
}

void vici_slow_stop(struct vici_session *session)
{
	struct vici_slow_request *slow = &session->certs;

	loop_timer_cancel(&slow->limit);
	vici_connection_close(&slow->connection);
	slow->registered = slow->refused = false;
	slow->answered = NULL;
	slow->pause_ends_ms = slow->pause_ms = 0;
}
