/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/feeds/vici/slow_request.h"

#include <errno.h>
#include <string.h>

#include "common/log.h"
#include "latchd/feeds/vici/message.h"

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

static void end(struct vici_slow_request *slow, enum vici_slow_result result)
{
	vici_slow_fn answered = slow->answered;

	slow->answered = NULL;
	loop_timer_cancel(&slow->limit);
	if (result != VICI_SLOW_ANSWERED && is_list(slow))
		pause_lists(slow);
	answered(slow->context, result);
}

static void on_late(void *context)
{
	struct vici_slow_request *slow = context;

	log_warn(
		"vici",
		"feed %s goes on without keys (charon did not answer %s within %u ms): new IKE_SAs "
		"of connections with a new certificate have none; see: latchd(8)",
		slow->feed->name, slow->command, slow->limit_ms);
	end(slow, VICI_SLOW_LATE);
}

/* A late answer only ends the request. */
static void on_answered(void *context, enum vici_packet_type type, struct vici_span message)
{
	struct vici_slow_request *slow = context;

	if (slow->answered)
		end(slow, vici_is_refusal(type, message) ? VICI_SLOW_REFUSED : VICI_SLOW_ANSWERED);
}

static void send_command(struct vici_slow_request *slow)
{
	uint8_t memory[32];
	struct vici_builder builder;
	int err;

	vici_builder_init(&builder, memory, sizeof(memory));
	vici_build_value(&builder, "type", slow->type);
	err = vici_connection_command(&slow->connection, slow->command,
				      vici_builder_message(&builder), on_answered);
	if (err)
		slow->owner->failed(slow->context, err);
}

static void on_registered(void *context, enum vici_packet_type type, struct vici_span message)
{
	struct vici_slow_request *slow = context;

	(void)message;
	slow->refused = type != VICI_EVENT_CONFIRM;
	if (!slow->answered)
		return;
	if (slow->refused)
		end(slow, VICI_SLOW_REFUSED);
	else
		send_command(slow);
}

static int open_connection(struct vici_slow_request *slow)
{
	int err;

	err = vici_connection_open(&slow->connection, slow->socket_path);
	if (!err && slow->connection.peer != slow->peer)
		err = -ECONNRESET;
	if (!err)
		err = vici_connection_register(&slow->connection, "list-cert", on_registered);
	return err;
}

static void request(struct vici_slow_request *slow, const char *command, const char *type,
		    vici_slow_fn answered)
{
	int err;

	slow->command = command;
	slow->type = type;
	slow->answered = answered;
	loop_timer_arm(&slow->limit, slow->limit_ms);
	if (vici_connection_is_open(&slow->connection)) {
		send_command(slow);
		return;
	}
	err = open_connection(slow);
	if (err)
		slow->owner->failed(slow->context, err);
}

void vici_slow_flush(struct vici_slow_request *slow, const char *type, vici_slow_fn answered)
{
	slow->limit_ms = slow->flush_limit_ms;
	request(slow, "flush-certs", type, answered);
}

void vici_slow_list(struct vici_slow_request *slow, const char *type, unsigned int limit_ms,
		    vici_slow_fn answered)
{
	slow->limit_ms = limit_ms;
	request(slow, "list-certs", type, answered);
}

bool vici_slow_is_free(const struct vici_slow_request *slow)
{
	return !slow->connection.answer && !slow->refused;
}

bool vici_slow_may_list(const struct vici_slow_request *slow)
{
	return vici_slow_is_free(slow) && loop_now_ms() >= slow->pause_ends_ms;
}

/* The list of a late answer is of no use. */
static void on_event(void *context, struct vici_text name, struct vici_span message)
{
	struct vici_slow_request *slow = context;

	if (slow->answered && vici_text_is(name, "list-cert"))
		slow->owner->event(slow->context, name, message);
}

static void on_lost(void *context, int error)
{
	struct vici_slow_request *slow = context;

	slow->owner->failed(slow->context, error);
}

void vici_slow_init(struct vici_slow_request *slow, struct loop *loop, const struct feed *feed,
		    const struct vici_slow_owner *owner, void *context)
{
	static const struct vici_handlers handlers = {on_event, on_lost};

	*slow = (struct vici_slow_request){
		.owner = owner,
		.context = context,
		.feed = feed,
		.flush_limit_ms = VICI_FLUSH_LIMIT_MS,
	};
	vici_connection_init(&slow->connection, loop, &handlers, slow);
	loop_timer_init(loop, &slow->limit, on_late, slow);
}

void vici_slow_begin(struct vici_slow_request *slow, const char *socket_path, pid_t peer)
{
	slow->socket_path = socket_path;
	slow->peer = peer;
}

void vici_slow_stop(struct vici_slow_request *slow)
{
	loop_timer_cancel(&slow->limit);
	vici_connection_close(&slow->connection);
	slow->refused = false;
	slow->answered = NULL;
	slow->pause_ends_ms = slow->pause_ms = 0;
}
