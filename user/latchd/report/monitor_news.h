/* SPDX-License-Identifier: BSD-2-Clause */
/* Subscriber: one JSON object for each event, to the monitors on the control socket. */
#ifndef LATCHD_REPORT_MONITOR_NEWS_H
#define LATCHD_REPORT_MONITOR_NEWS_H

#include "latchd/control/control.h"
#include "latchd/news/news.h"
#include "latchd/report/report.h"

struct monitor_news {
	struct news_subscriber subscriber;
	struct control *control;
	const struct report_source *source;
};

void monitor_news_start(struct monitor_news *monitor, struct news_bus *bus, struct control *control,
			const struct report_source *source);

#endif
