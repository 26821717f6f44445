/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/report/log_news.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/flow_text.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/names.h"

#define REFUSED_LOG_MS	 1000
#define REFUSAL_SIZE	 64
#define ELSEWHERE_LOG_MS 60000
#define SUBJECT_SIZE	 (FLOW_TEXT_SIZE + 128)
#define PEER_SIZE	 (2 * sizeof(((struct latch_identity *)0)->id) + 16)
#define DETAILS_SIZE	 (PEER_SIZE + 128)

/* NULL: not known. */
static const struct latch_identity *peer_of(const struct log_news *log, uint16_t index)
{
	const struct latch_params *params = identities_get_params(log->identities, index);

	return params ? identities_get(log->identities, params->peer_id) : NULL;
}

/* The peer chooses its text: a quotation mark in it must not end the quotation. */
static void quote(char out[PEER_SIZE], const char *text)
{
	char *at = out;

	*at++ = '"';
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			*at++ = '\\';
		*at++ = *text;
	}
	*at++ = '"';
	*at = '\0';
}

static void peer_text(char out[PEER_SIZE], const struct log_news *log, uint16_t index)
{
	const struct latch_identity *peer = peer_of(log, index);

	if (peer)
		quote(out, peer->id);
	else
		snprintf(out, PEER_SIZE, "an unknown peer");
}

/* ---- latch ID VERB (REASONS): FLOW */

static void reasons_text(char *out, size_t size, uint8_t reasons)
{
	unsigned int bit;
	size_t length = 0;

	out[0] = '\0';
	for (bit = 1; bit <= LATCH_REASONS_ALL; bit <<= 1)
		if (reasons & bit && length < size)
			length += (size_t)snprintf(out + length, size - length, "%s%s",
						   length ? ", " : "",
						   latch_reason_name((enum latch_reason)bit));
}

static void subject_text(char out[SUBJECT_SIZE], const struct news *news, const char *verb,
			 uint8_t reasons)
{
	char flow[FLOW_TEXT_SIZE], why[96];

	flow_text(flow, news->flow, news->latch->direction);
	reasons_text(why, sizeof(why), reasons);
	snprintf(out, SUBJECT_SIZE, "latch %" PRIx64 " %s%s%s%s: %s", (uint64_t)news->latch->id,
		 verb, why[0] ? " (" : "", why, why[0] ? ")" : "", flow);
}

/* ---- the details of a cause */

static void policy_text(char *out, size_t size, const struct news_policy *policy)
{
	if (policy->is_default)
		snprintf(out, size, "no policy for packets %s, the default is %s",
			 policy->direction, policy->action);
	else
		snprintf(out, size, "the policy for packets %s is %s (priority %u)",
			 policy->direction, policy->action, policy->priority);
}

static void requester_text(char *out, size_t size, const struct news_requester *requester)
{
	if (requester->login_uid == NEWS_NO_LOGIN)
		snprintf(out, size, "requested by pid %d", (int)requester->pid);
	else
		snprintf(out, size, "requested by pid %d, login uid %u", (int)requester->pid,
			 requester->login_uid);
}

static bool has_other_key(const struct latch_identity *peer, const struct latch_identity *other)
{
	return peer->key_kind != other->key_kind ||
	       memcmp(peer->key, other->key, sizeof(peer->key)) != 0;
}

static const char *difference(const struct latch_identity *peer, const struct latch_identity *other)
{
	if (!peer || !other || strcmp(peer->id, other->id) != 0)
		return "";
	return has_other_key(peer, other) ? " with another key, see latchctl --json monitor"
					  : " with other parameters, see latchctl --json monitor";
}

static void conflict_text(char *out, size_t size, const struct log_news *log, uint16_t want,
			  uint16_t got)
{
	char name[PEER_SIZE];

	peer_text(name, log, got);
	snprintf(out, size, "new SA belongs to %s%s", name,
		 difference(peer_of(log, want), peer_of(log, got)));
}

static void break_text(char *out, size_t size, const struct log_news *log, const struct news *news)
{
	const struct news_cause *cause = &news->cause;

	switch ((enum latch_reason)cause->reason) {
	case LATCH_REASON_SA_CONFLICT:
		conflict_text(out, size, log, news->latch->word.params, cause->got);
		return;
	case LATCH_REASON_SPD_CHANGE:
		policy_text(out, size, cause->policy);
		return;
	case LATCH_REASON_PEER_DEAD:
		snprintf(out, size, "the peer answers no IKE request");
		return;
	case LATCH_REASON_PEER_REBOOTED:
		snprintf(out, size, "the peer has rebooted (INITIAL_CONTACT)");
		return;
	case LATCH_REASON_ADMIN:
		requester_text(out, size, cause->requester);
		return;
	case LATCH_REASON_REFUSED: /* set by the programs, before the first packet */
		break;
	}
	out[0] = '\0';
}

/* ---- one line each */

/* The monitor has them all. A request of root always has its line. */
static bool has_line(struct log_news *log, enum log_share_kind kind, const struct news *news)
{
	static const char *const verbs[LOG_SHARE_KINDS] = {"broken", "healed", "reset"};
	uint16_t params = news->latch->word.params;
	char peer[PEER_SIZE];

	if (news->cause.requester)
		return true;
	switch (log_share_take(&log->share, kind, params, news->cause.got)) {
	case LOG_SHARE_LINE:
		return true;
	case LOG_SHARE_LAST:
		peer_text(peer, log, params);
		log_warn(NULL,
			 "latches to %s %s: %d lines within %d s, no more until then; all are in: "
			 "latchctl monitor",
			 peer, verbs[kind], LOG_SHARE_LINES, LOG_SHARE_MS / 1000);
		return false;
	case LOG_SHARE_NONE:
		return false;
	}
	return true;
}

static void log_broken(struct log_news *log, const struct news *news)
{
	char subject[SUBJECT_SIZE], peer[PEER_SIZE], details[DETAILS_SIZE];

	if (!has_line(log, LOG_SHARE_BROKEN, news))
		return;
	subject_text(subject, news, "broken", news->cause.reason);
	peer_text(peer, log, news->latch->word.params);
	break_text(details, sizeof(details), log, news);
	log_warn(NULL, "%s latched to %s; %s%s", subject, peer, details,
		 news->audited ? "; audit mode, packets pass" : "");
}

static void log_mode(const struct news *news)
{
	char details[DETAILS_SIZE] = "by the configuration";

	if (news->cause.requester)
		requester_text(details, sizeof(details), news->cause.requester);
	if (news->audited)
		log_error(
			NULL,
			"mode audit in force: %s; packets pass and sockets are not reset, except those "
			"of latches that enforcement broke",
			details);
	else
		log_warn(
			NULL,
			"mode enforce in force: %s; flows that pass by audit mode alone are dropped and "
			"reset",
			details);
}

static void log_healed(struct log_news *log, const struct news *news)
{
	char subject[SUBJECT_SIZE], details[DETAILS_SIZE];

	if (!has_line(log, LOG_SHARE_HEALED, news))
		return;
	subject_text(subject, news, "healed", news->cause.reason);
	if (!news->cause.requester) {
		log_info(NULL, "%s", subject);
		return;
	}
	requester_text(details, sizeof(details), news->cause.requester);
	log_warn(NULL, "%s; %s", subject, details);
}

static void log_held(const struct news *news)
{
	char subject[SUBJECT_SIZE], details[DETAILS_SIZE];

	subject_text(subject, news, "held", news->cause.reason);
	policy_text(details, sizeof(details), news->cause.policy);
	log_warn(NULL, "%s; %s; policies of latchd protect the flow", subject, details);
}

static void log_released(const struct news *news)
{
	char subject[SUBJECT_SIZE];

	subject_text(subject, news, "released", 0);
	log_info(NULL, "%s; the SPD protects the flow again", subject);
}

static void log_requested_close(const struct news *news)
{
	char subject[SUBJECT_SIZE], details[DETAILS_SIZE];

	subject_text(subject, news, news->error ? "not closed" : "closed", LATCH_REASON_ADMIN);
	requester_text(details, sizeof(details), news->cause.requester);
	if (news->error)
		log_warn(NULL, "%s; %s; socket: %s; latch broken, packets dropped", subject,
			 details, strerror(-news->error));
	else
		log_warn(NULL, "%s; %s", subject, details);
}

static void log_reset(struct log_news *log, const struct news *news)
{
	bool timeout = news->latch->rule_flags & LATCH_RULE_TIMEOUT;
	char subject[SUBJECT_SIZE];

	if (news->error && news->again)
		return;
	if (news->cause.requester) {
		log_requested_close(news);
		return;
	}
	if (!has_line(log, LOG_SHARE_RESET, news))
		return;
	subject_text(subject, news,
		     news->error ? "not reset"
		     : timeout	 ? "timing out"
				 : "reset",
		     news->latch->word.reasons);
	if (news->error)
		log_warn(NULL, "%s; socket: %s; packets dropped", subject, strerror(-news->error));
	else
		log_info(NULL, "%s", subject);
}

#define RIVAL_SIZE (2 * (PEER_SIZE) + 2 * NEWS_SELECTOR_SIZE + 96)

static void rival_text(char out[RIVAL_SIZE], const struct log_news *log,
		       const struct news_rival *rival)
{
	char peer[PEER_SIZE], other[PEER_SIZE];

	out[0] = '\0';
	if (!rival)
		return;
	peer_text(peer, log, rival->params);
	peer_text(other, log, rival->rival_params);
	snprintf(out, RIVAL_SIZE, "; SAs of %s and of %s (0x%08x) both cover %s === %s", peer,
		 other, rival->rival_spi, rival->local, rival->remote);
}

/* The application's wish may be the only reason: no rule says so. */
static void refusal_text(char out[REFUSAL_SIZE], const struct latch_event *event)
{
	if (event->wish)
		snprintf(out, REFUSAL_SIZE, "%s, wish of the application: %s",
			 latch_drop_name(event->drop), latch_why_name((enum latch_why)event->wish));
	else
		snprintf(out, REFUSAL_SIZE, "%s", latch_drop_name(event->drop));
}

static void log_refused(struct log_news *log, const struct news *news)
{
	const struct latch_event *event = news->event;
	char flow[FLOW_TEXT_SIZE], more[48] = "", rival[RIVAL_SIZE], why[REFUSAL_SIZE];
	uint64_t now = loop_now_ms();

	if (now < log->refused_due_ms) {
		log->refused++;
		return;
	}
	if (log->refused)
		snprintf(more, sizeof(more), "; %u more since the last line", log->refused);
	log->refused_due_ms = now + REFUSED_LOG_MS;
	log->refused = 0;
	flow_text(flow, &event->flow, event->direction);
	rival_text(rival, log, news->rival);
	refusal_text(why, event);
	if (event->audited)
		log_warn(NULL, "flow not refused (%s): %s%s; audit mode, packets pass%s", why, flow,
			 rival, more);
	else if (!news->error)
		log_warn(NULL, "flow refused (%s): %s%s; connect() ended%s", why, flow, rival,
			 more);
	else if (news->error == -ENOENT)
		log_warn(NULL, "flow refused (%s): %s%s; packets dropped%s", why, flow, rival,
			 more);
	else
		log_warn(NULL, "flow refused (%s): %s%s; connect() not ended: %s%s", why, flow,
			 rival, strerror(-news->error), more);
}

/* The flow is an example: status counts the packets of all. */
static void log_kernel_event(struct log_news *log, const struct latch_event *event)
{
	char flow[FLOW_TEXT_SIZE];
	uint64_t now = loop_now_ms();

	if (event->type != LATCH_EVENT_SAS_ELSEWHERE || now < log->elsewhere_due_ms)
		return;
	log->elsewhere_due_ms = now + ELSEWHERE_LOG_MS;
	flow_text(flow, &event->flow, LATCH_DIRECTION_OUT);
	log_warn(NULL,
		 "flow not latched (sas-elsewhere): %s; its interface is a VTI or has its SAs in "
		 "another network namespace; to latch it make an xfrm interface in this one",
		 flow);
}

static void log_bound(const struct log_news *log, const struct news_sa *sa)
{
	char peer[PEER_SIZE];

	peer_text(peer, log, sa->params);
	log_debug(NULL, "sa 0x%08x bound (%s): belongs to %s", sa->key->spi, sa->evidence, peer);
}

static void on_news(void *context, const struct news *news)
{
	struct log_news *log = context;

	switch (news->kind) {
	case NEWS_LATCH_BROKEN:
		log_broken(log, news);
		return;
	case NEWS_LATCH_HEALED:
		log_healed(log, news);
		return;
	case NEWS_LATCH_HELD:
		log_held(news);
		return;
	case NEWS_LATCH_RELEASED:
		log_released(news);
		return;
	case NEWS_LATCH_RESET:
		log_reset(log, news);
		return;
	case NEWS_FLOW_REFUSED:
		log_refused(log, news);
		return;
	case NEWS_SA_BOUND:
		log_bound(log, &news->sa);
		return;
	case NEWS_MODE_CHANGED:
		log_mode(news);
		return;
	case NEWS_KERNEL_EVENT:
		log_kernel_event(log, news->event);
		return;
	case NEWS_NETNS_SERVED:
	case NEWS_FEED_AWAY:
	case NEWS_EVENTS_LOST:
	case NEWS_FOR_APPLICATION:
		return;
	}
}

void log_news_start(struct log_news *log, struct news_bus *bus, const struct identities *identities)
{
	*log = (struct log_news){
		.subscriber = {.fn = on_news, .context = log},
		.identities = identities,
	};
	news_subscribe(bus, &log->subscriber);
}
