/* SPDX-License-Identifier: BSD-2-Clause */
/* The JSON of latchd's own events, for monitors. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/names.h"
#include "latchd/report/report_event_parts.h"

/* ---- members */

static void begin_now(struct json_writer *w, const char *event)
{
	report_event_begin(w, event, clock_real_ns());
}

static void write_prefix(struct json_writer *w, const char *key, uint8_t family,
			 const uint8_t address[16], uint8_t bits)
{
	char text[INET6_ADDRSTRLEN + 4] = "";
	size_t length;

	if (!inet_ntop(family, address, text, INET6_ADDRSTRLEN)) {
		json_member_string(w, key, NULL);
		return;
	}
	length = strlen(text);
	snprintf(text + length, sizeof(text) - length, "/%u", bits);
	json_member_string(w, key, text);
}

void report_policy(struct json_writer *w, const struct news_policy *policy)
{
	json_object_begin(w);
	json_member_string(w, "direction", policy->direction);
	json_member_string(w, "action", policy->action);
	json_member_bool(w, "default", policy->is_default);
	if (!policy->is_default) {
		json_member_uint(w, "priority", policy->priority);
		write_prefix(w, "src", policy->family, policy->source, policy->source_bits);
		write_prefix(w, "dst", policy->family, policy->destination,
			     policy->destination_bits);
	}
	json_object_end(w);
}

static void write_policy(struct json_writer *w, const struct news_policy *policy)
{
	json_key(w, "policy");
	report_policy(w, policy);
}

static void write_requester(struct json_writer *w, const struct news_requester *requester)
{
	json_key(w, "by");
	json_object_begin(w);
	json_member_uint(w, "pid", (uint64_t)requester->pid);
	json_key(w, "login_uid");
	if (requester->login_uid == NEWS_NO_LOGIN)
		json_null(w);
	else
		json_uint(w, requester->login_uid);
	json_object_end(w);
}

static void begin_transition(struct json_writer *w, const char *event, const struct news *news)
{
	begin_now(w, event);
	report_event_latch(w, news->flow, news->latch->id);
	report_direction(w, news->latch->direction);
}

static void write_reason(struct json_writer *w, uint8_t reason)
{
	json_member_string(w, "reason",
			   reason ? latch_reason_name((enum latch_reason)reason) : NULL);
	report_reasons(w, reason);
}

static void write_error(struct json_writer *w, int error)
{
	json_member_string(w, "error", error ? strerror(-error) : NULL);
}

/* ---- events */

static void write_broken(struct json_writer *w, const struct report_source *source,
			 const struct news *news)
{
	const struct news_cause *cause = &news->cause;

	begin_transition(w, latch_event_name(LATCH_EVENT_LATCH_BROKEN), news);
	write_reason(w, cause->reason);
	if (cause->requester)
		write_requester(w, cause->requester);
	else
		report_expected_actual(w, source, news->latch->word.params, cause->got);
	if (cause->policy)
		write_policy(w, cause->policy);
	report_audited(w, news->audited);
	json_object_end(w);
}

static void write_mode(struct json_writer *w, const struct news *news)
{
	begin_now(w, "mode-changed");
	json_member_string(w, "mode", news->audited ? "audit" : "enforce");
	if (news->cause.requester)
		write_requester(w, news->cause.requester);
	json_object_end(w);
}

static void write_healed(struct json_writer *w, const struct news *news)
{
	const struct news_cause *cause = &news->cause;

	begin_transition(w, latch_event_name(LATCH_EVENT_LATCH_HEALED), news);
	if (cause->requester) {
		write_reason(w, cause->reason);
		write_requester(w, cause->requester);
	} else {
		report_reasons(w, cause->reason);
	}
	json_object_end(w);
}

static void write_held(struct json_writer *w, const struct news *news)
{
	begin_transition(w, "latch-held", news);
	write_policy(w, news->cause.policy);
	json_object_end(w);
}

static void write_released(struct json_writer *w, const struct news *news)
{
	begin_transition(w, "latch-released", news);
	json_object_end(w);
}

static void write_requested_close(struct json_writer *w, const struct news *news)
{
	begin_transition(w, "latch-reset", news);
	write_reason(w, LATCH_REASON_ADMIN);
	write_error(w, news->error);
	write_requester(w, news->cause.requester);
	json_object_end(w);
}

static void write_reset(struct json_writer *w, const struct news *news)
{
	begin_now(w, "latch-reset");
	report_event_latch(w, news->flow, news->latch->id);
	write_error(w, news->error);
	json_object_end(w);
}

static void write_bound(struct json_writer *w, const struct report_source *source,
			const struct news_sa *bound)
{
	begin_now(w, "sa-bound");
	report_event_sa_key(w, bound->key);
	report_address(w, "src", bound->key->family, bound->sa->saddr);
	json_member_uint(w, "reqid", bound->sa->reqid);
	json_member_string(w, "mode", xfrm_mode_name(bound->sa->mode));
	report_peer(w, source, bound->params);
	report_local_id(w, source, bound->params);
	json_member_string(w, "feed", bound->feed);
	json_member_string(w, "evidence", bound->evidence);
	json_object_end(w);
}

static void write_lost(struct json_writer *w, uint64_t count)
{
	begin_now(w, "lost");
	json_member_uint(w, "count", count);
	json_member_string(w, "where", "kernel events");
	json_object_end(w);
}

bool report_news(struct json_writer *w, const struct report_source *source, const struct news *news)
{
	switch (news->kind) {
	case NEWS_KERNEL_EVENT:
		report_kernel_event(w, source, news->event);
		return true;
	case NEWS_LATCH_BROKEN:
		write_broken(w, source, news);
		return true;
	case NEWS_LATCH_HEALED:
		write_healed(w, news);
		return true;
	case NEWS_LATCH_HELD:
		write_held(w, news);
		return true;
	case NEWS_LATCH_RELEASED:
		write_released(w, news);
		return true;
	case NEWS_LATCH_RESET:
		if (news->error && news->again)
			return false;
		if (news->cause.requester)
			write_requested_close(w, news);
		else
			write_reset(w, news);
		return true;
	case NEWS_SA_BOUND:
		write_bound(w, source, &news->sa);
		return true;
	case NEWS_EVENTS_LOST:
		write_lost(w, news->count);
		return true;
	case NEWS_MODE_CHANGED:
		write_mode(w, news);
		return true;
	case NEWS_FLOW_REFUSED: /* as a kernel event */
	case NEWS_NETNS_SERVED:
	case NEWS_FEED_AWAY:
	case NEWS_FOR_APPLICATION:
		break;
	}
	return false;
}
