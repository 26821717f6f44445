/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/control/control_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "common/clock.h"
#include "common/log.h"
#include "latchd/net/unread.h"

#define CONTROL_STALL_TIMEOUT_MS  30000
#define CONTROL_ANSWER_TIMEOUT_MS 120000 /* of a whole answer */

unsigned int *control_client_count(struct control *control, enum control_peer peer)
{
	return peer == CONTROL_PEER_ROOT ? &control->root_count : &control->member_count;
}

void control_client_free(struct client *client)
{
	struct control *control = client->control;
	struct client **at;

	for (at = &control->clients; *at != client; at = &(*at)->next)
		;
	*at = client->next;
	(*control_client_count(control, client->peer))--;
	if (client->state == CLIENT_STATE_MONITORING)
		control->monitor_count--;
	loop_timer_cancel(&client->deadline);
	loop_fd_remove(control->loop, client->fd);
	unread_close_stream(client->fd);
	control_queue_release(&client->queue);
	json_release(&client->writer);
	free(client);
}

bool control_client_queue(struct client *client, const char *line, size_t length)
{
	return control_queue_line(&client->queue, line, length, CONTROL_MONITOR_QUEUE_MAX);
}

void control_client_queue_lost(struct client *client)
{
	char time[CLOCK_TEXT_SIZE], line[128];
	int length;

	if (!client->lost || control_queue_length(&client->queue) > CONTROL_MONITOR_QUEUE_MAX / 2)
		return;
	clock_format(time, clock_real_ns());
	length = snprintf(line, sizeof(line),
			  "{\"time\":\"%s\",\"event\":\"lost\",\"count\":%llu,"
			  "\"where\":\"monitor\"}\n",
			  time, (unsigned long long)client->lost);
	if (control_client_queue(client, line, (size_t)length))
		client->lost = 0;
}

static bool has_parts(const struct client *client)
{
	return client->part || client->explains;
}

static bool has_more(const struct client *client)
{
	return control_queue_length(&client->queue) || has_parts(client);
}

/* A client may shut down its sending side and still read the answer; a monitor may not. */
static uint32_t wanted_events(const struct client *client)
{
	uint32_t writable = has_more(client) ? EPOLLOUT : 0;

	return client->state == CLIENT_STATE_MONITORING ? writable | EPOLLRDHUP : writable;
}

/* A client that reads slowly keeps its place for a limited time. */
static void client_arm(struct client *client)
{
	uint64_t now_ms = loop_now_ms();
	uint64_t left_ms = client->answer_end_ms > now_ms ? client->answer_end_ms - now_ms : 0;

	loop_timer_arm(&client->deadline, left_ms < CONTROL_STALL_TIMEOUT_MS
						  ? (unsigned int)left_ms
						  : CONTROL_STALL_TIMEOUT_MS);
}

/* True: it was the last part. */
static bool write_part(struct client *client)
{
	const struct control_handlers *handlers = &client->control->handlers;

	if (client->explains)
		return handlers->explain(handlers->context, &client->asked, &client->cursor,
					 &client->writer);
	return client->part(handlers->context, &client->cursor, &client->writer);
}

/* Writes the next part. False: it failed, and the client is freed. */
static bool client_next_part(struct client *client)
{
	int err = 0;

	if (write_part(client)) {
		client->part = NULL;
		client->explains = false;
		err = json_finish(&client->writer);
	}
	if (!err)
		err = client->writer.error;
	if (!err)
		err = control_queue_take(&client->queue, &client->writer);
	if (!err)
		return true;
	log_error("control",
		  "answer not written (%s): client of the control socket; connection closed",
		  strerror(-err));
	control_client_free(client);
	return false;
}

void control_client_flush(struct client *client)
{
	ssize_t sent = 1;

	while (sent > 0 && control_queue_length(&client->queue)) {
		sent = control_queue_send(&client->queue, client->fd);
		if (sent > 0 && client->state == CLIENT_STATE_ANSWERED)
			client_arm(client);
		else if (sent > 0)
			control_client_queue_lost(client);
	}
	if (sent > 0 && has_parts(client) && !client_next_part(client))
		return;
	if (sent < 0 || (client->state == CLIENT_STATE_ANSWERED && !has_more(client)))
		control_client_free(client);
	else
		loop_fd_modify(client->control->loop, client->fd, wanted_events(client));
}

void control_client_begin(struct client *client, control_part_fn part)
{
	client->part = part;
	client->state = CLIENT_STATE_ANSWERED;
	client->answer_end_ms = loop_now_ms() + CONTROL_ANSWER_TIMEOUT_MS;
	client_arm(client);
	control_client_flush(client);
}

void control_client_answer(struct client *client, struct json_writer *w)
{
	int err = json_finish(w);

	if (!err)
		err = control_queue_take(&client->queue, w);
	if (err) {
		log_error(
			"control",
			"answer not written (%s): client of the control socket; connection closed",
			strerror(-err));
		control_client_free(client);
		return;
	}
	control_client_begin(client, NULL);
}

void control_client_refuse(struct client *client, const char *code, const char *error)
{
	struct json_writer w;

	json_init(&w);
	json_object_begin(&w);
	json_member_string(&w, "error", error);
	json_member_string(&w, "code", code);
	json_object_end(&w);
	control_client_answer(client, &w);
	json_release(&w);
}
