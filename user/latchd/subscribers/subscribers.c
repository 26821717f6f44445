/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/subscribers/subscribers.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/log.h"
#include "common/text.h"
#include "latchd/net/unread.h"

#define ACCEPTS_MAX	16 /* in a round */
#define ACCEPT_PAUSE_MS 10 /* after such a round: any user may connect again and again */
#define UNREAD_MAX	64 /* connections that wait for their close */
#define RETRY_MS	1000
#define SWEEP_MS	1000
#define SEND_BUFFER	65536 /* the kernel doubles it: some 170 items */

/* ---- sockets of connections that have ended */

static void note_walk(struct subscribers *subscribers)
{
	struct subscriber *each;

	subscribers->unswept = false;
	for (each = subscribers->ended; each; each = each->next)
		each->swept = true;
}

/* Those that ended before the walk began, or all. */
static void forget_ended(struct subscribers *subscribers, bool all)
{
	struct subscriber **at = &subscribers->ended, *ended;

	while ((ended = *at)) {
		if (!all && !ended->swept) {
			at = &ended->next;
			continue;
		}
		*at = ended->next;
		free(ended);
	}
}

struct sweep {
	const struct subscribers *subscribers; /* NULL: of an earlier latchd */
	int map;
};

static int forget_socket(void *context, const void *key, const void *value)
{
	const struct sweep *sweep = context;
	const struct latch_subscription *subscription = value;

	if (!sweep->subscribers || !subscribers_find(sweep->subscribers, &subscription->token))
		bpf_map_delete_elem(sweep->map, key);
	return 0;
}

static int forget_all_sockets(const struct kernel_maps *maps)
{
	struct sweep sweep = {.map = maps->news_sockets};

	return map_walk(maps->news_sockets, sizeof(__u64), sizeof(struct latch_subscription),
			forget_socket, &sweep);
}

static int forget_some_sockets(struct subscribers *subscribers)
{
	int map = subscribers->maps->news_sockets;
	struct sweep sweep = {.subscribers = subscribers, .map = map};

	return map_walk_part(map, sizeof(__u64), sizeof(struct latch_subscription),
			     &subscribers->swept, forget_socket, &sweep);
}

static int forget_token(void *context, const void *key, const void *value)
{
	const struct kernel_maps *maps = context;

	(void)value;
	bpf_map_delete_elem(maps->news_tokens, key);
	return 0;
}

/*
 * Not at once: a setsockopt() that has found the token may still be writing. Until then its socket
 * has no connection. In parts, since any user can fill the map and end connections.
 */
static void on_sweep(void *context)
{
	struct subscribers *subscribers = context;
	int err;

	if (!subscribers->swept.begun)
		note_walk(subscribers);
	err = forget_some_sockets(subscribers);
	if (err)
		log_warn("news", "map news_sockets not read (%s); next attempt in %d ms",
			 strerror(-err), SWEEP_MS);
	if (!err && !subscribers->swept.ended) {
		loop_timer_arm(&subscribers->sweep, 0);
		return;
	}
	subscribers->swept = (struct map_cursor){0};
	if (!err)
		forget_ended(subscribers, false);
	if (err || subscribers->unswept)
		loop_timer_arm(&subscribers->sweep, SWEEP_MS);
}

/* ---- connections */

struct subscriber *subscribers_find(const struct subscribers *subscribers,
				    const struct latch_token *token)
{
	struct subscriber *each;

	for (each = subscribers->first; each; each = each->next)
		if (!memcmp(&each->token, token, sizeof(*token)))
			return each;
	return NULL;
}

/* No socket is subscribed from now on. How many there may be. */
static uint64_t end_token(const struct subscribers *subscribers, const struct latch_token *token)
{
	__u64 sockets = LATCH_SUBSCRIBER_SOCKETS;
	int map = subscribers->maps->news_tokens;

	if (bpf_map_lookup_and_delete_elem(map, token, &sockets))
		bpf_map_delete_elem(map, token);
	return sockets < LATCH_SUBSCRIBER_SOCKETS ? sockets : LATCH_SUBSCRIBER_SOCKETS;
}

static void end(struct subscribers *subscribers, struct subscriber *subscriber)
{
	struct subscriber **at;

	for (at = &subscribers->first; *at != subscriber; at = &(*at)->next)
		;
	*at = subscriber->next;
	subscribers->count--;
	subscriber->sockets = end_token(subscribers, &subscriber->token);
	subscriber_stop(subscriber);
	loop_fd_remove(subscribers->loop, subscriber->fd);
	close(subscriber->fd);
	subscriber->next = subscribers->ended;
	subscribers->ended = subscriber;
	subscribers->unswept = true;
	if (!loop_timer_armed(&subscribers->sweep))
		loop_timer_arm(&subscribers->sweep, SWEEP_MS);
}

/*
 * Each connection has room for its share of sockets, also while those of ended ones are in the map:
 * a client may end its connections again and again.
 */
static bool has_place(const struct subscribers *subscribers, uid_t uid)
{
	const uint64_t share = LATCH_SUBSCRIBER_SOCKETS;
	uint64_t most = LATCH_SUBSCRIBERS_MAX - (uid ? SUBSCRIBERS_FOR_ROOT : 0);
	uint64_t all = (subscribers->count + 1) * share, of_uid = share;
	const struct subscriber *each;

	for (each = subscribers->first; each; each = each->next)
		of_uid += each->uid == uid ? share : 0;
	for (each = subscribers->ended; each; each = each->next) {
		all += each->sockets;
		of_uid += each->uid == uid ? each->sockets : 0;
	}
	return all <= most * share && of_uid <= LATCH_NEWS_CLIENTS * share;
}

static void on_event(void *context, uint32_t events)
{
	struct subscriber *subscriber = context;

	if (events & (EPOLLERR | EPOLLHUP))
		end(subscriber->owner, subscriber);
	else
		subscriber_writable(subscriber);
}

/* The programs know the token before the client does. */
static int begin(struct subscribers *subscribers, struct subscriber *subscriber)
{
	const __u64 none = 0;
	int size = SEND_BUFFER, err;

	setsockopt(subscriber->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	err = subscriber_draw(&subscriber->token);
	if (!err && bpf_map_update_elem(subscribers->maps->news_tokens, &subscriber->token, &none,
					BPF_NOEXIST))
		err = -errno;
	if (err)
		return err;
	err = subscriber_greet(subscriber->fd, 0, &subscriber->token);
	if (!err)
		err = loop_fd_add(subscribers->loop, subscriber->fd, 0, on_event, subscriber);
	if (err)
		bpf_map_delete_elem(subscribers->maps->news_tokens, &subscriber->token);
	return err;
}

static int add(struct subscribers *subscribers, int fd, uid_t uid)
{
	struct subscriber *subscriber = calloc(1, sizeof(*subscriber));
	int err;

	if (!subscriber)
		return -ENOMEM;
	*subscriber = (struct subscriber){
		.owner = subscribers, .loop = subscribers->loop, .fd = fd, .uid = uid};
	subscriber_start(subscriber);
	err = begin(subscribers, subscriber);
	if (err) {
		free(subscriber);
		return err;
	}
	subscriber->next = subscribers->first;
	subscribers->first = subscriber;
	subscribers->count++;
	return 0;
}

static void refuse(int fd, uid_t uid)
{
	log_debug("news", "connection of uid %u refused: too many", (unsigned int)uid);
	subscriber_greet(fd, EUSERS, NULL);
	close(fd);
}

/* A client that has sent something is none of ours: see unread.h. */
static void give_place(struct subscribers *subscribers, int fd)
{
	struct ucred peer = {.uid = (uid_t)-1};
	socklen_t length = sizeof(peer);
	int err;

	if (unread_stop(fd)) {
		unread_close(fd, true);
		return;
	}
	err = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) ? -errno : 0;
	if (!err && !has_place(subscribers, peer.uid)) {
		refuse(fd, peer.uid);
		return;
	}
	if (!err)
		err = add(subscribers, fd, peer.uid);
	if (!err)
		return;
	log_debug("news", "connection of uid %u not taken: %s", (unsigned int)peer.uid,
		  strerror(-err));
	close(fd);
}

/* ---- accepting */

static int accept_one(const struct subscribers *subscribers)
{
	return accept4(subscribers->file.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
}

static void pause_accepting(struct subscribers *subscribers, unsigned int ms)
{
	loop_fd_modify(subscribers->loop, subscribers->file.fd, 0);
	loop_timer_arm(&subscribers->accept_again, ms);
}

static void on_connection(void *context, uint32_t events)
{
	struct subscribers *subscribers = context;
	int fd = 0, i;

	(void)events;
	for (i = 0; fd >= 0 && i < ACCEPTS_MAX && unread_waiting() < UNREAD_MAX; i++) {
		fd = accept_one(subscribers);
		if (fd >= 0)
			give_place(subscribers, fd);
	}
	if (fd >= 0)
		pause_accepting(subscribers, ACCEPT_PAUSE_MS);
	else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
		pause_accepting(subscribers, RETRY_MS);
}

static void on_accept_again(void *context)
{
	struct subscribers *subscribers = context;

	loop_fd_modify(subscribers->loop, subscribers->file.fd, EPOLLIN);
}

/* ---- the whole */

static int open_file(struct subscribers *subscribers)
{
	struct subscriber_file *file = &subscribers->file;
	int err = subscriber_file_open(file, subscribers->path);

	if (err)
		return err;
	err = loop_fd_add(subscribers->loop, file->fd, EPOLLIN, on_connection, subscribers);
	if (!err)
		return 0;
	subscriber_file_stop(file);
	close(file->fd);
	file->fd = -1;
	return err;
}

static void on_open_again(void *context)
{
	struct subscribers *subscribers = context;
	int err = open_file(subscribers);

	if (!err)
		log_info("news", "applications get news at %s", subscribers->path);
	else if (!subscribers->logged)
		log_warn("news",
			 "socket %s not opened (%s): applications get no news of their sockets; "
			 "remove what is there, latchd tries again every second",
			 subscribers->path, strerror(-err));
	subscribers->logged = err != 0;
	if (err)
		loop_timer_arm(&subscribers->open_again, RETRY_MS);
}

/* Connections that wait may hold messages: each is closed by itself, and the listening one last. */
static void close_file(struct subscribers *subscribers)
{
	int fd;

	loop_timer_cancel(&subscribers->accept_again);
	loop_fd_remove(subscribers->loop, subscribers->file.fd);
	subscriber_file_stop(&subscribers->file);
	while ((fd = accept_one(subscribers)) >= 0 || errno == ECONNABORTED || errno == EINTR)
		if (fd >= 0)
			unread_close(fd, unread_stop(fd));
	close(subscribers->file.fd);
	subscribers->file.fd = -1;
}

void subscribers_start(struct subscribers *subscribers, struct loop *loop,
		       const struct kernel_maps *maps, const char *path)
{
	int err;

	*subscribers = (struct subscribers){
		.loop = loop,
		.maps = maps,
		.file = {.fd = -1},
	};
	text_copy(subscribers->path, sizeof(subscribers->path), path);
	loop_timer_init(loop, &subscribers->accept_again, on_accept_again, subscribers);
	loop_timer_init(loop, &subscribers->open_again, on_open_again, subscribers);
	loop_timer_init(loop, &subscribers->sweep, on_sweep, subscribers);
	err = map_walk(maps->news_tokens, sizeof(struct latch_token), sizeof(__u64), forget_token,
		       (void *)maps);
	if (!err)
		err = forget_all_sockets(maps);
	if (err)
		log_warn("news", "sockets of an earlier latchd not forgotten: %s", strerror(-err));
}

void subscribers_enable(struct subscribers *subscribers, bool wanted)
{
	if (wanted == subscribers->wanted)
		return;
	subscribers->wanted = wanted;
	loop_timer_cancel(&subscribers->open_again);
	if (wanted) {
		on_open_again(subscribers);
		return;
	}
	while (subscribers->first)
		end(subscribers, subscribers->first);
	if (subscribers->file.fd >= 0)
		close_file(subscribers);
}

void subscribers_tell_lost(struct subscribers *subscribers)
{
	struct subscriber *each;

	for (each = subscribers->first; each; each = each->next)
		subscriber_tell_lost(each);
}

void subscribers_stop(struct subscribers *subscribers)
{
	if (!subscribers->loop)
		return;
	subscribers_enable(subscribers, false);
	loop_timer_cancel(&subscribers->sweep);
	forget_ended(subscribers, true);
}
