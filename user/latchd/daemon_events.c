/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/daemon_events.h"

#include <string.h>

#include "common/log.h"
#include "latchd/enforce/served.h"
#include "latchd/latch/refused_connect.h"

static bool is_for_application(const struct latch_event *event)
{
	return event->type == LATCH_EVENT_NEWS_SPAWNED || event->type == LATCH_EVENT_NEWS_CLOSED ||
	       event->type == LATCH_EVENT_NEWS_LOST;
}

/* A first packet under a contested SA is a question. News is the refusal only. */
void daemon_kernel_event(void *context, const struct latch_event *event)
{
	struct daemon *d = context;
	struct latch_event decided = *event;

	if (is_for_application(event)) {
		news_publish(&d->news,
			     &(struct news){.kind = NEWS_FOR_APPLICATION, .event = event});
		return;
	}
	if (event->type == LATCH_EVENT_REFUSED && event->drop == LATCH_DROP_CONTESTED) {
		if (!attribution_refuses(d->attribution, event))
			return;
		decided.drop = LATCH_DROP_CONFLICT;
	}
	news_publish(&d->news, &(struct news){.kind = NEWS_KERNEL_EVENT, .event = &decided});
}

static void on_refused(struct daemon *d, const struct latch_event *event)
{
	int err = refused_connect_end(enforcement_maps(d->enforcement), event);
	struct news_rival rival;
	bool found = event->drop == LATCH_DROP_CONFLICT &&
		     attribution_rival_for(d->attribution, &event->sa, &event->flow, &rival);

	news_publish(&d->news, &(struct news){
				       .kind = NEWS_FLOW_REFUSED,
				       .event = event,
				       .error = err,
				       .rival = found ? &rival : NULL,
			       });
}

static void on_kernel_event(struct daemon *d, const struct latch_event *event)
{
	switch (event->type) {
	case LATCH_EVENT_SA_PENDING:
		netfilter_netns_add(d->netfilter_netns, event->sa.netns,
				    netfilter_netns_of_sa(event->sa_word));
		attribution_sa_pending(d->attribution, &event->sa);
		return;
	case LATCH_EVENT_SA_GONE:
		attribution_sa_gone(d->attribution, &event->sa);
		return;
	case LATCH_EVENT_LATCH_ESTABLISHED:
		netfilter_netns_add(d->netfilter_netns, event->flow.netns,
				    netfilter_netns_of_latch(event->word));
		attribution_latch_created(d->attribution, &event->flow);
		spd_watch_latch_created(&d->spd_watch, &event->flow, event->word);
		return;
	case LATCH_EVENT_LATCH_CLOSED:
		spd_watch_latch_closed(&d->spd_watch, &event->flow);
		return;
	case LATCH_EVENT_POLICY_CHANGED:
		spd_watch_edited(&d->spd_watch, event->flow.netns);
		attribution_spd_edited(d->attribution, event->flow.netns);
		return;
	case LATCH_EVENT_REFUSED:
		on_refused(d, event);
		return;
	case LATCH_EVENT_DROP:
		attribution_sent_elsewhere(d->attribution, event);
		return;
	case LATCH_EVENT_LATCH_BROKEN:
	case LATCH_EVENT_LATCH_HEALED:
	case LATCH_EVENT_SAS_ELSEWHERE:
	case LATCH_EVENT_NEWS_SPAWNED: /* as FOR_APPLICATION */
	case LATCH_EVENT_NEWS_CLOSED:
	case LATCH_EVENT_NEWS_LOST:
		return;
	}
}

void daemon_write_served(struct daemon *d)
{
	int err = daemon_feeds_write_served(&d->feeds, d->attribution,
					    enforcement_maps(d->enforcement));

	d->served_unwritten = err != 0;
	if (err)
		log_warn("feeds",
			 "map settings not written (%s): the programs do not know which network "
			 "namespaces have a key manager; next attempt in 1 s",
			 strerror(-err));
}

/* While no latchd runs, each feed may come back in another namespace. */
void daemon_keep_served(const struct daemon *d)
{
	int err = served_write(enforcement_maps(d->enforcement), NULL, 0);

	if (err)
		log_warn("feeds",
			 "map settings not written (%s): connections in a network namespace to "
			 "which a key manager moves begin unlatched; start latchd again",
			 strerror(-err));
}

static void react(void *context, const struct news *news)
{
	struct daemon *d = context;

	switch (news->kind) {
	case NEWS_KERNEL_EVENT:
		on_kernel_event(d, news->event);
		return;
	case NEWS_LATCH_BROKEN:
		disposition_run_soon(&d->disposition);
		return;
	case NEWS_NETNS_SERVED:
		daemon_write_served(d);
		netfilter_netns_add(d->netfilter_netns, news->netns, NETFILTER_NETNS_OWN);
		return;
	case NEWS_FEED_AWAY:
		daemon_write_served(d);
		return;
	case NEWS_EVENTS_LOST:
		attribution_reconcile(d->attribution);
		spd_watch_events_lost(&d->spd_watch);
		return;
	case NEWS_MODE_CHANGED:
		disposition_run_twice(&d->disposition);
		spd_watch_recheck(&d->spd_watch);
		return;
	case NEWS_LATCH_HEALED:
	case NEWS_LATCH_HELD:
	case NEWS_LATCH_RELEASED:
	case NEWS_LATCH_RESET:
	case NEWS_FLOW_REFUSED:
	case NEWS_SA_BOUND:
	case NEWS_FOR_APPLICATION:
		return;
	}
}

/* Reactions come last: news of their own steps must follow the news of the cause. */
void daemon_subscribe(struct daemon *d)
{
	log_news_start(&d->log_news, &d->news, d->identities);
	monitor_news_start(&d->monitor_news, &d->news, d->control, &d->source);
	subscriber_news_start(&d->subscriber_news, &d->news, &d->subscribers);
	d->reactions = (struct news_subscriber){.fn = react, .context = d};
	news_subscribe(&d->news, &d->reactions);
}
