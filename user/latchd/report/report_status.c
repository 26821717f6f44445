/* SPDX-License-Identifier: BSD-2-Clause */
/* The document status: feeds, programs, gates and numbers. */
#include <errno.h>
#include <stdlib.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "latchd/maps/tables.h"
#include "common/names.h"
#include "latchd/report/report_attention.h"
#include "latchd/report/report_counts.h"
#include "latchd/report/report_parts.h"

#define PROGRAMS_MAX 64
#define NS_PER_S     1000000000ULL

static void status_daemon(struct json_writer *w, const struct report_source *source)
{
	json_key(w, "daemon");
	json_object_begin(w);
	json_member_uint(w, "pid", (uint64_t)getpid());
	json_member_uint(w, "uptime_s", (clock_boot_ns() - source->started_boot_ns) / NS_PER_S);
	json_member_string(w, "version", LATCHD_VERSION);
	json_member_uint(w, "abi", LATCH_ABI);
	json_member_string(w, "config", source->config_path);
	json_object_end(w);
}

static void status_program(struct json_writer *w, const struct enforcement_program *program)
{
	json_object_begin(w);
	json_member_string(w, "name", program->name);
	json_member_string(w, "hook", program->hook);
	json_member_bool(w, "attached", program->attached);
	json_object_end(w);
}

/* ---- the netfilter gate ---- */

static size_t read_netfilter_netns(const struct report_source *source,
				   struct netfilter_netns_entry **ret)
{
	size_t count = netfilter_netns_list(source->netfilter_netns, NULL, 0);

	*ret = calloc(count + 1, sizeof(**ret));
	return *ret ? netfilter_netns_list(source->netfilter_netns, *ret, count) : 0;
}

static void status_netfilter_gate(struct json_writer *w, const struct report_source *source)
{
	bool offered = netfilter_netns_is_offered(source->netfilter_netns);
	struct enforcement_program gate = {
		.name = "netfilter gate",
		.hook = offered ? "netfilter" : "needs Linux 6.4, as does SCTP",
		.attached = offered,
	};
	auto_free struct netfilter_netns_entry *namespaces = NULL;
	size_t count = read_netfilter_netns(source, &namespaces), i;

	for (i = 0; i < count; i++)
		gate.attached = gate.attached && namespaces[i].attached;
	status_program(w, &gate);
}

static void status_netns(struct json_writer *w, const struct report_source *source)
{
	auto_free struct netfilter_netns_entry *namespaces = NULL;
	size_t count = read_netfilter_netns(source, &namespaces), i;

	report_fail(w, namespaces ? 0 : -ENOMEM);
	json_key(w, "netns");
	json_array_begin(w);
	for (i = 0; i < count; i++) {
		json_object_begin(w);
		json_member_uint(w, "cookie", namespaces[i].cookie);
		json_member_bool(w, "netfilter_gate", namespaces[i].attached);
		json_object_end(w);
	}
	json_array_end(w);
}

static void status_cgroups(struct json_writer *w, const struct report_source *source)
{
	struct cgroup_entry cgroups[REPORT_CGROUPS_MAX];
	size_t count = enforcement_cgroups(source->enforcement, cgroups, REPORT_CGROUPS_MAX), i;

	json_key(w, "cgroups");
	json_array_begin(w);
	for (i = 0; i < count && i < REPORT_CGROUPS_MAX; i++) {
		json_object_begin(w);
		json_member_string(w, "path", cgroups[i].path[0] ? cgroups[i].path : NULL);
		json_member_uint(w, "id", cgroups[i].id);
		json_member_string(w, "state", cgroup_state_name(cgroups[i].state));
		json_object_end(w);
	}
	json_array_end(w);
}

static void status_enforcement(struct json_writer *w, const struct report_source *source)
{
	struct enforcement_program programs[PROGRAMS_MAX];
	size_t count, i;

	count = enforcement_programs(source->enforcement, programs, PROGRAMS_MAX);
	json_key(w, "enforcement");
	json_object_begin(w);
	json_member_bool(w, "on", enforcement_is_on(source->enforcement));
	report_mode_members(w, source);
	json_member_string(w, "cgroup", source->cgroup);
	status_cgroups(w, source);
	json_key(w, "programs");
	json_array_begin(w);
	for (i = 0; i < count && i < PROGRAMS_MAX; i++)
		status_program(w, &programs[i]);
	status_netfilter_gate(w, source);
	json_array_end(w);
	json_object_end(w);
}

static void status_feed(struct json_writer *w, const struct report_feed *feed)
{
	static const struct feed absent = {.state = FEED_STATE_ABSENT};
	const struct feed *is = feed->feed ? feed->feed : &absent;

	json_object_begin(w);
	json_member_string(w, "name", feed->name);
	json_member_string(w, "type", feed->type);
	json_member_string(w, "socket", feed->socket);
	json_member_string(w, "state", feed_state_name(is->state));
	json_member_bool(w, "connected",
			 is->state == FEED_STATE_CONNECTED || is->state == FEED_STATE_SYNCED);
	json_member_string(w, "detail", is->detail);
	report_text(w, "version", is->daemon_version);
	json_member_uint(w, "resyncs", is->resyncs);
	json_object_end(w);
}

static void status_feeds(struct json_writer *w, const struct report_source *source)
{
	size_t i;

	json_key(w, "feeds");
	json_array_begin(w);
	for (i = 0; i < source->feed_count; i++)
		status_feed(w, &source->feeds[i]);
	json_array_end(w);
}

/* By the settings in force: a reload may have failed. */
static void status_api(struct json_writer *w, const struct report_source *source)
{
	struct latch_settings settings = {0};

	report_fail(w, settings_read(source->maps, &settings));
	json_key(w, "api");
	json_object_begin(w);
	json_member_bool(w, "on", settings.answers);
	json_object_end(w);
}

/* ---- numbers by state */

static struct report_latch_numbers status_latches(struct json_writer *w,
						  const struct report_source *source,
						  const struct report_state_counts *counts,
						  uint64_t foreign_larval)
{
	static const enum latch_state states[] = {
		LATCH_STATE_ESTABLISHED, LATCH_STATE_BROKEN, LATCH_STATE_LISTENER,
		LATCH_STATE_LARVAL,	 LATCH_STATE_CLOSED,
	};
	size_t i;

	json_key(w, "latches");
	json_object_begin(w);
	json_member_uint(w, "used", counts->all);
	json_member_uint(w, "capacity", latches_capacity(source->maps));
	for (i = 0; i < sizeof(states) / sizeof(states[0]); i++)
		json_member_uint(w, latch_state_name(states[i]), counts->of[states[i]]);
	json_object_end(w);
	return (struct report_latch_numbers){
		.used = counts->all,
		.capacity = latches_capacity(source->maps),
		.larval = counts->of[LATCH_STATE_LARVAL],
		.foreign_larval = foreign_larval,
	};
}

static void status_sas(struct json_writer *w, const struct report_state_counts *counts,
		       uint64_t contested)
{
	static const enum latch_sa_state states[] = {
		LATCH_SA_BOUND,
		LATCH_SA_PENDING,
		LATCH_SA_ORPHAN,
		LATCH_SA_DYING,
	};
	size_t i;

	json_key(w, "sas");
	json_object_begin(w);
	for (i = 0; i < sizeof(states) / sizeof(states[0]); i++)
		json_member_uint(w, latch_sa_state_name(states[i]), counts->of[states[i]]);
	json_member_uint(w, "contested", contested);
	json_object_end(w);
}

/* ---- counters of the programs */

static void status_drops(struct json_writer *w, const struct report_source *source)
{
	struct latch_drop_count drops[LATCH_DROP_COUNT] = {0};
	unsigned int i;

	report_fail(w, drops_read(source->maps, drops));
	json_key(w, "drops");
	json_array_begin(w);
	for (i = 0; i < LATCH_DROP_COUNT; i++) {
		json_object_begin(w);
		json_member_string(w, "reason", latch_drop_name((enum latch_drop)i));
		json_member_uint(w, "egress", drops[i].egress);
		json_member_uint(w, "ingress", drops[i].ingress);
		json_object_end(w);
	}
	json_array_end(w);
}

static void status_counters(struct json_writer *w, const struct report_source *source)
{
	uint64_t counters[LATCH_COUNTER_COUNT] = {0};
	unsigned int i;

	report_fail(w, counters_read(source->maps, counters));
	json_key(w, "counters");
	json_object_begin(w);
	for (i = 0; i < LATCH_COUNTER_COUNT; i++)
		json_member_uint(w, latch_counter_name((enum latch_counter)i), counters[i]);
	json_object_end(w);
	json_member_uint(w, "events_lost", counters[LATCH_COUNTER_EVENTS_LOST]);
}

static void status_kernel(struct json_writer *w)
{
	struct utsname system;

	json_member_string(w, "kernel", uname(&system) ? NULL : system.release);
}

void report_status(struct json_writer *w, const struct report_source *source)
{
	struct report_counts now = {0}, *counts = source->counts ? source->counts : &now;
	struct report_latch_numbers latches;

	report_fail(w, report_counts_take(counts, source->maps, source->netfilter_netns,
					  source->fresh));
	json_object_begin(w);
	json_member_uint(w, "schema", REPORT_SCHEMA);
	status_daemon(w, source);
	status_enforcement(w, source);
	status_netns(w, source);
	status_feeds(w, source);
	status_api(w, source);
	json_member_uint(w, "rules", source->rule_count);
	latches = status_latches(w, source, &counts->latches, counts->foreign_larval);
	report_attention(w, source, &latches);
	report_notices(w, source, &latches);
	status_sas(w, &counts->sas, counts->contested);
	status_drops(w, source);
	status_counters(w, source);
	status_kernel(w);
	json_object_end(w);
}
