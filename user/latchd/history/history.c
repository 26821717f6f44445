/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/history/history.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/text.h"
#include "latchd/history/history_table.h"
#include "latchd/maps/tables.h"

#define KNOWN_NAMESPACES 512 /* a power of two */

struct history {
	struct news_subscriber subscriber;
	struct history_sources sources;
	struct history_table *table;
	uint64_t since_ns, lost, lost_ns;
	/* A namespace never changes its user namespace, and may be gone when its latch ends. */
	struct known_namespace {
		uint64_t cookie;
		bool foreign;
	} known[KNOWN_NAMESPACES];
};

/* ---- shares */

/* If unknown, the namespace may be foreign, and must not replace records of the host. */
static bool is_foreign(struct history *h, uint64_t netns)
{
	struct known_namespace *known =
		&h->known[(netns * 0x9e3779b97f4a7c15ull >> 32) & (KNOWN_NAMESPACES - 1)];
	int foreign;

	if (known->cookie == netns)
		return known->foreign;
	foreign = h->sources.is_foreign(netns);
	if (foreign >= 0)
		*known = (struct known_namespace){netns, foreign};
	return foreign != 0;
}

/*
 * A group: the latch's peer, the peer of the conflicting SA, and the reason. Records of the largest
 * group replace each other. So many normal ends of one peer do not replace a record of a break.
 */
static uint8_t group_of_latch(const struct history *h, const struct latch_flow *flow,
			      const struct history_side *want, const struct history_side *got,
			      uint8_t reason)
{
	struct {
		char want[LATCH_ID_TEXT_MAX], got[LATCH_ID_TEXT_MAX];
		uint8_t remote[16];
		uint8_t reason;
	} pair = {.reason = reason};

	if (want->known)
		memcpy(pair.want, want->peer.id, sizeof(pair.want));
	else
		memcpy(pair.remote, flow->remote_addr, sizeof(pair.remote));
	if (got->known)
		memcpy(pair.got, got->peer.id, sizeof(pair.got));
	return history_table_group(h->table, &pair, sizeof(pair));
}

static uint8_t group_of_record(const struct history *h, const struct history_record *record)
{
	const struct history_former *former = &record->former;
	bool healed = !record->reason && former->reason;

	return group_of_latch(h, &record->flow, &record->want, healed ? &former->got : &record->got,
			      healed ? former->reason : record->reason);
}

/* Other hosts choose the addresses of the flows that they open. */
static uint8_t group_of_refused(const struct history *h, const struct latch_flow *flow,
				enum latch_direction direction)
{
	if (direction != LATCH_DIRECTION_OUT)
		return HISTORY_GROUP_OUTSIDE;
	return history_table_group(h->table, flow->remote_addr, sizeof(flow->remote_addr));
}

/* ---- what a record has */

void history_side_of(const struct identities *identities, uint16_t index, struct history_side *ret)
{
	const struct latch_params *params = identities_get_params(identities, index);
	const struct latch_identity *peer = NULL, *local = NULL;

	*ret = (struct history_side){0};
	if (params) {
		peer = identities_get(identities, params->peer_id);
		local = identities_get(identities, params->local_id);
	}
	if (!peer || !local)
		return;
	*ret = (struct history_side){
		.known = true, .params = *params, .peer = *peer, .local = *local};
}

/* If the name of the rule is no longer known, the record keeps the name that it has. */
static void set_rule(struct history *h, struct history_record *record, uint16_t rule, int set)
{
	const char *name = rule == LATCH_RULE_NONE ? "" : NULL;

	if (!name && h->sources.rule_name)
		name = h->sources.rule_name(h->sources.context, rule, set);
	if (name)
		text_copy(record->rule, sizeof(record->rule), name);
}

static void set_packet(struct history *h, struct history_record *record,
		       const struct latch_event *event)
{
	struct history_packet *packet = &record->packet;
	struct latch_sa sa;

	*packet = (struct history_packet){
		.time_ns = event->time,
		.drop = event->drop,
		.direction = event->packet,
		.wish = event->type == LATCH_EVENT_REFUSED ? event->wish : 0,
		.audited = event->audited,
		.sa = event->sa,
	};
	if (!event->sa.spi || sa_get(h->sources.maps, &event->sa, &sa))
		return;
	packet->sa_known = true;
	packet->sa_state = sa.word.state;
	history_side_of(h->sources.identities, sa.word.params, &packet->owner);
}

static void touch(struct history *h, struct history_record *record, uint64_t now_ns)
{
	record->last_ns = now_ns;
	history_table_touch(h->table, record);
}

/* ---- live latches */

static struct history_record *live(struct history *h, uint64_t id, const struct latch_flow *flow,
				   uint16_t want, const struct news_cause *cause)
{
	struct history_record *record = history_table_find_id(h->table, HISTORY_LIVE, id);
	struct history_side wanted, found;

	if (record)
		return record;
	history_side_of(h->sources.identities, want, &wanted);
	history_side_of(h->sources.identities, cause->got, &found);
	record = history_table_add(h->table, HISTORY_LIVE, id, flow,
				   group_of_latch(h, flow, &wanted, &found, cause->reason),
				   is_foreign(h, flow->netns));
	record->want = wanted;
	return record;
}

static struct history_record *live_of_news(struct history *h, const struct news *news)
{
	const struct latch *latch = news->latch;
	struct history_record *record =
		live(h, latch->id, news->flow, latch->word.params, &news->cause);

	record->direction = latch->direction;
	record->drops = latch->drops;
	set_rule(h, record, latch->rule, latch->rule_set);
	touch(h, record, clock_boot_ns());
	return record;
}

static void set_cause(struct history_record *record, const struct news_cause *cause)
{
	record->reason = cause->reason;
	record->has_policy = cause->policy != NULL;
	if (cause->policy)
		record->policy = *cause->policy;
	record->has_requester = cause->requester != NULL;
	if (cause->requester)
		record->requester = *cause->requester;
}

static void on_broken(struct history *h, const struct news *news)
{
	struct history_record *record = live_of_news(h, news);

	set_cause(record, &news->cause);
	record->broken_ns = record->last_ns;
	record->healed_ns = 0;
	history_side_of(h->sources.identities, news->cause.got, &record->got);
	history_table_regroup(h->table, record, group_of_record(h, record));
}

static void on_healed(struct history *h, const struct news *news)
{
	struct history_record *record = live_of_news(h, news);

	if (record->reason)
		record->former = (struct history_former){
			.reason = record->reason,
			.broken_ns = record->broken_ns,
			.got = record->got,
		};
	set_cause(record, &(const struct news_cause){0});
	record->got = (struct history_side){0};
	record->broken_ns = 0;
	record->healed_ns = record->last_ns;
	record->reset = false;
	record->reset_error = 0;
}

static void on_reset(struct history *h, const struct news *news)
{
	struct history_record *record = live_of_news(h, news);

	record->reset = true;
	record->reset_error = news->error;
	if (news->cause.requester)
		set_cause(record, &news->cause);
}

/* Such an SA is usually attributed soon. These drops are no evidence of a fault, and each rekey
 * causes some. */
static bool waits_for_owner(enum latch_drop drop)
{
	return drop == LATCH_DROP_SA_PENDING || drop == LATCH_DROP_SA_UNKNOWN;
}

/* SCTP: a latch stays CLOSED for a while after its end. */
static bool has_ended(struct history *h, const struct latch_event *event)
{
	return event->word.state == LATCH_STATE_CLOSED ||
	       history_table_find_id(h->table, HISTORY_ENDED, event->latch_id);
}

static void on_drop(struct history *h, const struct latch_event *event)
{
	struct history_record *record;

	if (!event->latch_id || waits_for_owner(event->drop) || has_ended(h, event))
		return;
	record = live(h, event->latch_id, &event->flow, event->word.params,
		      &(const struct news_cause){0});
	record->direction = event->direction;
	record->drops = event->drops;
	set_packet(h, record, event);
	touch(h, record, event->time);
}

/* ---- the end of a latch */

/* The copy is made before the record of the live latch can be replaced. */
static void on_closed(struct history *h, const struct latch_event *event)
{
	struct history_record *before =
		history_table_find_id(h->table, HISTORY_LIVE, event->latch_id);
	struct history_record *record;
	struct history_side want;

	/* A LISTENER has no peer: its params are a number of sockets. */
	if (event->flow.protocol == IPPROTO_TCP && !event->flow.remote_port)
		return;
	history_side_of(h->sources.identities, event->word.params, &want);
	record = history_table_add(
		h->table, HISTORY_ENDED, event->latch_id, &event->flow,
		before ? group_of_record(h, before)
		       : group_of_latch(h, &event->flow, &want, &want, event->word.reasons),
		is_foreign(h, event->flow.netns));
	if (before) {
		*record = *before;
		record->kind = HISTORY_ENDED;
		history_table_remove(h->table, before);
	}
	if (!record->want.known)
		record->want = want;
	record->direction = event->direction;
	record->drops = event->drops;
	record->reasons = event->word.reasons;
	record->ended_ns = event->time;
	set_rule(h, record, event->rule, event->rule_set);
	touch(h, record, event->time);
}

/* ---- flows without a latch */

/* Details of a refusal with another cause do not explain this one. */
static void forget_other_cause(struct history_record *record, const struct history_record *before)
{
	if (record->packet.drop == before->packet.drop && record->elsewhere == before->elsewhere &&
	    !strcmp(record->rule, before->rule))
		return;
	record->has_rival = record->reset = false;
	record->rival = (struct news_rival){0};
	record->want = record->got = (struct history_side){0};
	record->reset_error = 0;
	record->count = 0;
}

static struct history_record *refused(struct history *h, const struct latch_event *event,
				      enum latch_direction direction, bool elsewhere)
{
	struct history_record *record =
		history_table_find_flow(h->table, HISTORY_REFUSED, &event->flow);
	struct history_record before = {0};

	if (record)
		before = *record;
	else
		record = history_table_add(h->table, HISTORY_REFUSED, 0, &event->flow,
					   group_of_refused(h, &event->flow, direction),
					   is_foreign(h, event->flow.netns));
	record->direction = direction;
	record->elsewhere = elsewhere;
	/* With a wish the rule is the one that matches, not the one that requires. */
	set_rule(h, record, elsewhere || event->wish ? LATCH_RULE_NONE : event->rule, -1);
	set_packet(h, record, event);
	if (elsewhere)
		record->packet.direction = direction;
	forget_other_cause(record, &before);
	record->count++;
	touch(h, record, event->time);
	return record;
}

static void on_refused(struct history *h, const struct news *news)
{
	struct history_record *record = refused(h, news->event, news->event->direction, false);

	/* For a retransmitted packet there is no connect() any more. */
	if (record->count == 1 || !news->error)
		record->reset_error = news->error;
	record->reset |= !news->error;
	if (!news->rival)
		return;
	record->has_rival = true;
	record->rival = *news->rival;
	history_side_of(h->sources.identities, news->rival->params, &record->want);
	history_side_of(h->sources.identities, news->rival->rival_params, &record->got);
}

/* ---- news */

static void on_kernel_event(struct history *h, const struct latch_event *event)
{
	switch (event->type) {
	case LATCH_EVENT_LATCH_ESTABLISHED:
		is_foreign(h, event->flow.netns);
		return;
	case LATCH_EVENT_LATCH_CLOSED:
		on_closed(h, event);
		return;
	case LATCH_EVENT_DROP:
		on_drop(h, event);
		return;
	case LATCH_EVENT_SAS_ELSEWHERE:
		refused(h, event, LATCH_DIRECTION_OUT, true);
		return;
	case LATCH_EVENT_REFUSED: /* as FLOW_REFUSED */
	case LATCH_EVENT_LATCH_BROKEN:
	case LATCH_EVENT_LATCH_HEALED:
	case LATCH_EVENT_SA_PENDING:
	case LATCH_EVENT_SA_GONE:
	case LATCH_EVENT_POLICY_CHANGED:
	case LATCH_EVENT_NEWS_SPAWNED: /* as FOR_APPLICATION */
	case LATCH_EVENT_NEWS_CLOSED:
	case LATCH_EVENT_NEWS_LOST:
		return;
	}
}

static void on_news(void *context, const struct news *news)
{
	struct history *h = context;

	switch (news->kind) {
	case NEWS_KERNEL_EVENT:
		on_kernel_event(h, news->event);
		return;
	case NEWS_LATCH_BROKEN:
		on_broken(h, news);
		return;
	case NEWS_LATCH_HEALED:
		on_healed(h, news);
		return;
	case NEWS_LATCH_RESET:
		on_reset(h, news);
		return;
	case NEWS_FLOW_REFUSED:
		on_refused(h, news);
		return;
	case NEWS_EVENTS_LOST:
		h->lost += news->count;
		h->lost_ns = clock_boot_ns();
		return;
	case NEWS_LATCH_HELD:
	case NEWS_LATCH_RELEASED:
	case NEWS_SA_BOUND:
	case NEWS_NETNS_SERVED:
	case NEWS_FEED_AWAY:
	case NEWS_MODE_CHANGED:
	case NEWS_FOR_APPLICATION:
		return;
	}
}

struct history *history_new(struct news_bus *bus, const struct history_sources *sources)
{
	struct history *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	h->table = history_table_new();
	if (!h->table) {
		free(h);
		return NULL;
	}
	h->sources = *sources;
	h->since_ns = clock_boot_ns();
	h->subscriber = (struct news_subscriber){.fn = on_news, .context = h};
	news_subscribe(bus, &h->subscriber);
	return h;
}

void history_free(struct history *h)
{
	if (h)
		history_table_free(h->table);
	free(h);
}

const struct history_record *history_find(const struct history *h, enum history_kind kind,
					  uint64_t latch_id)
{
	return history_table_find_id(h->table, kind, latch_id);
}

const struct history_record *history_find_flow(const struct history *h, enum history_kind kind,
					       const struct latch_flow *flow)
{
	return history_table_find_flow(h->table, kind, flow);
}

struct history_gaps history_gaps(const struct history *h)
{
	struct history_gaps gaps = {
		.since_ns = h->since_ns, .lost = h->lost, .lost_ns = h->lost_ns};
	enum history_kind kind;

	for (kind = HISTORY_LIVE; kind < HISTORY_KINDS; kind++)
		gaps.replaced += history_table_replaced(h->table, kind, false) +
				 history_table_replaced(h->table, kind, true);
	return gaps;
}
