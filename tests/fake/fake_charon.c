/* SPDX-License-Identifier: BSD-2-Clause */
#include "fake/fake_charon.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fake/trace.h"
#include "fake/vici_json.h"
#include "common/loop.h"
#include "latchd/feeds/vici/certificate.h"

#define NO_MESSAGE ((struct vici_span){0})

static bool is_same(const char *one, const char *other)
{
	return one && other && !strcmp(one, other);
}

static void drop_client(struct fake_client *client)
{
	if (client->fd < 0)
		return;
	loop_fd_remove(client->charon->loop, client->fd);
	close(client->fd);
	vici_frames_free(&client->frames);
	free(client->out);
	*client = (struct fake_client){.charon = client->charon, .fd = -1};
}

static void flush(struct fake_client *client)
{
	ssize_t sent = 0;

	while (client->fd >= 0 && client->out_sent < client->out_length) {
		sent = send(client->fd, client->out + client->out_sent,
			    client->out_length - client->out_sent, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (sent < 0)
			break;
		client->out_sent += (size_t)sent;
	}
	if (client->fd < 0)
		return;
	if (sent < 0 && errno != EAGAIN) {
		drop_client(client);
		return;
	}
	loop_fd_modify(client->charon->loop, client->fd,
		       client->out_sent < client->out_length ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

static void send_raw(struct fake_client *client, const void *bytes, size_t length)
{
	client->out = realloc(client->out, client->out_length + length);
	if (!client->out)
		abort();
	memcpy(client->out + client->out_length, bytes, length);
	client->out_length += length;
	flush(client);
}

static void send_packet(struct fake_client *client, enum vici_packet_type type, const char *name,
			struct vici_span message)
{
	size_t size = vici_packet_size(name, message.length);
	uint8_t *frame = malloc(size);

	if (!frame)
		abort();
	vici_packet_write(frame, type, name, message);
	send_raw(client, frame, size);
	free(frame);
}

static bool is_registered(const struct fake_client *client, const char *event)
{
	size_t i;

	for (i = 0; i < client->event_count; i++)
		if (!strcmp(client->events[i], event))
			return true;
	return false;
}

static void send_event(struct fake_client *client, const char *event, const char *json)
{
	if (client->fd >= 0 && is_registered(client, event))
		send_packet(client, VICI_EVENT, event, vici_from_json(json));
}

/* The JSON of a connection begins with {"NAME": */
static bool is_conn_of(const char *json, const char *ike)
{
	const char *name = strchr(json, '"');
	size_t length = strlen(ike);

	return name && !strncmp(name + 1, ike, length) && name[1 + length] == '"';
}

static struct vici_span plain_answer(const char *command)
{
	if (is_same(command, "version"))
		return vici_from_json("{\"daemon\":\"charon\",\"version\":\"5.9.8\","
				      "\"sysname\":\"Linux\",\"release\":\"6.12\"}");
	return NO_MESSAGE;
}

/* The length of a DER item's head, and of its content. */
static size_t der_head(const uint8_t *at, size_t *ret_length)
{
	size_t bytes = at[1] & 0x80 ? at[1] & 0x7f : 0, i;

	*ret_length = bytes ? 0 : at[1];
	for (i = 0; i < bytes; i++)
		*ret_length = *ret_length << 8 | at[2 + i];
	return 2 + bytes;
}

/* Of a well-formed name. */
static size_t count_rdns(struct vici_text name)
{
	const uint8_t *at = (const uint8_t *)name.at, *end = at + name.length;
	size_t length, count = 0;

	at += der_head(at, &length);
	for (; at < end; count++)
		at += der_head(at, &length) + length;
	return count;
}

static size_t count_parts(const char *subject)
{
	size_t count = 1;

	for (; (subject = strchr(subject, ',')); subject++)
		count++;
	return count;
}

/* charon parses the text and compares DNs: it finds no value with a comma or without ASCII. */
static bool has_text(struct vici_text cert, struct vici_text name, const char *subject)
{
	struct vici_text key;
	char text[512];

	return vici_certificate_read(cert, text, sizeof(text), &key) && !strcmp(text, subject) &&
	       !strchr(subject, '?') && count_rdns(name) == count_parts(subject);
}

static bool has_encoding(struct vici_text name, const char *digits)
{
	char hex[3];
	size_t i;

	for (i = 0; i < name.length; i++) {
		snprintf(hex, sizeof(hex), "%02x", (uint8_t)name.at[i]);
		if (strncmp(digits + 2 * i, hex, 2))
			return false;
	}
	return strlen(digits) == 2 * name.length;
}

static bool has_subject(struct vici_span cert, const char *subject)
{
	struct vici_member member;
	struct vici_text name;

	if (vici_find(cert, "subject", VICI_MEMBER_VALUE, &member))
		return vici_text_is(member.value, subject);
	if (!vici_find(cert, "data", VICI_MEMBER_VALUE, &member) ||
	    !vici_certificate_name(member.value, &name))
		return false;
	return !strncmp(subject, "asn1dn:#", 8) ? has_encoding(name, subject + 8)
						: has_text(member.value, name, subject);
}

static bool has_type(struct vici_span cert, const char *type)
{
	struct vici_member member;

	return !*type || (vici_find(cert, "type", VICI_MEMBER_VALUE, &member) &&
			  vici_text_is(member.value, type));
}

static void send_certs(struct fake_client *client)
{
	const struct fake_charon *charon = client->charon;
	size_t i;

	for (i = 0; i < charon->cert_count; i++)
		if (client->fd >= 0 && is_registered(client, "list-cert") &&
		    has_type(charon->certs[i], client->type) &&
		    (!*client->subject || has_subject(charon->certs[i], client->subject)))
			send_packet(client, VICI_EVENT, "list-cert", charon->certs[i]);
}

static void flush_certs(struct fake_charon *charon)
{
	if (charon->planted_again) {
		charon->planted_again--;
		return;
	}
	charon->cert_count -= charon->cached_count;
	charon->cached_count = 0;
}

static void send_list(struct fake_client *client, const char *command, const char *ike)
{
	const struct fake_charon *charon = client->charon;
	size_t i;

	if (is_same(command, "list-certs"))
		send_certs(client);
	if (is_same(command, "list-conns"))
		for (i = 0; i < charon->conn_count; i++)
			if (!*ike || is_conn_of(charon->conns[i], ike))
				send_event(client, "list-conn", charon->conns[i]);
	if (is_same(command, "list-sas"))
		for (i = 0; i < charon->sa_count; i++)
			send_event(client, "list-sa", charon->sas[i]);
}

static void answer(struct fake_client *client, const char *command, const char *ike)
{
	const struct fake_charon *charon = client->charon;

	trace_add("charon: answer %s", command);
	if (is_same(charon->unknown_command, command)) {
		send_packet(client, VICI_CMD_UNKNOWN, NULL, NO_MESSAGE);
		return;
	}
	if (is_same(charon->failing_command, command)) {
		send_packet(client, VICI_CMD_RESPONSE, NULL,
			    vici_from_json("{\"success\":\"no\",\"errmsg\":\"no\"}"));
		return;
	}
	if (is_same(command, "flush-certs"))
		flush_certs(client->charon);
	send_list(client, command, ike);
	send_packet(client, VICI_CMD_RESPONSE, NULL, plain_answer(command));
}

static void on_command(struct fake_client *client, const char *command, struct vici_span message)
{
	struct fake_charon *charon = client->charon;
	char ike[64] = "";
	struct vici_member member;

	if (vici_find(message, "ike", VICI_MEMBER_VALUE, &member))
		vici_text_copy(member.value, ike, sizeof(ike));
	client->subject[0] = client->type[0] = '\0';
	if (vici_find(message, "subject", VICI_MEMBER_VALUE, &member))
		vici_text_copy(member.value, client->subject, sizeof(client->subject));
	if (vici_find(message, "type", VICI_MEMBER_VALUE, &member))
		vici_text_copy(member.value, client->type, sizeof(client->type));
	trace_add("charon: %s%s%s%s%s%s%s", command, *ike ? " ike=" : "", ike,
		  *client->subject ? " subject=" : "", client->subject,
		  *client->type ? " type=" : "", client->type);
	if (is_same(charon->early_on, command))
		fake_charon_push(charon, charon->early_event, charon->early_json);
	if (is_same(charon->held_command, command)) {
		charon->held_client = client;
		strcpy(charon->held_ike, ike);
		return;
	}
	answer(client, command, ike);
}

static void on_register(struct fake_client *client, const char *event)
{
	struct fake_charon *charon = client->charon;

	trace_add("charon: register %s", event);
	if (is_same(charon->unknown_event, event) ||
	    (!charon->has_alerts && !strcmp(event, "alert"))) {
		send_packet(client, VICI_EVENT_UNKNOWN, NULL, NO_MESSAGE);
		return;
	}
	if (client->event_count == FAKE_EVENTS_MAX || is_registered(client, event))
		abort();
	strcpy(client->events[client->event_count++], event);
	if (is_same(charon->early_on, event))
		send_event(client, charon->early_event, charon->early_json);
	send_packet(client, VICI_EVENT_CONFIRM, NULL, NO_MESSAGE);
}

static void on_packet(struct fake_client *client, const struct vici_packet *packet)
{
	char name[32];

	if (vici_text_copy(packet->name, name, sizeof(name)))
		abort();
	if (is_same(client->charon->close_on, name)) {
		trace_add("charon: closes on %s", name);
		drop_client(client);
		return;
	}
	if (packet->type == VICI_CMD_REQUEST)
		on_command(client, name, packet->message);
	else if (packet->type == VICI_EVENT_REGISTER)
		on_register(client, name);
	else
		abort();
}

static void read_client(struct fake_client *client)
{
	struct vici_packet packet;
	struct vici_span payload;
	uint8_t *at;
	size_t room;
	ssize_t got;

	if (vici_frames_room(&client->frames, &at, &room))
		abort();
	got = recv(client->fd, at, room, MSG_DONTWAIT);
	if (got <= 0) {
		trace_add("charon: closed by peer");
		drop_client(client);
		return;
	}
	vici_frames_filled(&client->frames, (size_t)got);
	while (client->fd >= 0 && vici_frames_next(&client->frames, &payload) > 0) {
		if (vici_packet_parse(payload, &packet))
			abort();
		on_packet(client, &packet);
	}
}

static void on_client(void *context, uint32_t epoll_events)
{
	struct fake_client *client = context;

	if (epoll_events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		read_client(client);
	if (client->fd >= 0 && epoll_events & EPOLLOUT)
		flush(client);
}

static void on_listen(void *context, uint32_t epoll_events)
{
	struct fake_charon *charon = context;
	struct fake_client *client = charon->clients;

	(void)epoll_events;
	while (client < charon->clients + FAKE_CLIENTS_MAX && client->fd >= 0)
		client++;
	if (client == charon->clients + FAKE_CLIENTS_MAX)
		abort();
	client->fd = accept4(charon->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (client->fd < 0 || loop_fd_add(charon->loop, client->fd, EPOLLIN, on_client, client))
		abort();
	trace_add("charon: accept");
}

void fake_charon_init(struct fake_charon *charon, struct loop *loop, const char *path)
{
	size_t i;

	*charon = (struct fake_charon){.loop = loop, .listen_fd = -1};
	snprintf(charon->path, sizeof(charon->path), "%s", path);
	for (i = 0; i < FAKE_CLIENTS_MAX; i++)
		charon->clients[i] = (struct fake_client){.charon = charon, .fd = -1};
}

void fake_charon_start(struct fake_charon *charon)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	memcpy(address.sun_path, charon->path, sizeof(address.sun_path));
	charon->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (charon->listen_fd < 0 ||
	    bind(charon->listen_fd, (const struct sockaddr *)&address, sizeof(address)) ||
	    listen(charon->listen_fd, 8) ||
	    loop_fd_add(charon->loop, charon->listen_fd, EPOLLIN, on_listen, charon)) {
		perror("fake charon");
		abort();
	}
}

void fake_charon_stop(struct fake_charon *charon)
{
	size_t i;

	for (i = 0; i < FAKE_CLIENTS_MAX; i++)
		drop_client(&charon->clients[i]);
	if (charon->listen_fd < 0)
		return;
	loop_fd_remove(charon->loop, charon->listen_fd);
	close(charon->listen_fd);
	charon->listen_fd = -1;
	unlink(charon->path);
}

void fake_charon_add_conn(struct fake_charon *charon, const char *json)
{
	if (charon->conn_count == FAKE_MESSAGES_MAX)
		abort();
	charon->conns[charon->conn_count++] = json;
}

void fake_charon_add_sa(struct fake_charon *charon, const char *json)
{
	if (charon->sa_count == FAKE_MESSAGES_MAX)
		abort();
	charon->sas[charon->sa_count++] = json;
}

void fake_charon_push_message(struct fake_charon *charon, const char *event,
			      struct vici_span message)
{
	size_t i;

	for (i = 0; i < FAKE_CLIENTS_MAX; i++)
		if (charon->clients[i].fd >= 0 && is_registered(&charon->clients[i], event))
			send_packet(&charon->clients[i], VICI_EVENT, event, message);
}

void fake_charon_push(struct fake_charon *charon, const char *event, const char *json)
{
	fake_charon_push_message(charon, event, vici_from_json(json));
}

void fake_charon_push_raw(struct fake_charon *charon, const char *event, const void *bytes,
			  size_t length)
{
	size_t i;

	for (i = 0; i < FAKE_CLIENTS_MAX; i++)
		if (charon->clients[i].fd >= 0 && is_registered(&charon->clients[i], event))
			send_raw(&charon->clients[i], bytes, length);
}

void fake_charon_release(struct fake_charon *charon)
{
	struct fake_client *client = charon->held_client;
	const char *command = charon->held_command;

	charon->held_client = NULL;
	charon->held_command = NULL;
	if (client && client->fd >= 0)
		answer(client, command, charon->held_ike);
}

const char *fake_conn(const char *config_name, const char *class)
{
	char *json;

	if (asprintf(&json,
		     "{\"%s\":{\"version\":\"IKEv2\",\"local-1\":{\"class\":\"public key\"},"
		     "\"remote-1\":{\"class\":\"%s\",\"id\":\"*\",\"groups\":[]},"
		     "\"children\":{\"trans\":{\"mode\":\"TRANSPORT\",\"class\":\"no\"}}}}",
		     config_name, class) < 0)
		abort();
	return json;
}
