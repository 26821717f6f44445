/* SPDX-License-Identifier: BSD-2-Clause */
/* The documents: exactly these keys, exactly these values. */
#include "report_fixture.h"

#include <bpf/bpf.h>
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

TestSuite(report, .init = start, .fini = report_finish, .timeout = 60);

/* In the place of the kernel's answers; the linker takes these instead of the archive's. */
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

static bool netfilter_offered = true;

bool netfilter_netns_is_offered(const struct netfilter_netns *netfilter_netns)
{
	cr_assert_null(netfilter_netns);
	return netfilter_offered;
}

size_t netfilter_netns_list(const struct netfilter_netns *netfilter_netns,
			    struct netfilter_netns_entry *namespaces, size_t max)
{
	static const struct netfilter_netns_entry both[] = {{4026531840, true}, {77, false}};

	cr_assert_null(netfilter_netns);
	memcpy(namespaces, both, (max < 2 ? max : 2) * sizeof(both[0]));
	return netfilter_offered ? 2 : 0;
}

static struct latch latch_of(enum latch_state state, uint16_t params, uint8_t reasons)
{
	struct latch latch = {
		.id = 0x1f3,
		.changed = clock_boot_ns(),
		.drops = 17,
		.spi_out = 0xc1a2f09e,
		.direction = LATCH_DIRECTION_OUT,
	};

	latch.word.state = state;
	latch.word.params = params;
	latch.word.reasons = reasons;
	return latch;
}

static void put_latch(const struct latch_flow *flow, const struct latch *latch)
{
	cr_assert_eq(bpf_map_update_elem(maps.latches, flow, latch, BPF_ANY), 0);
}

static void put_sa(const struct latch_sa_key *key, const struct latch_sa *sa)
{
	cr_assert_eq(bpf_map_update_elem(maps.sas, key, sa, BPF_ANY), 0);
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

/* ---- list */

#define LATCH_KEYS                                                                                 \
	"id state direction netns proto local remote peer local_id params sa reasons rule "        \
	"disposition since drops listener listens"
#define QOP_KEYS "encr encr_bits integ integ_bits icv_bits esn replay_protection"

Test(report, list)
{
	struct latch latch = latch_of(LATCH_STATE_ESTABLISHED, params_c, 0);
	struct latch_flow flow = w_to_c();

	put_latch(&flow, &latch);
	report_list(&w, &source);
	parse();
	expect_keys("", "schema latches");
	expect_json("schema", "1");
	expect_keys("latches.0", LATCH_KEYS);
	expect_json("latches.0.id", "\"1f3\"");
	expect_json("latches.0.state", "\"established\"");
	expect_json("latches.0.direction", "\"out\"");
	expect_json("latches.0.netns", "4026531840");
	expect_json("latches.0.proto", "\"tcp\"");
	expect_json("latches.0.local", "{\"addr\":\"10.9.0.1\",\"port\":7000}");
	expect_json("latches.0.remote", "{\"addr\":\"10.9.0.2\",\"port\":51514}");
	expect_json("latches.0.peer", "{\"id\":\"c.example\",\"auth\":\"pubkey\"}");
	expect_json("latches.0.local_id", "\"w.example\"");
	expect_json("latches.0.params",
		    "{\"ipsec\":\"esp\",\"mode\":\"transport\",\"encr\":\"rfc4106(gcm(aes))\","
		    "\"encr_bits\":288,\"integ\":null,\"integ_bits\":0,\"icv_bits\":128,"
		    "\"esn\":false,\"replay_protection\":true}");
	expect_json("latches.0.sa", "{\"out\":\"0xc1a2f09e\",\"in\":null}");
	expect_json("latches.0.reasons", "[]");
	expect_json("latches.0.rule", "null");
	expect_json("latches.0.disposition", "\"reset\"");
	expect_now("latches.0.since");
	expect_json("latches.0.drops", "17");
	expect_json("latches.0.listener", "null");
	expect_json("latches.0.listens", "null");
}

/* The second of these rules; a latch from before a change of rules has the same number. */
Test(report, a_latch_shows_its_rule_only_while_that_is_in_force)
{
	static const struct config_rule rules[] = {{.name = "first"}, {.name = "second"}};
	struct latch latch = latch_of(LATCH_STATE_ESTABLISHED, params_c, 0);
	struct latch_flow flow = w_to_c();

	source.rules = rules;
	source.rule_count = 2;
	source.rule_set = 9;
	latch.rule = 1;
	latch.rule_set = 9;
	latch.disposition = LATCH_DISPOSITION_UNREACHABLE;
	put_latch(&flow, &latch);
	report_list(&w, &source);
	parse();
	expect_json("latches.0.rule", "\"second\"");
	expect_json("latches.0.disposition", "\"unreachable\"");
}

Test(report, nor_does_it_show_another_rule_of_the_same_number)
{
	static const struct config_rule rules[] = {{.name = "first"}, {.name = "second"}};
	struct latch latch = latch_of(LATCH_STATE_ESTABLISHED, params_c, 0);
	struct latch_flow flow = w_to_c();

	source.rules = rules;
	source.rule_count = 2;
	source.rule_set = 10;
	latch.rule = 1;
	latch.rule_set = 9;
	put_latch(&flow, &latch);
	report_list(&w, &source);
	parse();
	expect_json("latches.0.rule", "null");
	expect_json("latches.0.disposition", "\"reset\"");
}

Test(report, list_of_a_broken_latch_over_ipv6)
{
	struct latch latch = latch_of(LATCH_STATE_BROKEN, params_weak, LATCH_REASONS_ALL);
	struct latch_flow flow = flow_of(AF_INET6, "fd00::1", "::ffff:10.9.0.2");

	latch.direction = LATCH_DIRECTION_IN;
	latch.spi_in = 0x1f;
	put_latch(&flow, &latch);
	report_list(&w, &source);
	parse();
	expect_json("latches.0.state", "\"broken\"");
	expect_json("latches.0.direction", "\"in\"");
	expect_json("latches.0.local", "{\"addr\":\"fd00::1\",\"port\":7000}");
	expect_json("latches.0.remote.addr", "\"::ffff:10.9.0.2\"");
	expect_json("latches.0.params.mode", "\"tunnel\"");
	expect_json("latches.0.params.integ", "\"hmac(sha1)\"");
	expect_json("latches.0.params.esn", "true");
	expect_json("latches.0.sa.in", "\"0x0000001f\"");
	expect_json("latches.0.reasons", "[\"sa-conflict\",\"spd-change\",\"peer-dead\","
					 "\"peer-rebooted\",\"admin\"]");
}

/* Its params are the number of its sockets, and no peer has that index. */
Test(report, list_of_a_listener)
{
	struct latch latch = latch_of(LATCH_STATE_LISTENER, params_c, 0);
	struct latch_flow flow = w_to_c();
	char expected[64];

	memset(flow.remote_addr, 0, sizeof(flow.remote_addr));
	flow.remote_port = 0;
	latch.spawned = 12;
	latch.refused = 3;
	put_latch(&flow, &latch);
	report_list(&w, &source);
	parse();
	expect_keys("latches.0", LATCH_KEYS);
	expect_json("latches.0.state", "\"listener\"");
	expect_json("latches.0.local", "{\"addr\":\"10.9.0.1\",\"port\":7000}");
	expect_json("latches.0.remote", "null");
	expect_json("latches.0.peer", "null");
	expect_json("latches.0.local_id", "null");
	expect_json("latches.0.params", "null");
	expect_json("latches.0.listener", "null");
	snprintf(expected, sizeof(expected), "{\"sockets\":%u,\"spawned\":12,\"refused\":3}",
		 params_c);
	expect_json("latches.0.listens", expected);
}

Test(report, an_empty_list)
{
	report_list(&w, &source);
	parse();
	expect_json("", "{\"schema\":1,\"latches\":[]}");
}

Test(report, what_the_tables_do_not_know_is_null)
{
	struct latch latch = latch_of(LATCH_STATE_LARVAL, 60000, 0);
	struct latch_flow flow = w_to_c();

	latch.direction = LATCH_DIRECTION_NONE;
	latch.changed = 0;
	latch.spi_out = 0;
	flow.family = 99;
	flow.protocol = 99;
	put_latch(&flow, &latch);
	report_list(&w, &source);
	parse();
	expect_keys("latches.0", LATCH_KEYS);
	expect_json("latches.0.peer", "null");
	expect_json("latches.0.local_id", "null");
	expect_json("latches.0.params", "null");
	expect_json("latches.0.direction", "null");
	expect_json("latches.0.since", "null");
	expect_json("latches.0.local.addr", "null");
	expect_json("latches.0.proto", "\"unknown\"");
	expect_json("latches.0.sa", "{\"out\":null,\"in\":null}");
}

Test(report, list_holds_every_latch)
{
	struct latch latch = latch_of(LATCH_STATE_ESTABLISHED, params_hostile, 0);
	struct latch_flow flow = w_to_c();
	int i;

	for (i = 0; i < FAKE_LATCHES_MAX; i++) {
		flow.local_port = (__u16)i;
		put_latch(&flow, &latch);
	}
	report_list(&w, &source);
	parse();
	cr_expect_eq(json_object_array_length(at(document, "latches")), FAKE_LATCHES_MAX);
	expect_keys("latches.255", LATCH_KEYS);
	expect_hostile("latches.255.peer.id");
}

Test(report, a_table_that_cannot_be_read_is_no_empty_table)
{
	int right = maps.latches;

	maps.latches = -1;
	report_list(&w, &source);
	cr_expect_lt(json_finish(&w), 0);
	json_release(&w);
	report_status(&w, &source);
	cr_expect_lt(json_finish(&w), 0);
	maps.latches = right;
}

/* ---- sa */

#define SA_KEYS                                                                                    \
	"spi src dst proto netns state peer reqid mode " QOP_KEYS " encap contested ambiguous since"

Test(report, sa)
{
	struct latch_sa sa = sa_of(LATCH_SA_BOUND, params_d, LATCH_SA_CONTESTED);
	struct latch_sa_key key = sa_key();

	put_sa(&key, &sa);
	report_sa(&w, &source);
	parse();
	expect_keys("", "schema sas");
	expect_json("schema", "1");
	expect_keys("sas.0", SA_KEYS);
	expect_json("sas.0.spi", "\"0x0000a1b2\"");
	expect_json("sas.0.src", "\"10.9.0.1\"");
	expect_json("sas.0.dst", "\"10.9.0.2\"");
	expect_json("sas.0.proto", "\"esp\"");
	expect_json("sas.0.netns", "4026531840");
	expect_json("sas.0.state", "\"bound\"");
	expect_json("sas.0.peer", "{\"id\":\"d.example\",\"auth\":\"psk\"}");
	expect_json("sas.0.reqid", "4");
	expect_json("sas.0.mode", "\"tunnel\"");
	expect_json("sas.0.encr", "\"cbc(aes)\"");
	expect_json("sas.0.encr_bits", "128");
	expect_json("sas.0.integ", "\"hmac(sha1)\"");
	expect_json("sas.0.integ_bits", "160");
	expect_json("sas.0.esn", "true");
	expect_json("sas.0.replay_protection", "false");
	expect_json("sas.0.encap", "true");
	expect_json("sas.0.contested", "true");
	expect_json("sas.0.ambiguous", "false");
	expect_now("sas.0.since");
}

Test(report, a_pending_ah_sa_over_ipv6)
{
	struct latch_sa sa = sa_of(LATCH_SA_PENDING, 0, LATCH_SA_AMBIGUOUS);
	struct latch_sa_key key = sa_key();

	key.family = AF_INET6;
	key.protocol = IPPROTO_AH;
	cr_assert_eq(inet_pton(AF_INET6, "fd00::2", key.daddr), 1);
	cr_assert_eq(inet_pton(AF_INET6, "fd00::1", sa.saddr), 1);
	sa.installed = 0;
	memset(&sa.qop, 0, sizeof(sa.qop));
	put_sa(&key, &sa);
	report_sa(&w, &source);
	parse();
	expect_keys("sas.0", SA_KEYS);
	expect_json("sas.0.src", "\"fd00::1\"");
	expect_json("sas.0.dst", "\"fd00::2\"");
	expect_json("sas.0.proto", "\"ah\"");
	expect_json("sas.0.state", "\"pending\"");
	expect_json("sas.0.peer", "null");
	expect_json("sas.0.encr", "null");
	expect_json("sas.0.contested", "false");
	expect_json("sas.0.ambiguous", "true");
	expect_json("sas.0.since", "null");
}

/* ---- status */

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

Test(report, status)
{
	struct utsname system;
	char text[128];

	fill_tables();
	source.started_boot_ns = clock_boot_ns() - 90 * SECOND;
	report_status(&w, &source);
	parse();
	expect_keys(
		"",
		"schema daemon enforcement netns feeds rules latches sas drops counters events_lost "
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
	expect_json("enforcement",
		    "{\"on\":false,\"cgroup\":\"/sys/fs/cgroup\",\"programs\":["
		    "{\"name\":\"gate_egress\",\"hook\":\"cgroup/skb egress\",\"attached\":true},"
		    "{\"name\":\"watch_sa_add\",\"hook\":\"fentry xfrm_state_add\","
		    "\"attached\":false},"
		    "{\"name\":\"netfilter gate\",\"hook\":\"netfilter\",\"attached\":false}]}");
	expect_json("netns", "[{\"cookie\":4026531840,\"netfilter_gate\":true},"
			     "{\"cookie\":77,\"netfilter_gate\":false}]");
	expect_json("latches", "{\"used\":6,\"capacity\":256,\"established\":2,\"broken\":1,"
			       "\"listener\":1,\"larval\":1,\"closed\":1}");
	expect_json("sas", "{\"bound\":1,\"pending\":1,\"orphan\":2,\"dying\":1}");
	cr_assert_eq(uname(&system), 0);
	snprintf(text, sizeof(text), "\"%s\"", system.release);
	expect_json("kernel", text);
}

Test(report, status_without_the_netfilter_gate)
{
	netfilter_offered = false;
	report_status(&w, &source);
	parse();
	expect_json(
		"enforcement.programs.2",
		"{\"name\":\"netfilter gate\",\"hook\":\"needs Linux 6.4, as does SCTP\",\"attached\":false}");
	expect_json("netns", "[]");
}

Test(report, status_of_feeds)
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

Test(report, status_of_drops_and_counters)
{
	static const char *const reasons[] = {
		"plaintext",	"sa-pending", "sa-unknown", "identity", "qop",
		"ambiguous",	"nested",     "broken",	    "closed",	"conflict",
		"latches-full", "malformed",  "required",   "merged"};
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
				"sas_over_quota");
	snprintf(text, sizeof(text), "%llu", 7ULL * cpus);
	expect_json("events_lost", text);
	expect_json("counters.events_lost", text);
	expect_json("counters.slow_path", "0");
}

Test(names, numbers_that_the_abi_does_not_know)
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
