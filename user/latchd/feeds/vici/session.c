/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/feeds/vici/session.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "latchd/feeds/vici/auth_keys.h"
#include "latchd/feeds/vici/key_query.h"

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

struct subscription {
	const char *event;
	enum vici_message_kind kind;
	bool required;
};

static const struct subscription subscriptions[] = {
	/* First: an event that comes later has its alert. */
	{"alert", VICI_MESSAGE_ALERT, false}, /* since 6.0.3 */
	{"ike-updown", VICI_MESSAGE_IKE_UPDOWN, true},
	{"child-updown", VICI_MESSAGE_CHILD_UPDOWN, true},
	{"child-rekey", VICI_MESSAGE_CHILD_REKEY, true},
	{"ike-rekey", VICI_MESSAGE_IKE_REKEY, false},
	{"ike-update", VICI_MESSAGE_IKE_UPDATE, false}, /* since 5.9.2 */
};

static void on_answer_limit(void *context)
{
	struct vici_session *session = context;

	vici_session_fail(session, "charon did not answer %s within %u ms", session->awaited,
			  session->awaited_ms);
}

static const char *failure_text(int error)
{
	switch (error) {
	case 0:
		return "charon closed the connection";
	case -EBADMSG:
		return "charon sent a malformed message";
	case -EMSGSIZE:
		return "charon sent a message of more than 512 KiB";
	case -EPROTO:
		return "charon sent an answer without a request";
	case -E2BIG:
		return "charon has more than 65536 connections";
	case -ENOBUFS:
		return "charon sent more messages than may wait";
	}
	return strerror(-error);
}

static void on_lost(void *context, int error)
{
	vici_session_fail(context, "%s", failure_text(error));
}

static void dispatch(struct vici_session *session, enum vici_message_kind kind,
		     struct vici_span message)
{
	int err = vici_dispatch_message(&session->dispatch, kind, message);

	if (err)
		vici_session_fail(session, "%s", failure_text(err));
}

static void on_event(void *context, struct vici_text name, struct vici_span message)
{
	struct vici_session *session = context;
	size_t i;
	int err;

	if (vici_text_is(name, "list-conn") || vici_text_is(name, "list-cert")) {
		err = vici_text_is(name, "list-conn")
			      ? vici_auth_read_listed(&session->dispatch.auth, message)
			      : vici_auth_read_cert(&session->dispatch.auth, message);
		if (err)
			vici_session_fail(session, "%s", failure_text(err));
		return;
	}
	for (i = 0; i < ARRAY_SIZE(subscriptions); i++) {
		if (vici_text_is(name, subscriptions[i].event)) {
			dispatch(session, subscriptions[i].kind, message);
			return;
		}
	}
}

static void on_listed_sa(void *context, struct vici_text name, struct vici_span message)
{
	struct vici_session *session = context;

	if (session->listing && vici_text_is(name, "list-sa"))
		dispatch(session, VICI_MESSAGE_LIST_SA, message);
}

static void on_slow(void *context)
{
	struct vici_session *session = context;

	log_warn("vici",
		 "feed %s waits for list-sas (no answer within %u ms): an IKE_SA is busy; see "
		 "charon's log",
		 session->feed->name, session->answer_limit_ms);
}

static void on_sas_listed(void *context, enum vici_packet_type type, struct vici_span message)
{
	struct vici_session *session = context;

	loop_timer_cancel(&session->slow);
	if (vici_is_refusal(type, message))
		vici_session_fail(session, "charon refused list-sas");
	else
		dispatch(session, VICI_MESSAGE_SNAPSHOT_END, VICI_NO_MESSAGE);
}

static void note_list(struct vici_session *session)
{
	uint64_t now = loop_now_ms(), past = (now - session->listed_ms) / VICI_RESYNC_LAST_MS;

	session->burst = past < session->burst ? session->burst - (unsigned int)past : 0;
	session->burst++;
	session->listed_ms = now;
}

static unsigned int gap_ms(const struct vici_session *session)
{
	return session->burst > VICI_RESYNC_BURST ? VICI_RESYNC_LAST_MS : VICI_RESYNC_GAP_MS;
}

static void list_sas(void *context)
{
	struct vici_session *session = context;
	struct feed *feed = session->feed;
	int err;

	/* Without "noblock", which would leave out the SAs of busy IKE_SAs. */
	err = vici_connection_command(&session->commands, "list-sas", VICI_NO_MESSAGE,
				      on_sas_listed);
	if (err) {
		vici_session_fail(session, "cannot send list-sas: %s", strerror(-err));
		return;
	}
	if (feed->state == FEED_STATE_SYNCED)
		feed->resyncs++;
	session->listing = true;
	session->listing_again = false;
	note_list(session);
	loop_timer_arm(&session->slow, session->answer_limit_ms);
	feed->sink->snapshot_begin(feed->sink->context, feed);
}

void vici_session_resync(struct vici_session *session)
{
	unsigned int gap = gap_ms(session);
	uint64_t since;

	if (!session->ready)
		return;
	if (session->listing) {
		session->listing_again = true;
		return;
	}
	if (loop_timer_armed(&session->resync))
		return;
	since = loop_now_ms() - session->listed_ms;
	loop_timer_arm(&session->resync, since < gap ? gap - (unsigned int)since : 0);
}

static void on_snapshot_end(void *context)
{
	struct vici_session *session = context;
	struct feed *feed = session->feed;
	char detail[sizeof(feed->detail)];

	session->listing = false;
	feed->sink->snapshot_end(feed->sink->context, feed);
	snprintf(detail, sizeof(detail), "%s, process %d", feed->daemon_version,
		 (int)vici_session_daemon(session));
	session->owner->synced(session->context, detail);
	if (session->listing_again)
		vici_session_resync(session);
}

/* charon may finish a change after this timer, if it announced the change while the timer ran. */
static void on_soon(void *context)
{
	struct vici_session *session = context;

	if (session->soon_again) {
		session->soon_again = false;
		loop_timer_arm(&session->soon, VICI_RESYNC_SOON_MS);
	}
	vici_session_resync(session);
}

static void resync_soon(void *context)
{
	struct vici_session *session = context;

	if (loop_timer_armed(&session->soon))
		session->soon_again = true;
	else
		loop_timer_arm(&session->soon, VICI_RESYNC_SOON_MS);
}

/* The first query is for all configurations, and the list of SAs follows it. */
static void end_query(struct vici_session *session)
{
	int err = vici_dispatch_query_end(&session->dispatch);

	if (err) {
		vici_session_fail(session, "%s", failure_text(err));
	} else if (!session->ready) {
		session->ready = true;
		list_sas(session);
	}
}

static void on_conns_listed(void *context, enum vici_packet_type type, struct vici_span message)
{
	struct vici_session *session = context;

	loop_timer_cancel(&session->answer_limit);
	if (vici_is_refusal(type, message))
		vici_session_fail(session, "charon refused list-conns");
	else if (vici_auth_needs_keys(&session->dispatch.auth))
		vici_key_query(session);
	else
		end_query(session);
}

/* On the events connection: list-conns never waits, and the answer keeps its place among the
 * events. */
static int query_config(void *context, const char *config_name)
{
	struct vici_session *session = context;
	uint8_t memory[FEED_NAME_MAX + 16];
	struct vici_builder builder;

	vici_builder_init(&builder, memory, sizeof(memory));
	vici_build_value(&builder, "ike", config_name);
	if (builder.error)
		return builder.error;
	vici_session_await(session, "list-conns");
	return vici_connection_command(&session->events, "list-conns",
				       vici_builder_message(&builder), on_conns_listed);
}

static void list_conns(struct vici_session *session)
{
	int err;

	vici_session_await(session, "list-conns");
	vici_dispatch_query_begin(&session->dispatch);
	err = vici_connection_command(&session->events, "list-conns", VICI_NO_MESSAGE,
				      on_conns_listed);
	if (err)
		vici_session_fail(session, "cannot send list-conns: %s", strerror(-err));
}

/* In place of the query in hand, which it contains. */
static void query_all(struct vici_session *session)
{
	session->dispatch.queried_name[0] = '\0';
	list_conns(session);
}

static const struct vici_dispatch_owner dispatch_owner = {
	.query_config = query_config,
	.resync_soon = resync_soon,
	.snapshot_end = on_snapshot_end,
};

static void on_list_sa_registered(void *context, enum vici_packet_type type,
				  struct vici_span message)
{
	struct vici_session *session = context;

	(void)message;
	if (type != VICI_EVENT_CONFIRM) {
		vici_session_fail(session, "charon does not know event list-sa");
		return;
	}
	if (session->knows_alerts)
		vici_dispatch_alerts_complete(&session->dispatch);
	list_conns(session);
}

static void copy_value(struct vici_span message, const char *key, char *out, size_t size)
{
	struct vici_member member;

	if (!vici_find(message, key, VICI_MEMBER_VALUE, &member) ||
	    vici_text_copy(member.value, out, size))
		snprintf(out, size, "?");
}

static void on_version(void *context, enum vici_packet_type type, struct vici_span message)
{
	struct vici_session *session = context;
	struct feed *feed = session->feed;
	char daemon[16], version[sizeof(feed->daemon_version) - 16];
	int err;

	(void)type; /* an unknown command has no message: "? ?" */
	copy_value(message, "daemon", daemon, sizeof(daemon));
	copy_value(message, "version", version, sizeof(version));
	snprintf(feed->daemon_version, sizeof(feed->daemon_version), "%s %s", daemon, version);
	vici_session_await(session, "a registration");
	err = vici_connection_register(&session->commands, "list-sa", on_list_sa_registered);
	if (err)
		vici_session_fail(session, "cannot register for list-sa: %s", strerror(-err));
}

static void register_next(struct vici_session *session);

static void on_registered(void *context, enum vici_packet_type type, struct vici_span message)
{
	struct vici_session *session = context;
	const struct subscription *subscription = &subscriptions[session->step];

	(void)message;
	if (type != VICI_EVENT_CONFIRM && subscription->required) {
		vici_session_fail(session, "charon does not know event %s: too old",
				  subscription->event);
		return;
	}
	if (type == VICI_EVENT_CONFIRM && subscription->kind == VICI_MESSAGE_ALERT)
		session->knows_alerts = true;
	session->step++;
	register_next(session);
}

static void on_list_conn_registered(void *context, enum vici_packet_type type,
				    struct vici_span message)
{
	struct vici_session *session = context;
	int err;

	(void)message;
	if (type != VICI_EVENT_CONFIRM) {
		vici_session_fail(session, "charon does not know event list-conn");
		return;
	}
	vici_session_await(session, "version");
	err = vici_connection_command(&session->events, "version", VICI_NO_MESSAGE, on_version);
	if (err)
		vici_session_fail(session, "cannot send version: %s", strerror(-err));
}

static bool is_left_out(const struct vici_session *session, const struct subscription *subscription)
{
	return subscription->kind == VICI_MESSAGE_ALERT &&
	       session->dispatch.finder.statements.without_alerts;
}

/* Events come before lists: a change after a list was made must arrive as an event. */
static void register_next(struct vici_session *session)
{
	const char *event = "list-conn";
	vici_answer_fn answer = on_list_conn_registered;
	int err;

	if (session->step < ARRAY_SIZE(subscriptions) &&
	    is_left_out(session, &subscriptions[session->step]))
		session->step++;
	if (session->step < ARRAY_SIZE(subscriptions)) {
		event = subscriptions[session->step].event;
		answer = on_registered;
	}
	vici_session_await(session, "a registration");
	err = vici_connection_register(&session->events, event, answer);
	if (err)
		vici_session_fail(session, "cannot register for %s: %s", event, strerror(-err));
}

void vici_session_init(struct vici_session *session, struct loop *loop, struct feed *feed,
		       const struct vici_session_owner *owner, void *context)
{
	static const struct vici_handlers events_handlers = {on_event, on_lost};
	static const struct vici_handlers commands_handlers = {on_listed_sa, on_lost};
	static const struct vici_slow_owner slow_owner = {on_event, on_lost};

	*session = (struct vici_session){
		.owner = owner,
		.context = context,
		.feed = feed,
		.query_ended = end_query,
		.query_all = query_all,
	};
	vici_connection_init(&session->events, loop, &events_handlers, session);
	vici_connection_init(&session->commands, loop, &commands_handlers, session);
	vici_slow_init(&session->certs, loop, feed, &slow_owner, session);
	vici_dispatch_init(&session->dispatch, feed, &dispatch_owner, session);
	loop_timer_init(loop, &session->answer_limit, on_answer_limit, session);
	loop_timer_init(loop, &session->resync, list_sas, session);
	loop_timer_init(loop, &session->soon, on_soon, session);
	loop_timer_init(loop, &session->slow, on_slow, session);
	session->answer_limit_ms = VICI_ANSWER_LIMIT_MS;
	session->list_age_ms = VICI_KEYS_AGE_MS;
}

int vici_session_open(struct vici_session *session, const char *socket_path)
{
	int err;

	err = vici_connection_open(&session->events, socket_path);
	if (!err)
		err = vici_connection_open(&session->commands, socket_path);
	if (!err && session->events.peer != session->commands.peer)
		err = -ECONNRESET;
	vici_slow_begin(&session->certs, socket_path, session->events.peer);
	return err;
}

pid_t vici_session_daemon(const struct vici_session *session)
{
	return session->events.peer;
}

void vici_session_start(struct vici_session *session)
{
	session->step = 0;
	register_next(session);
}

void vici_session_stop(struct vici_session *session)
{
	loop_timer_cancel(&session->answer_limit);
	loop_timer_cancel(&session->resync);
	loop_timer_cancel(&session->soon);
	loop_timer_cancel(&session->slow);
	vici_dispatch_reset(&session->dispatch);
	session->ready = session->listing = session->listing_again = session->soon_again = false;
	session->knows_alerts = false;
	session->keys = (struct vici_key_query){0};
	vici_slow_stop(&session->certs);
	vici_connection_close(&session->events);
	vici_connection_close(&session->commands);
}
