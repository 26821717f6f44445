/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/daemon_events.h"

#include "latchd/latch/refusal.h"

static void on_latch_broken(void *context, const struct latch_flow *flow, const struct latch *latch,
			    uint8_t reasons, uint16_t got)
{
	struct daemon *d = context;

	announce_latch_broken(&d->announcer, flow, latch, reasons, got);
	disposition_run_soon(&d->disposition);
}

static void on_spd_broken(void *context, const struct latch_flow *flow, const struct latch *latch,
			  enum policy_direction direction, const struct policy_verdict *verdict)
{
	struct daemon *d = context;

	announce_spd_broken(&d->announcer, flow, latch, direction, verdict);
	disposition_run_soon(&d->disposition);
}

static void on_latch_held(void *context, const struct latch_flow *flow, const struct latch *latch,
			  enum policy_direction direction, const struct policy_verdict *verdict)
{
	struct daemon *d = context;

	announce_latch_held(&d->announcer, flow, latch, direction, verdict);
}

static void on_latch_released(void *context, const struct latch_flow *flow,
			      const struct latch *latch)
{
	struct daemon *d = context;

	announce_latch_released(&d->announcer, flow, latch);
}

static void on_latch_healed(void *context, const struct latch_flow *flow, const struct latch *latch,
			    uint8_t reasons)
{
	struct daemon *d = context;

	announce_latch_healed(&d->announcer, flow, latch, reasons);
}

static void on_sa_bound(void *context, const struct latch_sa_key *key, const struct latch_sa *sa,
			uint16_t params, const char *feed, const char *evidence)
{
	struct daemon *d = context;

	announce_sa_bound(&d->announcer, key, sa, params, feed, evidence);
}

static void on_netns_served(void *context, uint64_t netns_cookie)
{
	struct daemon *d = context;

	netfilter_netns_add(d->netfilter_netns, netns_cookie);
}

static void on_reset(void *context, const struct latch_flow *flow, const struct latch *latch,
		     int error, bool again)
{
	struct daemon *d = context;

	if (!error || !again)
		announce_latch_reset(&d->announcer, flow, latch, error);
}

static void on_refused(struct daemon *d, const struct latch_event *event)
{
	int err = refusal_end_connect(enforcement_maps(d->enforcement), event);

	announce_refused(&d->announcer, event, err);
}

static void on_requested_break(void *context, const struct latch_flow *flow,
			       const struct latch *latch, const struct admin_origin *who)
{
	struct daemon *d = context;

	announce_latch_requested(&d->announcer, CONTROL_ACT_BREAK, flow, latch, who, 0);
	disposition_run_soon(&d->disposition);
}

static void on_requested_heal(void *context, const struct latch_flow *flow,
			      const struct latch *latch, const struct admin_origin *who)
{
	struct daemon *d = context;

	announce_latch_requested(&d->announcer, CONTROL_ACT_HEAL, flow, latch, who, 0);
}

static void on_requested_close(void *context, const struct latch_flow *flow,
			       const struct latch *latch, const struct admin_origin *who, int error)
{
	struct daemon *d = context;

	announce_latch_requested(&d->announcer, CONTROL_ACT_CLOSE, flow, latch, who, error);
}

void daemon_kernel_event(void *context, const struct latch_event *event)
{
	struct daemon *d = context;

	announce_kernel_event(&d->announcer, event);
	switch (event->type) {
	case LATCH_EVENT_SA_PENDING:
		netfilter_netns_add(d->netfilter_netns, event->sa.netns);
		attribution_sa_pending(d->attribution, &event->sa);
		return;
	case LATCH_EVENT_SA_GONE:
		attribution_sa_gone(d->attribution, &event->sa);
		return;
	case LATCH_EVENT_LATCH_ESTABLISHED:
		netfilter_netns_add(d->netfilter_netns, event->flow.netns);
		attribution_latch_born(d->attribution, &event->flow);
		spd_watch_latch_born(&d->spd_watch, &event->flow);
		return;
	case LATCH_EVENT_LATCH_CLOSED:
		spd_watch_latch_closed(&d->spd_watch, &event->flow);
		return;
	case LATCH_EVENT_POLICY_CHANGED:
		spd_watch_edited(&d->spd_watch, event->flow.netns);
		return;
	case LATCH_EVENT_REFUSED:
		on_refused(d, event);
		return;
	case LATCH_EVENT_LATCH_BROKEN:
	case LATCH_EVENT_LATCH_HEALED:
	case LATCH_EVENT_DROP:
		return;
	}
}

void daemon_observe(struct daemon *d)
{
	d->observer = (struct attribution_observer){
		.conflict = {d, on_latch_broken, on_latch_healed},
		.sa_bound = on_sa_bound,
		.netns_served = on_netns_served,
	};
	d->spd_observer = (struct spd_observer){d, on_spd_broken, on_latch_healed, on_latch_held,
						on_latch_released};
	d->disposition.context = d;
	d->disposition.reset = on_reset;
	d->admin.context = d;
	d->admin.broken = on_requested_break;
	d->admin.healed = on_requested_heal;
	d->admin.closed = on_requested_close;
}
