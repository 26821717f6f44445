/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/feeds/vici/key_query.h"

#include <string.h>

/* An answer about all certificates may take so many times the limit of others. */
#define LONG_LIMITS 6

/* On the events connection: the answers keep their place among the events. */
static void command(struct vici_session *session, const char *name, struct vici_span message,
		    vici_answer_fn answer)
{
	int err = vici_connection_command(&session->events, name, message, answer);

	if (err)
		vici_session_fail(session, "cannot send %s: %s", name, strerror(-err));
}

static void settle(struct vici_session *session)
{
	vici_auth_keys_settle(&session->dispatch.auth);
	session->query_ended(session);
}

static void list_certs(struct vici_session *session);

/* Of a charon that does not flush, the keys are those that it has listed. */
static void on_flushed(void *context, enum vici_packet_type type, struct vici_span message)
{
	struct vici_session *session = context;

	loop_timer_cancel(&session->answer_limit);
	session->flushed = true;
	if (vici_session_is_refusal(type, message))
		settle(session);
	else
		list_certs(session);
}

/*
 * charon verifies the chains of its peers again; cached CRLs stay. The flush waits for certificates
 * that charon is verifying, maybe with a CRL of a slow server.
 */
static void flush_certs(struct vici_session *session)
{
	uint8_t memory[32];
	struct vici_builder builder;

	vici_builder_init(&builder, memory, sizeof(memory));
	vici_build_value(&builder, "type", "X509");
	vici_session_await_for(session, "flush-certs", LONG_LIMITS * session->answer_limit_ms);
	command(session, "flush-certs", vici_builder_message(&builder), on_flushed);
}

/* Without keys, as for a charon that has no such command, peers are latched by their names. */
static void on_certs_listed(void *context, enum vici_packet_type type, struct vici_span message)
{
	struct vici_session *session = context;

	loop_timer_cancel(&session->answer_limit);
	if (vici_session_is_refusal(type, message))
		session->query_ended(session);
	else if (vici_auth_keys_end(&session->dispatch.auth) && !session->flushed)
		flush_certs(session);
	else
		settle(session);
}

static void list_certs(struct vici_session *session)
{
	vici_session_await_for(session, "list-certs", LONG_LIMITS * session->answer_limit_ms);
	command(session, "list-certs", VICI_NO_MESSAGE, on_certs_listed);
}

/* ---- the certificates of one connection */

static void list_subject(struct vici_session *session, const char *subject, vici_answer_fn answer)
{
	uint8_t memory[FEED_ID_MAX + 32];
	struct vici_builder builder;

	vici_builder_init(&builder, memory, sizeof(memory));
	vici_build_value(&builder, "subject", subject);
	if (builder.error) {
		list_certs(session);
		return;
	}
	vici_session_await(session, "list-certs");
	command(session, "list-certs", vici_builder_message(&builder), answer);
}

/* Any other result than the keys before is left to the list of all certificates. */
static void on_own_listed(void *context, enum vici_packet_type type, struct vici_span message)
{
	struct vici_session *session = context;

	loop_timer_cancel(&session->answer_limit);
	if (vici_auth_keys_end(&session->dispatch.auth) || vici_session_is_refusal(type, message))
		list_certs(session);
	else
		settle(session);
}

static const struct vici_remote *settled(const struct vici_session *session)
{
	return vici_auth_settled(&session->dispatch.auth, session->dispatch.queried_name);
}

static void on_peers_listed(void *context, enum vici_packet_type type, struct vici_span message)
{
	struct vici_session *session = context;
	const struct vici_remote *remote = settled(session);

	if (remote && remote->local_cert && !vici_session_is_refusal(type, message))
		list_subject(session, remote->local_cert, on_own_listed);
	else
		on_own_listed(context, type, message);
}

/*
 * Of a new IKE_SA the certificates of its connection are enough, if they have the keys before. To
 * list all, charon compares each one with each other: 2000 certificates take seconds.
 */
static void list_needed(struct vici_session *session)
{
	const struct vici_remote *remote = settled(session);

	if (remote)
		list_subject(session, remote->cert, on_peers_listed);
	else
		list_certs(session);
}

static void on_registered(void *context, enum vici_packet_type type, struct vici_span message)
{
	struct vici_session *session = context;

	(void)message;
	session->knows_certs = type == VICI_EVENT_CONFIRM;
	if (session->knows_certs) {
		list_needed(session);
	} else {
		loop_timer_cancel(&session->answer_limit);
		session->query_ended(session);
	}
}

void vici_key_query(struct vici_session *session)
{
	int err;

	session->flushed = false;
	if (session->knows_certs) {
		list_needed(session);
		return;
	}
	vici_session_await(session, "a registration");
	err = vici_connection_register(&session->events, "list-cert", on_registered);
	if (err)
		vici_session_fail(session, "cannot register for list-cert: %s", strerror(-err));
}
