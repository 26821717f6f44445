/* SPDX-License-Identifier: BSD-2-Clause */
/* Subscriber: which news of latches go to which connection, those of the sockets subscribed there.
 */
#ifndef LATCHD_SUBSCRIBERS_SUBSCRIBER_NEWS_H
#define LATCHD_SUBSCRIBERS_SUBSCRIBER_NEWS_H

#include "latchd/news/news.h"
#include "latchd/subscribers/subscribers.h"

struct subscriber_news {
	struct news_subscriber on_news;
	struct subscribers *subscribers;
};

/* Part of its owner, as the subscribers. */
void subscriber_news_start(struct subscriber_news *news, struct news_bus *bus,
			   struct subscribers *subscribers);

#endif
