/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/news/lost_events.h"

#include "latchd/maps/tables.h"

static uint64_t count(const struct lost_events *lost)
{
	uint64_t counters[LATCH_COUNTER_COUNT];

	return counters_read(lost->maps, counters) ? lost->known
						   : counters[LATCH_COUNTER_EVENTS_LOST];
}

void lost_events_start(struct lost_events *lost, const struct kernel_maps *maps)
{
	*lost = (struct lost_events){.maps = maps};
	lost->known = count(lost);
}

void lost_events_check(struct lost_events *lost, const struct news_bus *news)
{
	uint64_t now = count(lost), before = lost->known;

	lost->known = now;
	if (now != before)
		news_publish(news, &(struct news){.kind = NEWS_EVENTS_LOST, .count = now - before});
}
