/* SPDX-License-Identifier: BSD-2-Clause */
/* Parts of events, shared by the files that write events. */
#ifndef LATCHD_REPORT_REPORT_EVENT_PARTS_H
#define LATCHD_REPORT_REPORT_EVENT_PARTS_H

#include "latchd/report/report_parts.h"

/* "audited": true, for a packet or flow that audit mode passes; else no member. */
void report_audited(struct json_writer *w, bool audited);
/* Opens the object; "time", "event" */
void report_event_begin(struct json_writer *w, const char *event, uint64_t real_ns);
/* "id" and the flow */
void report_event_latch(struct json_writer *w, const struct latch_flow *flow, uint64_t id);
/* "spi", "dst", "proto", "netns" */
void report_event_sa_key(struct json_writer *w, const struct latch_sa_key *key);
/* "expected", "actual": see report_news(). Index 0: null. */
void report_expected_actual(struct json_writer *w, const struct report_source *source,
			    uint16_t want, uint16_t got);

/* An object: "direction", "action", "default"; unless that, "priority", "src", "dst" */
void report_policy(struct json_writer *w, const struct news_policy *policy);

/* One whole object, with the event's own time. */
void report_kernel_event(struct json_writer *w, const struct report_source *source,
			 const struct latch_event *event);

#endif
