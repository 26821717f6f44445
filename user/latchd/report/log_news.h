/* SPDX-License-Identifier: BSD-2-Clause */
/* Subscriber: the log lines that an administrator needs. */
#ifndef LATCHD_REPORT_LOG_NEWS_H
#define LATCHD_REPORT_LOG_NEWS_H

#include <stdint.h>

#include "latchd/identity/identities.h"
#include "latchd/news/news.h"
#include "latchd/report/log_share.h"

struct log_news {
	struct news_subscriber subscriber;
	const struct identities *identities; /* for the names of peers */
	/* A flood of refusals: one line a second, with the number of those without a line. */
	uint64_t refused_due_ms;
	unsigned int refused;
	uint64_t elsewhere_due_ms;
	struct log_share share;
};

void log_news_start(struct log_news *log, struct news_bus *bus,
		    const struct identities *identities);

#endif
