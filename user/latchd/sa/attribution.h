/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Attributes each SA in the kernel to the peer that its key manager reports, after every latch in
 * conflict was broken (R-2.3-11). When a key manager ends, its reported SAs become ORPHAN and start
 * no latch. A packet that left under another peer's SA breaks its latch.
 */
#ifndef LATCHD_SA_ATTRIBUTION_H
#define LATCHD_SA_ATTRIBUTION_H

#include "latchd/choice/choice.h"
#include "latchd/feeds/feed.h"
#include "latchd/identity/identities.h"
#include "latchd/maps/kernel_maps.h"
#include "latchd/news/news.h"
#include "common/loop.h"

struct attribution;

/* Keeps all pointers. NULL: out of memory. Publishes LATCH_BROKEN, LATCH_HEALED, SA_BOUND,
 * NETNS_SERVED. */
struct attribution *attribution_new(struct loop *loop, const struct kernel_maps *maps,
				    struct identities *identities, const struct news_bus *news);
/* Call it after the feeds are destroyed: they call into it. */
void attribution_free(struct attribution *attribution);

/* The sink for the reports of all feeds. */
const struct feed_sink *attribution_sink(struct attribution *attribution);

/* The reason why the SA has no peer: a fixed text. NULL: the SA has a peer, or the reason is not
 * known. */
const char *attribution_refusal(const struct attribution *attribution,
				const struct latch_sa_key *key);

/* Finds the SA that contests this one. False: there is none, or it is not known. */
bool attribution_rival(struct attribution *attribution, const struct latch_sa_key *key,
		       struct news_rival *ret);
/* The same for one flow under this SA. */
bool attribution_rival_for(struct attribution *attribution, const struct latch_sa_key *key,
			   const struct latch_flow *flow, struct news_rival *ret);

/*
 * A first packet under a contested SA was lost (LATCH_DROP_CONTESTED). Decides over the two
 * addresses of its flow, and writes the decision for the programs. True: the flow starts no latch,
 * since another SA could carry such a flow or nothing can be decided. False: the packet comes
 * again.
 */
bool attribution_refuses(struct attribution *attribution, const struct latch_event *event);

/* A CHILD_SA of a known peer, for reports. */
struct attribution_child {
	const struct latch_sa_key *in, *out;
	uint16_t params;
};
typedef int (*attribution_child_fn)(void *context, const struct attribution_child *child);
/*
 * Visits each CHILD_SA that the kernel could use for the flow. A non-zero result ends the
 * walk and is returned. The walk is over all CHILD_SAs.
 */
int attribution_children_of(const struct attribution *attribution, const struct latch_flow *flow,
			    attribution_child_fn visit, void *context);

/* The cookie of the network namespace where the feed was last seen; 0: never since it began. */
uint64_t attribution_netns_of(const struct attribution *attribution, const struct feed *feed);

/*
 * The configuration no longer has the feed: its SAs are orphans, and its namespace has one key
 * manager less. Stop the feed before, and destroy it after attribution_free().
 */
void attribution_feed_removed(struct attribution *attribution, struct feed *feed);

#define ATTRIBUTION_FEEDS_MAX 64
/*
 * The feeds of the configuration, at most ATTRIBUTION_FEEDS_MAX. SAs bound by reports of an
 * unconfigured feed become ORPHAN, in the loop. Such a feed is one of an earlier latchd that was
 * removed or renamed.
 */
void attribution_feeds_configured(struct attribution *attribution, struct feed *const *feeds,
				  size_t count);

/*
 * From now on the SPD and the devices decide which SAs conflict. Call it before any SA is
 * reported, with the loop of attribution_new(). 0 or -ENOMEM.
 */
int attribution_watch_choice(struct attribution *attribution, struct loop *loop,
			     const struct choice_source *source);
/* Time for which a removed policy may come back before another peer's SA in its place conflicts. */
void attribution_set_policy_grace(struct attribution *attribution, unsigned int ms);

/* ---- events of the kernel programs: hints only */

void attribution_spd_edited(struct attribution *attribution, uint64_t netns);
/* A packet of a latched flow was dropped. Breaks the latch if it left under another peer's SA. */
void attribution_sent_elsewhere(struct attribution *attribution, const struct latch_event *event);

void attribution_sa_pending(struct attribution *attribution, const struct latch_sa_key *key);
void attribution_sa_gone(struct attribution *attribution, const struct latch_sa_key *key);
/* Checks a new latch: it may have been created before its SA was marked as contested. */
void attribution_latch_created(struct attribution *attribution, const struct latch_flow *flow);
/* Events were lost: checks all SAs and latches. */
void attribution_reconcile(struct attribution *attribution);

/* The identity table is empty and every SA PENDING (R-2.6-1): binds the known CHILD_SAs anew. */
void attribution_rebind(struct attribution *attribution);

#endif
