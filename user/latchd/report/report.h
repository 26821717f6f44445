/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What latchd says, as JSON: a document for each of status, list and sa, and an
 * object for each event of monitor. A table that cannot be read whole spoils the
 * document (the writer's error) instead of shortening it. What is not known is
 * null: an SA without an identity, params that are not in the table.
 */
#ifndef LATCHD_REPORT_REPORT_H
#define LATCHD_REPORT_REPORT_H

#include <stddef.h>
#include <stdint.h>

#include "common/json_writer.h"
#include "latch_abi.h"
#include "latchd/control/admin.h"
#include "latchd/control/control.h"
#include "latchd/enforce/netfilter_netns.h"
#include "latchd/feeds/feed.h"
#include "latchd/identity/identities.h"
#include "latchd/enforce/enforcement.h"
#include "latchd/maps/kernel_maps.h"
#include "latchd/spd/policy.h"

#define REPORT_SCHEMA 1

struct report_feed {
	const struct feed *feed; /* NULL: could not be started */
	const char *name;	 /* all of these from the configuration */
	const char *type;
	const char *socket;
};

/* Where everything is looked up; all of it is the caller's and is only read. */
struct report_source {
	const struct kernel_maps *maps;
	const struct identities *identities;
	const struct enforcement *enforcement;
	const struct netfilter_netns *netfilter_netns;
	const char *cgroup;
	const char *config_path;
	uint64_t started_boot_ns;
	const struct report_feed *feeds;
	size_t feed_count;
	const struct config_rule *rules; /* by index, for latches of rule_set */
	size_t rule_count;
	uint8_t rule_set;
};

/*
 * The netfilter gate is one more program of "enforcement", attached when it is in every
 * namespace of "netns": [{"cookie", "netfilter_gate"}]. It has no part in "on".
 */
void report_status(struct json_writer *w, const struct report_source *source);
void report_list(struct json_writer *w, const struct report_source *source);
void report_sa(struct json_writer *w, const struct report_source *source);

/* ---- one event; "time" and "event" come first */

/* The event's own time; those below happen now. */
void report_ring_event(struct json_writer *w, const struct report_source *source,
		       const struct latch_event *event);

/*
 * reasons: those just set. want: the latch's params; got: those of the SA in
 * conflict (0 = there is none, or it is not known). "want" and "got" name both
 * identities, and of the rest what differs.
 */
void report_latch_broken(struct json_writer *w, const struct report_source *source,
			 const struct latch_flow *flow, uint64_t id, enum latch_direction direction,
			 uint8_t reasons, uint16_t want, uint16_t got);

/* The SPD no longer protects the flow; "policy" is what decides over it now. */
void report_spd_broken(struct json_writer *w, const struct report_source *source,
		       const struct latch_flow *flow, const struct latch *latch,
		       enum policy_direction direction, const struct policy_verdict *verdict);

/* R-2.3-14: policies for this flow alone hold it against what decides otherwise; and no longer. */
void report_latch_held(struct json_writer *w, const struct latch_flow *flow,
		       const struct latch *latch, enum policy_direction direction,
		       const struct policy_verdict *verdict);
void report_latch_released(struct json_writer *w, const struct latch_flow *flow,
			   const struct latch *latch);

/* reasons: those just cleared. */
void report_latch_healed(struct json_writer *w, const struct report_source *source,
			 const struct latch_flow *flow, uint64_t id, enum latch_direction direction,
			 uint8_t reasons);

/*
 * The administrator broke, healed or closed it. "by" says who. error: as below.
 * For a close the event is the same as for a reset.
 */
void report_latch_requested(struct json_writer *w, enum control_act act,
			    const struct latch_flow *flow, const struct latch *latch,
			    const struct admin_origin *who, int error);

/* The flow's socket was ended; error: 0, or the negative errno of why it was not. */
void report_latch_reset(struct json_writer *w, const struct report_source *source,
			const struct latch_flow *flow, uint64_t id, int error);

/* params: of the SA from now on. evidence: as in feed_sink's child_up. */
void report_sa_bound(struct json_writer *w, const struct report_source *source,
		     const struct latch_sa_key *key, const struct latch_sa *sa, uint16_t params,
		     const char *feed, const char *evidence);

/* Events that nobody will see; where: what was too full. */
void report_lost(struct json_writer *w, uint64_t count, const char *where);

#endif
