/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/feeds/vici/key_query.h"

#include <string.h>

#include "latchd/feeds/vici/auth_keys.h"

/* A list of all certificates may take so many times the limit of other answers. */
#define LONG_LIMITS 6

/* As charon names them. A peer can send certificates, and no raw keys. */
#define CERTIFICATES "X509"
#define RAW_KEYS     "PUBKEY"

static struct vici_auth *auth_of(struct vici_session *session)
{
	return &session->dispatch.auth;
}

/* "": all connections */
static const char *queried_name(const struct vici_session *session)
{
	return session->dispatch.queried_name;
}

/* ---- all certificates */

static void on_flushed(void *context, enum vici_slow_result result);
static void on_raw_keys_listed(void *context, enum vici_slow_result result);

static void flush(struct vici_session *session)
{
	session->keys.rounds++;
	vici_slow_flush(&session->certs, CERTIFICATES, on_flushed);
}

static void give_up(struct vici_session *session)
{
	vici_auth_keys_give_up(auth_of(session));
	session->query_ended(session);
}

static void list(struct vici_session *session, const char *type, vici_slow_fn answered)
{
	vici_slow_list(&session->certs, type, LONG_LIMITS * session->answer_limit_ms, answered);
}

static void on_certs_listed(void *context, enum vici_slow_result result)
{
	struct vici_session *session = context;

	if (result == VICI_SLOW_ANSWERED)
		list(session, RAW_KEYS, on_raw_keys_listed);
	else
		give_up(session);
}

/* Certificates first: the time from the flush is short. */
static void list_all(struct vici_session *session)
{
	session->keys.begun_ms = loop_now_ms();
	list(session, CERTIFICATES, on_certs_listed);
}

/* Of a charon that does not flush, the keys are those that it has listed. */
static bool is_complete(const struct vici_session *session, enum vici_keys_result result)
{
	return result == VICI_KEYS_SAME || session->keys.cannot_flush ||
	       session->keys.rounds >= VICI_KEY_ROUNDS_ALL;
}

static void on_raw_keys_listed(void *context, enum vici_slow_result result)
{
	struct vici_session *session = context;
	enum vici_keys_result keys;

	if (result != VICI_SLOW_ANSWERED) {
		give_up(session);
		return;
	}
	session->keys.listed_ms = loop_now_ms();
	keys = vici_auth_keys_end(auth_of(session), NULL);
	if (!is_complete(session, keys)) {
		flush(session);
		return;
	}
	vici_auth_keys_decide(auth_of(session));
	session->query_ended(session);
}

/* A query of all connections: one list serves all messages that wait. */
static void begin_all(struct vici_session *session)
{
	if (!vici_slow_may_list(&session->certs))
		give_up(session);
	else if (session->keys.flush_first && !session->keys.cannot_flush)
		flush(session);
	else
		list_all(session);
}

/* flush_first: a list without a flush before cannot be enough. */
static void ask_for_all(struct vici_session *session, bool flush_first)
{
	session->keys.flush_first = flush_first;
	session->query_all(session);
}

/* The connection of the query in hand has a share of what costs charon much. */
static bool has_share(struct vici_session *session)
{
	struct vici_key_query *keys = &session->keys;

	keys->asked = keys->asked || vici_auth_may_ask(auth_of(session), queried_name(session));
	return keys->asked;
}

static bool may_ask_for_all(struct vici_session *session)
{
	return vici_slow_may_list(&session->certs) && has_share(session);
}

/* ---- the certificates of one connection */

static void list_next_subject(struct vici_session *session);

/* All rounds together take no longer than one flush that is late. */
static bool may_flush(struct vici_session *session)
{
	struct vici_key_query *keys = &session->keys;

	return keys->rounds < VICI_KEY_ROUNDS && !keys->cannot_flush &&
	       loop_now_ms() - keys->since_ms < session->certs.flush_limit_ms &&
	       vici_slow_is_free(&session->certs) && has_share(session);
}

/* Several keys may be fewer after a flush. For any other change all certificates are listed: one
 * that prints alike may have another key. */
static void end_round(struct vici_session *session)
{
	enum vici_keys_result result;

	result = vici_auth_keys_end(auth_of(session), queried_name(session));
	if (result == VICI_KEYS_SEVERAL && may_flush(session))
		flush(session);
	else if (result != VICI_KEYS_SEVERAL && result != VICI_KEYS_SAME &&
		 may_ask_for_all(session))
		ask_for_all(session, true);
	else
		session->query_ended(session);
}

/* Of a charon that refuses, no key is confirmed. */
static void on_subject_listed(void *context, enum vici_packet_type type, struct vici_span message)
{
	struct vici_session *session = context;

	loop_timer_cancel(&session->answer_limit);
	if (vici_is_refusal(type, message))
		session->query_ended(session);
	else
		list_next_subject(session);
}

/* On the events connection: charon answers at once. */
static void list_next_subject(struct vici_session *session)
{
	char subject[VICI_SUBJECT_MAX];
	uint8_t memory[sizeof(subject) + 32];
	struct vici_builder builder;
	int err;

	if (!vici_auth_next_subject(auth_of(session), queried_name(session), &session->keys.step,
				    subject)) {
		end_round(session);
		return;
	}
	vici_builder_init(&builder, memory, sizeof(memory));
	vici_build_value(&builder, "subject", subject);
	vici_session_await(session, "list-certs");
	err = vici_connection_command(&session->events, "list-certs",
				      vici_builder_message(&builder), on_subject_listed);
	if (err)
		vici_session_fail(session, "cannot send list-certs: %s", strerror(-err));
}

static void on_registered(void *context, enum vici_packet_type type, struct vici_span message)
{
	struct vici_session *session = context;

	(void)message;
	loop_timer_cancel(&session->answer_limit);
	session->keys.knows_certs = type == VICI_EVENT_CONFIRM;
	if (session->keys.knows_certs)
		list_next_subject(session);
	else
		session->query_ended(session);
}

static void list_subjects(struct vici_session *session)
{
	int err;

	session->keys.step = 0;
	if (session->keys.knows_certs) {
		list_next_subject(session);
		return;
	}
	vici_session_await(session, "a registration");
	err = vici_connection_register(&session->events, "list-cert", on_registered);
	if (err)
		vici_session_fail(session, "cannot register for list-cert: %s", strerror(-err));
}

/* ---- both */

/* Where the flush is late, certificates of any host may still be listed. */
static void on_flushed(void *context, enum vici_slow_result result)
{
	struct vici_session *session = context;
	bool all = !*queried_name(session);

	session->keys.cannot_flush = session->keys.cannot_flush || result == VICI_SLOW_REFUSED;
	if (!vici_slow_is_free(&session->certs) && all)
		give_up(session);
	else if (!vici_slow_is_free(&session->certs))
		session->query_ended(session);
	else if (all)
		list_all(session);
	else
		list_subjects(session);
}

static bool is_old(const struct vici_session *session)
{
	const struct vici_key_query *keys = &session->keys;
	uint64_t took = keys->listed_ms - keys->begun_ms, age = loop_now_ms() - keys->listed_ms;

	return took <= VICI_KEYS_QUICK_MS && age > session->list_age_ms &&
	       age > VICI_KEYS_AGE_LISTS * took && vici_slow_may_list(&session->certs);
}

static void begin_one(struct vici_session *session)
{
	bool decided = vici_auth_is_decided(auth_of(session), queried_name(session));

	if (decided && is_old(session))
		ask_for_all(session, false);
	else if (decided)
		list_subjects(session);
	else if (may_ask_for_all(session))
		ask_for_all(session, true);
	else
		session->query_ended(session);
}

void vici_key_query(struct vici_session *session)
{
	struct vici_key_query *keys = &session->keys;

	vici_auth_keys_begin(auth_of(session));
	keys->since_ms = loop_now_ms();
	keys->rounds = 0;
	keys->asked = false;
	if (*queried_name(session)) {
		begin_one(session);
		return;
	}
	/* In the first query of a session all keys are new. */
	keys->flush_first = keys->flush_first || !keys->listed_ms;
	begin_all(session);
}
