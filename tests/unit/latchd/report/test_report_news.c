/* SPDX-License-Identifier: BSD-2-Clause */
/* The events of the monitor: exactly these keys, exactly these values. */
#include "report_fixture.h"

TestSuite(report_news, .init = report_start, .fini = report_finish, .timeout = 60);

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

static void write_news(const struct news *news)
{
	cr_expect(report_news(&w, &source, news));
}

static void ring(const struct latch_event *event)
{
	write_news(&(struct news){.kind = NEWS_KERNEL_EVENT, .event = event});
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

Test(report_news, kernel_events_of_latches_name_flow_peer_and_reasons)
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

Test(report_news, kernel_events_carry_the_time_of_the_event)
{
	struct latch_event event = event_of(LATCH_EVENT_LATCH_CLOSED);
	uint64_t boot = clock_real_ns() - clock_boot_ns();
	char low[CLOCK_TEXT_SIZE], high[CLOCK_TEXT_SIZE];
	const char *time;

	event.time = 5 * SECOND;
	write_news(&(struct news){.kind = NEWS_KERNEL_EVENT, .event = &event});
	parse();
	time = json_object_get_string(at(document, "time"));
	clock_format(low, boot + 4 * SECOND);
	clock_format(high, boot + 6 * SECOND);
	cr_expect_gt(strcmp(time, low), 0, "%s is before %s", time, low);
	cr_expect_lt(strcmp(time, high), 0, "%s is after %s", time, high);
}

Test(report_news, kernel_events_of_sas_name_the_sa_its_state_and_its_peer)
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

Test(report_news, kernel_events_of_drops_name_reason_packet_flow_and_sa)
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

Test(report_news, kernel_events_of_refusals_name_reason_flow_and_rule)
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

Test(report_news, kernel_events_of_refusals_name_the_wish_that_does_not_hold)
{
	struct latch_event event = event_of(LATCH_EVENT_REFUSED);

	event.rule = LATCH_RULE_NONE;
	event.drop = LATCH_DROP_QOP;
	event.wish = LATCH_WHY_QUALITY;
	ring(&event);
	expect_json("reason", "\"qop\"");
	expect_json("wish", "\"quality\"");
}

Test(report_news, a_kernel_event_of_an_unknown_type_has_no_members)
{
	struct latch_event event = event_of((enum latch_event_type)77);

	ring(&event);
	expect_keys("", "time event");
	expect_json("event", "\"unknown\"");
}

static void broken(uint8_t reason, uint16_t want, uint16_t got)
{
	struct latch_flow flow = w_to_c();
	struct latch latch = {
		.id = 0x200, .direction = LATCH_DIRECTION_OUT, .word = {.params = want}};

	write_news(&(struct news){
		.kind = NEWS_LATCH_BROKEN,
		.flow = &flow,
		.latch = &latch,
		.cause = {.reason = reason, .got = got},
	});
	parse();
	expect_now("time");
	expect_keys(
		"",
		"time event id netns proto local remote direction reason reasons expected actual");
	expect_json("event", "\"latch-broken\"");
	expect_flow();
	expect_json("direction", "\"out\"");
}

Test(report_news, a_break_by_another_peer_names_both_identities)
{
	broken(LATCH_REASON_SA_CONFLICT, params_c, params_d);
	expect_json("reason", "\"sa-conflict\"");
	expect_json("reasons", "[\"sa-conflict\"]");
	expect_json("expected", "{\"id\":\"c.example\",\"auth\":\"pubkey\"}");
	expect_json("actual", "{\"id\":\"d.example\",\"auth\":\"psk\"}");
}

Test(report_news, a_break_by_the_same_peer_names_every_parameter_that_differs)
{
	broken(LATCH_REASON_SA_CONFLICT, params_c, params_weak);
	expect_json("expected",
		    "{\"id\":\"c.example\",\"auth\":\"pubkey\",\"local_id\":\"w.example\","
		    "\"mode\":\"transport\",\"encr\":\"rfc4106(gcm(aes))\",\"encr_bits\":288,"
		    "\"integ\":null,\"integ_bits\":0,\"icv_bits\":128,\"esn\":false,"
		    "\"replay_protection\":true}");
	expect_json("actual",
		    "{\"id\":\"c.example\",\"auth\":\"pubkey\",\"local_id\":\"w2.example\","
		    "\"mode\":\"tunnel\",\"encr\":\"cbc(aes)\",\"encr_bits\":128,"
		    "\"integ\":\"hmac(sha1)\",\"integ_bits\":160,\"icv_bits\":96,"
		    "\"esn\":true,\"replay_protection\":false}");
}

Test(report_news, a_break_by_another_connection_names_configuration_and_protocol)
{
	struct latch_params params = *identities_get_params(identities, params_c);
	uint16_t other;

	params.peer_id = intern("c.example", "psk-conn", FEED_AUTH_PUBKEY);
	params.protocol = IPPROTO_AH;
	cr_assert_eq(identities_intern_params(identities, &params, &other), 0);
	broken(LATCH_REASON_SA_CONFLICT, params_c, other);
	expect_json("expected", "{\"id\":\"c.example\",\"auth\":\"pubkey\",\"config\":\"x509\","
				"\"ipsec\":\"esp\"}");
	expect_json("actual", "{\"id\":\"c.example\",\"auth\":\"pubkey\",\"config\":\"psk-conn\","
			      "\"ipsec\":\"ah\"}");
}

Test(report_news, a_break_without_a_conflicting_sa_has_no_actual_peer)
{
	broken(LATCH_REASON_PEER_DEAD, params_c, 0);
	expect_json("reason", "\"peer-dead\"");
	expect_json("reasons", "[\"peer-dead\"]");
	expect_json("expected", "{\"id\":\"c.example\",\"auth\":\"pubkey\"}");
	expect_json("actual", "null");
	broken(LATCH_REASON_SA_CONFLICT, 60000, params_hostile);
	expect_json("expected", "null");
	expect_hostile("actual.id");
	broken(0, params_c, params_c);
	expect_json("reason", "null");
}

static struct latch latch_of_c(void)
{
	return (struct latch){
		.id = 0x200,
		.direction = LATCH_DIRECTION_IN,
		.word = {.params = params_c, .state = LATCH_STATE_ESTABLISHED},
	};
}

/* News of the flow's latch; the rest is the test's. */
static void write_latch_news(struct news news)
{
	struct latch_flow flow = w_to_c();
	struct latch latch = latch_of_c();

	news.flow = &flow;
	news.latch = &latch;
	write_news(&news);
	parse();
	expect_now("time");
	expect_flow();
}

Test(report_news, healed_and_reset_latches_are_events)
{
	write_latch_news(
		(struct news){.kind = NEWS_LATCH_HEALED, .cause.reason = LATCH_REASON_SPD_CHANGE});
	expect_keys("", "time event id netns proto local remote direction reasons");
	expect_json("event", "\"latch-healed\"");
	expect_json("reasons", "[\"spd-change\"]");

	write_latch_news((struct news){.kind = NEWS_LATCH_RESET});
	expect_keys("", "time event id netns proto local remote error");
	expect_json("event", "\"latch-reset\"");
	expect_json("error", "null");
	write_latch_news((struct news){.kind = NEWS_LATCH_RESET, .error = -ENOENT});
	expect_json("error", "\"No such file or directory\"");
}

Test(report_news, a_reset_that_fails_repeatedly_is_one_event)
{
	struct latch_flow flow = w_to_c();
	struct latch latch = latch_of_c();
	struct news news = {.kind = NEWS_LATCH_RESET, .flow = &flow, .latch = &latch};

	news.error = -ENOENT;
	news.again = true;
	cr_expect_not(report_news(&w, &source, &news));
	cr_expect_eq(w.length, 0);
}

Test(report_news, R_6_2_1_requested_steps_name_their_requester)
{
	const struct news_requester requester = {.pid = 42, .login_uid = 1000};
	struct news_requester no_login = {.pid = 42, .login_uid = NEWS_NO_LOGIN};
	const struct news_cause cause = {.reason = LATCH_REASON_ADMIN, .requester = &requester};

	write_latch_news((struct news){.kind = NEWS_LATCH_BROKEN, .cause = cause});
	expect_keys("", "time event id netns proto local remote direction reason reasons by");
	expect_json("event", "\"latch-broken\"");
	expect_json("reason", "\"admin\"");
	expect_json("reasons", "[\"admin\"]");
	expect_json("by", "{\"pid\":42,\"login_uid\":1000}");

	write_latch_news((struct news){.kind = NEWS_LATCH_HEALED, .cause = cause});
	expect_keys("", "time event id netns proto local remote direction reason reasons by");
	expect_json("event", "\"latch-healed\"");

	write_latch_news((struct news){
		.kind = NEWS_LATCH_RESET,
		.cause = {.reason = LATCH_REASON_ADMIN, .requester = &no_login},
		.error = -ENOENT,
	});
	expect_keys("", "time event id netns proto local remote direction reason reasons error by");
	expect_json("event", "\"latch-reset\"");
	expect_json("error", "\"No such file or directory\"");
	expect_json("by", "{\"pid\":42,\"login_uid\":null}");
}

Test(report_news, a_bound_sa_names_peer_feed_and_evidence)
{
	struct latch_sa sa = sa_of(LATCH_SA_PENDING, 0, 0);
	struct latch_sa_key key = sa_key();

	write_news(&(struct news){
		.kind = NEWS_SA_BOUND,
		.sa = {&key, &sa, params_c, "charon", "vici child-updown"},
	});
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

Test(report_news, lost_events_carry_their_number)
{
	write_news(&(struct news){.kind = NEWS_EVENTS_LOST, .count = UINT64_MAX});
	parse();
	expect_keys("", "time event count where");
	expect_now("time");
	expect_json("event", "\"lost\"");
	expect_json("count", "18446744073709551615");
	expect_json("where", "\"kernel events\"");
}

/* A refusal is a kernel event already, and a served namespace concerns the daemon only. */
Test(report_news, news_without_an_event_write_nothing)
{
	struct latch_event event = event_of(LATCH_EVENT_REFUSED);
	struct news refused = {.kind = NEWS_FLOW_REFUSED, .event = &event};
	struct news served = {.kind = NEWS_NETNS_SERVED, .netns = 1};
	struct news away = {.kind = NEWS_FEED_AWAY, .netns = 1};

	cr_expect_not(report_news(&w, &source, &refused));
	cr_expect_not(report_news(&w, &source, &served));
	cr_expect_not(report_news(&w, &source, &away));
	cr_expect_eq(w.length, 0);
}

/* ---- edits of the SPD */

static struct news_policy bypass_out(void)
{
	return (struct news_policy){
		.direction = "out",
		.action = "bypass",
		.source = {10, 9, 0, 1},
		.destination = {10, 9, 0, 0},
		.source_bits = 32,
		.destination_bits = 24,
		.family = AF_INET,
		.priority = 7,
	};
}

Test(report_news, R_2_3_13_a_break_by_the_spd_names_the_deciding_policy)
{
	struct news_policy policy = bypass_out();

	write_latch_news((struct news){
		.kind = NEWS_LATCH_BROKEN,
		.cause = {.reason = LATCH_REASON_SPD_CHANGE, .policy = &policy},
	});
	expect_keys(
		"",
		"time event id netns proto local remote direction reason reasons expected actual "
		"policy");
	expect_json("event", "\"latch-broken\"");
	expect_json("reason", "\"spd-change\"");
	expect_json("reasons", "[\"spd-change\"]");
	expect_json("expected", "{\"id\":\"c.example\",\"auth\":\"pubkey\"}");
	expect_json("actual", "null");
	expect_json("policy", "{\"direction\":\"out\",\"action\":\"bypass\",\"default\":false,"
			      "\"priority\":7,\"src\":\"10.9.0.1/32\",\"dst\":\"10.9.0.0/24\"}");
}

Test(report_news, a_break_by_the_default_action_names_no_policy)
{
	const struct news_policy policy = {
		.direction = "in", .action = "block", .is_default = true};

	write_latch_news((struct news){
		.kind = NEWS_LATCH_BROKEN,
		.cause = {.reason = LATCH_REASON_SPD_CHANGE, .policy = &policy},
	});
	expect_json("policy", "{\"direction\":\"in\",\"action\":\"block\",\"default\":true}");
}

Test(report_news, held_and_released_latches_are_events)
{
	struct news_policy policy = bypass_out();

	write_latch_news((struct news){
		.kind = NEWS_LATCH_HELD,
		.cause = {.reason = LATCH_REASON_SPD_CHANGE, .policy = &policy},
	});
	expect_keys("", "time event id netns proto local remote direction policy");
	expect_json("event", "\"latch-held\"");
	write_latch_news((struct news){.kind = NEWS_LATCH_RELEASED});
	expect_keys("", "time event id netns proto local remote direction");
	expect_json("event", "\"latch-released\"");
}

Test(report_news, sas_elsewhere_names_the_flow)
{
	struct latch_event event = event_of(LATCH_EVENT_SAS_ELSEWHERE);

	ring(&event);
	expect_keys("", "time event netns proto local remote direction");
	expect_json("event", "\"sas-elsewhere\"");
	expect_json("direction", "\"out\"");
}

Test(report_news, policy_changed_names_the_network_namespace)
{
	struct latch_event event = event_of(LATCH_EVENT_POLICY_CHANGED);

	ring(&event);
	expect_keys("", "time event netns");
	expect_json("netns", "4026531840");
}

Test(report_news, events_show_that_audit_mode_lets_packets_pass)
{
	struct latch_event event = {.type = LATCH_EVENT_REFUSED, .flow = w_to_c(), .audited = 1};
	struct latch latch = latch_of(LATCH_STATE_ESTABLISHED, params_c, 0);
	struct latch_flow flow = w_to_c();

	write_news(&(struct news){.kind = NEWS_KERNEL_EVENT, .event = &event});
	parse();
	expect_json("audited", "true");
	write_news(&(struct news){.kind = NEWS_LATCH_BROKEN,
				  .flow = &flow,
				  .latch = &latch,
				  .cause.reason = LATCH_REASON_PEER_DEAD,
				  .audited = true});
	parse();
	expect_json("audited", "true");
}

Test(report_news, a_switch_of_the_mode_is_an_event)
{
	const struct news_requester root = {.pid = 42, .login_uid = NEWS_NO_LOGIN};

	write_news(&(struct news){.kind = NEWS_MODE_CHANGED, .audited = true});
	parse();
	expect_keys("", "time event mode");
	expect_json("event", "\"mode-changed\"");
	expect_json("mode", "\"audit\"");
	write_news(&(struct news){.kind = NEWS_MODE_CHANGED, .cause.requester = &root});
	parse();
	expect_json("mode", "\"enforce\"");
	expect_json("by.pid", "42");
}
