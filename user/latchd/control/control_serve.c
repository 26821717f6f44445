/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/control/control_serve.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "common/clock.h"
#include "latchd/control/control_client.h"
#include "latchd/net/unread.h"

/* ---- documents */

static void client_status(struct client *client)
{
	const struct control_handlers *handlers = &client->control->handlers;
	struct json_writer w;

	json_init(&w);
	handlers->status(handlers->context, client->peer == CONTROL_PEER_ROOT, &w);
	control_client_answer(client, &w);
	json_release(&w);
}

/* No event is missed after the first line, "monitor-started". */
static void client_monitor(struct client *client)
{
	char time[CLOCK_TEXT_SIZE], line[96];
	int length;

	clock_format(time, clock_real_ns());
	length = snprintf(line, sizeof(line), "{\"time\":\"%s\",\"event\":\"monitor-started\"}\n",
			  time);
	loop_timer_cancel(&client->deadline);
	client->state = CLIENT_STATE_MONITORING;
	client->control->monitor_count++;
	if (!control_client_queue(client, line, (size_t)length))
		client->lost++;
	control_client_flush(client);
}

/* ---- requests that only root may make */

/* Members of the control group may read, but only root may change a latch. */
static bool is_root(const struct client *client, pid_t *ret_pid)
{
	struct ucred peer;
	socklen_t length = sizeof(peer);

	if (getsockopt(client->fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) || peer.uid != 0)
		return false;
	*ret_pid = peer.pid;
	return true;
}

static void client_request_change(struct client *client, enum control_act act, const char *id)
{
	const struct control_handlers *handlers = &client->control->handlers;
	struct control_request request = {.act = act};
	struct json_writer w;

	if (!is_root(client, &request.pid)) {
		control_client_refuse(client, "not-permitted",
				      "not permitted: only root may break, heal or close a latch");
		return;
	}
	if (!control_request_parse_id(id, &request.latch_id)) {
		control_client_refuse(
			client, "malformed-id",
			"malformed id; expected 1 to 16 hexadecimal digits, as in list");
		return;
	}
	json_init(&w);
	handlers->request(handlers->context, &request, &w);
	control_client_answer(client, &w);
	json_release(&w);
}

static void client_malformed_flow(struct client *client, const struct failure *failure)
{
	char error[FAILURE_TEXT_MAX + sizeof("malformed flow: ")];

	snprintf(error, sizeof(error), "malformed flow: %s", failure->text);
	control_client_refuse(client, "malformed-flow", error);
}

static void client_explain(struct client *client)
{
	client->asked.for_root = client->peer == CONTROL_PEER_ROOT;
	client->explains = true;
	control_client_begin(client, NULL);
}

static void client_mode(struct client *client, const char *word)
{
	const struct control_handlers *handlers = &client->control->handlers;
	struct control_mode_request request = {0};
	struct json_writer w;

	if (!is_root(client, &request.pid)) {
		control_client_refuse(client, "not-permitted",
				      "not permitted: only root may switch the mode");
		return;
	}
	if (!control_request_parse_mode(word, &request.audit)) {
		control_client_refuse(client, "unknown-mode",
				      "unknown mode; expected audit or enforce");
		return;
	}
	json_init(&w);
	handlers->mode(handlers->context, &request, &w);
	control_client_answer(client, &w);
	json_release(&w);
}

/* ---- one line */

static void client_request(struct client *client, const char *request)
{
	enum control_act act = CONTROL_ACT_BREAK;
	const char *id = control_request_find(request, &act);
	const char *mode = control_request_mode(request);
	const struct control_handlers *handlers = &client->control->handlers;
	struct failure failure;
	bool explains;
	int err = control_explain_parse(request, &client->asked, &explains, &failure);

	if (id)
		client_request_change(client, act, id);
	else if (err)
		client_malformed_flow(client, &failure);
	else if (explains)
		client_explain(client);
	else if (mode)
		client_mode(client, mode);
	else if (!strcmp(request, "status"))
		client_status(client);
	else if (!strcmp(request, "list"))
		control_client_begin(client, handlers->list);
	else if (!strcmp(request, "sa"))
		control_client_begin(client, handlers->sa);
	else if (!strcmp(request, "audit"))
		control_client_begin(client, handlers->audit);
	else if (!strcmp(request, "monitor"))
		client_monitor(client);
	else
		control_client_refuse(
			client, "unknown-request",
			"unknown request; expected status, list, sa, audit, monitor, explain "
			"FLOW, explain ID, break ID, heal ID, close ID, mode audit or mode "
			"enforce");
}

static void client_read(struct client *client)
{
	char *end, *start = client->request + client->request_length;
	ssize_t length;

	length =
		unread_receive(client->fd, start, sizeof(client->request) - client->request_length);
	if (length == -EAGAIN || length == -EINTR)
		return;
	if (length <= 0) {
		control_client_free(client);
		return;
	}
	client->request_length += (size_t)length;
	end = memchr(start, '\n', (size_t)length);
	if (end) {
		*end = '\0';
		client_request(client, client->request);
	} else if (client->request_length == sizeof(client->request)) {
		control_client_refuse(client, "unknown-request", "request is too long");
	}
}

void control_serve(void *context, uint32_t events)
{
	struct client *client = context;

	switch (client->state) {
	case CLIENT_STATE_REQUESTING:
		client_read(client);
		return;
	case CLIENT_STATE_ANSWERED:
		if (events & (EPOLLERR | EPOLLHUP))
			control_client_free(client);
		else
			control_client_flush(client);
		return;
	case CLIENT_STATE_MONITORING:
		if (events & (EPOLLERR | EPOLLHUP | EPOLLRDHUP))
			control_client_free(client);
		else
			control_client_flush(client);
		return;
	}
}
