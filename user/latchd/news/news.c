/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/news/news.h"

#include <stddef.h>

void news_subscribe(struct news_bus *bus, struct news_subscriber *subscriber)
{
	struct news_subscriber **at;

	for (at = &bus->first; *at; at = &(*at)->next)
		;
	subscriber->next = NULL;
	*at = subscriber;
}

void news_publish(const struct news_bus *bus, const struct news *news)
{
	const struct news_subscriber *subscriber;

	for (subscriber = bus->first; subscriber; subscriber = subscriber->next)
		subscriber->fn(subscriber->context, news);
}
