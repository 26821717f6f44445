/* SPDX-License-Identifier: BSD-2-Clause */
/* The events: exactly these keys, exactly these values. */
#include "report_fixture.h"

TestSuite(report_events, .init = report_start, .fini = report_finish, .timeout = 60);

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

Test(report_events, ring_events_of_latches)
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
		event.listener = i ? 0 : 42;
		ring(&event);
		expect_keys("", "time event id netns proto local remote direction peer local_id "
				"reasons listener");
		expect_json("event", rows[i].name);
		expect_flow();
		expect_json("direction", "\"in\"");
		expect_json("peer", "{\"id\":\"c.example\",\"auth\":\"pubkey\"}");
		expect_json("local_id", "\"w.example\"");
		expect_json("reasons", "[\"admin\"]");
		expect_json("listener", i ? "null" : "\"2a\"");
	}
}

Test(report_events, ring_events_have_their_own_time)
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

Test(report_events, ring_events_of_sas)
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

Test(report_events, ring_events_of_drops)
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

Test(report_events, ring_events_of_refusals)
{
	static const struct config_rule rules[] = {{.name = "web"}};
	struct latch_event event = event_of(LATCH_EVENT_REFUSED);

	source.rules = rules;
	source.rule_count = 1;
	event.drop = LATCH_DROP_REQUIRED;
	event.packet = LATCH_DIRECTION_OUT;
	event.rule = 0;
	ring(&event);
	expect_keys("", "time event reason packet netns proto local remote direction rule sa");
	expect_json("event", "\"latch-refused\"");
	expect_json("reason", "\"required\"");
	expect_json("packet", "\"egress\"");
	expect_json("rule", "\"web\"");
	expect_json("sa", "null");
	event.rule = LATCH_RULE_NONE;
	event.drop = LATCH_DROP_CONFLICT;
	event.sa = sa_key();
	ring(&event);
	expect_json("reason", "\"conflict\"");
	expect_json("rule", "null");
	expect_json("sa.spi", "\"0x0000a1b2\"");
}

Test(report_events, an_event_that_the_abi_does_not_know)
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

Test(report_events, latch_broken_by_another_peer)
{
	broken(LATCH_REASON_SA_CONFLICT, params_c, params_d);
	expect_json("reason", "\"sa-conflict\"");
	expect_json("reasons", "[\"sa-conflict\"]");
	expect_json("want", "{\"id\":\"c.example\",\"auth\":\"pubkey\"}");
	expect_json("got", "{\"id\":\"d.example\",\"auth\":\"psk\"}");
}

Test(report_events, latch_broken_by_other_protection)
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

Test(report_events, latch_broken_by_another_connection_of_the_same_name)
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

Test(report_events, latch_broken_without_another_sa)
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

Test(report_events, latch_healed_and_reset)
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

Test(report_events, sa_bound)
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

Test(report_events, lost)
{
	report_lost(&w, UINT64_MAX, "ring");
	parse();
	expect_keys("", "time event count where");
	expect_now("time");
	expect_json("event", "\"lost\"");
	expect_json("count", "18446744073709551615");
	expect_json("where", "\"ring\"");
}

/* ---- edits of the SPD */

static struct latch latch_of_c(void)
{
	return (struct latch){
		.id = 0x200,
		.direction = LATCH_DIRECTION_IN,
		.word = {.params = params_c, .state = LATCH_STATE_ESTABLISHED},
	};
}

static struct policy bypass_out(void)
{
	return (struct policy){
		.source = {10, 9, 0, 1},
		.destination = {10, 9, 0, 0},
		.source_bits = 32,
		.destination_bits = 24,
		.family = AF_INET,
		.priority = 7,
	};
}

Test(report_events, R_2_3_13_an_spd_break_names_what_decides_now)
{
	struct latch_flow flow = w_to_c();
	struct latch latch = latch_of_c();
	struct policy policy = bypass_out();
	struct policy_verdict verdict = {.action = POLICY_BYPASS, .policy = &policy};

	report_spd_broken(&w, &source, &flow, &latch, POLICY_OUT, &verdict);
	parse();
	expect_keys("", "time event id netns proto local remote direction reason reasons want got "
			"policy");
	expect_now("time");
	expect_json("event", "\"latch-broken\"");
	expect_flow();
	expect_json("reason", "\"spd-change\"");
	expect_json("reasons", "[\"spd-change\"]");
	expect_json("want", "{\"id\":\"c.example\",\"auth\":\"pubkey\"}");
	expect_json("got", "null");
	expect_json("policy", "{\"direction\":\"out\",\"action\":\"bypass\",\"default\":false,"
			      "\"priority\":7,\"src\":\"10.9.0.1/32\",\"dst\":\"10.9.0.0/24\"}");
}

Test(report_events, an_spd_break_by_the_default_action)
{
	struct latch_flow flow = w_to_c();
	struct latch latch = latch_of_c();
	struct policy_verdict verdict = {.absent = true, .action = POLICY_BLOCK};

	report_spd_broken(&w, &source, &flow, &latch, POLICY_IN, &verdict);
	parse();
	expect_json("policy", "{\"direction\":\"in\",\"action\":\"block\",\"default\":true}");
}

Test(report_events, held_and_released)
{
	struct latch_flow flow = w_to_c();
	struct latch latch = latch_of_c();
	struct policy policy = bypass_out();
	struct policy_verdict verdict = {.action = POLICY_BYPASS, .policy = &policy};

	report_latch_held(&w, &flow, &latch, POLICY_OUT, &verdict);
	parse();
	expect_keys("", "time event id netns proto local remote direction policy");
	expect_json("event", "\"latch-held\"");
	expect_flow();
	report_latch_released(&w, &flow, &latch);
	parse();
	expect_keys("", "time event id netns proto local remote direction");
	expect_json("event", "\"latch-released\"");
	expect_flow();
}

Test(report_events, policy_changed_names_the_namespace)
{
	struct latch_event event = event_of(LATCH_EVENT_POLICY_CHANGED);

	ring(&event);
	expect_keys("", "time event netns");
	expect_json("netns", "4026531840");
}
