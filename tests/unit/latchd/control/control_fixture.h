/* SPDX-License-Identifier: BSD-2-Clause */
/* Clients and the service in one process, on one loop. Every wait has a limit. */
#ifndef LATCHD_TESTS_CONTROL_FIXTURE_H
#define LATCHD_TESTS_CONTROL_FIXTURE_H

#include "scratch.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "latchd/control/control.h"

#define LIMIT_MS 20000

struct peer {
	int fd;
	char *text;
	size_t length, capacity;
	bool ended;
	size_t wanted; /* wait for this many bytes, or the end */
};

static struct loop *loop;
static struct control *control;
static struct failure failure;
static char socket_path[128];
static int handler_calls;
static size_t list_size;

static unsigned int calls_for_root;

static void write_status(void *context, bool for_root, struct json_writer *w)
{
	cr_expect_eq(context, &list_size);
	handler_calls++;
	calls_for_root += for_root;
	json_object_begin(w);
	json_member_string(w, "verb", "status");
	json_object_end(w);
}

#define LIST_PART 1000 /* strings in a part */

static int list_parts;

static bool write_list(void *context, struct map_cursor *cursor, struct json_writer *w)
{
	size_t i;

	(void)context;
	list_parts++;
	if (!cursor->begun)
		json_array_begin(w);
	cursor->begun = true;
	for (i = cursor->position; i < list_size && i < cursor->position + LIST_PART; i++)
		json_string(w, "0123456789abcdef");
	cursor->position = (uint32_t)i;
	cursor->ended = i == list_size;
	if (cursor->ended)
		json_array_end(w);
	return cursor->ended;
}

static bool write_invalid_sa(void *context, struct map_cursor *cursor, struct json_writer *w)
{
	(void)context;
	(void)cursor;
	json_object_begin(w);
	return true;
}

static struct control_explain last_explain;
static unsigned int explain_parts;

/* Two parts without text before the document. */
static bool write_explain(void *context, struct control_explain *asked, struct map_cursor *cursor,
			  struct json_writer *w)
{
	cr_expect_eq(context, &list_size);
	explain_parts++;
	last_explain = *asked;
	if (cursor->position++ < 2)
		return false;
	json_object_begin(w);
	json_member_string(w, "verb", "explain");
	json_object_end(w);
	return true;
}

static struct control_request last_request;
static int received_requests;

static void take_request(void *context, const struct control_request *request,
			 struct json_writer *w)
{
	cr_expect_eq(context, &list_size);
	received_requests++;
	last_request = *request;
	json_object_begin(w);
	json_object_end(w);
}

static struct control_mode_request last_mode;
static int received_modes;

static void take_mode(void *context, const struct control_mode_request *request,
		      struct json_writer *w)
{
	cr_expect_eq(context, &list_size);
	received_modes++;
	last_mode = *request;
	json_object_begin(w);
	json_object_end(w);
}

static const struct control_handlers handlers = {
	.context = &list_size,
	.status = write_status,
	.list = write_list,
	.sa = write_invalid_sa,
	.explain = write_explain,
	.audit = write_list,
	.request = take_request,
	.mode = take_mode,
};

static inline void serve(void)
{
	scratch_make();
	snprintf(socket_path, sizeof(socket_path), "%s/run/latchd.sock", scratch_dir);
	loop = loop_new();
	cr_assert_eq(control_new(loop, socket_path, "", &handlers, &control, &failure), 0, "%s",
		     failure.text);
}

static inline void finish(void)
{
	control_free(control);
	loop_free(loop);
	scratch_remove();
}

static inline int connect_to(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	strcpy(address.sun_path, path);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address))) {
		close(fd);
		return -1;
	}
	return fd;
}

static inline struct peer send_request(const char *request)
{
	struct peer peer = {.fd = connect_to(socket_path)};

	cr_assert_geq(peer.fd, 0);
	cr_assert_eq(send(peer.fd, request, strlen(request), MSG_NOSIGNAL),
		     (ssize_t)strlen(request));
	return peer;
}

static void peer_read(struct peer *peer)
{
	ssize_t length;

	do {
		if (peer->capacity - peer->length < 65536) {
			peer->capacity = peer->capacity * 2 + 65537;
			peer->text = realloc(peer->text, peer->capacity);
		}
		length = recv(peer->fd, peer->text + peer->length, 65536, MSG_DONTWAIT);
		if (length > 0)
			peer->length += (size_t)length;
	} while (length > 0);
	peer->ended = !length || errno != EAGAIN;
	peer->text[peer->length] = '\0';
}

static struct loop_timer tick;
static uint64_t tick_limit;

static void on_tick(void *context)
{
	struct peer *peer = context;

	if (peer)
		peer_read(peer);
	if ((peer && (peer->ended || (peer->wanted && peer->length >= peer->wanted))) ||
	    loop_now_ms() >= tick_limit)
		loop_stop(loop);
	else
		loop_timer_arm(&tick, 1);
}

/* Runs the service until the peer has received enough, or its stream ended. */
static void wait_for(struct peer *peer)
{
	loop_timer_init(loop, &tick, on_tick, peer);
	tick_limit = loop_now_ms() + LIMIT_MS;
	loop_timer_arm(&tick, 1);
	cr_assert_eq(loop_run(loop), 0);
	cr_assert_lt(loop_now_ms(), tick_limit, "timed out with: %s", peer->text);
}

static inline void run_for(unsigned int ms)
{
	loop_timer_init(loop, &tick, on_tick, NULL);
	tick_limit = loop_now_ms() + ms;
	loop_timer_arm(&tick, 1);
	cr_assert_eq(loop_run(loop), 0);
}

static inline void peer_close(struct peer *peer)
{
	close(peer->fd);
	free(peer->text);
}

static inline void expect_answer(const char *request, const char *answer)
{
	struct peer peer = send_request(request);

	wait_for(&peer);
	cr_expect(peer.ended);
	cr_expect_str_eq(peer.text, answer);
	peer_close(&peer);
}

static inline mode_t mode_of(const char *path)
{
	struct stat st;

	cr_assert_eq(stat(path, &st), 0, "%s", path);
	return st.st_mode & 07777;
}

#endif
