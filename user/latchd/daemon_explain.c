/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/daemon_explain.h"

#include <errno.h>
#include <stdio.h>

#include "latchd/explain/explain.h"
#include "latchd/maps/tables.h"
#include "latchd/net/netns.h"
#include "latchd/report/report_explain.h"

#define MS_NS 1000000ull

static const char *rule_name(const void *context, uint16_t rule, int rule_set)
{
	const struct daemon *d = context;
	bool in_force = rule_set < 0 || rule_set == d->source.rule_set;

	return in_force && rule < d->source.rule_count ? d->source.rules[rule].name : NULL;
}

int daemon_explain_start(struct daemon *d)
{
	d->history = history_new(&d->news, &(struct history_sources){
						   .maps = d->source.maps,
						   .identities = d->identities,
						   .is_foreign = netns_is_foreign,
						   .rule_name = rule_name,
						   .context = d,
					   });
	d->source.netns_names = &d->netns_names;
	return d->history ? 0 : -ENOMEM;
}

void daemon_explain_stop(struct daemon *d)
{
	history_free(d->history);
	netns_names_release(&d->netns_names);
}

static void write_error(struct json_writer *w, const char *error, const char *code)
{
	json_object_begin(w);
	json_member_string(w, "error", error);
	json_member_string(w, "code", code);
	json_object_end(w);
}

/* Dumps of many policies and SAs take long, so requests of group members get a fifth of the
 * time. */
static void write_subject(struct daemon *d, const struct control_explain *asked,
			  const struct explain_subject *subject, struct json_writer *w)
{
	const struct explain_sources sources = {
		.maps = d->source.maps,
		.identities = d->identities,
		.history = d->history,
		.attribution = d->attribution,
		.rules = d->source.rules,
		.rule_count = d->source.rule_count,
		.pending_limit_ns = d->config->pending_ms * MS_NS,
	};
	struct explanation explanation;
	int err;

	if (!asked->for_root && walk_pace_wait_ms(&d->explain_pace)) {
		write_error(
			w,
			"explain not run (rate limit of clients that are not root); retry in some seconds",
			"busy");
		return;
	}
	walk_pace_begin(&d->explain_pace);
	err = explain_subject(&sources, subject, &explanation);
	walk_pace_end(&d->explain_pace);
	if (err)
		write_error(w, "a table of the kernel cannot be read whole; retry", "failed");
	else
		report_explain(w, &d->source, &explanation);
}

/* ---- the search for its latch */

struct search {
	struct control_explain *asked;
	struct latch_flow wanted; /* unless by id */
};

static bool is_wanted(const struct search *search, const struct latch_flow *flow,
		      const struct latch *latch)
{
	const struct control_explain *asked = search->asked;
	enum latch_direction direction = asked->query.direction;

	if (asked->by_id)
		return latch->id == asked->latch_id;
	return flow_query_matches(&search->wanted, flow) &&
	       (direction == LATCH_DIRECTION_NONE || direction == latch->direction);
}

/* Without a local port several may match: the newest one stays. */
static int try_latch(void *context, const struct latch_flow *flow, const struct latch *latch)
{
	const struct search *search = context;
	struct control_explain_found *found = &search->asked->found;

	if (!is_wanted(search, flow, latch))
		return 0;
	if (!found->count || latch->created > found->latch.created) {
		found->flow = *flow;
		found->latch = *latch;
	}
	found->count++;
	return search->asked->by_id;
}

/* True: the search has ended. */
static bool search_part(const struct daemon *d, const struct search *search,
			struct map_cursor *cursor, int *ret_err)
{
	const struct kernel_maps *maps = d->source.maps;
	struct control_explain_found *found = &search->asked->found;
	int result;

	if (!search->asked->by_id && search->wanted.local_port) {
		result = latch_get(maps, &search->wanted, &found->latch);
		found->flow = search->wanted;
		found->count = !result;
		*ret_err = result == -ENOENT ? 0 : result;
		return true;
	}
	result = latches_walk_part(maps, cursor, try_latch, (void *)search);
	*ret_err = result < 0 ? result : 0;
	return result || cursor->ended;
}

static const struct history_record *find_record(const struct daemon *d, const struct search *search)
{
	const struct control_explain *asked = search->asked;

	return asked->by_id ? explain_record_of_id(d->history, asked->latch_id)
			    : explain_record_of_flow(d->history, &search->wanted,
						     asked->query.direction);
}

/* A record that is newer than the newest of several latches is the answer. */
static bool is_superseded(const struct search *search, const struct history_record *record)
{
	return !search->asked->by_id && !search->wanted.local_port && record &&
	       record->last_ns > search->asked->found.latch.created;
}

/* The record of a live latch is an answer about that latch. */
static const struct latch *latch_of_record(const struct daemon *d,
					   const struct history_record *record, struct latch *ret)
{
	bool live = record->kind == HISTORY_LIVE &&
		    !latch_get(d->source.maps, &record->flow, ret) && ret->id == record->latch_id;

	return live ? ret : NULL;
}

static void write_unknown(const struct daemon *d, const struct control_explain *asked,
			  struct json_writer *w)
{
	const struct history_gaps gaps = history_gaps(d->history);

	report_explain_unknown(w, asked->latch_id, &gaps);
}

static void write_found(struct daemon *d, const struct search *search, struct json_writer *w)
{
	const struct control_explain *asked = search->asked;
	const struct history_record *record = find_record(d, search);
	struct latch latch;
	struct explain_subject subject = {
		.flow = search->wanted,
		.direction = asked->query.direction,
		.latches = asked->found.count,
	};

	if (asked->found.count && !is_superseded(search, record)) {
		subject.flow = asked->found.flow;
		subject.latch = &asked->found.latch;
	} else if (record) {
		subject.flow = record->flow;
		subject.record = record;
		subject.latch = latch_of_record(d, record, &latch);
	}
	if (asked->by_id && !asked->found.count && !record)
		write_unknown(d, asked, w);
	else
		write_subject(d, asked, &subject, w);
}

static bool take_netns(struct daemon *d, const struct control_explain *asked,
		       struct latch_flow *wanted)
{
	const char *word = asked->query.netns;
	uint64_t cookie = 0;
	int err = word[0] ? netns_names_find(&d->netns_names, word, &cookie) : netns_own(&cookie);

	wanted->netns = cookie;
	return !err;
}

bool daemon_explain(void *context, struct control_explain *asked, struct map_cursor *cursor,
		    struct json_writer *w)
{
	struct daemon *d = context;
	struct search search = {.asked = asked, .wanted = asked->query.flow};
	int err = 0;

	if (!cursor->begun)
		netns_names_refresh(&d->netns_names);
	if (!asked->by_id && !take_netns(d, asked, &search.wanted)) {
		write_error(w,
			    "no such network namespace; use a name of ip netns, or a cookie of "
			    "latchctl list",
			    "not-found");
		return true;
	}
	if (!search_part(d, &search, cursor, &err))
		return false;
	if (err)
		write_error(w, "the table of latches cannot be read whole; ask again", "failed");
	else
		write_found(d, &search, w);
	return true;
}
