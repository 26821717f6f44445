/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/subscribers/subscriber_news.h"

#include <bpf/bpf.h>

#include "latch_answer.h"
#include "latchd/maps/tables.h"

static void tell(const struct subscribers *subscribers, const struct latch_subscription *to,
		 struct latch_news *item)
{
	struct subscriber *subscriber = subscribers_find(subscribers, &to->token);

	item->data = to->data;
	if (subscriber)
		subscriber_tell(subscriber, item);
}

/*
 * 0: the latch still belongs to a handshake. Its socket is reported as SPAWNED later, and then
 * answers for the present state. The latch was read before its step: the handshake may have ended
 * since.
 */
static __u64 owner_of(const struct subscribers *subscribers, const struct news *news)
{
	struct latch now;

	if (news->latch->socket_cookie)
		return news->latch->socket_cookie;
	if (latch_get(subscribers->maps, news->flow, &now) || now.id != news->latch->id)
		return 0;
	return now.socket_cookie;
}

static void tell_owner(const struct subscribers *subscribers, const struct news *news,
		       struct latch_news *item)
{
	struct latch_subscription subscription;

	if (!subscribers->first)
		return;
	item->socket = owner_of(subscribers, news);
	item->latch = news->latch->id;
	if (item->socket &&
	    !bpf_map_lookup_elem(subscribers->maps->news_sockets, &item->socket, &subscription))
		tell(subscribers, &subscription, item);
}

static void tell_broken(const struct subscribers *subscribers, const struct news *news)
{
	struct latch_news item = {.event = LATCH_NEWS_BROKEN, .reasons = news->cause.reason};

	item.why = (__u8)latch_why_broken(item.reasons);
	tell_owner(subscribers, news, &item);
}

static void tell_healed(const struct subscribers *subscribers, const struct news *news)
{
	struct latch_news item = {.event = LATCH_NEWS_HEALED};

	tell_owner(subscribers, news, &item);
}

static void tell_event(const struct subscribers *subscribers, const struct latch_event *event)
{
	const struct latch_subscription *to = &event->subscriber.subscription;
	struct latch_news item = {.socket = event->subscriber.socket, .latch = event->latch_id};
	struct subscriber *subscriber;

	switch (event->type) {
	case LATCH_EVENT_NEWS_SPAWNED:
		item.event = LATCH_NEWS_SPAWNED;
		tell(subscribers, to, &item);
		return;
	case LATCH_EVENT_NEWS_CLOSED:
		item.event = LATCH_NEWS_CLOSED;
		tell(subscribers, to, &item);
		return;
	case LATCH_EVENT_NEWS_LOST:
		subscriber = subscribers_find(subscribers, &to->token);
		if (subscriber)
			subscriber_tell_lost(subscriber);
		return;
	case LATCH_EVENT_LATCH_ESTABLISHED:
	case LATCH_EVENT_LATCH_BROKEN:
	case LATCH_EVENT_LATCH_HEALED:
	case LATCH_EVENT_LATCH_CLOSED:
	case LATCH_EVENT_SA_PENDING:
	case LATCH_EVENT_SA_GONE:
	case LATCH_EVENT_DROP:
	case LATCH_EVENT_REFUSED:
	case LATCH_EVENT_POLICY_CHANGED:
	case LATCH_EVENT_SAS_ELSEWHERE:
		return;
	}
}

static void on_news(void *context, const struct news *news)
{
	const struct subscriber_news *of = context;
	struct subscribers *subscribers = of->subscribers;

	switch (news->kind) {
	case NEWS_FOR_APPLICATION:
		tell_event(subscribers, news->event);
		return;
	case NEWS_LATCH_BROKEN:
		tell_broken(subscribers, news);
		return;
	case NEWS_LATCH_HEALED:
		tell_healed(subscribers, news);
		return;
	case NEWS_LATCH_RESET: /* a close by root that the socket outlives breaks its latch */
		if (news->error && news->cause.requester)
			tell_broken(subscribers, news);
		return;
	case NEWS_EVENTS_LOST:
	case NEWS_MODE_CHANGED: /* the answers of all sockets are others */
		subscribers_tell_lost(subscribers);
		return;
	case NEWS_KERNEL_EVENT:
	case NEWS_LATCH_HELD:
	case NEWS_LATCH_RELEASED:
	case NEWS_FLOW_REFUSED:
	case NEWS_SA_BOUND:
	case NEWS_NETNS_SERVED:
	case NEWS_FEED_AWAY:
		return;
	}
}

void subscriber_news_start(struct subscriber_news *news, struct news_bus *bus,
			   struct subscribers *subscribers)
{
	*news = (struct subscriber_news){
		.on_news = {.fn = on_news, .context = news},
		.subscribers = subscribers,
	};
	news_subscribe(bus, &news->on_news);
}
