/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/control/control.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "common/log.h"
#include "latchd/control/control_client.h"
#include "latchd/control/control_serve.h"
#include "latchd/net/unread.h"

#define CONTROL_REQUEST_TIMEOUT_MS 10000
#define CONTROL_ACCEPT_PAUSE_MS	   1000
#define CONTROL_ACCEPTS_MAX	   128 /* in a round */
#define CONTROL_UNREAD_MAX	   448 /* connections that wait for their close, see unread.h */
#define CONTROL_UNREAD_PAUSE_MS	   10

/* ---- accepting ---- */

static bool has_place(struct control *control, enum control_peer peer)
{
	return *control_client_count(control, peer) <
	       (peer == CONTROL_PEER_ROOT ? CONTROL_CLIENTS_ROOT : CONTROL_CLIENTS_MEMBERS);
}

static void on_deadline(void *context)
{
	control_client_free(context);
}

static struct client *client_new(struct control *control, int fd, enum control_peer peer)
{
	struct client *client = calloc(1, sizeof(*client));

	if (!client || loop_fd_add(control->loop, fd, EPOLLIN, control_serve, client)) {
		free(client);
		unread_close_stream(fd);
		return NULL;
	}
	client->control = control;
	client->fd = fd;
	client->peer = peer;
	client->next = control->clients;
	control->clients = client;
	(*control_client_count(control, peer))++;
	loop_timer_init(control->loop, &client->deadline, on_deadline, client);
	loop_timer_arm(&client->deadline, CONTROL_REQUEST_TIMEOUT_MS);
	return client;
}

/* The answer is a best effort: no client is made for the connection. */
static void refuse_connection(int fd, const char *line)
{
	if (send(fd, line, strlen(line), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		log_debug("control", "rejection not sent (%m): client of the control socket");
	unread_close_stream(fd);
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

static int accept_one(const struct control *control)
{
	return accept4(control->socket.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
}

static void pause_accepting(struct control *control, unsigned int ms)
{
	loop_fd_modify(control->loop, control->socket.fd, 0);
	loop_timer_arm(&control->accept_again, ms);
}

/* Out of descriptors: the connection stays in the backlog. */
static void not_accepted(struct control *control)
{
	if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)
		return;
	log_warn("control", "client not accepted (%m): control socket; next attempt in %d ms",
		 CONTROL_ACCEPT_PAUSE_MS);
	pause_accepting(control, CONTROL_ACCEPT_PAUSE_MS);
}

/* A refused connection must not delay root's connection by a round of the loop. */
static void on_connection(void *context, uint32_t events)
{
	struct control *control = context;
	bool has_room = unread_waiting() < CONTROL_UNREAD_MAX;
	int fd = 0, i;

	(void)events;
	for (i = 0; i < CONTROL_ACCEPTS_MAX && has_room; i++) {
		fd = accept_one(control);
		if (fd < 0)
			break;
		give_place(control, fd);
		has_room = unread_waiting() < CONTROL_UNREAD_MAX;
	}
	if (fd < 0)
		not_accepted(control);
	else if (!has_room)
		pause_accepting(control, CONTROL_UNREAD_PAUSE_MS);
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

/* Connections that wait may hold descriptors: each is closed by itself, the listening one last. */
static void close_backlog(const struct control *control)
{
	int fd;

	shutdown(control->socket.fd, SHUT_RDWR);
	while ((fd = accept_one(control)) >= 0 || errno == ECONNABORTED || errno == EINTR)
		if (fd >= 0)
			unread_close_stream(fd);
}

void control_free(struct control *control)
{
	if (!control)
		return;
	while (control->clients)
		control_client_free(control->clients);
	loop_timer_cancel(&control->accept_again);
	loop_fd_remove(control->loop, control->socket.fd);
	close_backlog(control);
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
		control_client_queue_lost(client);
		if (client->lost || !control_client_queue(client, json_line, length))
			client->lost++;
		control_client_flush(client);
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
