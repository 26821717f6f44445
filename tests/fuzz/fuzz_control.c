/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The control socket's service in virtual time. The input scripts up to four clients, their
 * request lines in pieces, and published events:
 *
 *	clients (operations of the input) --- Unix socket --- control_new()
 *
 * Properties: the answer depends on the request line alone, not on its pieces. It is one line with
 * one JSON document. Every line of a monitor is a JSON object. A handler is called only for its own
 * request, and no latch changes for another uid than root.
 */
#include <ctype.h>
#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* A type of json-c and a function of json_writer.h have this name. */
#define json_bool json_c_bool
#include <json-c/json.h>
#undef json_bool

#include "common/log.h"
#include "common/loop.h"
#include "fuzz.h"
#include "latchd/control/control.h"
#include "virtual_loop.h"

#define CLIENTS	     4
#define RECEIVED_MAX (CONTROL_MONITOR_QUEUE_MAX + (1u << 20))

struct line_client {
	int fd; /* -1: not connected */
	char request[CONTROL_REQUEST_MAX + 1];
	size_t request_length;
	bool complete; /* the line has its end, or is too long */
	bool too_long;
	bool uncertain; /* latchd may have closed the connection before the line's end */
	char *received;
	size_t received_length;
};

static struct loop *loop;
static struct control *control;
static struct line_client clients[CLIENTS];
static bool pass_once;
static unsigned int status_calls, request_calls;
static struct control_request last_request;

enum virtual_idle virtual_idle(void)
{
	if (pass_once) {
		pass_once = false;
		return VIRTUAL_PASS;
	}
	loop_stop(loop);
	return VIRTUAL_STOP;
}

/* ---- handlers */

static void write_document(struct json_writer *w, const char *verb)
{
	json_object_begin(w);
	json_member_string(w, "verb", verb);
	json_object_end(w);
}

static void on_status(void *context, bool for_root, struct json_writer *w)
{
	(void)context;
	CHECK(for_root == !geteuid());
	status_calls++;
	write_document(w, "status");
}

static bool on_list(void *context, struct map_cursor *cursor, struct json_writer *w)
{
	(void)context;
	(void)cursor;
	write_document(w, "list");
	return true;
}

static bool on_sa(void *context, struct map_cursor *cursor, struct json_writer *w)
{
	(void)context;
	(void)cursor;
	write_document(w, "sa");
	return true;
}

static bool on_audit(void *context, struct map_cursor *cursor, struct json_writer *w)
{
	(void)context;
	(void)cursor;
	write_document(w, "audit");
	return true;
}

static void on_mode(void *context, const struct control_mode_request *request,
		    struct json_writer *w)
{
	(void)context;
	CHECK(!geteuid());
	write_document(w, request->audit ? "mode audit" : "mode enforce");
}

static void on_request(void *context, const struct control_request *request, struct json_writer *w)
{
	(void)context;
	CHECK(!geteuid());
	request_calls++;
	last_request = *request;
	write_document(w, "request");
}

static const struct control_handlers handlers = {
	.status = on_status,
	.list = on_list,
	.sa = on_sa,
	.audit = on_audit,
	.request = on_request,
	.mode = on_mode,
};

/* ---- what a client expects of a whole line */

static bool is_id(const char *text, uint64_t *ret_id)
{
	size_t length = strlen(text), i;

	for (i = 0; i < length; i++)
		if (!isxdigit((unsigned char)text[i]))
			return false;
	if (!length || length > 16)
		return false;
	*ret_id = strtoull(text, NULL, 16);
	return true;
}

static const char *after(const char *text, const char *word)
{
	return strncmp(text, word, strlen(word)) ? NULL : text + strlen(word);
}

static const char *expected_mode(const char *request)
{
	if (geteuid())
		return "not-permitted";
	return !strcmp(request, "mode audit") || !strcmp(request, "mode enforce") ? request
										  : "unknown-mode";
}

static const char *expected_answer(const struct line_client *client)
{
	const char *id;
	uint64_t number;

	if (client->too_long)
		return "unknown-request";
	if (!strcmp(client->request, "status") || !strcmp(client->request, "list") ||
	    !strcmp(client->request, "sa") || !strcmp(client->request, "monitor") ||
	    !strcmp(client->request, "audit"))
		return client->request;
	if (after(client->request, "mode "))
		return expected_mode(client->request);
	id = after(client->request, "break ");
	id = id ? id : after(client->request, "heal ");
	id = id ? id : after(client->request, "close ");
	if (!id)
		return "unknown-request";
	return geteuid() ? "not-permitted" : is_id(id, &number) ? "request" : "malformed-id";
}

/* ---- clients */

static void run_loop(void)
{
	CHECK(!loop_run(loop));
}

static void client_open(struct line_client *client, const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	if (client->fd >= 0)
		return;
	free(client->received);
	memset(client, 0, sizeof(*client));
	strcpy(address.sun_path, path);
	client->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	CHECK(!connect(client->fd, (const struct sockaddr *)&address, sizeof(address)));
	run_loop();
}

static void client_send(struct line_client *client, struct input bytes)
{
	size_t space = CONTROL_REQUEST_MAX - client->request_length;
	struct input piece = bytes;
	const uint8_t *end;

	if (!bytes.left || client->fd < 0)
		return;
	if (send(client->fd, bytes.at, bytes.left, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		return;
	if (client->complete)
		return;
	piece.left = piece.left < space ? piece.left : space;
	end = memchr(piece.at, '\n', piece.left);
	if (end)
		piece.left = (size_t)(end - piece.at);
	memcpy(client->request + client->request_length, piece.at, piece.left);
	client->request_length += piece.left;
	client->too_long = !end && client->request_length == CONTROL_REQUEST_MAX;
	client->complete = end || client->too_long;
}

static void client_receive(struct line_client *client)
{
	ssize_t length = 1;

	if (client->fd < 0)
		return;
	if (!client->received)
		client->received = malloc(RECEIVED_MAX);
	while (length > 0) {
		length = recv(client->fd, client->received + client->received_length,
			      RECEIVED_MAX - 1 - client->received_length, MSG_DONTWAIT);
		if (length > 0)
			client->received_length += (size_t)length;
		run_loop();
	}
	client->received[client->received_length] = '\0';
}

/* ---- what a client received */

static struct json_object *parse_line(const char *line, size_t length)
{
	struct json_tokener *tokener = json_tokener_new();
	struct json_object *object = json_tokener_parse_ex(tokener, line, (int)length);

	CHECK(json_object_is_type(object, json_type_object));
	json_tokener_free(tokener);
	return object;
}

static const char *member(struct json_object *object, const char *name)
{
	return json_object_get_string(json_object_object_get(object, name));
}

/* The last line of a monitor may be cut: the client has not read the rest. */
static void check_monitor(const struct line_client *client)
{
	const char *line = client->received, *end;
	struct json_object *object;
	bool first = true;

	while ((end = strchr(line, '\n'))) {
		object = parse_line(line, (size_t)(end - line) + 1);
		CHECK(member(object, "event"));
		CHECK(!first || !strcmp(member(object, "event"), "monitor-started"));
		json_object_put(object);
		first = false;
		line = end + 1;
	}
	CHECK(!first);
}

static void check_answer(const struct line_client *client, const char *expected)
{
	const char *end = strchr(client->received, '\n'), *word;
	struct json_object *object;

	CHECK(end && end + 1 == client->received + client->received_length);
	object = parse_line(client->received, client->received_length);
	word = member(object, "error") ? member(object, "code") : member(object, "verb");
	CHECK(word && !strcmp(word, expected));
	json_object_put(object);
}

static void check_client(struct line_client *client)
{
	const char *expected;

	client_receive(client);
	if (client->fd < 0 || client->uncertain)
		return;
	if (!client->complete) {
		CHECK(!client->received_length);
		return;
	}
	/* Only the text before a NUL counts. */
	expected = expected_answer(client);
	if (!strcmp(expected, "monitor"))
		check_monitor(client);
	else
		check_answer(client, expected);
}

/* ---- the script */

static void publish(uint8_t size)
{
	static char line[64 * 256 + 64];
	int length = snprintf(line, sizeof(line), "{\"event\":\"drop\",\"text\":\"%*s\"}%s",
			      size * 64, "", size & 1 ? "\n" : "");

	control_publish(control, line, (size_t)length);
}

static void pass_time(void)
{
	size_t i;

	for (i = 0; i < CLIENTS; i++)
		clients[i].uncertain = clients[i].uncertain || !clients[i].complete;
	pass_once = true;
}

static void operate(struct input *script, const char *path)
{
	uint8_t operation = take_byte(script);
	struct line_client *client = &clients[operation >> 3 & (CLIENTS - 1)];

	switch (operation & 7) {
	case 0:
	case 1:
	case 2:
		client_open(client, path);
		client_send(client, take_record(script));
		break;
	case 3:
		if (client->fd >= 0)
			close(client->fd);
		client->fd = -1;
		break;
	case 4:
		client->uncertain = true;
		if (client->fd >= 0)
			shutdown(client->fd, SHUT_WR);
		break;
	case 5:
		publish(take_byte(script));
		break;
	case 6:
		pass_time();
		break;
	case 7:
		client_receive(client);
		break;
	}
	run_loop();
}

static void log_nothing(enum log_level level, const char *subsystem, const char *text)
{
	(void)level;
	(void)subsystem;
	(void)text;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct input script = {bytes, size};
	struct failure failure;
	char path[64];
	size_t i;

	log_set_sink(log_nothing);
	snprintf(path, sizeof(path), "/tmp/latchd-fuzz-%d.sock", (int)getpid());
	virtual_ms = 1000;
	pass_once = false;
	loop = loop_new();
	CHECK(!control_new(loop, path, "", &handlers, &control, &failure));
	for (i = 0; i < CLIENTS; i++)
		clients[i] = (struct line_client){.fd = -1};
	while (script.left)
		operate(&script, path);
	for (i = 0; i < CLIENTS; i++)
		check_client(&clients[i]);
	control_free(control);
	for (i = 0; i < CLIENTS; i++) {
		if (clients[i].fd >= 0)
			close(clients[i].fd);
		free(clients[i].received);
	}
	loop_free(loop);
	return 0;
}
