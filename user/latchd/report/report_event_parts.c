/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/report/report_event_parts.h"

#include "common/clock.h"
#include "common/names.h"

void report_event_begin(struct json_writer *w, const char *event, uint64_t real_ns)
{
	char time[CLOCK_TEXT_SIZE];

	clock_format(time, real_ns);
	json_object_begin(w);
	json_member_string(w, "time", time);
	json_member_string(w, "event", event);
}

void report_event_latch(struct json_writer *w, const struct latch_flow *flow, uint64_t id)
{
	report_latch_id(w, id);
	report_flow(w, flow);
}

void report_event_sa_key(struct json_writer *w, const struct latch_sa_key *key)
{
	report_spi(w, "spi", key->spi);
	report_address(w, "dst", key->family, key->daddr);
	json_member_string(w, "proto", ipsec_protocol_name(key->protocol));
	json_member_uint(w, "netns", key->netns);
}

void report_audited(struct json_writer *w, bool audited)
{
	if (audited)
		json_member_bool(w, "audited", true);
}
