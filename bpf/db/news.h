/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * News of sockets for applications. A socket is subscribed to one connection at latchd's socket, by
 * the token of that connection: latchd has given it to no other client. A connection has a share of
 * the sockets, and the shares of all connections fit into the map: latchd counts those of ended
 * ones, too, while their sockets are here. No gate uses this file.
 */
#ifndef LATCH_BPF_DB_NEWS_H
#define LATCH_BPF_DB_NEWS_H

#include "db/epochs.h"
#include "db/maps.h"

#define NEWS_ENOENT 2 /* asm-generic/errno-base.h */
#define NEWS_EEXIST 17
#define NEWS_ENOSPC 28

static __always_inline int is_same_token(const struct latch_token *one,
					 const struct latch_token *other)
{
	return one->words[0] == other->words[0] && one->words[1] == other->words[1];
}

/* The number of its sockets. NULL: no connection has this token any more. */
static __always_inline __u64 *news_sockets_of(const struct latch_token *token)
{
	struct latch_token key = *token;

	return bpf_map_lookup_elem(&news_tokens, &key);
}

/*
 * Copies the subscription. The kernel may reuse an element at once for another socket, so it counts
 * only if the socket still has it afterwards. 0: there is none.
 */
static __always_inline int news_find(__u64 cookie, struct latch_subscription *ret)
{
	struct latch_subscription *found = bpf_map_lookup_elem(&news_sockets, &cookie);

	if (!found)
		return 0;
	*ret = *found;
	full_barrier();
	return bpf_map_lookup_elem(&news_sockets, &cookie) == found;
}

/* 0; -ENOENT: the connection is gone; -ENOSPC: its share is full; -EEXIST; -ENOMEM. */
static OWN_FRAME int news_subscribe(__u64 cookie, const struct latch_subscription *subscription)
{
	struct latch_subscription value = *subscription;
	__u64 *sockets = news_sockets_of(&value.token);
	int err;

	if (!sockets)
		return -NEWS_ENOENT;
	if (!quota_take(sockets, LATCH_SUBSCRIBER_SOCKETS))
		return -NEWS_ENOSPC;
	err = (int)bpf_map_update_elem(&news_sockets, &cookie, &value, BPF_NOEXIST);
	if (err)
		quota_give(sockets);
	return err;
}

/* The caller has the lock of the socket, or the last descriptor is gone. */
static OWN_FRAME int news_unsubscribe(__u64 cookie)
{
	struct latch_subscription was = {};
	__u64 *sockets;

	if (!news_find(cookie, &was) || bpf_map_delete_elem(&news_sockets, &cookie))
		return 0;
	sockets = news_sockets_of(&was.token);
	if (sockets)
		quota_give(sockets);
	return 0;
}

/* An event for the application of this socket. flow, id and word: of its latch; NULL and 0: none.
 */
static OWN_FRAME int news_event(enum latch_event_type type, const struct latch_subscriber *of,
				const struct latch_flow *flow, __u64 id, __u64 word)
{
	struct latch_event *event = event_begin(type);

	if (!event)
		return 0;
	event->subscriber = *of;
	if (flow)
		event->flow = *flow;
	event->latch_id = id;
	event->word.raw = word;
	bpf_ringbuf_submit(event, 0);
	return 0;
}

/* The latch has ended. Nothing happens if the socket has no news. */
static OWN_FRAME int news_closed(__u64 cookie, const struct latch_flow *flow, __u64 id, __u64 word)
{
	struct latch_subscriber subscriber = {.socket = cookie};

	if (cookie && news_find(cookie, &subscriber.subscription))
		news_event(LATCH_EVENT_NEWS_CLOSED, &subscriber, flow, id, word);
	return 0;
}

/*
 * Subscribes a socket that was accepted. Without room in the share the application learns that news
 * will be missing. A socket that is subscribed already was not accepted (simultaneous open).
 */
static OWN_FRAME int news_spawned(const struct latch_subscriber *of, const struct latch_flow *flow,
				  __u64 id, __u64 word)
{
	struct latch_subscriber subscriber = *of;
	int err = news_subscribe(subscriber.socket, &subscriber.subscription);

	if (!err)
		news_event(LATCH_EVENT_NEWS_SPAWNED, &subscriber, flow, id, word);
	else if (err != -NEWS_EEXIST && err != -NEWS_ENOENT)
		news_event(LATCH_EVENT_NEWS_LOST, &subscriber, NULL, 0, 0);
	return 0;
}

#endif
