/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What latchd says, as JSON: a document for each of status, list and sa, and an
 * object for each event of monitor. A table that cannot be read whole spoils the
 * document (the writer's error) instead of shortening it. What is not known is
 * null: an SA without an identity, params that are not in the table.
 */
#ifndef LATCHD_REPORT_REPORT_H
#define LATCHD_REPORT_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/json_writer.h"
#include "latch_abi.h"
#include "latchd/control/admin.h"
#include "latchd/enforce/netfilter_netns.h"
#include "latchd/feeds/feed.h"
#include "latchd/identity/identities.h"
#include "latchd/enforce/enforcement.h"
#include "latchd/maps/kernel_maps.h"
#include "latchd/news/news.h"

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

/*
 * One event, with "time" (of a kernel event its own) and "event" first. "want" and "got"
 * of a broken latch are the latch's params and those of the conflicting SA (null: there is
 * none, or they are not known): both identities, and of the rest what differs. "policy"
 * decides over the flow now. "by" requested the change. False: the kind has no event, and
 * nothing was written.
 */
bool report_news(struct json_writer *w, const struct report_source *source,
		 const struct news *news);

/* The answer to "break", "heal" or "close": the latch's new state, or "error" and "code". */
void report_request(struct json_writer *w, const struct admin_result *result);

#endif
