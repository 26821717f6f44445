/* SPDX-License-Identifier: BSD-2-Clause */
/* The document status: exactly these keys, exactly these values. */
#include "report_fixture.h"

#include "common/loop.h"
#include "latchd/report/report_attention.h"
#include "latchd/report/report_counts.h"

#include <bpf/libbpf.h>
#include <sys/utsname.h>
#include <unistd.h>

static struct feed synced = {
	.name = "charon",
	.state = FEED_STATE_SYNCED,
	.detail = "3 SAs",
	.daemon_version = "5.9.8",
	.resyncs = 2,
};
static struct feed lost = {.name = "other", .state = FEED_STATE_LOST, .detail = HOSTILE};

static const struct report_feed feeds[] = {
	{&synced, "charon", "vici", "/run/charon.vici"},
	{&lost, "other", "vici", "/run/other.vici"},
	{NULL, "third", "vici", "/run/third.vici"},
};

static void start(void)
{
	report_start();
	source.feeds = feeds;
	source.feed_count = sizeof(feeds) / sizeof(feeds[0]);
}

TestSuite(report_status, .init = start, .fini = report_finish, .timeout = 60);

/* In place of the real enforcement: the linker prefers these to the functions of the archive. */
size_t enforcement_programs(const struct enforcement *enforcement,
			    struct enforcement_program *programs, size_t max)
{
	static const struct enforcement_program both[] = {
		{"gate_egress", "cgroup/skb egress", true},
		{"watch_sa_add", "fentry xfrm_state_add", false},
	};

	cr_assert_null(enforcement);
	cr_assert_geq(max, 2);
	memcpy(programs, both, sizeof(both));
	return 2;
}

bool enforcement_is_on(const struct enforcement *enforcement)
{
	cr_assert_null(enforcement);
	return false;
}

static bool keeps_answers = true;

bool enforcement_keeps_answers(const struct enforcement *enforcement)
{
	cr_assert_null(enforcement);
	return keeps_answers;
}

static bool netfilter_offered = true, other_is_foreign;

bool netfilter_netns_is_offered(const struct netfilter_netns *netfilter_netns)
{
	cr_assert_null(netfilter_netns);
	return netfilter_offered;
}

size_t netfilter_netns_list(const struct netfilter_netns *netfilter_netns,
			    struct netfilter_netns_entry *namespaces, size_t max)
{
	const struct netfilter_netns_entry both[] = {
		{4026531840, true, false},
		{77, false, other_is_foreign},
	};

	cr_assert_null(netfilter_netns);
	if (max)
		memcpy(namespaces, both, (max < 2 ? max : 2) * sizeof(both[0]));
	return netfilter_offered ? 2 : 0;
}

bool netfilter_netns_share_is_short(const struct netfilter_netns *netfilter_netns)
{
	cr_assert_null(netfilter_netns);
	return other_is_foreign;
}

bool netfilter_netns_is_foreign(const struct netfilter_netns *netfilter_netns, uint64_t cookie)
{
	cr_assert_null(netfilter_netns);
	return other_is_foreign && cookie == 77;
}

static struct cgroup_entry cgroups[3] = {
	{.path = "/sys/fs/cgroup", .id = 1, .state = CGROUP_ATTACHED}};
static size_t cgroup_count = 1;

size_t enforcement_cgroups(const struct enforcement *enforcement, struct cgroup_entry *entries,
			   size_t max)
{
	cr_assert_null(enforcement);
	cr_assert_geq(max, cgroup_count);
	memcpy(entries, cgroups, cgroup_count * sizeof(cgroups[0]));
	return cgroup_count;
}

static void put_per_cpu(int map, __u32 key, const void *value, size_t size)
{
	int cpus = libbpf_num_possible_cpus(), i;
	char *values = malloc((size_t)cpus * size);

	for (i = 0; i < cpus; i++)
		memcpy(values + (size_t)i * size, value, size);
	cr_assert_eq(bpf_map_update_elem(map, &key, values, BPF_ANY), 0);
	free(values);
}

static void fill_tables(void)
{
	static const enum latch_state latches[] = {
		LATCH_STATE_ESTABLISHED, LATCH_STATE_ESTABLISHED, LATCH_STATE_BROKEN,
		LATCH_STATE_LISTENER,	 LATCH_STATE_LARVAL,	  LATCH_STATE_CLOSED,
	};
	static const enum latch_sa_state sas[] = {LATCH_SA_BOUND, LATCH_SA_PENDING, LATCH_SA_ORPHAN,
						  LATCH_SA_ORPHAN, LATCH_SA_DYING};
	struct latch_flow flow = w_to_c();
	struct latch_sa_key key = sa_key();
	struct latch latch;
	struct latch_sa sa;
	size_t i;

	for (i = 0; i < sizeof(latches) / sizeof(latches[0]); i++) {
		flow.local_port++;
		latch = latch_of(latches[i], params_c, 0);
		put_latch(&flow, &latch);
	}
	for (i = 0; i < sizeof(sas) / sizeof(sas[0]); i++) {
		key.spi++;
		sa = sa_of(sas[i], params_c, 0);
		put_sa(&key, &sa);
	}
}

Test(report_status, status_has_the_daemon_the_programs_and_the_numbers_by_state)
{
	struct utsname system;
	char text[128];

	fill_tables();
	source.started_boot_ns = clock_boot_ns() - 90 * SECOND;
	report_status(&w, &source);
	parse();
	expect_keys(
		"",
		"schema daemon enforcement netns feeds api rules latches attention notices sas drops counters events_lost "
		"kernel");
	expect_json("schema", "1");
	expect_keys("daemon", "pid uptime_s version abi config");
	snprintf(text, sizeof(text), "%d", getpid());
	expect_json("daemon.pid", text);
	cr_expect_geq(json_object_get_int64(at(document, "daemon.uptime_s")), 90);
	cr_expect_leq(json_object_get_int64(at(document, "daemon.uptime_s")), 90 + 60);
	expect_json("daemon.version", "\"" LATCHD_VERSION "\"");
	expect_json("daemon.abi", "1");
	expect_json("daemon.config", "\"/etc/latchd/latchd.conf\"");
	expect_json(
		"enforcement",
		"{\"on\":false,\"mode\":\"enforce\",\"mode_since\":null,\"cgroup\":\"/sys/fs/cgroup\",\"cgroups\":["
		"{\"path\":\"/sys/fs/cgroup\",\"id\":1,\"state\":\"attached\"}],\"programs\":["
		"{\"name\":\"gate_egress\",\"hook\":\"cgroup/skb egress\",\"attached\":true},"
		"{\"name\":\"watch_sa_add\",\"hook\":\"fentry xfrm_state_add\","
		"\"attached\":false},"
		"{\"name\":\"netfilter gate\",\"hook\":\"netfilter\",\"attached\":false}]}");
	expect_json("netns", "[{\"cookie\":4026531840,\"netfilter_gate\":true},"
			     "{\"cookie\":77,\"netfilter_gate\":false}]");
	expect_json("latches", "{\"used\":6,\"capacity\":256,\"established\":2,\"broken\":1,"
			       "\"listener\":1,\"larval\":1,\"closed\":1}");
	expect_json("sas", "{\"bound\":1,\"pending\":1,\"orphan\":2,\"dying\":1,\"contested\":0}");
	cr_assert_eq(uname(&system), 0);
	snprintf(text, sizeof(text), "\"%s\"", system.release);
	expect_json("kernel", text);
}

static size_t rows_of(const char *key, const char *code, const char *object)
{
	struct json_object *rows = at(document, key), *row;
	size_t i, found = 0;

	for (i = 0; i < json_object_array_length(rows); i++) {
		row = json_object_array_get_idx(rows, i);
		found += !strcmp(json_object_get_string(at(row, "code")), code) &&
			 !strcmp(json_object_get_string(at(row, "object")), object);
	}
	return found;
}

static size_t attention(const char *code, const char *object)
{
	return rows_of("attention", code, object);
}

static void ask(void)
{
	report_status(&w, &source);
	parse();
}

Test(report_status, a_feed_that_is_not_synced_needs_attention)
{
	ask();
	cr_expect_eq(attention("feed-not-synced", "charon"), 0);
	cr_expect_eq(attention("feed-not-synced", "other"), 1);
	cr_expect_eq(attention("feed-not-synced", "third"), 1);
}

Test(report_status, a_namespace_without_the_netfilter_gate_needs_attention)
{
	ask();
	cr_expect_eq(attention("gate-missing", "4026531840"), 0);
	cr_expect_eq(attention("gate-missing", "77"), 1);
}

Test(report_status, conditions_that_a_local_user_can_cause_are_notices_and_need_no_attention)
{
	struct latch_flow flow = w_to_c();
	struct latch latch = latch_of(LATCH_STATE_LARVAL, params_c, 0);

	other_is_foreign = true;
	flow.netns = 77;
	put_latch(&flow, &latch);
	ask();
	cr_expect_eq(attention("gate-missing", "77"), 0);
	cr_expect_eq(attention("unlatched", "larval"), 0);
	cr_expect_eq(rows_of("notices", "gate-missing", "77"), 1);
	cr_expect_eq(rows_of("notices", "gate-share-full", "netns"), 1);
	cr_expect_eq(rows_of("notices", "unlatched", "larval"), 1);
	flow.netns = 4026531840;
	put_latch(&flow, &latch);
	ask();
	cr_expect_eq(attention("unlatched", "larval"), 1, "one of the host needs attention");
}

Test(report_status, a_cgroup_whose_sockets_cannot_answer_needs_attention)
{
	ask();
	cr_expect_eq(attention("answers-missing", "/sys/fs/cgroup"), 0);
	cr_expect_eq(attention("answers-missing", LATCH_ABORT_PROGRAM), 0);
	cgroups[0].unanswered = true;
	keeps_answers = false;
	ask();
	cr_expect_eq(attention("answers-missing", "/sys/fs/cgroup"), 1);
	cr_expect_eq(attention("answers-missing", LATCH_ABORT_PROGRAM), 1);
	expect_json("enforcement.cgroups.0.state", "\"attached\"");
}

Test(report_status, a_cgroup_that_is_absent_failed_or_no_longer_configured_needs_attention)
{
	ask();
	cr_expect_eq(attention("cgroup-absent", "/sys/fs/cgroup"), 0);
	cgroup_count = 3;
	cgroups[0] = (struct cgroup_entry){.path = "/sys/fs/cgroup/a", .state = CGROUP_ABSENT};
	cgroups[1] =
		(struct cgroup_entry){.path = "/sys/fs/cgroup/b", .id = 7, .state = CGROUP_FAILED};
	cgroups[2] = (struct cgroup_entry){.path = "", .id = 9, .state = CGROUP_FORMER};
	ask();
	cr_expect_eq(attention("cgroup-absent", "/sys/fs/cgroup/a"), 1);
	cr_expect_eq(attention("cgroup-failed", "/sys/fs/cgroup/b"), 1);
	cr_expect_eq(attention("cgroup-former", "id 9"), 1);
	expect_json("enforcement.cgroups.2", "{\"path\":null,\"id\":9,\"state\":\"former\"}");
	cgroups[0].state = CGROUP_COVERED;
	cgroups[1].state = CGROUP_REMOVED;
	cgroups[2].state = CGROUP_ATTACHED;
	ask();
	cr_expect_eq(attention("cgroup-absent", "/sys/fs/cgroup/a") +
			     attention("cgroup-failed", "/sys/fs/cgroup/b") +
			     attention("cgroup-former", "id 9"),
		     0);
}

Test(report_status, read_only_pins_need_attention_and_are_named_so)
{
	source.fixed_pins = true;
	source.missing_pins = 2;
	ask();
	cr_expect_eq(attention("pins-read-only", "/sys/fs/bpf"), 1);
	cr_expect_eq(attention("pin-missing", "maps"), 0);
}

Test(report_status, a_full_table_and_unlatched_connections_need_attention)
{
	struct latch_flow flow = w_to_c();
	struct latch latch = latch_of(LATCH_STATE_ESTABLISHED, params_c, 0);
	unsigned int i;

	put_latch(&flow, &latch);
	ask();
	cr_expect_eq(attention("table-full", "latches") + attention("unlatched", "larval"), 0);
	latch = latch_of(LATCH_STATE_LARVAL, params_c, 0);
	for (i = 1; i < 256; i++) {
		flow.local_port++;
		put_latch(&flow, &latch);
	}
	ask();
	cr_expect_eq(attention("table-full", "latches"), 1);
	cr_expect_eq(attention("unlatched", "larval"), 1);
}

Test(report_status, a_map_without_a_pin_needs_attention)
{
	ask();
	cr_expect_eq(attention("pin-missing", "maps"), 0);
	source.missing_pins = 2;
	ask();
	cr_expect_eq(attention("pin-missing", "maps"), 1);
}

Test(report_status, a_counter_that_has_grown_needs_attention_for_ten_minutes)
{
	static struct report_recent recent;
	uint64_t value = 1, now = loop_now_ms();

	source.recent = &recent;
	put_per_cpu(maps.counters, LATCH_COUNTER_UNLATCHED_PENDING, &value, sizeof(value));
	report_recent_note(&recent, &maps, now);
	ask();
	cr_expect_eq(attention("unlatched", "unlatched_pending"), 0, "from before latchd");
	value = 2;
	put_per_cpu(maps.counters, LATCH_COUNTER_UNLATCHED_PENDING, &value, sizeof(value));
	report_recent_note(&recent, &maps, now);
	ask();
	cr_expect_eq(attention("unlatched", "unlatched_pending"), 1);
	recent.changed_ms[LATCH_COUNTER_UNLATCHED_PENDING] -= REPORT_RECENT_MS;
	ask();
	cr_expect_eq(attention("unlatched", "unlatched_pending"), 0, "more than ten minutes ago");
}

static void grow(enum latch_counter which)
{
	static struct report_recent recent;
	uint64_t value = 1, now = loop_now_ms();

	source.recent = &recent;
	report_recent_note(&recent, &maps, now);
	put_per_cpu(maps.counters, which, &value, sizeof(value));
	report_recent_note(&recent, &maps, now);
	ask();
}

/* Any local user can cause it: no attention, no exit status. */
Test(report_status, unserved_connections_of_other_user_namespaces_are_a_notice)
{
	ask();
	cr_expect_eq(rows_of("notices", "unserved", "unlatched_foreign"), 0);
	grow(LATCH_COUNTER_UNLATCHED_FOREIGN);
	cr_expect_eq(rows_of("notices", "unserved", "unlatched_foreign"), 1);
	cr_expect_eq(attention("unlatched", "unlatched_foreign"), 0);
	cr_expect_eq(attention("unlatched", "unlatched_unserved"), 0);
}

/* An administrator has made them, and a feed is missing in the configuration. */
Test(report_status, unserved_connections_of_the_host_need_attention)
{
	ask();
	cr_expect_eq(attention("unlatched", "unlatched_unserved"), 0);
	grow(LATCH_COUNTER_UNLATCHED_UNSERVED);
	cr_expect_eq(attention("unlatched", "unlatched_unserved"), 1);
	cr_expect_eq(rows_of("notices", "unserved", "unlatched_foreign"), 0);
}

Test(report_status, packets_to_an_interface_with_sas_elsewhere_need_attention)
{
	ask();
	cr_expect_eq(attention("unlatched", "sas_elsewhere"), 0);
	grow(LATCH_COUNTER_SAS_ELSEWHERE);
	cr_expect_eq(attention("unlatched", "sas_elsewhere"), 1);
	cr_expect_eq(rows_of("notices", "elsewhere", "elsewhere_foreign"), 0);
}

Test(report_status, such_packets_of_other_user_namespaces_are_a_notice)
{
	ask();
	cr_expect_eq(rows_of("notices", "elsewhere", "elsewhere_foreign"), 0);
	grow(LATCH_COUNTER_ELSEWHERE_FOREIGN);
	cr_expect_eq(rows_of("notices", "elsewhere", "elsewhere_foreign"), 1);
	cr_expect_eq(attention("unlatched", "sas_elsewhere"), 0);
}

/* ---- the walks that count */

static struct report_counts counts;

static void start_counting(void)
{
	fill_tables();
	counts = (struct report_counts){0};
	source.counts = &counts;
}

static void ask_as(bool root)
{
	source.fresh = root;
	ask();
}

static void add_latch(void)
{
	struct latch_flow flow = w_to_c();
	struct latch latch = latch_of(LATCH_STATE_ESTABLISHED, params_c, 0);

	put_latch(&flow, &latch);
}

Test(report_status, requests_of_members_share_one_walk_over_the_tables)
{
	int i;

	start_counting();
	for (i = 0; i < 28; i++)
		ask_as(false);
	cr_expect_eq(counts.walks, 1);
	expect_json("latches.used", "6");
	expect_json("sas.orphan", "2");
}

Test(report_status, members_get_new_numbers_after_a_second)
{
	start_counting();
	ask_as(false);
	add_latch();
	ask_as(false);
	expect_json("latches.used", "6");
	cr_expect_leq(counts.due_ms - loop_now_ms(), REPORT_COUNTS_AGE_MS);
	counts.due_ms = loop_now_ms();
	ask_as(false);
	expect_json("latches.used", "7");
	expect_json("latches.established", "3");
	cr_expect_eq(counts.walks, 2);
}

Test(report_status, root_gets_the_numbers_of_the_moment)
{
	start_counting();
	ask_as(false);
	add_latch();
	ask_as(true);
	expect_json("latches.used", "7");
	ask_as(false);
	expect_json("latches.used", "7");
	cr_expect_eq(counts.walks, 2);
}

Test(report_status, numbers_of_a_table_that_cannot_be_read_are_not_kept)
{
	const struct kernel_maps broken = {.latches = -1, .sas = -1};

	counts = (struct report_counts){0};
	cr_expect_lt(report_counts_take(&counts, &broken, NULL, false), 0);
	cr_expect_eq(counts.due_ms, 0);
}

Test(report_status, status_shows_a_kernel_without_netfilter_gate)
{
	netfilter_offered = false;
	report_status(&w, &source);
	parse();
	expect_json(
		"enforcement.programs.2",
		"{\"name\":\"netfilter gate\",\"hook\":\"needs Linux 6.4, as does SCTP\",\"attached\":false}");
	expect_json("netns", "[]");
}

Test(report_status, status_shows_the_state_of_every_feed)
{
	report_status(&w, &source);
	parse();
	expect_json("feeds.0",
		    "{\"name\":\"charon\",\"type\":\"vici\",\"socket\":\"/run/charon.vici\","
		    "\"state\":\"synced\",\"connected\":true,\"detail\":\"3 SAs\","
		    "\"version\":\"5.9.8\",\"resyncs\":2}");
	expect_json("feeds.1.state", "\"lost\"");
	expect_json("feeds.1.connected", "false");
	expect_json("feeds.1.version", "null");
	expect_hostile("feeds.1.detail");
	expect_json("feeds.2.name", "\"third\"");
	expect_json("feeds.2.state", "\"absent\"");
	expect_json("feeds.2.connected", "false");
	synced.state = FEED_STATE_CONNECTED;
	report_status(&w, &source);
	parse();
	expect_json("feeds.0.connected", "true");
}

Test(report_status, status_sums_drops_and_counters_over_all_cpus)
{
	static const char *const reasons[] = {
		"plaintext", "sa-pending", "sa-unknown", "identity", "qop",	     "ambiguous",
		"nested",    "broken",	   "closed",	 "conflict", "latches-full", "malformed",
		"required",  "merged",	   "other-mode", "contested"};
	const struct latch_drop_count drops = {.egress = 3, .ingress = 5};
	const __u64 seven = 7;
	uint64_t cpus = (uint64_t)libbpf_num_possible_cpus();
	char path[32], text[128];
	size_t i;

	put_per_cpu(maps.drops, LATCH_DROP_IDENTITY, &drops, sizeof(drops));
	put_per_cpu(maps.counters, LATCH_COUNTER_EVENTS_LOST, &seven, sizeof(seven));
	report_status(&w, &source);
	parse();
	cr_expect_eq(json_object_array_length(at(document, "drops")), LATCH_DROP_COUNT);
	for (i = 0; i < LATCH_DROP_COUNT; i++) {
		snprintf(path, sizeof(path), "drops.%zu", i);
		snprintf(text, sizeof(text), "{\"reason\":\"%s\",\"egress\":%llu,\"ingress\":%llu}",
			 reasons[i], i == LATCH_DROP_IDENTITY ? 3ULL * cpus : 0ULL,
			 i == LATCH_DROP_IDENTITY ? 5ULL * cpus : 0ULL);
		expect_json(path, text);
	}
	expect_keys("counters", "events_lost latches_full sas_full unlatched_pending "
				"unlatched_other latches_created slow_path xfrm_hooks "
				"sas_over_quota sas_elsewhere datagrams_lost "
				"unlatched_unserved unlatched_foreign audited audit_unmarked "
				"elsewhere_foreign unlatched_tunnel");
	snprintf(text, sizeof(text), "%llu", 7ULL * cpus);
	expect_json("events_lost", text);
	expect_json("counters.events_lost", text);
	expect_json("counters.slow_path", "0");
}

Test(report_status, an_unreadable_table_fails_the_document)
{
	int right = maps.latches;

	maps.latches = -1;
	report_status(&w, &source);
	cr_expect_lt(json_finish(&w), 0);
	maps.latches = right;
}

Test(names, numbers_outside_the_abi_are_unknown)
{
	cr_expect_str_eq(latch_state_name((enum latch_state)99), "unknown");
	cr_expect_str_eq(latch_direction_name(LATCH_DIRECTION_NONE), "unknown");
	cr_expect_str_eq(latch_reason_name((enum latch_reason)3), "unknown");
	cr_expect_str_eq(latch_sa_state_name((enum latch_sa_state)99), "unknown");
	cr_expect_str_eq(latch_drop_name(LATCH_DROP_COUNT), "unknown");
	cr_expect_str_eq(latch_counter_name(LATCH_COUNTER_COUNT), "unknown");
	cr_expect_str_eq(latch_event_name((enum latch_event_type)0), "unknown");
	cr_expect_str_eq(xfrm_mode_name(99), "unknown");
	cr_expect_str_eq(ipsec_protocol_name(6), "unknown");
	cr_expect_str_eq(ulp_name(50), "unknown");
}

Test(report_status, a_configuration_that_wants_audit_under_enforcement_needs_attention)
{
	source.wants_audit = true;
	ask();
	cr_expect_eq(attention("mode-differs", "mode"), 1);
	source.wants_audit = false;
	ask();
	cr_expect_eq(attention("mode-differs", "mode"), 0);
}

Test(report_status, the_interface_of_applications_is_on_by_the_settings_in_force)
{
	struct latch_settings settings = {.answers = 1};
	__u32 key = 0;

	report_status(&w, &source);
	parse();
	expect_json("api", "{\"on\":false}");
	cr_assert_eq(bpf_map_update_elem(maps.settings, &key, &settings, BPF_ANY), 0);
	json_release(&w);
	json_init(&w);
	report_status(&w, &source);
	parse();
	expect_json("api", "{\"on\":true}");
}
