/* SPDX-License-Identifier: BSD-2-Clause */
/* The programs' events as JSON. */
#include "latchd/report/report_event_parts.h"

#include "common/clock.h"
#include "common/names.h"

static void ring_latch(struct json_writer *w, const struct report_source *source,
		       const struct latch_event *event)
{
	report_event_latch(w, &event->flow, event->latch_id);
	report_direction(w, event->direction);
	report_peer(w, source, event->word.params);
	report_local_id(w, source, event->word.params);
	report_reasons(w, event->word.reasons);
	report_listener(w, event->listener);
}

static void ring_sa(struct json_writer *w, const struct report_source *source,
		    const struct latch_event *event)
{
	report_event_sa_key(w, &event->sa);
	json_member_string(w, "state", latch_sa_state_name(event->sa_word.state));
	report_peer(w, source, event->sa_word.params);
}

static void write_event_sa(struct json_writer *w, const struct latch_sa_key *key)
{
	json_key(w, "sa");
	if (!key->spi) {
		json_null(w);
		return;
	}
	json_object_begin(w);
	report_event_sa_key(w, key);
	json_object_end(w);
}

static void report_packet(struct json_writer *w, enum latch_direction packet)
{
	json_member_string(w, "packet", packet == LATCH_DIRECTION_OUT ? "egress" : "ingress");
}

static void ring_drop(struct json_writer *w, const struct report_source *source,
		      const struct latch_event *event)
{
	json_member_string(w, "reason", latch_drop_name(event->drop));
	report_packet(w, event->packet);
	report_event_latch(w, &event->flow, event->latch_id);
	report_direction(w, event->direction);
	report_peer(w, source, event->word.params);
	json_member_uint(w, "drops", event->drops);
	report_audited(w, event->audited);
	write_event_sa(w, &event->sa);
}

static void ring_refused(struct json_writer *w, const struct report_source *source,
			 const struct latch_event *event)
{
	json_member_string(w, "reason", latch_drop_name(event->drop));
	report_packet(w, event->packet);
	report_flow(w, &event->flow);
	report_direction(w, event->direction);
	report_rule(w, source, event->wish ? LATCH_RULE_NONE : event->rule, source->rule_set);
	if (event->wish)
		json_member_string(w, "wish", latch_why_name((enum latch_why)event->wish));
	report_audited(w, event->audited);
	write_event_sa(w, &event->sa);
}

void report_kernel_event(struct json_writer *w, const struct report_source *source,
			 const struct latch_event *event)
{
	report_event_begin(w, latch_event_name(event->type), clock_boot_to_real_ns(event->time));
	switch (event->type) {
	case LATCH_EVENT_LATCH_ESTABLISHED:
	case LATCH_EVENT_LATCH_BROKEN:
	case LATCH_EVENT_LATCH_HEALED:
	case LATCH_EVENT_LATCH_CLOSED:
		ring_latch(w, source, event);
		break;
	case LATCH_EVENT_SA_PENDING:
	case LATCH_EVENT_SA_GONE:
		ring_sa(w, source, event);
		break;
	case LATCH_EVENT_DROP:
		ring_drop(w, source, event);
		break;
	case LATCH_EVENT_REFUSED:
		ring_refused(w, source, event);
		break;
	case LATCH_EVENT_POLICY_CHANGED:
		json_member_uint(w, "netns", event->flow.netns);
		break;
	case LATCH_EVENT_SAS_ELSEWHERE:
		report_flow(w, &event->flow);
		report_direction(w, LATCH_DIRECTION_OUT);
		break;
	case LATCH_EVENT_NEWS_SPAWNED: /* as FOR_APPLICATION */
	case LATCH_EVENT_NEWS_CLOSED:
	case LATCH_EVENT_NEWS_LOST:
		break;
	}
	json_object_end(w);
}
