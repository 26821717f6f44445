/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "latchd/feeds/vici/vici_feed.h"

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

#define NO_MESSAGE ((struct vici_span){0})

struct subscription {
	const char *event;
	enum vici_message_kind kind;
	bool required;
};

static const struct subscription subscriptions[] = {
	{"ike-updown", VICI_MESSAGE_IKE_UPDOWN, true},
	{"child-updown", VICI_MESSAGE_CHILD_UPDOWN, true},
	{"child-rekey", VICI_MESSAGE_CHILD_REKEY, true},
	{"ike-rekey", VICI_MESSAGE_IKE_REKEY, false},
	{"ike-update", VICI_MESSAGE_IKE_UPDATE, false}, /* since 5.9.2 */
};

static void await(struct vici_feed *vici, const char *what)
{
	vici->awaited = what;
	loop_timer_arm(&vici->answer_limit, vici->answer_limit_ms);
}

static void on_answer_limit(void *context)
{
	struct vici_feed *vici = context;

	vici_feed_fail(vici, "charon did not answer %s within %u ms", vici->awaited,
		       vici->answer_limit_ms);
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
		return "charon sent an answer that nobody asked for";
	case -E2BIG:
		return "charon has more than 65536 connections";
	case -ENOBUFS:
		return "too many of charon's messages were waiting";
	}
	return strerror(-error);
}

static void on_lost(void *context, int error)
{
	vici_feed_fail(context, "%s", failure_text(error));
}

static void dispatch(struct vici_feed *vici, enum vici_message_kind kind, struct vici_span message)
{
	int err = vici_dispatch_message(&vici->dispatch, kind, message);

	if (err)
		vici_feed_fail(vici, "%s", failure_text(err));
}

static void on_event(void *context, struct vici_text name, struct vici_span message)
{
	struct vici_feed *vici = context;
	size_t i;
	int err;

	if (vici_text_is(name, "list-conn")) {
		err = vici_auth_listed(&vici->dispatch.auth, message);
		if (err)
			vici_feed_fail(vici, "%s", failure_text(err));
		return;
	}
	for (i = 0; i < ARRAY_SIZE(subscriptions); i++) {
		if (vici_text_is(name, subscriptions[i].event)) {
			dispatch(vici, subscriptions[i].kind, message);
			return;
		}
	}
}

static void on_listed_sa(void *context, struct vici_text name, struct vici_span message)
{
	struct vici_feed *vici = context;

	if (vici->listing && vici_text_is(name, "list-sa"))
		dispatch(vici, VICI_MESSAGE_LIST_SA, message);
}

/* "success = no" stands for an error; a listing that went well answers with an empty message. */
static bool is_refusal(enum vici_packet_type type, struct vici_span message)
{
	struct vici_member success;

	return type != VICI_CMD_RESPONSE ||
	       (vici_find(message, "success", VICI_MEMBER_VALUE, &success) &&
		!vici_text_is(success.value, "yes"));
}

static void on_slow(void *context)
{
	struct vici_feed *vici = context;

	log_warn(
		"vici",
		"feed %s: charon has not told its SAs for %u ms; an IKE_SA is busy, see charon's log",
		vici->feed.name, vici->answer_limit_ms);
}

static void on_sas_listed(void *context, enum vici_packet_type type, struct vici_span message)
{
	struct vici_feed *vici = context;

	loop_timer_cancel(&vici->slow);
	if (is_refusal(type, message))
		vici_feed_fail(vici, "charon refused list-sas");
	else
		dispatch(vici, VICI_MESSAGE_SNAPSHOT_END, NO_MESSAGE);
}

static void list_sas(void *context)
{
	struct vici_feed *vici = context;
	struct feed *feed = &vici->feed;
	int err;

	/* Without "noblock", which would leave out the SAs that charon is busy with. */
	err = vici_connection_command(&vici->commands, "list-sas", NO_MESSAGE, on_sas_listed);
	if (err) {
		vici_feed_fail(vici, "cannot ask for list-sas: %s", strerror(-err));
		return;
	}
	if (feed->state == FEED_STATE_SYNCED)
		feed->resyncs++;
	vici->listing = true;
	vici->listing_again = false;
	vici->listed_ms = loop_now_ms();
	loop_timer_arm(&vici->slow, vici->answer_limit_ms);
	feed->sink->snapshot_begin(feed->sink->context, feed);
}

void vici_session_resync(struct vici_feed *vici)
{
	uint64_t since;

	if (!vici->ready)
		return;
	if (vici->listing) {
		vici->listing_again = true;
		return;
	}
	if (loop_timer_armed(&vici->resync))
		return;
	since = loop_now_ms() - vici->listed_ms;
	loop_timer_arm(&vici->resync,
		       since < VICI_RESYNC_GAP_MS ? VICI_RESYNC_GAP_MS - (unsigned int)since : 0);
}

static void on_snapshot_end(void *context)
{
	struct vici_feed *vici = context;
	struct feed *feed = &vici->feed;

	vici->listing = false;
	feed->sink->snapshot_end(feed->sink->context, feed);
	vici_feed_set_state(vici, FEED_STATE_SYNCED, "%s, process %d", feed->daemon_version,
			    (int)vici->events.peer);
	if (vici->listing_again)
		vici_session_resync(vici);
}

/* A change announced while the timer runs may come after it: once more, then. */
static void on_soon(void *context)
{
	struct vici_feed *vici = context;

	if (vici->soon_again) {
		vici->soon_again = false;
		loop_timer_arm(&vici->soon, VICI_RESYNC_SOON_MS);
	}
	vici_session_resync(vici);
}

static void resync_soon(void *context)
{
	struct vici_feed *vici = context;

	if (loop_timer_armed(&vici->soon))
		vici->soon_again = true;
	else
		loop_timer_arm(&vici->soon, VICI_RESYNC_SOON_MS);
}

static void on_conns_listed(void *context, enum vici_packet_type type, struct vici_span message)
{
	struct vici_feed *vici = context;
	int err;

	loop_timer_cancel(&vici->answer_limit);
	if (is_refusal(type, message)) {
		vici_feed_fail(vici, "charon refused list-conns");
		return;
	}
	err = vici_dispatch_answered(&vici->dispatch);
	if (err)
		vici_feed_fail(vici, "%s", failure_text(err));
}

/* On the events connection: list-conns never waits, and the answer keeps its place among the
 * events. */
static int ask_for_config(void *context, const char *config_name)
{
	struct vici_feed *vici = context;
	uint8_t memory[FEED_NAME_MAX + 16];
	struct vici_builder builder;

	vici_builder_init(&builder, memory, sizeof(memory));
	vici_build_value(&builder, "ike", config_name);
	if (builder.error)
		return builder.error;
	await(vici, "list-conns");
	return vici_connection_command(&vici->events, "list-conns", vici_builder_message(&builder),
				       on_conns_listed);
}

static const struct vici_dispatch_owner dispatch_owner = {
	.ask = ask_for_config,
	.resync_soon = resync_soon,
	.snapshot_end = on_snapshot_end,
};

static void on_all_conns_listed(void *context, enum vici_packet_type type, struct vici_span message)
{
	struct vici_feed *vici = context;

	on_conns_listed(vici, type, message);
	if (!vici_connection_is_open(&vici->events))
		return;
	vici->ready = true;
	list_sas(vici);
}

static void on_list_sa_registered(void *context, enum vici_packet_type type,
				  struct vici_span message)
{
	struct vici_feed *vici = context;
	int err;

	(void)message;
	if (type != VICI_EVENT_CONFIRM) {
		vici_feed_fail(vici, "charon knows no event list-sa");
		return;
	}
	await(vici, "list-conns");
	vici_dispatch_asking(&vici->dispatch);
	err = vici_connection_command(&vici->events, "list-conns", NO_MESSAGE, on_all_conns_listed);
	if (err)
		vici_feed_fail(vici, "cannot ask for list-conns: %s", strerror(-err));
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
	struct vici_feed *vici = context;
	char daemon[16], version[sizeof(vici->feed.daemon_version) - 16];
	int err;

	(void)type; /* an unknown command has no message: "? ?" */
	copy_value(message, "daemon", daemon, sizeof(daemon));
	copy_value(message, "version", version, sizeof(version));
	snprintf(vici->feed.daemon_version, sizeof(vici->feed.daemon_version), "%s %s", daemon,
		 version);
	await(vici, "a registration");
	err = vici_connection_register(&vici->commands, "list-sa", on_list_sa_registered);
	if (err)
		vici_feed_fail(vici, "cannot register for list-sa: %s", strerror(-err));
}

static void next_step(struct vici_feed *vici);

static void on_registered(void *context, enum vici_packet_type type, struct vici_span message)
{
	struct vici_feed *vici = context;
	const struct subscription *subscription = &subscriptions[vici->step];

	(void)message;
	if (type != VICI_EVENT_CONFIRM && subscription->required) {
		vici_feed_fail(vici, "charon knows no event %s: too old", subscription->event);
		return;
	}
	vici->step++;
	next_step(vici);
}

static void on_list_conn_registered(void *context, enum vici_packet_type type,
				    struct vici_span message)
{
	struct vici_feed *vici = context;
	int err;

	(void)message;
	if (type != VICI_EVENT_CONFIRM) {
		vici_feed_fail(vici, "charon knows no event list-conn");
		return;
	}
	await(vici, "version");
	err = vici_connection_command(&vici->events, "version", NO_MESSAGE, on_version);
	if (err)
		vici_feed_fail(vici, "cannot ask for version: %s", strerror(-err));
}

/* Events first: what happens after a list was made must not be missed. */
static void next_step(struct vici_feed *vici)
{
	const char *event = "list-conn";
	vici_answer_fn answer = on_list_conn_registered;
	int err;

	if (vici->step < ARRAY_SIZE(subscriptions)) {
		event = subscriptions[vici->step].event;
		answer = on_registered;
	}
	await(vici, "a registration");
	err = vici_connection_register(&vici->events, event, answer);
	if (err)
		vici_feed_fail(vici, "cannot register for %s: %s", event, strerror(-err));
}

void vici_session_init(struct vici_feed *vici)
{
	static const struct vici_handlers events_handlers = {on_event, on_lost};
	static const struct vici_handlers commands_handlers = {on_listed_sa, on_lost};

	vici_connection_init(&vici->events, vici->loop, &events_handlers, vici);
	vici_connection_init(&vici->commands, vici->loop, &commands_handlers, vici);
	vici_dispatch_init(&vici->dispatch, &vici->feed, &dispatch_owner, vici);
	loop_timer_init(vici->loop, &vici->answer_limit, on_answer_limit, vici);
	loop_timer_init(vici->loop, &vici->resync, list_sas, vici);
	loop_timer_init(vici->loop, &vici->soon, on_soon, vici);
	loop_timer_init(vici->loop, &vici->slow, on_slow, vici);
	vici->answer_limit_ms = VICI_ANSWER_LIMIT_MS;
}

void vici_session_start(struct vici_feed *vici)
{
	vici->step = 0;
	next_step(vici);
}

void vici_session_stop(struct vici_feed *vici)
{
	loop_timer_cancel(&vici->answer_limit);
	loop_timer_cancel(&vici->resync);
	loop_timer_cancel(&vici->soon);
	loop_timer_cancel(&vici->slow);
	vici_dispatch_reset(&vici->dispatch);
	vici->ready = vici->listing = vici->listing_again = vici->soon_again = false;
}
