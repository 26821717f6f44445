/* SPDX-License-Identifier: BSD-2-Clause */
/* Kernel events without room in the ring: the programs count them (events_lost). */
#ifndef LATCHD_NEWS_LOST_EVENTS_H
#define LATCHD_NEWS_LOST_EVENTS_H

#include <stdint.h>

#include "latchd/maps/kernel_maps.h"
#include "latchd/news/news.h"

struct lost_events {
	const struct kernel_maps *maps;
	uint64_t known; /* lost until the last check */
};

/* Events lost before now were lost by an earlier latchd. */
void lost_events_start(struct lost_events *lost, const struct kernel_maps *maps);

/* Publishes EVENTS_LOST if there are more. A counter that cannot be read shows no loss. */
void lost_events_check(struct lost_events *lost, const struct news_bus *news);

#endif
