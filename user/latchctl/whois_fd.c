/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * "latchctl whois --pid N --fd N". The kernel copies the descriptor to who may trace the process
 * (pidfd_getfd(2)), and the copy is asked: no other socket can answer for it.
 */
#include "latchctl/whois_fd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/names.h"
#include "liblatch/latch.h"

/* As often as the latch of the socket may change during the questions. */
#define ROUNDS_MAX 100

struct asked {
	struct latch_info info;
	struct latch_party party; /* of the peer; 0 where it is not known */
	char peer[LATCH_TEXT_MAX], local[LATCH_TEXT_MAX], connection[LATCH_TEXT_MAX];
	char tags[LATCH_TAGS_MAX]; /* each with a line feed behind it */
	uint64_t netns;
	int protocol;
};

/* ---- the descriptor */

static enum ctl_exit parse_number(const char *option, const char *text, int *ret)
{
	unsigned long number = strtoul(text, NULL, 10);

	if (!*text || text[strspn(text, "0123456789")] || number > INT_MAX)
		return ctl_fail(CTL_EXIT_USAGE, "whois: option %s: \"%s\" is no number; see ss -p",
				option, text);
	*ret = (int)number;
	return CTL_EXIT_OK;
}

static enum ctl_exit fail_process(int pid, int error)
{
	return ctl_fail(CTL_EXIT_FAILED,
			"whois: process %d: cannot open: %s; give the PID of a process, see ss -p",
			pid, strerror(error));
}

static enum ctl_exit fail_copy(int pid, int number, int error)
{
	if (error == EPERM)
		return ctl_fail(CTL_EXIT_NOT_PERMITTED,
				"whois: process %d: cannot copy descriptor %d: %s; run as root, or "
				"as a user that may trace the process (ptrace(2))",
				pid, number, strerror(error));
	return ctl_fail(CTL_EXIT_FAILED,
			"whois: process %d: cannot copy descriptor %d: %s; see ls -l /proc/%d/fd",
			pid, number, strerror(error), pid);
}

static enum ctl_exit copy_descriptor(int pid, int number, int *ret_fd)
{
	auto_close int process = (int)syscall(SYS_pidfd_open, pid, 0);
	int fd;

	if (process < 0)
		return fail_process(pid, errno);
	fd = (int)syscall(SYS_pidfd_getfd, process, number, 0);
	if (fd < 0)
		return fail_copy(pid, number, errno);
	*ret_fd = fd;
	return CTL_EXIT_OK;
}

/* ---- the questions */

static int ask_text(int (*question)(int fd, char *text, size_t size), int fd,
		    char text[LATCH_TEXT_MAX])
{
	int length = question(fd, text, LATCH_TEXT_MAX);

	return length == -ENODATA || length > 0 ? 0 : length;
}

static int ask_party(int fd, struct latch_party *ret)
{
	int err = latch_peer_party(fd, ret, sizeof(*ret));

	if (err)
		memset(ret, 0, sizeof(*ret));
	return err == -ENODATA ? 0 : err;
}

static int ask_tags(int fd, struct asked *ret)
{
	int length = latch_tags(fd, ret->tags, sizeof(ret->tags));

	return length == -ENODATA || length > 0 ? 0 : length;
}

static int ask_texts(int fd, struct asked *ret)
{
	int err = ask_party(fd, &ret->party);

	err = err ? err : ask_tags(fd, ret);
	err = err ? err : ask_text(latch_peer, fd, ret->peer);
	err = err ? err : ask_text(latch_local, fd, ret->local);
	return err ? err : ask_text(latch_connection, fd, ret->connection);
}

/* The texts are of the latch of info if it is the same behind them. EAGAIN: the sets change. */
static int ask_until_whole(int fd, struct asked *ret)
{
	struct latch_info again;
	int err, i;

	for (i = 0; i < ROUNDS_MAX; i++) {
		err = latch_info(fd, &ret->info, sizeof(ret->info));
		err = err ? err : ask_texts(fd, ret);
		if (err == -EAGAIN)
			continue;
		err = err ? err : latch_info(fd, &again, sizeof(again));
		if (err)
			return err;
		if (again.latch == ret->info.latch && again.state == ret->info.state &&
		    again.why == ret->info.why)
			return 0;
	}
	return -EAGAIN;
}

static void ask_kernel(int fd, struct asked *ret)
{
	socklen_t size = sizeof(ret->netns), length = sizeof(ret->protocol);

	if (getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &ret->netns, &size))
		ret->netns = 0;
	if (getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &ret->protocol, &length))
		ret->protocol = 0;
}

static enum ctl_exit fail_question(const struct ctl_options *options, int err)
{
	if (err == -LATCH_UNAVAILABLE)
		return ctl_fail(CTL_EXIT_FAILED,
				"whois: process %s: descriptor %s is not served: no TCP or UDP "
				"socket, made outside of latchd's cgroups, no latchd, or [api] is "
				"off; see latchctl status",
				options->pid, options->fd);
	return ctl_fail(CTL_EXIT_FAILED,
			"whois: process %s: cannot ask descriptor %s: %s; see ls -l /proc/%s/fd",
			options->pid, options->fd, strerror(-err), options->pid);
}

/* ---- the row: that of whois.c */

static void add_text(struct json_object *to, const char *name, const char *text)
{
	json_object_object_add(to, name, *text ? json_object_new_string(text) : NULL);
}

/* The words of latchd's documents. */
static const char *auth_name(enum latch_app_class auth_class)
{
	switch (auth_class) {
	case LATCH_CLASS_PUBLIC_KEY:
		return "pubkey";
	case LATCH_CLASS_PSK:
		return "psk";
	case LATCH_CLASS_EAP:
		return "eap";
	case LATCH_CLASS_ANY:
		break;
	}
	return "";
}

/* Only where it is known, as in the documents. */
static void add_key(struct json_object *to, const struct latch_party *party)
{
	char digits[2 * sizeof(party->key) + 1];
	size_t i;

	if (party->key_kind != LATCH_APP_KEY_SPKI)
		return;
	for (i = 0; i < sizeof(party->key); i++)
		snprintf(digits + 2 * i, 3, "%02x", party->key[i]);
	add_text(to, "key", digits);
}

static void add_peer(struct json_object *row, const char *text, const struct latch_party *party)
{
	struct json_object *peer = *text ? json_object_new_object() : NULL;

	if (peer) {
		add_text(peer, "id", text);
		add_text(peer, "auth", auth_name(party->auth_class));
		add_key(peer, party);
	}
	json_object_object_add(row, "peer", peer);
}

static void add_tags(struct json_object *row, const struct asked *asked)
{
	struct json_object *tags = json_object_new_array();
	const char *at = asked->tags;
	int length;

	for (; *at; at += length + (at[length] == '\n')) {
		length = (int)strcspn(at, "\n");
		json_object_array_add(tags, json_object_new_string_len(at, length));
	}
	json_object_object_add(row, "tags", tags);
}

/* Port 0: there is no such end. */
static void add_end(struct json_object *row, const char *name, const struct latch_info *info,
		    const __u8 *address, __u16 port)
{
	char text[INET6_ADDRSTRLEN] = "";
	struct json_object *end = NULL;

	if (info->family && port) {
		inet_ntop(info->family, address, text, sizeof(text));
		end = json_object_new_object();
		add_text(end, "addr", text);
		json_object_object_add(end, "port", json_object_new_int(port));
	}
	json_object_object_add(row, name, end);
}

static void add_id(struct json_object *row, const struct latch_info *info)
{
	char text[32] = "";

	if (info->latch)
		snprintf(text, sizeof(text), "%llx", (unsigned long long)info->latch);
	add_text(row, "id", text);
}

static void add_created(struct json_object *row, const struct latch_info *info)
{
	char text[CLOCK_TEXT_SIZE] = "";

	if (info->latch)
		clock_format(text, clock_real_ns() - info->age_ns);
	add_text(row, "created", text);
}

static struct json_object *row_of(const struct asked *asked)
{
	const struct latch_info *info = &asked->info;
	struct json_object *row = json_object_new_object();

	add_id(row, info);
	add_text(row, "state", latch_app_state_name(info->state));
	add_text(row, "why", latch_why_name(info->why));
	add_peer(row, asked->peer, &asked->party);
	add_text(row, "local_id", asked->local);
	add_text(row, "connection", asked->connection);
	add_tags(row, asked);
	add_text(row, "proto", ulp_name((uint8_t)asked->protocol));
	json_object_object_add(row, "netns", json_object_new_int64((int64_t)asked->netns));
	json_object_object_add(row, "netns_name", NULL);
	add_end(row, "local", info, info->local_addr, info->local_port);
	add_end(row, "remote", info, info->remote_addr, info->remote_port);
	add_created(row, info);
	return row;
}

static struct json_object *document_of(const struct asked *asked)
{
	struct json_object *document = json_object_new_object();
	struct json_object *rows = json_object_new_array();

	json_object_array_add(rows, row_of(asked));
	json_object_object_add(document, "schema", json_object_new_int(CTL_SCHEMA));
	json_object_object_add(document, "connections", rows);
	return document;
}

static enum ctl_exit show(const struct ctl_options *options, ctl_render_fn render,
			  const struct asked *asked)
{
	struct json_object *document = document_of(asked);
	enum ctl_exit code = CTL_EXIT_OK;

	if (options->json)
		printf("%s\n", json_object_to_json_string_ext(document, JSON_C_TO_STRING_PLAIN));
	else
		code = render(stdout, options, document);
	json_object_put(document);
	if (code != CTL_EXIT_OK || asked->info.latch)
		return code;
	return ctl_fail(CTL_EXIT_FAILED,
			"whois: process %s: descriptor %s has no latch: %s; see latch(7)",
			options->pid, options->fd, latch_why_text(asked->info.why));
}

enum ctl_exit ctl_whois_fd(const struct ctl_options *options, ctl_render_fn render)
{
	struct asked asked = {.netns = 0};
	auto_close int fd = -1;
	int pid = 0, number = 0, err;
	enum ctl_exit code = parse_number("--pid", options->pid, &pid);

	if (code == CTL_EXIT_OK)
		code = parse_number("--fd", options->fd, &number);
	if (code == CTL_EXIT_OK)
		code = copy_descriptor(pid, number, &fd);
	if (code != CTL_EXIT_OK)
		return code;
	err = ask_until_whole(fd, &asked);
	if (err)
		return fail_question(options, err);
	ask_kernel(fd, &asked);
	return show(options, render, &asked);
}
