/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/control/control.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "latchd/control/control_queue.h"
#include "latchd/control/control_socket.h"

#define CONTROL_REQUEST_TIMEOUT_MS 10000
#define CONTROL_STALL_TIMEOUT_MS   30000
#define CONTROL_ANSWER_TIMEOUT_MS  120000 /* of a whole answer */
#define CONTROL_ACCEPT_PAUSE_MS	   1000
#define CONTROL_ACCEPTS_MAX	   128 /* in a round */

typedef bool (*part_fn)(void *context, struct map_cursor *cursor, struct json_writer *w);

enum client_state {
	CLIENT_STATE_REQUESTING,
	CLIENT_STATE_ANSWERED, /* closed when the answer is sent */
	CLIENT_STATE_MONITORING,
};

struct client {
	struct control *control;
	struct client *next;
	int fd;
	enum control_peer peer;
	enum client_state state;
	struct loop_timer deadline; /* not of monitors: they may have nothing to read for long */
	char request[CONTROL_REQUEST_MAX];
	size_t request_length;
	struct control_queue queue;
	part_fn part;  /* of an answer in parts, until its last part is queued */
	bool explains; /* its parts come from the handler explain instead */
	struct control_explain asked;
	struct json_writer writer; /* of that answer */
	struct map_cursor cursor;
	uint64_t answer_end_ms; /* loop_now_ms() at which an answer is given up */
	uint64_t lost;		/* events dropped for this monitor and not reported to it yet */
};

struct control {
	struct loop *loop;
	struct control_socket socket;
	struct control_handlers handlers;
	struct loop_timer accept_again;
	struct client *clients;
	unsigned int root_count, member_count, monitor_count;
};

/* ---- clients ---- */

/* Members of the control group must not occupy the places of root. */
static unsigned int *count_of(struct control *control, enum control_peer peer)
{
	return peer == CONTROL_PEER_ROOT ? &control->root_count : &control->member_count;
}

static bool has_place(struct control *control, enum control_peer peer)
{
	return *count_of(control, peer) <
	       (peer == CONTROL_PEER_ROOT ? CONTROL_CLIENTS_ROOT : CONTROL_CLIENTS_MEMBERS);
}

static void client_free(struct client *client)
{
	struct control *control = client->control;
	struct client **at;

	for (at = &control->clients; *at != client; at = &(*at)->next)
		;
	*at = client->next;
	(*count_of(control, client->peer))--;
	if (client->state == CLIENT_STATE_MONITORING)
		control->monitor_count--;
	loop_timer_cancel(&client->deadline);
	loop_fd_remove(control->loop, client->fd);
	close(client->fd);
	control_queue_release(&client->queue);
	json_release(&client->writer);
	free(client);
}

static void on_deadline(void *context)
{
	client_free(context);
}

static bool is_queued(struct client *client, const char *line, size_t length)
{
	return control_queue_line(&client->queue, line, length, CONTROL_MONITOR_QUEUE_MAX);
}

/* Once the queue is half empty again: one line for a run of dropped events. */
static void queue_lost(struct client *client)
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
	if (is_queued(client, line, (size_t)length))
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

/* True: it was the last one. */
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
	client_free(client);
	return false;
}

/*
 * Sends as much as the socket takes. Of an answer in parts that is at most the part that waits and
 * the next one. Other clients get their turn. Frees the client when its answer is sent or the peer
 * closed.
 */
static void client_flush(struct client *client)
{
	ssize_t sent = 1;

	while (sent > 0 && control_queue_length(&client->queue)) {
		sent = control_queue_send(&client->queue, client->fd);
		if (sent > 0 && client->state == CLIENT_STATE_ANSWERED)
			client_arm(client);
		else if (sent > 0)
			queue_lost(client);
	}
	if (sent > 0 && has_parts(client) && !client_next_part(client))
		return;
	if (sent < 0 || (client->state == CLIENT_STATE_ANSWERED && !has_more(client)))
		client_free(client);
	else
		loop_fd_modify(client->control->loop, client->fd, wanted_events(client));
}

/* ---- requests ---- */

static void client_begin(struct client *client, part_fn part)
{
	client->part = part;
	client->state = CLIENT_STATE_ANSWERED;
	client->answer_end_ms = loop_now_ms() + CONTROL_ANSWER_TIMEOUT_MS;
	client_arm(client);
	client_flush(client);
}

/* The writer's text becomes the whole answer. */
static void client_answer(struct client *client, struct json_writer *w)
{
	int err = json_finish(w);

	if (!err)
		err = control_queue_take(&client->queue, w);
	if (err) {
		log_error(
			"control",
			"answer not written (%s): client of the control socket; connection closed",
			strerror(-err));
		client_free(client);
		return;
	}
	client_begin(client, NULL);
}

static void client_refuse(struct client *client, const char *code, const char *error)
{
	struct json_writer w;

	json_init(&w);
	json_object_begin(&w);
	json_member_string(&w, "error", error);
	json_member_string(&w, "code", code);
	json_object_end(&w);
	client_answer(client, &w);
	json_release(&w);
}

static void client_status(struct client *client)
{
	const struct control_handlers *handlers = &client->control->handlers;
	struct json_writer w;

	json_init(&w);
	handlers->status(handlers->context, client->peer == CONTROL_PEER_ROOT, &w);
	client_answer(client, &w);
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
	if (!is_queued(client, line, (size_t)length))
		client->lost++;
	client_flush(client);
}

/* ---- requests that change a latch */

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
		client_refuse(client, "not-permitted",
			      "not permitted: only root may break, heal or close a latch");
		return;
	}
	if (!control_request_parse_id(id, &request.latch_id)) {
		client_refuse(client, "malformed-id",
			      "malformed id; expected 1 to 16 hexadecimal digits, as in list");
		return;
	}
	json_init(&w);
	handlers->request(handlers->context, &request, &w);
	client_answer(client, &w);
	json_release(&w);
}

static void client_explain(struct client *client, const char *wrong)
{
	char error[256];

	if (wrong) {
		snprintf(error, sizeof(error), "malformed flow: %s", wrong);
		client_refuse(client, "malformed-flow", error);
		return;
	}
	client->asked.for_root = client->peer == CONTROL_PEER_ROOT;
	client->explains = true;
	client_begin(client, NULL);
}

static void client_mode(struct client *client, const char *word)
{
	const struct control_handlers *handlers = &client->control->handlers;
	struct control_mode_request request = {0};
	struct json_writer w;

	if (!is_root(client, &request.pid)) {
		client_refuse(client, "not-permitted",
			      "not permitted: only root may switch the mode");
		return;
	}
	if (!control_request_parse_mode(word, &request.audit)) {
		client_refuse(client, "unknown-mode", "unknown mode; expected audit or enforce");
		return;
	}
	json_init(&w);
	handlers->mode(handlers->context, &request, &w);
	client_answer(client, &w);
	json_release(&w);
}

static void client_request(struct client *client, const char *request)
{
	enum control_act act = CONTROL_ACT_BREAK;
	const char *id = control_request_find(request, &act);
	const char *mode = control_request_mode(request);
	const struct control_handlers *handlers = &client->control->handlers;
	bool explains;
	const char *wrong = control_explain_parse(request, &client->asked, &explains);

	if (id)
		client_request_change(client, act, id);
	else if (explains)
		client_explain(client, wrong);
	else if (mode)
		client_mode(client, mode);
	else if (!strcmp(request, "status"))
		client_status(client);
	else if (!strcmp(request, "list"))
		client_begin(client, handlers->list);
	else if (!strcmp(request, "sa"))
		client_begin(client, handlers->sa);
	else if (!strcmp(request, "audit"))
		client_begin(client, handlers->audit);
	else if (!strcmp(request, "monitor"))
		client_monitor(client);
	else
		client_refuse(client, "unknown-request",
			      "unknown request; expected status, list, sa, audit, monitor, explain "
			      "FLOW, explain ID, break ID, heal ID, close ID, mode audit or mode "
			      "enforce");
}

static void client_read(struct client *client)
{
	char *end, *start = client->request + client->request_length;
	ssize_t length;

	length = recv(client->fd, start, sizeof(client->request) - client->request_length,
		      MSG_DONTWAIT);
	if (length < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (length <= 0) {
		client_free(client);
		return;
	}
	client->request_length += (size_t)length;
	end = memchr(start, '\n', (size_t)length);
	if (end) {
		*end = '\0';
		client_request(client, client->request);
	} else if (client->request_length == sizeof(client->request)) {
		client_refuse(client, "unknown-request", "request is too long");
	}
}

static void on_client(void *context, uint32_t events)
{
	struct client *client = context;

	switch (client->state) {
	case CLIENT_STATE_REQUESTING:
		client_read(client);
		return;
	case CLIENT_STATE_ANSWERED:
		if (events & (EPOLLERR | EPOLLHUP))
			client_free(client);
		else
			client_flush(client);
		return;
	case CLIENT_STATE_MONITORING:
		if (events & (EPOLLERR | EPOLLHUP | EPOLLRDHUP))
			client_free(client);
		else
			client_flush(client);
		return;
	}
}

/* ---- accepting ---- */

static struct client *client_new(struct control *control, int fd, enum control_peer peer)
{
	struct client *client = calloc(1, sizeof(*client));

	if (!client || loop_fd_add(control->loop, fd, EPOLLIN, on_client, client)) {
		free(client);
		close(fd);
		return NULL;
	}
	client->control = control;
	client->fd = fd;
	client->peer = peer;
	client->next = control->clients;
	control->clients = client;
	(*count_of(control, peer))++;
	loop_timer_init(control->loop, &client->deadline, on_deadline, client);
	loop_timer_arm(&client->deadline, CONTROL_REQUEST_TIMEOUT_MS);
	return client;
}

/* The answer is a best effort: no client is made for the connection. */
static void refuse_connection(int fd, const char *line)
{
	if (send(fd, line, strlen(line), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		log_debug("control", "rejection not sent (%m): client of the control socket");
	close(fd);
}

static void give_place(struct control *control, int fd)
{
	enum control_peer peer = control_socket_peer(&control->socket, fd);

	if (peer == CONTROL_PEER_OTHER)
		refuse_connection(fd,
				  "{\"error\":\"not permitted: only root and the group set in "
				  "[control] may send requests\",\"code\":\"not-permitted\"}\n");
	else if (!has_place(control, peer))
		refuse_connection(fd, "{\"error\":\"latchd has too many clients\","
				      "\"code\":\"busy\"}\n");
	else
		client_new(control, fd, peer);
}

/* Out of descriptors: the connection stays in the backlog. */
static void pause_accepting(struct control *control)
{
	if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)
		return;
	log_warn("control", "client not accepted (%m): control socket; next attempt in %d ms",
		 CONTROL_ACCEPT_PAUSE_MS);
	loop_fd_modify(control->loop, control->socket.fd, 0);
	loop_timer_arm(&control->accept_again, CONTROL_ACCEPT_PAUSE_MS);
}

/* A connection that is refused must not keep root's waiting for a round of the loop. */
static void on_connection(void *context, uint32_t events)
{
	struct control *control = context;
	int fd = 0, i;

	(void)events;
	for (i = 0; fd >= 0 && i < CONTROL_ACCEPTS_MAX; i++) {
		fd = accept4(control->socket.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd >= 0)
			give_place(control, fd);
	}
	if (fd < 0)
		pause_accepting(control);
}

static void accept_again(void *context)
{
	struct control *control = context;

	loop_fd_modify(control->loop, control->socket.fd, EPOLLIN);
}

/* ---- the whole ---- */

int control_new(struct loop *loop, const char *socket_path, const char *group,
		const struct control_handlers *handlers, struct control **ret,
		struct failure *failure)
{
	struct control *control = calloc(1, sizeof(*control));
	int err;

	if (!control)
		return failure_set(failure, -ENOMEM, "control socket: out of memory; free some");
	control->loop = loop;
	control->handlers = *handlers;
	loop_timer_init(loop, &control->accept_again, accept_again, control);
	err = control_socket_open(&control->socket, socket_path, group, failure);
	if (err) {
		free(control);
		return err;
	}
	err = loop_fd_add(loop, control->socket.fd, EPOLLIN, on_connection, control);
	if (err) {
		failure_set(failure, err,
			    "control socket %s: cannot wait on it: %s; free memory or descriptors",
			    socket_path, strerror(-err));
		control_socket_close(&control->socket);
		free(control);
		return err;
	}
	*ret = control;
	return 0;
}

void control_free(struct control *control)
{
	if (!control)
		return;
	while (control->clients)
		client_free(control->clients);
	loop_timer_cancel(&control->accept_again);
	loop_fd_remove(control->loop, control->socket.fd);
	control_socket_close(&control->socket);
	free(control);
}

void control_publish(struct control *control, const char *json_line, size_t length)
{
	struct client *client, *next;

	for (client = control->clients; client; client = next) {
		next = client->next;
		if (client->state != CLIENT_STATE_MONITORING)
			continue;
		queue_lost(client);
		if (client->lost || !is_queued(client, json_line, length))
			client->lost++;
		client_flush(client);
	}
}

struct control_load control_load(const struct control *control)
{
	struct control_load load = {.root = control->root_count, .members = control->member_count};
	const struct client *client;

	for (client = control->clients; client; client = client->next)
		load.bytes += client->queue.capacity + client->writer.capacity;
	return load;
}

bool control_has_monitors(const struct control *control)
{
	return control->monitor_count > 0;
}
