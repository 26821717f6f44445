/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/report/announce.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "latchd/maps/tables.h"
#include "common/names.h"

#define FLOW_TEXT_MAX  128
#define REFUSED_LOG_MS 1000

static const char nobody[] = "nobody known";

static void publish(struct announcer *a, struct json_writer *w)
{
	/* Out of memory: a monitor misses a line, nothing else. */
	if (!json_finish(w))
		control_publish(a->control, w->text, w->length);
	json_release(w);
}

static bool begin(const struct announcer *a, struct json_writer *w)
{
	if (!control_has_monitors(a->control))
		return false;
	json_init(w);
	return true;
}

static void flow_text(char out[FLOW_TEXT_MAX], const struct latch_flow *flow)
{
	char local[INET6_ADDRSTRLEN] = "?", remote[INET6_ADDRSTRLEN] = "?";

	inet_ntop(flow->family, flow->local_addr, local, sizeof(local));
	inet_ntop(flow->family, flow->remote_addr, remote, sizeof(remote));
	snprintf(out, FLOW_TEXT_MAX, "%s port %u with %s port %u", local, flow->local_port, remote,
		 flow->remote_port);
}

static const char *peer_text(const struct announcer *a, uint16_t index)
{
	const struct latch_params *params = identities_get_params(a->source->identities, index);
	const struct latch_identity *peer =
		params ? identities_get(a->source->identities, params->peer_id) : NULL;

	return peer ? peer->id : nobody;
}

void announce_kernel_event(struct announcer *a, const struct latch_event *event)
{
	struct json_writer w;

	if (!begin(a, &w))
		return;
	report_ring_event(&w, a->source, event);
	publish(a, &w);
}

static const char *what_became_of(uint8_t reasons)
{
	return reasons & LATCH_REASON_PEER_REBOOTED ? "has rebooted (INITIAL_CONTACT)"
						    : "is dead (it answers no IKE request)";
}

static void log_broken(const struct announcer *a, const struct latch_flow *flow,
		       const struct latch *latch, uint8_t reasons, uint16_t got)
{
	const char *want = peer_text(a, latch->word.params), *came = peer_text(a, got);
	char text[FLOW_TEXT_MAX];

	flow_text(text, flow);
	if (reasons & LATCH_REASONS_STICKY)
		log_warn("latch", "%" PRIx64 " broken: %s was latched to \"%s\", which %s",
			 (uint64_t)latch->id, text, want, what_became_of(reasons));
	else
		log_warn("latch",
			 "%" PRIx64 " broken: %s was latched to \"%s\", an SA of \"%s\"%s came",
			 (uint64_t)latch->id, text, want, came,
			 want == nobody || strcmp(want, came)
				 ? ""
				 : " under other terms (see latchctl --json monitor)");
}

void announce_latch_broken(struct announcer *a, const struct latch_flow *flow,
			   const struct latch *latch, uint8_t reasons, uint16_t got)
{
	struct json_writer w;

	log_broken(a, flow, latch, reasons, got);
	if (!begin(a, &w))
		return;
	report_latch_broken(&w, a->source, flow, latch->id, latch->direction, reasons,
			    latch->word.params, got);
	publish(a, &w);
}

static void spd_text(char *out, size_t size, enum policy_direction direction,
		     const struct policy_verdict *verdict)
{
	const char *way = policy_direction_name(direction);

	if (verdict->policy)
		snprintf(out, size, "the policy for packets %s is %s now (priority %u)", way,
			 policy_action_name(verdict->action), verdict->policy->priority);
	else
		snprintf(out, size, "no policy for packets %s is left, the default is %s", way,
			 policy_action_name(verdict->action));
}

void announce_spd_broken(struct announcer *a, const struct latch_flow *flow,
			 const struct latch *latch, enum policy_direction direction,
			 const struct policy_verdict *verdict)
{
	char text[FLOW_TEXT_MAX], why[96];
	struct json_writer w;

	flow_text(text, flow);
	spd_text(why, sizeof(why), direction, verdict);
	log_warn("latch", "%" PRIx64 " broken: %s was latched to \"%s\", %s; see: ip xfrm policy",
		 (uint64_t)latch->id, text, peer_text(a, latch->word.params), why);
	if (!begin(a, &w))
		return;
	report_spd_broken(&w, a->source, flow, latch, direction, verdict);
	publish(a, &w);
}

void announce_latch_held(struct announcer *a, const struct latch_flow *flow,
			 const struct latch *latch, enum policy_direction direction,
			 const struct policy_verdict *verdict)
{
	char text[FLOW_TEXT_MAX], why[96];
	struct json_writer w;

	flow_text(text, flow);
	spd_text(why, sizeof(why), direction, verdict);
	log_warn("latch",
		 "%" PRIx64 " held: %s keeps its protection by policies of its own, for %s",
		 (uint64_t)latch->id, text, why);
	if (!begin(a, &w))
		return;
	report_latch_held(&w, flow, latch, direction, verdict);
	publish(a, &w);
}

void announce_latch_released(struct announcer *a, const struct latch_flow *flow,
			     const struct latch *latch)
{
	char text[FLOW_TEXT_MAX];
	struct json_writer w;

	flow_text(text, flow);
	log_info("latch", "%" PRIx64 " released: the policies protect %s again",
		 (uint64_t)latch->id, text);
	if (!begin(a, &w))
		return;
	report_latch_released(&w, flow, latch);
	publish(a, &w);
}

void announce_latch_healed(struct announcer *a, const struct latch_flow *flow,
			   const struct latch *latch, uint8_t reasons)
{
	char text[FLOW_TEXT_MAX];
	struct json_writer w;

	flow_text(text, flow);
	log_info("latch", "%" PRIx64 " healed: %s", (uint64_t)latch->id, text);
	if (!begin(a, &w))
		return;
	report_latch_healed(&w, a->source, flow, latch->id, latch->direction, reasons);
	publish(a, &w);
}

void announce_latch_reset(struct announcer *a, const struct latch_flow *flow,
			  const struct latch *latch, int error)
{
	char text[FLOW_TEXT_MAX];
	struct json_writer w;

	flow_text(text, flow);
	if (error)
		log_warn("latch", "%" PRIx64 ": cannot reset %s: %s; its packets are dropped",
			 (uint64_t)latch->id, text, strerror(-error));
	else
		log_info("latch", "%" PRIx64 ": %s %s", (uint64_t)latch->id,
			 latch->rule_flags & LATCH_RULE_TIMEOUT ? "timing out" : "reset", text);
	if (!begin(a, &w))
		return;
	report_latch_reset(&w, a->source, flow, latch->id, error);
	publish(a, &w);
}

static const char *refused_text(int error)
{
	if (error == -ENOENT)
		return "its packets are dropped";
	return error ? strerror(-error) : "its connect() was ended";
}

void announce_refused(struct announcer *a, const struct latch_event *event, int error)
{
	uint64_t now = loop_now_ms();
	char text[FLOW_TEXT_MAX], more[48] = "";

	if (now < a->refused_due_ms) {
		a->refused++;
		return;
	}
	if (a->refused)
		snprintf(more, sizeof(more), "; %u more before it", a->refused);
	a->refused_due_ms = now + REFUSED_LOG_MS;
	a->refused = 0;
	flow_text(text, &event->flow);
	log_warn("latch", "refused: %s may not begin (%s); %s%s", text,
		 latch_drop_name(event->drop), refused_text(error), more);
}

static const char *request_text(enum control_act act, int error)
{
	switch (act) {
	case CONTROL_ACT_BREAK:
		return "broken";
	case CONTROL_ACT_HEAL:
		return "healed";
	case CONTROL_ACT_CLOSE:
		return error ? "to be closed, but only cut off" : "closed";
	}
	return "changed";
}

void announce_latch_requested(struct announcer *a, enum control_act act,
			      const struct latch_flow *flow, const struct latch *latch,
			      const struct admin_origin *who, int error)
{
	char text[FLOW_TEXT_MAX], login[32] = "";
	struct json_writer w;

	flow_text(text, flow);
	if (who->login_uid != ADMIN_NO_LOGIN)
		snprintf(login, sizeof(login), ", login uid %u", who->login_uid);
	log_warn("latch", "%" PRIx64 " %s: %s, by an administrator (pid %d%s)%s%s",
		 (uint64_t)latch->id, request_text(act, error), text, (int)who->pid, login,
		 error ? ": " : "", error ? strerror(-error) : "");
	if (!begin(a, &w))
		return;
	report_latch_requested(&w, act, flow, latch, who, error);
	publish(a, &w);
}

void announce_sa_bound(struct announcer *a, const struct latch_sa_key *key,
		       const struct latch_sa *sa, uint16_t params, const char *feed,
		       const char *evidence)
{
	struct json_writer w;

	log_debug("sa", "0x%08x is bound to \"%s\" (%s)", key->spi, peer_text(a, params), evidence);
	if (!begin(a, &w))
		return;
	report_sa_bound(&w, a->source, key, sa, params, feed, evidence);
	publish(a, &w);
}

static uint64_t lost_so_far(const struct announcer *a)
{
	uint64_t counters[LATCH_COUNTER_COUNT];

	if (counters_read(a->source->maps, counters))
		return a->lost;
	return counters[LATCH_COUNTER_EVENTS_LOST];
}

void announce_from_now(struct announcer *a)
{
	a->lost = lost_so_far(a);
}

bool announce_lost_events(struct announcer *a)
{
	uint64_t now = lost_so_far(a), before = a->lost;
	struct json_writer w;

	a->lost = now;
	if (now == before)
		return false;
	if (begin(a, &w)) {
		report_lost(&w, now - before, "kernel events");
		publish(a, &w);
	}
	return true;
}
