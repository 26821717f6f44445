/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/feeds/vici/connection.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/loop.h"

void vici_connection_init(struct vici_connection *connection, struct loop *loop,
			  const struct vici_handlers *handlers, void *context)
{
	*connection = (struct vici_connection){
		.loop = loop,
		.handlers = handlers,
		.context = context,
		.fd = -1,
	};
}

bool vici_connection_is_open(const struct vici_connection *connection)
{
	return connection->fd >= 0;
}

static void drop_request(struct vici_connection *connection)
{
	free(connection->request);
	connection->request = NULL;
	connection->request_length = connection->request_sent = 0;
}

void vici_connection_close(struct vici_connection *connection)
{
	if (connection->fd < 0)
		return;
	loop_fd_remove(connection->loop, connection->fd);
	close(connection->fd);
	connection->fd = -1;
	connection->answer = NULL;
	drop_request(connection);
	vici_frames_free(&connection->frames);
}

static void disconnect(struct vici_connection *connection, int error)
{
	vici_connection_close(connection);
	connection->handlers->lost(connection->context, error);
}

static bool answers(enum vici_packet_type request, enum vici_packet_type type)
{
	if (request == VICI_CMD_REQUEST)
		return type == VICI_CMD_RESPONSE || type == VICI_CMD_UNKNOWN;
	return type == VICI_EVENT_CONFIRM || type == VICI_EVENT_UNKNOWN;
}

static int handle_answer(struct vici_connection *connection, const struct vici_packet *packet)
{
	vici_answer_fn answer = connection->answer;

	/* charon cannot answer a request that is not sent whole. */
	if (!answer || connection->request || !answers(connection->request_type, packet->type))
		return -EPROTO;
	connection->answer = NULL;
	answer(connection->context, packet->type, packet->message);
	return 0;
}

static int handle_packet(struct vici_connection *connection, const struct vici_packet *packet)
{
	switch (packet->type) {
	case VICI_EVENT:
		connection->handlers->event(connection->context, packet->name, packet->message);
		return 0;
	case VICI_CMD_RESPONSE:
	case VICI_CMD_UNKNOWN:
	case VICI_EVENT_CONFIRM:
	case VICI_EVENT_UNKNOWN:
		return handle_answer(connection, packet);
	case VICI_CMD_REQUEST:
	case VICI_EVENT_REGISTER:
	case VICI_EVENT_UNREGISTER:
		return -EPROTO;
	}
	return -EPROTO;
}

/* A handler may close the connection, which frees the frames: check before each frame. */
static int handle_frames(struct vici_connection *connection)
{
	struct vici_packet packet;
	struct vici_span payload;
	int err = 0;

	while (!err && vici_connection_is_open(connection)) {
		err = vici_frames_next(&connection->frames, &payload);
		if (err <= 0)
			break;
		err = vici_packet_parse(payload, &packet);
		if (!err)
			err = handle_packet(connection, &packet);
	}
	return err;
}

static void handle_readable(struct vici_connection *connection)
{
	uint8_t *at;
	size_t room;
	ssize_t got;
	int err;

	err = vici_frames_room(&connection->frames, &at, &room);
	if (err) {
		disconnect(connection, err);
		return;
	}
	got = recv(connection->fd, at, room, MSG_DONTWAIT);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0) {
		disconnect(connection, got ? -errno : 0);
		return;
	}
	vici_frames_filled(&connection->frames, (size_t)got);
	err = handle_frames(connection);
	if (err && vici_connection_is_open(connection))
		disconnect(connection, err);
}

/* 0 when all is written or the socket is full. */
static int write_request(struct vici_connection *connection)
{
	ssize_t sent;

	while (connection->request_sent < connection->request_length) {
		sent = send(connection->fd, connection->request + connection->request_sent,
			    connection->request_length - connection->request_sent,
			    MSG_DONTWAIT | MSG_NOSIGNAL);
		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0)
			return errno == EAGAIN ? 0 : -errno;
		connection->request_sent += (size_t)sent;
	}
	drop_request(connection);
	return loop_fd_modify(connection->loop, connection->fd, EPOLLIN);
}

/* Reads first: messages that charon sent before it closed the connection still count. */
static void on_socket(void *context, uint32_t epoll_events)
{
	struct vici_connection *connection = context;
	int err;

	if (epoll_events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		handle_readable(connection);
	if (!(epoll_events & EPOLLOUT) || !connection->request)
		return;
	err = write_request(connection);
	if (err)
		disconnect(connection, err);
}

/* The kernel took these credentials when the process called listen(). */
static int read_peer(int fd, pid_t *peer)
{
	struct ucred credentials = {0};
	socklen_t length = sizeof(credentials);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length))
		return -errno;
	*peer = credentials.pid;
	return 0;
}

int vici_connection_open(struct vici_connection *connection, const char *socket_path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	auto_close int fd = -1;
	int err;

	if (strlen(socket_path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, socket_path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)))
		return -errno;
	err = read_peer(fd, &connection->peer);
	if (!err)
		err = loop_fd_add(connection->loop, fd, EPOLLIN, on_socket, connection);
	if (!err)
		connection->fd = take_fd(&fd);
	return err;
}

/* The loop writes the request, so that lost() is the only report of a failed write. */
static int request(struct vici_connection *connection, enum vici_packet_type type, const char *name,
		   struct vici_span message, vici_answer_fn answer)
{
	size_t size;
	int err;

	if (!vici_connection_is_open(connection))
		return -ENOTCONN;
	if (connection->answer || connection->request)
		return -EBUSY;
	size = vici_packet_size(name, message.length);
	if (strlen(name) > VICI_NAME_MAX || size > VICI_FRAME_HEADER + VICI_FRAME_MAX)
		return -EMSGSIZE;
	connection->request = malloc(size);
	if (!connection->request)
		return -ENOMEM;
	vici_packet_write(connection->request, type, name, message);
	err = loop_fd_modify(connection->loop, connection->fd, EPOLLIN | EPOLLOUT);
	if (err) {
		drop_request(connection);
		return err;
	}
	connection->request_length = size;
	connection->request_sent = 0;
	connection->request_type = type;
	connection->answer = answer;
	return 0;
}

int vici_connection_register(struct vici_connection *connection, const char *event,
			     vici_answer_fn answer)
{
	return request(connection, VICI_EVENT_REGISTER, event, (struct vici_span){0}, answer);
}

int vici_connection_command(struct vici_connection *connection, const char *command,
			    struct vici_span message, vici_answer_fn answer)
{
	return request(connection, VICI_CMD_REQUEST, command, message, answer);
}
