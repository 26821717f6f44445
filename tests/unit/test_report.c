/* SPDX-License-Identifier: BSD-2-Clause */
/* What latchd says, read back with json-c: exactly these keys, exactly these values. */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <linux/xfrm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

/* json-c has a type of the name of one of our functions. */
#define json_bool json_c_bool
#include <json-c/json.h>
#undef json_bool

#include "common/clock.h"
#include "fake/kernel_maps.h"
#include "latchd/names.h"
#include "latchd/report.h"

#define SECOND	1000000000ULL
#define HOSTILE "\x1b[2J\"},{\"id\":\"c.example\n\xff\xe2\x80\xae"

static struct kernel_maps maps;
static struct identities *identities;
static struct json_writer w;
static struct json_object *document;
static uint16_t params_c, params_d, params_weak, params_hostile;

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

static struct report_source source = {
	.maps = &maps,
	.cgroup = "/sys/fs/cgroup",
	.config_path = "/etc/latchd/latchd.conf",
	.feeds = feeds,
	.feed_count = 3,
};

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

/* ---- the tables */

static uint32_t intern(const char *id, const char *config, enum feed_auth auth)
{
	struct latch_identity identity = {.auth = auth};
	uint32_t index = 0;

	strcpy(identity.authority, "charon");
	strcpy(identity.config, config);
	strcpy(identity.id, id);
	cr_assert_eq(identities_intern(identities, &identity, &index), 0);
	return index;
}

static struct latch_qop gcm(void)
{
	struct latch_qop qop = {.encryption_bits = 288, .icv_bits = 128, .replay_protection = 1};

	strcpy(qop.encryption, "rfc4106(gcm(aes))");
	return qop;
}

static struct latch_qop cbc(void)
{
	struct latch_qop qop = {
		.encryption_bits = 128, .integrity_bits = 160, .icv_bits = 96, .esn = 1};

	strcpy(qop.encryption, "cbc(aes)");
	strcpy(qop.integrity, "hmac(sha1)");
	return qop;
}

static uint16_t intern_params(const char *local, const char *peer, enum feed_auth auth,
			      struct latch_qop qop, __u8 mode)
{
	struct latch_params params = {
		.local_id = intern(local, "x509", FEED_AUTH_PUBKEY),
		.peer_id = intern(peer, "x509", auth),
		.qop = qop,
		.mode = mode,
		.protocol = IPPROTO_ESP,
	};
	uint16_t index = 0;

	cr_assert_eq(identities_intern_params(identities, &params, &index), 0);
	return index;
}

static void start(void)
{
	int err = fake_kernel_maps_make(&maps);

	if (err == -EPERM)
		cr_skip_test("no privilege to make BPF maps");
	cr_assert_eq(err, 0);
	cr_assert_eq(identities_load(&maps, &identities), 0);
	source.identities = identities;
	source.started_boot_ns = clock_boot_ns();
	params_c = intern_params("w.example", "c.example", FEED_AUTH_PUBKEY, gcm(),
				 XFRM_MODE_TRANSPORT);
	params_d =
		intern_params("w.example", "d.example", FEED_AUTH_PSK, gcm(), XFRM_MODE_TRANSPORT);
	params_weak =
		intern_params("w2.example", "c.example", FEED_AUTH_PUBKEY, cbc(), XFRM_MODE_TUNNEL);
	params_hostile =
		intern_params("w.example", HOSTILE, FEED_AUTH_EAP, gcm(), XFRM_MODE_TRANSPORT);
	json_init(&w);
}

static void finish(void)
{
	json_object_put(document);
	json_release(&w);
	identities_free(identities);
	fake_kernel_maps_close(&maps);
}

TestSuite(report, .init = start, .fini = finish, .timeout = 60);

static struct latch_flow flow_of(int family, const char *local, const char *remote)
{
	struct latch_flow flow = {
		.netns = 4026531840,
		.local_port = 7000,
		.remote_port = 51514,
		.family = (__u8)family,
		.protocol = IPPROTO_TCP,
	};

	cr_assert_eq(inet_pton(family, local, flow.local_addr), 1);
	cr_assert_eq(inet_pton(family, remote, flow.remote_addr), 1);
	return flow;
}

static struct latch_flow w_to_c(void)
{
	return flow_of(AF_INET, "10.9.0.1", "10.9.0.2");
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

static struct latch_sa_key sa_key(void)
{
	struct latch_sa_key key = {
		.netns = 4026531840, .spi = 0xa1b2, .protocol = IPPROTO_ESP, .family = AF_INET};

	cr_assert_eq(inet_pton(AF_INET, "10.9.0.2", key.daddr), 1);
	return key;
}

static struct latch_sa sa_of(enum latch_sa_state state, uint16_t params, uint8_t flags)
{
	struct latch_sa sa = {
		.installed = clock_boot_ns(),
		.reqid = 4,
		.qop = cbc(),
		.mode = XFRM_MODE_TUNNEL,
		.encap = 1,
	};

	sa.word.state = state;
	sa.word.params = params;
	sa.word.flags = flags;
	cr_assert_eq(inet_pton(AF_INET, "10.9.0.1", sa.saddr), 1);
	return sa;
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

/* ---- reading what was written */

static void parse(void)
{
	cr_assert_eq(json_finish(&w), 0);
	cr_assert_eq(strchr(w.text, '\n'), w.text + w.length - 1, "one line: %s", w.text);
	json_object_put(document);
	document = json_tokener_parse(w.text);
	cr_assert_not_null(document, "%s", w.text);
	json_release(&w);
}

static struct json_object *at(struct json_object *object, const char *path)
{
	char key[32];
	size_t length;

	for (; *path; path += length + (path[length] == '.')) {
		length = strcspn(path, ".");
		snprintf(key, sizeof(key), "%.*s", (int)length, path);
		if (json_object_is_type(object, json_type_array))
			object = json_object_array_get_idx(object, strtoul(key, NULL, 10));
		else
			cr_assert(json_object_object_get_ex(object, key, &object), "no %s in %s",
				  path, json_object_to_json_string(object));
	}
	return object;
}

/* The value at path as JSON text. */
static void expect_json(const char *path, const char *json)
{
	const char *is = json_object_to_json_string_ext(
		at(document, path), JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);

	cr_expect_str_eq(is, json, "%s is %s, not %s", path, is, json);
}

/* The names of an object's members, in their order. */
static void expect_keys(const char *path, const char *keys)
{
	char is[512] = "";

	json_object_object_foreach(at(document, path), key, value)
	{
		(void)value;
		snprintf(is + strlen(is), sizeof(is) - strlen(is), "%s%s", is[0] ? " " : "", key);
	}
	cr_expect_str_eq(is, keys);
}

static void expect_now(const char *path)
{
	const char *time = json_object_get_string(at(document, path));
	char low[CLOCK_TEXT_SIZE], high[CLOCK_TEXT_SIZE];

	clock_format(low, clock_real_ns() - 60 * SECOND);
	clock_format(high, clock_real_ns() + SECOND);
	cr_assert_not_null(time);
	cr_expect_eq(strlen(time), CLOCK_TEXT_SIZE - 1);
	cr_expect_gt(strcmp(time, low), 0, "%s is before %s", time, low);
	cr_expect_leq(strcmp(time, high), 0, "%s is after %s", time, high);
}

static void expect_hostile(const char *path)
{
	/* The invalid byte comes back as the character of its number. */
	cr_expect_str_eq(json_object_get_string(at(document, path)),
			 "\x1b[2J\"},{\"id\":\"c.example\n\xc3\xbf\xe2\x80\xae");
}

/* ---- list */

#define LATCH_KEYS                                                                                 \
	"id state direction netns proto local remote peer local_id params sa reasons since drops"
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
	expect_now("latches.0.since");
	expect_json("latches.0.drops", "17");
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
	expect_keys("", "schema daemon enforcement feeds latches sas drops counters events_lost "
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
		    "\"attached\":false}]}");
	expect_json("latches", "{\"used\":6,\"capacity\":256,\"established\":2,\"broken\":1,"
			       "\"listener\":1,\"larval\":1,\"closed\":1}");
	expect_json("sas", "{\"bound\":1,\"pending\":1,\"orphan\":2,\"dying\":1}");
	cr_assert_eq(uname(&system), 0);
	snprintf(text, sizeof(text), "\"%s\"", system.release);
	expect_json("kernel", text);
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
		"plaintext", "sa-pending", "sa-unknown", "identity", "qop",	     "ambiguous",
		"nested",    "broken",	   "closed",	 "conflict", "latches-full", "malformed"};
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
				"unlatched_other latches_born slow_path xfrm_hooks");
	snprintf(text, sizeof(text), "%llu", 7ULL * cpus);
	expect_json("events_lost", text);
	expect_json("counters.events_lost", text);
	expect_json("counters.slow_path", "0");
}

/* ---- events */

static struct latch_event event_of(enum latch_event_type type)
{
	struct latch_event event = {
		.time = clock_boot_ns(),
		.type = type,
		.flow = w_to_c(),
		.latch_id = 0x200,
		.direction = LATCH_DIRECTION_IN,
	};

	event.word.params = params_c;
	return event;
}

static void ring(const struct latch_event *event)
{
	report_ring_event(&w, &source, event);
	parse();
	expect_now("time");
}

static void expect_flow(void)
{
	expect_json("id", "\"200\"");
	expect_json("netns", "4026531840");
	expect_json("proto", "\"tcp\"");
	expect_json("local", "{\"addr\":\"10.9.0.1\",\"port\":7000}");
	expect_json("remote", "{\"addr\":\"10.9.0.2\",\"port\":51514}");
}

Test(report, ring_events_of_latches)
{
	static const struct {
		enum latch_event_type type;
		const char *name;
	} rows[] = {
		{LATCH_EVENT_LATCH_ESTABLISHED, "\"latch-established\""},
		{LATCH_EVENT_LATCH_BROKEN, "\"latch-broken\""},
		{LATCH_EVENT_LATCH_HEALED, "\"latch-healed\""},
		{LATCH_EVENT_LATCH_CLOSED, "\"latch-closed\""},
	};
	struct latch_event event;
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		event = event_of(rows[i].type);
		event.word.reasons = LATCH_REASON_ADMIN;
		ring(&event);
		expect_keys("", "time event id netns proto local remote direction peer local_id "
				"reasons");
		expect_json("event", rows[i].name);
		expect_flow();
		expect_json("direction", "\"in\"");
		expect_json("peer", "{\"id\":\"c.example\",\"auth\":\"pubkey\"}");
		expect_json("local_id", "\"w.example\"");
		expect_json("reasons", "[\"admin\"]");
	}
}

Test(report, ring_events_have_their_own_time)
{
	struct latch_event event = event_of(LATCH_EVENT_LATCH_CLOSED);
	uint64_t boot = clock_real_ns() - clock_boot_ns();
	char low[CLOCK_TEXT_SIZE], high[CLOCK_TEXT_SIZE];
	const char *time;

	event.time = 5 * SECOND;
	report_ring_event(&w, &source, &event);
	parse();
	time = json_object_get_string(at(document, "time"));
	clock_format(low, boot + 4 * SECOND);
	clock_format(high, boot + 6 * SECOND);
	cr_expect_gt(strcmp(time, low), 0, "%s is before %s", time, low);
	cr_expect_lt(strcmp(time, high), 0, "%s is after %s", time, high);
}

Test(report, ring_events_of_sas)
{
	struct latch_event event = event_of(LATCH_EVENT_SA_PENDING);

	event.sa = sa_key();
	event.sa_word.state = LATCH_SA_PENDING;
	ring(&event);
	expect_keys("", "time event spi dst proto netns state peer");
	expect_json("event", "\"sa-pending\"");
	expect_json("spi", "\"0x0000a1b2\"");
	expect_json("dst", "\"10.9.0.2\"");
	expect_json("proto", "\"esp\"");
	expect_json("netns", "4026531840");
	expect_json("state", "\"pending\"");
	expect_json("peer", "null");

	event.type = LATCH_EVENT_SA_GONE;
	event.sa_word.state = LATCH_SA_DYING;
	event.sa_word.params = params_hostile;
	ring(&event);
	expect_json("event", "\"sa-gone\"");
	expect_json("state", "\"dying\"");
	expect_json("peer.auth", "\"eap\"");
	expect_hostile("peer.id");
}

Test(report, ring_events_of_drops)
{
	struct latch_event event = event_of(LATCH_EVENT_DROP);

	event.drop = LATCH_DROP_IDENTITY;
	event.packet = LATCH_DIRECTION_OUT;
	event.drops = 17;
	event.sa = sa_key();
	ring(&event);
	expect_keys("", "time event reason packet id netns proto local remote direction peer drops "
			"sa");
	expect_json("event", "\"drop\"");
	expect_json("reason", "\"identity\"");
	expect_json("packet", "\"egress\"");
	expect_flow();
	expect_json("drops", "17");
	expect_json("sa", "{\"spi\":\"0x0000a1b2\",\"dst\":\"10.9.0.2\",\"proto\":\"esp\","
			  "\"netns\":4026531840}");

	event.drop = LATCH_DROP_PLAINTEXT;
	event.packet = LATCH_DIRECTION_IN;
	memset(&event.sa, 0, sizeof(event.sa));
	ring(&event);
	expect_json("reason", "\"plaintext\"");
	expect_json("packet", "\"ingress\"");
	expect_json("sa", "null");
}

Test(report, an_event_that_the_abi_does_not_know)
{
	struct latch_event event = event_of((enum latch_event_type)77);

	ring(&event);
	expect_keys("", "time event");
	expect_json("event", "\"unknown\"");
}

static void broken(uint8_t reasons, uint16_t want, uint16_t got)
{
	struct latch_flow flow = w_to_c();

	report_latch_broken(&w, &source, &flow, 0x200, LATCH_DIRECTION_OUT, reasons, want, got);
	parse();
	expect_now("time");
	expect_keys("", "time event id netns proto local remote direction reason reasons want got");
	expect_json("event", "\"latch-broken\"");
	expect_flow();
	expect_json("direction", "\"out\"");
}

Test(report, latch_broken_by_another_peer)
{
	broken(LATCH_REASON_SA_CONFLICT, params_c, params_d);
	expect_json("reason", "\"sa-conflict\"");
	expect_json("reasons", "[\"sa-conflict\"]");
	expect_json("want", "{\"id\":\"c.example\",\"auth\":\"pubkey\"}");
	expect_json("got", "{\"id\":\"d.example\",\"auth\":\"psk\"}");
}

Test(report, latch_broken_by_other_protection)
{
	broken(LATCH_REASON_SA_CONFLICT, params_c, params_weak);
	expect_json("want",
		    "{\"id\":\"c.example\",\"auth\":\"pubkey\",\"local_id\":\"w.example\","
		    "\"mode\":\"transport\",\"encr\":\"rfc4106(gcm(aes))\",\"encr_bits\":288,"
		    "\"integ\":null,\"integ_bits\":0,\"icv_bits\":128,\"esn\":false,"
		    "\"replay_protection\":true}");
	expect_json("got", "{\"id\":\"c.example\",\"auth\":\"pubkey\",\"local_id\":\"w2.example\","
			   "\"mode\":\"tunnel\",\"encr\":\"cbc(aes)\",\"encr_bits\":128,"
			   "\"integ\":\"hmac(sha1)\",\"integ_bits\":160,\"icv_bits\":96,"
			   "\"esn\":true,\"replay_protection\":false}");
}

Test(report, latch_broken_by_another_connection_of_the_same_name)
{
	struct latch_params params = *identities_get_params(identities, params_c);
	uint16_t other;

	params.peer_id = intern("c.example", "psk-conn", FEED_AUTH_PUBKEY);
	params.protocol = IPPROTO_AH;
	cr_assert_eq(identities_intern_params(identities, &params, &other), 0);
	broken(LATCH_REASON_SA_CONFLICT, params_c, other);
	expect_json("want", "{\"id\":\"c.example\",\"auth\":\"pubkey\",\"config\":\"x509\","
			    "\"ipsec\":\"esp\"}");
	expect_json("got", "{\"id\":\"c.example\",\"auth\":\"pubkey\",\"config\":\"psk-conn\","
			   "\"ipsec\":\"ah\"}");
}

Test(report, latch_broken_without_another_sa)
{
	broken(LATCH_REASON_PEER_DEAD | LATCH_REASON_ADMIN, params_c, 0);
	expect_json("reason", "\"peer-dead\"");
	expect_json("reasons", "[\"peer-dead\",\"admin\"]");
	expect_json("want", "{\"id\":\"c.example\",\"auth\":\"pubkey\"}");
	expect_json("got", "null");
	broken(LATCH_REASON_SA_CONFLICT, 60000, params_hostile);
	expect_json("want", "null");
	expect_hostile("got.id");
	broken(0, params_c, params_c);
	expect_json("reason", "null");
}

Test(report, latch_healed_and_reset)
{
	struct latch_flow flow = w_to_c();

	report_latch_healed(&w, &source, &flow, 0x200, LATCH_DIRECTION_IN, LATCH_REASON_SPD_CHANGE);
	parse();
	expect_keys("", "time event id netns proto local remote direction reasons");
	expect_now("time");
	expect_json("event", "\"latch-healed\"");
	expect_flow();
	expect_json("reasons", "[\"spd-change\"]");

	report_latch_reset(&w, &source, &flow, 0x200, 0);
	parse();
	expect_keys("", "time event id netns proto local remote error");
	expect_now("time");
	expect_json("event", "\"latch-reset\"");
	expect_flow();
	expect_json("error", "null");
	report_latch_reset(&w, &source, &flow, 0x200, -ENOENT);
	parse();
	expect_json("error", "\"No such file or directory\"");
}

Test(report, sa_bound)
{
	struct latch_sa sa = sa_of(LATCH_SA_PENDING, 0, 0);
	struct latch_sa_key key = sa_key();

	report_sa_bound(&w, &source, &key, &sa, params_c, "charon", "vici child-updown");
	parse();
	expect_keys("", "time event spi dst proto netns src reqid mode peer local_id feed "
			"evidence");
	expect_now("time");
	expect_json("event", "\"sa-bound\"");
	expect_json("spi", "\"0x0000a1b2\"");
	expect_json("src", "\"10.9.0.1\"");
	expect_json("reqid", "4");
	expect_json("mode", "\"tunnel\"");
	expect_json("peer", "{\"id\":\"c.example\",\"auth\":\"pubkey\"}");
	expect_json("local_id", "\"w.example\"");
	expect_json("feed", "\"charon\"");
	expect_json("evidence", "\"vici child-updown\"");
}

Test(report, lost)
{
	report_lost(&w, UINT64_MAX, "ring");
	parse();
	expect_keys("", "time event count where");
	expect_now("time");
	expect_json("event", "\"lost\"");
	expect_json("count", "18446744073709551615");
	expect_json("where", "\"ring\"");
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
