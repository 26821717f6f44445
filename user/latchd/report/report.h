/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * JSON of the control socket. There is a document for each of status, list, sa and audit. There is
 * an object for each event of monitor, and the answers to requests. A table that cannot be read
 * whole fails the document (the writer's error), which is never shortened. Unknown values are null:
 * the peer of an unattributed SA, params that are not in the table.
 */
#ifndef LATCHD_REPORT_REPORT_H
#define LATCHD_REPORT_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/json_writer.h"
#include "latch_abi.h"
#include "latchd/control/admin.h"
#include "latchd/enforce/netfilter/netfilter_netns.h"
#include "latchd/feeds/feed.h"
#include "latchd/identity/identities.h"
#include "latchd/enforce/enforcement.h"
#include "latchd/maps/kernel_maps.h"
#include "latchd/maps/map_walk.h"
#include "latchd/net/netns_names.h"
#include "latchd/news/news.h"

#define REPORT_SCHEMA 1

#define REPORT_CGROUPS_MAX (CONFIG_MAX_CGROUPS + CGROUPS_FORMER_MAX)

struct report_feed {
	const struct feed *feed; /* NULL: could not be started */
	const char *name;	 /* this and the rest: as configured */
	const char *type;
	const char *socket;
};

/* The sources of all values. The caller owns them; report/ only reads. */
struct report_source {
	const struct kernel_maps *maps;
	const struct identities *identities;
	const struct enforcement *enforcement;
	const struct netfilter_netns *netfilter_netns;
	const char *cgroup; /* the first one */
	const char *config_path;
	uint64_t started_boot_ns;
	const struct report_feed *feeds;
	size_t feed_count;
	const struct config_rule *rules; /* by index, for latches created under rule_set */
	size_t rule_count;
	uint8_t rule_set;
	const struct netns_names *netns_names; /* NULL: none are known */
	const struct report_recent *recent;    /* NULL: not known */
	struct report_counts *counts;	       /* NULL: counts for each document */
	bool fresh;			       /* counts for the next document in any case */
	unsigned int missing_pins;	       /* maps that a later latchd would not find */
	bool fixed_pins;		       /* bpffs is read-only */
	bool wants_audit, wants_enforce;       /* by the configuration */
	/* The reason why an SA has no peer; NULL: not known. Function NULL: never known. */
	const char *(*refusal)(const void *context, const struct latch_sa_key *key);
	const void *refusal_context;
	/* Finds the SA that contests an SA; false: not known. Function NULL: never known. */
	bool (*rival)(const void *context, const struct latch_sa_key *key, struct news_rival *ret);
};

/*
 * "enforcement" has "cgroups": [{"path", "id", "state"}] with the names of cgroup_state. It lists
 * the netfilter gate as one more program: attached if it is attached in every namespace of "netns":
 * [{"cookie", "netfilter_gate"}]. It does not count for "on".
 */
void report_status(struct json_writer *w, const struct report_source *source);

/* The next part of the document. True: it was the last one, or the writer has an error. */
bool report_list(struct json_writer *w, const struct report_source *source,
		 struct map_cursor *cursor);
bool report_audit(struct json_writer *w, const struct report_source *source,
		  struct map_cursor *cursor);
bool report_sa(struct json_writer *w, const struct report_source *source,
	       struct map_cursor *cursor);

/*
 * One event, with "time" (of a kernel event its own) and "event" first. "expected" and "actual" of
 * a latch broken without a request are the latch's params and those of the conflicting SA. null:
 * there are none, or they are not known. They have both identities, and the other members that
 * differ. "policy" is the policy that decides over the flow now. "by" requested the change. False:
 * the kind has no event, and nothing was written.
 */
bool report_news(struct json_writer *w, const struct report_source *source,
		 const struct news *news);

/* The answer to "mode". error: 0 or a negative errno, and then "error" and "code". */
void report_mode(struct json_writer *w, const struct report_source *source, bool changed,
		 int error);
/* "mode" and "mode_since" of the settings in force. */
void report_mode_members(struct json_writer *w, const struct report_source *source);

/* The answer to "break", "heal" or "close": the latch's new state, or "error" and "code". */
void report_request(struct json_writer *w, const struct admin_result *result);

#endif
