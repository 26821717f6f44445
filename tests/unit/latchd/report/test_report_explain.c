/* SPDX-License-Identifier: BSD-2-Clause */
/* The document of "latchctl explain": its keys, and for each case its cause and next step. */
#include "report_fixture.h"

#include "latchd/report/report_explain.h"
#include "latchd/report/rule_text.h"

static const struct config_rule rules[] = {
	{.name = "db",
	 .rule = {.action = LATCH_ACTION_REQUIRE,
		  .protocol = IPPROTO_TCP,
		  .family = AF_INET,
		  .remote_addr = {10},
		  .remote_bits = 8,
		  .local_port_last = 65535,
		  .remote_port_first = 5432,
		  .remote_port_last = 5433,
		  .direction = LATCH_DIRECTION_OUT,
		  .disposition = LATCH_DISPOSITION_WAIT,
		  .flags = LATCH_RULE_REQUIRE | LATCH_RULE_TIMEOUT | LATCH_RULE_PROTECT}},
};

static struct netns_name netns_name = {.cookie = 4026531840, .name = "blue"};
static struct netns_names netns_names = {.names = &netns_name, .count = 1};
static struct explanation e;

static void set_up(void)
{
	report_start();
	source.rules = rules;
	source.rule_count = 1;
	source.rule_set = 4;
	source.netns_names = &netns_names;
	e = (struct explanation){
		.found = EXPLAIN_NONE,
		.socket = EXPLAIN_SOCKET_NONE,
		.flow = w_to_c(),
		.direction = LATCH_DIRECTION_OUT,
		.rule = LATCH_RULE_NONE,
		.policy[POLICY_OUT] = {.absent = true},
		.policy[POLICY_IN] = {.absent = true},
		.now = EXPLAIN_NOW_CLEAR,
		.gaps = {.since_ns = clock_boot_ns()},
	};
}

TestSuite(report_explain, .init = set_up, .fini = report_finish, .timeout = 60);

static void write_document(void)
{
	report_explain(&w, &source, &e);
	parse();
}

static const char *text_at(const char *path)
{
	return json_object_get_string(at(document, path));
}

static void expect_cause(const char *code, const char *cause, const char *next)
{
	const char *is_next;

	write_document();
	is_next = text_at("next");
	cr_expect_str_eq(text_at("cause.code"), code);
	cr_expect(strstr(text_at("cause.text"), cause), "%s", text_at("cause.text"));
	if (next)
		cr_expect(is_next && strstr(is_next, next), "%s", is_next);
	else
		cr_expect_null(is_next);
}

static void has_latch(enum latch_state state, uint16_t params, uint8_t reasons)
{
	e.found = EXPLAIN_LATCH;
	e.latch = latch_of(state, params, reasons);
	e.latch.rule = 0;
	e.latch.rule_set = 4;
	e.latch.created = e.latch.changed;
}

static void has_record(enum history_kind kind, uint16_t want, uint16_t got)
{
	e.has_record = true;
	e.record.kind = kind;
	e.record.latch_id = 0x1f3;
	history_side_of(identities, want, &e.record.want);
	history_side_of(identities, got, &e.record.got);
}

static void has_packet(enum latch_drop drop, enum latch_sa_state state, uint16_t owner)
{
	e.record.packet = (struct history_packet){
		.time_ns = clock_boot_ns(),
		.drop = drop,
		.direction = LATCH_DIRECTION_IN,
		.sa = sa_key(),
		.sa_known = true,
		.sa_state = state,
	};
	history_side_of(identities, owner, &e.record.packet.owner);
}

#define KEYS "schema found flow rule latch packet mismatch cause next now history"

Test(report_explain, a_live_latch_has_every_part)
{
	has_latch(LATCH_STATE_ESTABLISHED, params_c, 0);
	write_document();
	expect_keys("", KEYS);
	expect_json("found", "\"latch\"");
	expect_keys("flow", "netns proto local remote netns_name direction any_local_port latches");
	expect_json("flow.netns_name", "\"blue\"");
	expect_json("rule", "{\"name\":null,\"text\":\"action auto (no rule matches)\","
			    "\"at_start\":\"db\"}");
	expect_keys("latch", "id state reasons created since broken ended peer local_id "
			     "disposition audited drops healed");
	expect_json("latch.audited", "false");
	expect_json("latch.peer", "{\"id\":\"c.example\",\"auth\":\"pubkey\"}");
	expect_json("packet",
		    "{\"verdict\":\"passed\",\"sa\":{\"out\":\"0xc1a2f09e\",\"in\":null}}");
	expect_json("mismatch", "[]");
	expect_json("cause.code", "\"established\"");
	expect_keys("history", "since events_lost lost replaced");
	expect_now("history.since");
}

Test(report_explain, a_latch_broken_by_another_peer_names_both_and_what_differs)
{
	has_latch(LATCH_STATE_BROKEN, params_c, LATCH_REASON_SA_CONFLICT);
	has_record(HISTORY_LIVE, params_c, params_d);
	e.record.reason = LATCH_REASON_SA_CONFLICT;
	expect_cause("sa-conflict",
		     "it is latched to \"c.example\", and an SA of \"d.example\" could carry it",
		     "take the other one's address range or credentials away");
	expect_json("mismatch",
		    "[{\"field\":\"peer\",\"expected\":\"c.example\",\"actual\":\"d.example\"},"
		    "{\"field\":\"authentication\",\"expected\":\"pubkey\",\"actual\":\"psk\"}]");
}

Test(report_explain, other_parameters_of_the_same_peer_are_another_cause)
{
	has_latch(LATCH_STATE_BROKEN, params_c, LATCH_REASON_SA_CONFLICT);
	has_record(HISTORY_LIVE, params_c, params_weak);
	e.record.reason = LATCH_REASON_SA_CONFLICT;
	expect_cause("sa-conflict", "another SA of its own peer \"c.example\"", "use one proposal");
	expect_json(
		"mismatch.0",
		"{\"field\":\"local_id\",\"expected\":\"w.example\",\"actual\":\"w2.example\"}");
	expect_json("mismatch.1",
		    "{\"field\":\"mode\",\"expected\":\"transport\",\"actual\":\"tunnel\"}");
	expect_json("mismatch.8", "{\"field\":\"replay_protection\",\"expected\":\"yes\","
				  "\"actual\":\"no\"}");
}

Test(report_explain, each_reason_of_a_broken_latch_has_its_cause)
{
	static const struct news_policy policy = {.direction = "out", .action = "bypass"};

	has_latch(LATCH_STATE_BROKEN, params_c, LATCH_REASON_SPD_CHANGE);
	has_record(HISTORY_LIVE, params_c, 0);
	e.record.reason = LATCH_REASON_SPD_CHANGE;
	e.record.has_policy = true;
	e.record.policy = policy;
	e.record.policy.priority = 7;
	expect_cause("spd-change",
		     "the policy that decides over packets out is bypass (priority 7)",
		     "on-policy-change = protect");
	e.latch.word.reasons = e.record.reason = LATCH_REASON_PEER_DEAD;
	expect_cause("peer-dead", "answers no IKE request", "on-dpd = keep");
	e.latch.word.reasons = e.record.reason = LATCH_REASON_PEER_REBOOTED;
	expect_cause("peer-rebooted", "INITIAL_CONTACT", "on-reboot = keep");
	e.latch.word.reasons = e.record.reason = LATCH_REASON_ADMIN;
	e.record.has_requester = true;
	e.record.requester = (struct news_requester){.pid = 12, .login_uid = 1000};
	expect_cause("admin", "an administrator has broken it (pid 12, login uid 1000)",
		     "latchctl heal 1f3");
}

Test(report_explain, in_audit_mode_a_broken_latch_is_one_that_enforcement_would_have_broken)
{
	has_latch(LATCH_STATE_BROKEN, params_c, LATCH_REASON_SA_CONFLICT);
	has_record(HISTORY_LIVE, params_c, params_d);
	e.record.reason = LATCH_REASON_SA_CONFLICT;
	has_packet(LATCH_DROP_BROKEN, LATCH_SA_BOUND, params_d);
	e.audited = e.record.packet.audited = true;
	expect_cause("sa-conflict", "enforcement would have broken it", "find out which peer");
	expect_json("latch.audited", "true");
	expect_json("packet.verdict", "\"audited\"");
}

Test(report_explain, a_packet_that_passed_in_audit_mode_is_not_called_dropped)
{
	has_latch(LATCH_STATE_ESTABLISHED, params_c, 0);
	has_record(HISTORY_LIVE, params_c, params_d);
	has_packet(LATCH_DROP_IDENTITY, LATCH_SA_BOUND, params_d);
	e.record.packet.audited = true;
	expect_cause("established",
		     "enforcement would have dropped packets, the last reported one as identity",
		     NULL);
}

Test(report_explain, the_mark_of_a_flow_names_what_enforcement_would_have_refused_it_for)
{
	has_latch(LATCH_STATE_BROKEN, 0, LATCH_REASON_REFUSED);
	e.latch.refusal = LATCH_DROP_REQUIRED;
	expect_cause("refused",
		     "it began in audit mode, where enforcement would have refused it (required)",
		     "latchctl audit");
}

Test(report_explain, of_several_reasons_the_first_one_is_the_cause)
{
	has_latch(LATCH_STATE_BROKEN, params_c, LATCH_REASON_SA_CONFLICT | LATCH_REASON_PEER_DEAD);
	has_record(HISTORY_LIVE, params_c, 0);
	e.record.reason = LATCH_REASON_PEER_DEAD;
	expect_cause("peer-dead", "answers no IKE request", "on-dpd = keep");
}

Test(report_explain, without_a_record_the_reason_of_the_latch_is_the_cause)
{
	has_latch(LATCH_STATE_BROKEN, params_c, LATCH_REASON_PEER_DEAD);
	expect_cause("peer-dead", "answers no IKE request", "connect again");
	e.latch.word.reasons = LATCH_REASON_SA_CONFLICT;
	expect_cause("sa-conflict", "its owner is not recorded", "latchctl sa");
}

Test(report_explain, a_latch_that_has_ended_has_the_cause_of_its_end)
{
	e.found = EXPLAIN_ENDED;
	has_record(HISTORY_ENDED, params_c, params_d);
	e.record.reason = e.record.reasons = LATCH_REASON_SA_CONFLICT;
	e.record.ended_ns = clock_boot_ns();
	e.record.reset = true;
	expect_cause("sa-conflict", "its socket was ended", "latchctl sa");
	expect_json("latch.state", "\"closed\"");
	expect_json("latch.peer", "{\"id\":\"c.example\",\"auth\":\"pubkey\"}");
	expect_now("latch.ended");
}

Test(report_explain, a_latch_that_was_healed_before_its_end_was_not_broken_then)
{
	e.found = EXPLAIN_ENDED;
	has_record(HISTORY_ENDED, params_c, params_d);
	e.record.reason = LATCH_REASON_SA_CONFLICT;
	e.record.healed_ns = e.record.ended_ns = clock_boot_ns();
	expect_cause("ended", "its connection ended; the latch was not broken then", NULL);
	expect_json("latch.reasons", "[]");
}

Test(report_explain, a_healed_break_is_named_as_a_former_one)
{
	has_latch(LATCH_STATE_ESTABLISHED, params_c, 0);
	has_record(HISTORY_LIVE, params_c, 0);
	has_packet(LATCH_DROP_IDENTITY, LATCH_SA_BOUND, params_d);
	e.record.healed_ns = e.record.packet.time_ns + 1;
	e.record.former.reason = LATCH_REASON_SA_CONFLICT;
	e.record.former.broken_ns = e.record.packet.time_ns;
	history_side_of(identities, params_d, &e.record.former.got);
	expect_cause("established",
		     "it was broken before (sa-conflict, an SA of \"d.example\"), and has healed",
		     NULL);
	expect_json("mismatch", "[]");
	expect_json("latch.broken", "null");
	expect_json("latch.healed.reason", "\"sa-conflict\"");
	expect_json("latch.healed.peer", "{\"id\":\"d.example\",\"auth\":\"psk\"}");
	expect_now("latch.healed.healed");
	e.record.healed_ns = 0;
	write_document();
	expect_json("mismatch.0.actual", "\"d.example\"");
}

Test(report_explain, a_request_that_closed_a_latch_is_its_cause)
{
	e.found = EXPLAIN_ENDED;
	has_record(HISTORY_ENDED, params_c, 0);
	e.record.reason = LATCH_REASON_ADMIN;
	e.record.reset = true;
	e.record.ended_ns = clock_boot_ns();
	expect_cause("admin", "an administrator has closed it", NULL);
	expect_json("latch.reasons", "[\"admin\"]");
}

Test(report_explain, drops_without_a_reported_cause_are_named)
{
	has_latch(LATCH_STATE_ESTABLISHED, params_c, 0);
	e.latch.drops = 3;
	expect_cause("established", "3 packets were dropped: they waited for the owner of their SA",
		     NULL);
}

Test(report_explain, an_end_that_was_not_seen_is_a_cause_of_its_own)
{
	e.found = EXPLAIN_ENDED;
	has_record(HISTORY_LIVE, params_c, 0);
	has_packet(LATCH_DROP_IDENTITY, LATCH_SA_BOUND, params_d);
	expect_cause("end-unseen", "its end is not yet reported", NULL);
	e.gaps.lost = 1;
	expect_cause("end-unseen", "its end was not seen: kernel events were lost", NULL);
	cr_expect(strstr(text_at("cause.text"), "as identity (its SA is of \"d.example\")"), "%s",
		  text_at("cause.text"));
}

Test(report_explain, a_refused_connect_has_the_rule_and_the_missing_protection)
{
	e.found = EXPLAIN_REFUSED;
	has_record(HISTORY_REFUSED, 0, 0);
	strcpy(e.record.rule, "db");
	e.record.count = 1;
	e.record.reset = true;
	e.record.packet.time_ns = clock_boot_ns();
	e.record.packet.drop = LATCH_DROP_REQUIRED;
	expect_cause("required",
		     "rule \"db\" requires a latch, and its packet had no IPsec; "
		     "connect() ended with ECONNABORTED",
		     "start_action = trap");
	expect_json("latch", "null");
	expect_json("rule.at_start", "\"db\"");
	expect_json("packet.sa", "null");
	has_packet(LATCH_DROP_REQUIRED, LATCH_SA_ORPHAN, params_d);
	e.record.reset = false;
	expect_cause("required", "(0x0000a1b2, orphan, of \"d.example\") may start none",
		     "latchctl sa");
	e.record.packet.audited = true;
	expect_cause("required", "it passed in audit mode: enforcement would have refused it",
		     "latchctl sa");
}

/* No rule requires the latch, and none would help. */
static void expect_no_rule(void)
{
	cr_expect_null(strstr(text_at("cause.text"), "rule"), "%s", text_at("cause.text"));
	cr_expect_null(strstr(text_at("next"), "rule"), "%s", text_at("next"));
}

Test(report_explain, what_an_application_requires_is_not_the_requirement_of_a_rule)
{
	e.found = EXPLAIN_REFUSED;
	has_record(HISTORY_REFUSED, 0, 0);
	e.record.packet.drop = LATCH_DROP_REQUIRED;
	e.record.packet.wish = LATCH_WHY_REQUIRED;
	expect_cause(
		"required",
		"its application requires a latch by setsockopt(), and its packet had no IPsec",
		"protect this traffic");
	expect_no_rule();
	has_packet(LATCH_DROP_IDENTITY, LATCH_SA_BOUND, params_d);
	e.record.packet.wish = LATCH_WHY_PEER;
	expect_cause("identity", "(0x0000a1b2, of \"d.example\") does not fulfil that: peer",
		     "latch(7)");
	expect_no_rule();
	e.record.packet.drop = LATCH_DROP_LATCHES_FULL;
	expect_cause("latches-full", "the table of latches is full", "latches =");
}

static void expect_forecast(enum explain_now now, const char *code, const char *text)
{
	e.now = now;
	write_document();
	cr_expect_str_eq(text_at("now.code"), code);
	cr_expect_str_eq(text_at("now.text"), text, "%s", text_at("now.text"));
}

/* A rule requires it, too: its change alone would not help. */
Test(report_explain, the_forecast_names_the_wish_that_would_refuse_it)
{
	e.found = EXPLAIN_REFUSED;
	has_record(HISTORY_REFUSED, 0, 0);
	has_packet(LATCH_DROP_IDENTITY, LATCH_SA_BOUND, params_d);
	e.rule = 0;
	e.wish = LATCH_WHY_PEER;
	expect_forecast(
		EXPLAIN_NOW_REQUIRED, "required",
		"refused (required): its application requires a latch by setsockopt(), and no "
		"IPsec policy protects it");
	e.sas[e.sa_count++] = (struct explain_sa){
		.key = sa_key(), .sa = sa_of(LATCH_SA_BOUND, params_d, 0), .out = true};
	e.now_sa = &e.sas[0];
	expect_forecast(EXPLAIN_NOW_WISH, "not-wished",
			"refused: SA 0x0000a1b2 is of \"d.example\", and does not fulfil what the "
			"application of the refused connection expects by setsockopt(): peer");
	expect_forecast(EXPLAIN_NOW_LATCHED, "latched",
			"latched to \"d.example\", under SA 0x0000a1b2, if that fulfils what its "
			"application expects by setsockopt()");
	e.wish = LATCH_WHY_REQUIRED;
	expect_forecast(EXPLAIN_NOW_LATCHED, "latched",
			"latched to \"d.example\", under SA 0x0000a1b2");
	e.sas[0].sa.word.state = LATCH_SA_ORPHAN;
	expect_forecast(
		EXPLAIN_NOW_UNATTRIBUTED, "sa-unattributed",
		"refused (required): its application requires a latch by setsockopt(), and SA "
		"0x0000a1b2 is orphan");
	e.wish = 0;
	expect_forecast(
		EXPLAIN_NOW_UNATTRIBUTED, "sa-unattributed",
		"refused (required): rule \"db\" requires a latch, and SA 0x0000a1b2 is orphan");
}

Test(report_explain, a_flow_that_the_terms_of_a_rule_refuse_names_the_rule_and_the_owner)
{
	e.found = EXPLAIN_REFUSED;
	has_record(HISTORY_REFUSED, 0, 0);
	strcpy(e.record.rule, "web");
	has_packet(LATCH_DROP_IDENTITY, LATCH_SA_BOUND, params_d);
	expect_cause(
		"identity",
		"rule \"web\" admits other peers only, and the SA of its packet (0x0000a1b2) is "
		"of \"d.example\"",
		"[peer] section");
	has_packet(LATCH_DROP_QOP, LATCH_SA_BOUND, params_d);
	expect_cause("qop", "rule \"web\" requires stronger encryption", "longer keys");
}

Test(report_explain, a_contested_connect_names_both_owners)
{
	e.found = EXPLAIN_REFUSED;
	has_record(HISTORY_REFUSED, params_c, params_d);
	has_packet(LATCH_DROP_CONFLICT, LATCH_SA_BOUND, params_c);
	e.record.has_rival = true;
	e.record.rival.rival_spi = 0xbeef;
	strcpy(e.record.rival.local, "10.9.0.1");
	strcpy(e.record.rival.remote, "10.9.0.2");
	expect_cause("conflict",
		     "an SA of \"c.example\" or one of \"d.example\" (0x0000beef): both cover "
		     "10.9.0.1 === 10.9.0.2",
		     "narrow its remote_ts");
}

Test(report_explain, a_socket_without_a_latch_has_one_of_three_causes)
{
	e.found = EXPLAIN_SOCKET;
	expect_cause("no-ipsec", "it is in clear", "start_action = trap");
	e.now = EXPLAIN_NOW_NEGOTIATES;
	expect_cause("older", "older than latchd", "connect again");
	e.now = EXPLAIN_NOW_OFF;
	e.rule = 0;
	expect_cause("rule-off", "rule \"db\" latches no such connection", "latchd.conf");
}

Test(report_explain, a_connection_that_does_not_exist_has_rule_policy_sa_and_identity)
{
	struct explain_sa *sa = &e.sas[e.sa_count++];

	e.rule = 0;
	e.example_port = true;
	e.now = EXPLAIN_NOW_LATCHED;
	e.now_sa = sa;
	*sa = (struct explain_sa){
		.key = sa_key(), .sa = sa_of(LATCH_SA_BOUND, params_c, 0), .out = true};
	e.policy[POLICY_OUT] = (struct explain_policy){
		.action = POLICY_PROTECT,
		.policy = {.family = AF_INET, .source_bits = 8, .source = {10}, .priority = 3},
	};
	expect_cause("none", "no latch, no socket and no record", NULL);
	expect_json("rule.name", "\"db\"");
	expect_json("flow.any_local_port", "true");
	expect_keys("now", "code text policies sas sa_count unreported");
	expect_json("now.text", "\"latched to \\\"c.example\\\", under SA 0x0000a1b2\"");
	expect_json("now.policies.0",
		    "{\"direction\":\"out\",\"action\":\"protect\",\"default\":false,"
		    "\"priority\":3,\"src\":\"10.0.0.0/8\",\"dst\":\"0.0.0.0/0\"}");
	expect_json("now.policies.1",
		    "{\"direction\":\"in\",\"action\":\"bypass\",\"default\":true}");
	expect_json("now.sas.0.peer", "{\"id\":\"c.example\",\"auth\":\"pubkey\"}");
	expect_json("now.sas.0.direction", "\"out\"");
}

/* The report may be refused for the local identity as well. The gates wait at an entry of two. */
Test(report_explain, a_connection_that_no_wait_holds_back_has_an_sa_with_a_refused_report)
{
	struct explain_sa *sa = &e.sas[e.sa_count++];

	e.now = EXPLAIN_NOW_LARVAL;
	e.now_sa = sa;
	*sa = (struct explain_sa){.key = sa_key(),
				  .sa = sa_of(LATCH_SA_PENDING, 0, LATCH_SA_UNPROVEN)};
	write_document();
	expect_json("now.text", "\"passes, latched to no peer (larval): SA 0x0000a1b2 is pending, "
				"its report refused\"");
	expect_json("now.sas.0.unproven", "true");
	sa->sa.word.flags |= LATCH_SA_AMBIGUOUS;
	write_document();
	expect_json("now.text", "\"passes, latched to no peer (larval): SA 0x0000a1b2 is pending "
				"and ambiguous\"");
	expect_json("now.sas.0.unproven", "false");
}

Test(report_explain, where_the_route_decides_each_owner_is_named_once)
{
	const uint16_t owners[] = {params_d, params_c, params_d, params_c};
	size_t i;

	for (i = 0; i < 4; i++)
		e.sas[e.sa_count++] = (struct explain_sa){
			.key = sa_key(), .sa = sa_of(LATCH_SA_BOUND, owners[i], 0), .out = i > 0};
	e.now = EXPLAIN_NOW_BY_ROUTE;
	e.now_sa = &e.sas[1];
	write_document();
	expect_json("now.text", "\"latched to the owner of one of these SAs, the route decides: "
				"\\\"c.example\\\" (0x0000a1b2), \\\"d.example\\\" (0x0000a1b2)\"");
}

Test(report_explain, a_connection_that_would_not_be_latched_has_a_next_step)
{
	static const struct {
		enum explain_now now;
		const char *next;
	} rows[] = {
		{EXPLAIN_NOW_OFF, "change that rule"},
		{EXPLAIN_NOW_BLOCKED, "ip xfrm policy"},
		{EXPLAIN_NOW_CLEAR, "start_action = trap"},
		{EXPLAIN_NOW_REQUIRED, "start_action = trap"},
		{EXPLAIN_NOW_NEGOTIATES, NULL},
		{EXPLAIN_NOW_UNREPORTED, "why an SA has no peer"},
	};
	size_t i;

	e.rule = 0;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		e.now = rows[i].now;
		expect_cause("none", "no latch, no socket and no record", rows[i].next);
	}
	e.now_sa = &e.sas[0];
	e.now = EXPLAIN_NOW_CONTESTED;
	expect_cause("none", "no latch, no socket and no record", "narrow its remote_ts");
	e.now = EXPLAIN_NOW_UNATTRIBUTED;
	expect_cause("none", "no latch, no socket and no record", "why an SA has no peer");
	e.now = EXPLAIN_NOW_TERMS;
	expect_cause("none", "no latch, no socket and no record", "[peer] section");
	e.now = EXPLAIN_NOW_WISH;
	expect_cause("none", "no latch, no socket and no record", "latch(7)");
}

Test(report_explain, a_name_chosen_by_a_peer_ends_no_quotation_and_no_document)
{
	has_latch(LATCH_STATE_BROKEN, params_c, LATCH_REASON_SA_CONFLICT);
	has_record(HISTORY_LIVE, params_c, params_hostile);
	e.record.reason = LATCH_REASON_SA_CONFLICT;
	write_document();
	expect_hostile("mismatch.0.actual");
	cr_expect(strstr(text_at("cause.text"), "\\\"},{\\\"id\\\":\\\"c.example"), "%s",
		  text_at("cause.text"));
}

Test(report_explain, a_socket_that_was_not_looked_for_is_not_denied)
{
	e.socket = EXPLAIN_SOCKET_UNKNOWN;
	expect_cause("none", "whether a socket has it is not known", "start_action = trap");
}

Test(report_explain, an_unknown_id_is_an_error_that_says_what_may_be_missing)
{
	const struct history_gaps gaps = {.since_ns = clock_boot_ns(), .lost = 3, .replaced = 9};

	report_explain_unknown(&w, 0xabc, &gaps);
	parse();
	expect_json("code", "\"not-found\"");
	cr_expect(strstr(text_at("error"), "latch abc does not exist and is not remembered"));
	cr_expect(strstr(text_at("error"), "9 replaced by others, 3 kernel events lost"));
}

Test(report_explain, a_rule_has_its_words_of_latchd_conf)
{
	char text[RULE_TEXT_SIZE];

	struct latch_rule rule = {.action = LATCH_ACTION_REQUIRE,
				  .local_port_last = 65535,
				  .remote_port_last = 65535,
				  .peer_set = 1,
				  .min_encryption = 16};

	rule_text(text, &rule, "web");
	cr_expect_str_eq(text, "action require, peer web, min-encryption 128");
	rule_text(text, &rules[0].rule, NULL);
	cr_expect_str_eq(text, "action require, direction out, protocol tcp, remote 10.0.0.0/8, "
			       "remote-port 5432-5433, disposition wait, errno timeout, "
			       "on-policy-change protect");
}
