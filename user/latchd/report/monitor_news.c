/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/report/monitor_news.h"

static void on_news(void *context, const struct news *news)
{
	const struct monitor_news *monitor = context;
	struct json_writer w;

	if (!control_has_monitors(monitor->control))
		return;
	json_init(&w);
	/* Out of memory: a monitor misses a line, nothing else. */
	if (report_news(&w, monitor->source, news) && !json_finish(&w))
		control_publish(monitor->control, w.text, w.length);
	json_release(&w);
}

void monitor_news_start(struct monitor_news *monitor, struct news_bus *bus, struct control *control,
			const struct report_source *source)
{
	*monitor = (struct monitor_news){
		.subscriber = {.fn = on_news, .context = monitor},
		.control = control,
		.source = source,
	};
	news_subscribe(bus, &monitor->subscriber);
}
