/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/report/report_attention.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "common/loop.h"
#include "common/names.h"
#include "latch_mode.h"
#include "latchd/maps/tables.h"
#include "latchd/report/report_parts.h"

#define ATTENTION_NETNS_MAX 64

void report_recent_note(struct report_recent *recent, const struct kernel_maps *maps,
			uint64_t now_ms)
{
	uint64_t counters[LATCH_COUNTER_COUNT] = {0};
	unsigned int i;

	if (counters_read(maps, counters))
		return;
	for (i = 0; i < LATCH_COUNTER_COUNT; i++) {
		if (recent->known && counters[i] != recent->counters[i])
			recent->changed_ms[i] = now_ms;
		recent->counters[i] = counters[i];
	}
	recent->known = true;
}

static void add(struct json_writer *w, const char *code, const char *object, const char *format,
		...) __attribute__((format(printf, 4, 5)));

static void add(struct json_writer *w, const char *code, const char *object, const char *format,
		...)
{
	char text[256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	json_object_begin(w);
	json_member_string(w, "code", code);
	json_member_string(w, "object", object);
	json_member_string(w, "detail", text);
	json_object_end(w);
}

static void add_feeds(struct json_writer *w, const struct report_source *source)
{
	size_t i;

	for (i = 0; i < source->feed_count; i++) {
		const struct feed *feed = source->feeds[i].feed;

		if (!feed || feed->state != FEED_STATE_SYNCED)
			add(w, "feed-not-synced", source->feeds[i].name,
			    "its new SAs are not attributed; start its key manager");
	}
	if (!source->feed_count)
		add(w, "feed-not-synced", "feeds", "none configured: no SA is attributed");
}

/* foreign: counts foreign namespaces, else all others. */
static void add_gates(struct json_writer *w, const struct report_source *source, bool foreign)
{
	size_t count = netfilter_netns_list(source->netfilter_netns, NULL, 0), i, shown = 0;
	auto_free struct netfilter_netns_entry *namespaces = calloc(count + 1, sizeof(*namespaces));
	char name[32];

	report_fail(w, namespaces ? 0 : -ENOMEM);
	if (!namespaces || !netfilter_netns_is_offered(source->netfilter_netns))
		return;
	count = netfilter_netns_list(source->netfilter_netns, namespaces, count);
	for (i = 0; i < count && shown < ATTENTION_NETNS_MAX; i++) {
		if (namespaces[i].attached || namespaces[i].foreign != foreign)
			continue;
		shown++;
		snprintf(name, sizeof(name), "%" PRIu64, namespaces[i].cookie);
		add(w, "gate-missing", name,
		    "no netfilter gate in this network namespace; see the log");
	}
}

static void add_cgroup(struct json_writer *w, const struct cgroup_entry *cgroup)
{
	char id[32];
	const char *name = cgroup->path[0] ? cgroup->path : id;

	snprintf(id, sizeof(id), "id %" PRIu64, cgroup->id);
	switch (cgroup->state) {
	case CGROUP_ABSENT:
		add(w, "cgroup-absent", name,
		    "no such directory; connections are latched there "
		    "when it comes");
		break;
	case CGROUP_FAILED:
		add(w, "cgroup-failed", name, "has no programs; see the log");
		break;
	case CGROUP_FORMER:
		add(w, "cgroup-former", name,
		    "id %" PRIu64 ", no longer configured: keeps its programs until no connection "
		    "is latched and no socket in it wishes to be; to end that: latchctl purge",
		    cgroup->id);
		break;
	case CGROUP_ATTACHED:
	case CGROUP_COVERED:
	case CGROUP_REMOVED:
		break;
	}
}

/* The interface for applications is optional: no gate depends on it. */
static void add_unanswered(struct json_writer *w, const struct cgroup_entry *cgroup)
{
	char id[32];

	snprintf(id, sizeof(id), "id %" PRIu64, cgroup->id);
	if (cgroup->unanswered)
		add(w, "answers-missing", cgroup->path[0] ? cgroup->path : id,
		    "its sockets are latched, but answer no questions; see the log");
}

static void add_cgroups(struct json_writer *w, const struct report_source *source)
{
	struct cgroup_entry cgroups[REPORT_CGROUPS_MAX];
	size_t count = enforcement_cgroups(source->enforcement, cgroups, REPORT_CGROUPS_MAX), i;

	for (i = 0; i < count && i < REPORT_CGROUPS_MAX; i++) {
		add_cgroup(w, &cgroups[i]);
		add_unanswered(w, &cgroups[i]);
	}
	if (!enforcement_keeps_answers(source->enforcement))
		add(w, "answers-missing", LATCH_ABORT_PROGRAM,
		    "UDP sockets that are reset do not tell why; see the log");
}

static void add_pins(struct json_writer *w, const struct report_source *source)
{
	if (source->fixed_pins)
		add(w, "pins-read-only", "/sys/fs/bpf",
		    "mounted read-only: latches stay enforced, but latchd cannot start anew; run: "
		    "mount -o remount,rw /sys/fs/bpf");
	else if (source->missing_pins)
		add(w, "pin-missing", "maps",
		    "%u maps have no pin: a restart would lose what they hold; check /sys/fs/bpf",
		    source->missing_pins);
}

static void add_mode(struct json_writer *w, const struct report_source *source)
{
	if (source->wants_audit && !latch_mode_is_audit(mode_read(source->maps)))
		add(w, "mode-differs", "mode",
		    "the configuration has mode = audit, in force is enforcement; run: latchctl "
		    "mode audit, or correct the configuration");
}

static void add_unmarked(struct json_writer *w, const struct report_source *source)
{
	struct latch_clock clock;

	if (latch_mode_is_audit(mode_read(source->maps)) && !clock_read(source->maps, &clock) &&
	    clock.audit_unmarked)
		add(w, "audit-unmarked", "marks",
		    "%" PRIu64 " connections began in audit mode without room for their mark: "
		    "enforcement does not refuse all of them; see latchctl audit, and end those "
		    "connections before",
		    (uint64_t)clock.audit_unmarked);
}

static void add_larval(struct json_writer *w, uint64_t larval)
{
	if (larval)
		add(w, "unlatched", "larval",
		    "%" PRIu64 " connections use SAs that no key manager has reported; see: "
		    "latchctl list",
		    larval);
}

static void add_tables(struct json_writer *w, const struct report_latch_numbers *latches)
{
	if (latches->used >= latches->capacity)
		add(w, "table-full", "latches",
		    "%" PRIu64 " of %" PRIu64 " used; raise latches = in [enforce], see "
		    "latchd.conf(5)",
		    latches->used, latches->capacity);
	add_larval(w, latches->larval - latches->foreign_larval);
}

struct recent_row {
	enum latch_counter counter;
	const char *code;
};

static void add_recent_row(struct json_writer *w, const struct report_recent *recent,
			   const struct recent_row *row)
{
	uint64_t changed = recent ? recent->changed_ms[row->counter] : 0;

	if (changed && loop_now_ms() - changed < REPORT_RECENT_MS)
		add(w, row->code, latch_counter_name(row->counter),
		    "%" PRIu64 " since the programs were attached, the last within ten minutes",
		    recent->counters[row->counter]);
}

static void add_recent(struct json_writer *w, const struct report_recent *recent)
{
	static const struct recent_row rows[] = {
		{LATCH_COUNTER_LATCHES_FULL, "table-full"},
		{LATCH_COUNTER_SAS_FULL, "table-full"},
		{LATCH_COUNTER_SAS_OVER_QUOTA, "table-full"},
		{LATCH_COUNTER_UNLATCHED_PENDING, "unlatched"},
		{LATCH_COUNTER_UNLATCHED_OTHER, "unlatched"},
		{LATCH_COUNTER_UNLATCHED_UNSERVED, "unlatched"},
		{LATCH_COUNTER_SAS_ELSEWHERE, "unlatched"},
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		add_recent_row(w, recent, &rows[i]);
}

void report_attention(struct json_writer *w, const struct report_source *source,
		      const struct report_latch_numbers *latches)
{
	json_key(w, "attention");
	json_array_begin(w);
	add_feeds(w, source);
	add_cgroups(w, source);
	add_gates(w, source, false);
	add_tables(w, latches);
	add_pins(w, source);
	add_mode(w, source);
	add_unmarked(w, source);
	add_recent(w, source->recent);
	json_array_end(w);
}

void report_notices(struct json_writer *w, const struct report_source *source,
		    const struct report_latch_numbers *latches)
{
	static const struct recent_row unserved = {LATCH_COUNTER_UNLATCHED_FOREIGN, "unserved"};
	static const struct recent_row elsewhere = {LATCH_COUNTER_ELSEWHERE_FOREIGN, "elsewhere"};

	json_key(w, "notices");
	json_array_begin(w);
	add_gates(w, source, true);
	if (netfilter_netns_share_is_short(source->netfilter_netns))
		add(w, "gate-share-full", "netns",
		    "%d network namespaces of other user namespaces have the netfilter gate, which "
		    "is all that may; further ones wait for a place",
		    NETFILTER_NETNS_FOREIGN_MAX);
	add_larval(w, latches->foreign_larval);
	add_recent_row(w, source->recent, &unserved);
	add_recent_row(w, source->recent, &elsewhere);
	json_array_end(w);
}
