/* SPDX-License-Identifier: BSD-2-Clause */
/* The log lines: object, id, verb, reason, details, action. */
#include "report_fixture.h"

#include "common/log.h"
#include "common/loop.h"
#include "latchd/report/log_news.h"

#define LIMIT_MS 20000

static struct news_bus bus;
static struct log_news log_news;
static char last_log[8192];
static enum log_level last_level;

static void on_log(enum log_level level, const char *subsystem, const char *text)
{
	cr_expect_null(subsystem, "the line names its object");
	last_level = level;
	snprintf(last_log, sizeof(last_log), "%s", text);
}

static void set_up(void)
{
	report_start();
	log_set_sink(on_log);
	log_set_level(LOG_LEVEL_DEBUG);
	bus = (struct news_bus){0};
	log_news_start(&log_news, &bus, identities);
}

TestSuite(log_news, .init = set_up, .fini = report_finish, .timeout = 60);

static struct latch latch_of_c(void)
{
	return (struct latch){
		.id = 0xab,
		.direction = LATCH_DIRECTION_OUT,
		.word = {.params = params_c, .state = LATCH_STATE_ESTABLISHED},
	};
}

static void publish(struct news news, struct latch latch)
{
	struct latch_flow flow = w_to_c();

	news.flow = &flow;
	news.latch = &latch;
	last_log[0] = '\0';
	news_publish(&bus, &news);
}

static void expect_line(enum log_level level, const char *line)
{
	cr_expect_str_eq(last_log, line, "it is: %s", last_log);
	cr_expect_eq(last_level, level);
}

#define FLOW	     "tcp 10.9.0.1:7000 -> 10.9.0.2:51514"
#define LATCHED_TO_C FLOW " latched to \"c.example\"; "

/* ---- broken latches */

static void publish_broken(struct news_cause cause)
{
	publish((struct news){.kind = NEWS_LATCH_BROKEN, .cause = cause}, latch_of_c());
}

Test(log_news, the_line_of_a_broken_latch_names_both_peers)
{
	publish_broken((struct news_cause){.reason = LATCH_REASON_SA_CONFLICT, .got = params_d});
	expect_line(LOG_LEVEL_WARN, "latch ab broken (sa-conflict): " LATCHED_TO_C
				    "new SA belongs to \"d.example\"");
}

Test(log_news, the_line_of_a_broken_latch_reports_a_dead_peer)
{
	publish_broken((struct news_cause){.reason = LATCH_REASON_PEER_DEAD});
	expect_line(LOG_LEVEL_WARN,
		    "latch ab broken (peer-dead): " LATCHED_TO_C "the peer answers no IKE request");
}

Test(log_news, the_line_of_a_broken_latch_reports_a_rebooted_peer)
{
	publish_broken((struct news_cause){.reason = LATCH_REASON_PEER_REBOOTED});
	expect_line(LOG_LEVEL_WARN, "latch ab broken (peer-rebooted): " LATCHED_TO_C
				    "the peer has rebooted (INITIAL_CONTACT)");
}

Test(log_news, the_line_of_a_broken_latch_reports_other_parameters_of_the_same_peer)
{
	publish_broken((struct news_cause){.reason = LATCH_REASON_SA_CONFLICT, .got = params_c});
	expect_line(LOG_LEVEL_WARN,
		    "latch ab broken (sa-conflict): " LATCHED_TO_C
		    "new SA belongs to \"c.example\" with other parameters, see latchctl --json "
		    "monitor");
}

Test(log_news, the_line_of_a_latch_that_breaks_in_audit_mode_says_that_its_packets_pass)
{
	publish((struct news){.kind = NEWS_LATCH_BROKEN,
			      .cause = {.reason = LATCH_REASON_PEER_DEAD},
			      .audited = true},
		latch_of_c());
	expect_line(LOG_LEVEL_WARN, "latch ab broken (peer-dead): " LATCHED_TO_C
				    "the peer answers no IKE request; audit mode, packets pass");
}

Test(log_news, a_switch_of_the_mode_is_logged_with_its_requester)
{
	const struct news_requester root = {.pid = 42, .login_uid = 1000};
	struct news news = {.kind = NEWS_MODE_CHANGED, .audited = true};

	news.cause.requester = &root;
	news_publish(&bus, &news);
	expect_line(LOG_LEVEL_ERROR,
		    "mode audit in force: requested by pid 42, login uid 1000; "
		    "packets pass and sockets are not reset, except those of latches that "
		    "enforcement broke");
	news = (struct news){.kind = NEWS_MODE_CHANGED};
	news_publish(&bus, &news);
	expect_line(LOG_LEVEL_WARN,
		    "mode enforce in force: by the configuration; flows that pass by "
		    "audit mode alone are dropped and reset");
}

/* Params that are not in the table, and a flow of no family, are not looked up elsewhere. */
Test(log_news, unknown_peers_and_addresses_are_shown_as_unknown)
{
	struct latch latch = latch_of_c();
	struct latch_flow flow = w_to_c();

	flow.family = 0;
	latch.word.params = 999;
	latch.direction = LATCH_DIRECTION_NONE;
	news_publish(&bus, &(struct news){
				   .kind = NEWS_LATCH_BROKEN,
				   .flow = &flow,
				   .latch = &latch,
				   .cause.reason = LATCH_REASON_SA_CONFLICT,
			   });
	expect_line(LOG_LEVEL_WARN, "latch ab broken (sa-conflict): tcp ?:7000 <-> ?:51514 latched "
				    "to an unknown peer; new SA belongs to an unknown peer");
}

Test(log_news, text_chosen_by_a_peer_is_escaped)
{
	struct latch latch = latch_of_c();

	latch.word.params = params_hostile;
	publish((struct news){.kind = NEWS_LATCH_BROKEN, .cause.reason = LATCH_REASON_PEER_DEAD},
		latch);
	cr_expect_not_null(strstr(last_log, "\"\\x1b[2J\\\"},{"), "%s", last_log);
	cr_expect_null(strchr(last_log, '\x1b'));
	cr_expect_null(strchr(last_log, '\n'));
}

static uint16_t params_of_key(uint8_t key)
{
	struct latch_identity identity = {.auth = LATCH_AUTH_PUBKEY, .key_kind = LATCH_KEY_SPKI};
	struct latch_params params = *identities_get_params(identities, params_c);
	uint16_t index = 0;

	strcpy(identity.id, "c.example");
	identity.key[0] = key;
	cr_assert_eq(identities_intern(identities, &identity, &params.peer_id), 0);
	cr_assert_eq(identities_intern_params(identities, &params, &index), 0);
	return index;
}

Test(log_news, S33_the_line_of_a_broken_latch_reports_another_key_of_the_same_peer)
{
	struct latch latch = latch_of_c();

	latch.word.params = params_of_key(1);
	publish((struct news){.kind = NEWS_LATCH_BROKEN,
			      .cause = {.reason = LATCH_REASON_SA_CONFLICT,
					.got = params_of_key(2)}},
		latch);
	expect_line(
		LOG_LEVEL_WARN,
		"latch ab broken (sa-conflict): " LATCHED_TO_C
		"new SA belongs to \"c.example\" with another key, see latchctl --json monitor");
}

/* Text of length bytes that differ from those of another peer in the last one only. */
static uint16_t params_of_long_id(char filler, size_t length, char last)
{
	char id[LATCH_ID_TEXT_MAX];

	memset(id, filler, length);
	id[length - 1] = last;
	id[length] = '\0';
	return intern_params("w.example", id, FEED_AUTH_PUBKEY, gcm(), XFRM_MODE_TRANSPORT);
}

Test(log_news, the_line_of_a_broken_latch_names_two_peers_of_the_longest_ids_whole)
{
	struct latch latch = latch_of_c();
	uint16_t other = params_of_long_id('"', LATCH_ID_TEXT_MAX - 1, 'b');

	latch.word.params = params_of_long_id('"', LATCH_ID_TEXT_MAX - 1, 'a');
	publish((struct news){.kind = NEWS_LATCH_BROKEN,
			      .cause = {.reason = LATCH_REASON_SA_CONFLICT, .got = other}},
		latch);
	cr_expect_not_null(strstr(last_log, "\\\"a\"; new SA belongs to \"\\\""), "%s", last_log);
	cr_expect_str_eq(last_log + strlen(last_log) - 2, "b\"");
}

Test(log_news, a_quotation_mark_in_an_id_does_not_end_the_quotation)
{
	struct latch latch = latch_of_c();

	latch.word.params = intern_params("w.example", "a\"; the peer has rebooted\\",
					  FEED_AUTH_PUBKEY, gcm(), XFRM_MODE_TRANSPORT);
	publish((struct news){.kind = NEWS_LATCH_BROKEN, .cause.reason = LATCH_REASON_PEER_DEAD},
		latch);
	cr_expect_not_null(strstr(last_log, " latched to \"a\\\"; the peer has rebooted\\\\\"; "),
			   "%s", last_log);
}

Test(log_news, a_flow_opened_by_the_peer_has_an_arrow_to_this_host)
{
	struct latch latch = latch_of_c();
	struct latch_flow flow = flow_of(AF_INET6, "2001:db8::1", "2001:db8::2");

	latch.direction = LATCH_DIRECTION_IN;
	news_publish(&bus, &(struct news){
				   .kind = NEWS_LATCH_HEALED,
				   .flow = &flow,
				   .latch = &latch,
				   .cause.reason = LATCH_REASON_SA_CONFLICT,
			   });
	expect_line(LOG_LEVEL_INFO, "latch ab healed (sa-conflict): tcp [2001:db8::1]:7000 <- "
				    "[2001:db8::2]:51514");
}

/* ---- the SPD */

static const struct news_policy bypass_out = {
	.direction = "out",
	.action = "bypass",
	.family = AF_INET,
	.priority = 7,
};

Test(log_news, R_2_3_13_the_line_of_a_break_by_the_spd_names_the_deciding_policy)
{
	publish_broken((struct news_cause){
		.reason = LATCH_REASON_SPD_CHANGE,
		.policy = &bypass_out,
	});
	expect_line(LOG_LEVEL_WARN, "latch ab broken (spd-change): " LATCHED_TO_C
				    "the policy for packets out is bypass (priority 7)");
}

Test(log_news, R_2_3_13_the_line_of_a_break_by_the_spd_names_the_default_action)
{
	publish_broken((struct news_cause){
		.reason = LATCH_REASON_SPD_CHANGE,
		.policy = &(struct news_policy){"in", "block", .is_default = true},
	});
	expect_line(LOG_LEVEL_WARN, "latch ab broken (spd-change): " LATCHED_TO_C
				    "no policy for packets in, the default is block");
}

Test(log_news, R_2_3_14_the_line_of_a_held_latch_names_the_deciding_policy)
{
	publish((struct news){.kind = NEWS_LATCH_HELD,
			      .cause = {.reason = LATCH_REASON_SPD_CHANGE, .policy = &bypass_out}},
		latch_of_c());
	expect_line(LOG_LEVEL_WARN,
		    "latch ab held (spd-change): " FLOW "; the policy for packets out is bypass "
		    "(priority 7); policies of latchd protect the flow");
	publish((struct news){.kind = NEWS_LATCH_RELEASED}, latch_of_c());
	expect_line(LOG_LEVEL_INFO, "latch ab released: " FLOW "; the SPD protects the flow again");
}

/* ---- resets */

static void publish_reset(int error, bool again, uint8_t flags)
{
	struct latch latch = latch_of_c();

	latch.word.state = LATCH_STATE_BROKEN;
	latch.word.reasons = LATCH_REASON_SA_CONFLICT | LATCH_REASON_ADMIN;
	latch.rule_flags = flags;
	publish((struct news){.kind = NEWS_LATCH_RESET, .error = error, .again = again}, latch);
}

Test(log_news, the_line_of_a_reset_names_all_reasons_of_the_latch)
{
	publish_reset(0, false, 0);
	expect_line(LOG_LEVEL_INFO, "latch ab reset (sa-conflict, admin): " FLOW);
	publish_reset(0, true, LATCH_RULE_TIMEOUT);
	expect_line(LOG_LEVEL_INFO, "latch ab timing out (sa-conflict, admin): " FLOW);
}

Test(log_news, a_reset_that_fails_repeatedly_is_logged_once)
{
	publish_reset(-EOPNOTSUPP, false, 0);
	expect_line(LOG_LEVEL_WARN, "latch ab not reset (sa-conflict, admin): " FLOW
				    "; socket: Operation not supported; packets dropped");
	publish_reset(-EOPNOTSUPP, true, 0);
	cr_expect_str_empty(last_log);
}

/* ---- floods */

static unsigned int lines_of(unsigned int floods, void (*of)(void))
{
	unsigned int i, lines = 0;

	for (i = 0; i < floods; i++) {
		of();
		lines += last_log[0] != '\0';
	}
	return lines;
}

static void break_by_d(void)
{
	publish_broken((struct news_cause){.reason = LATCH_REASON_SA_CONFLICT, .got = params_d});
}

static void break_by_weak(void)
{
	publish_broken((struct news_cause){.reason = LATCH_REASON_SA_CONFLICT, .got = params_weak});
}

static void reset_one(void)
{
	publish_reset(0, false, 0);
}

static void heal_one(void)
{
	publish((struct news){.kind = NEWS_LATCH_HEALED, .cause.reason = LATCH_REASON_SA_CONFLICT},
		latch_of_c());
}

Test(log_news, a_flood_of_breaks_between_two_peers_has_a_limited_number_of_lines)
{
	cr_expect_eq(lines_of(LOG_SHARE_LINES, break_by_d), LOG_SHARE_LINES);
	break_by_d();
	expect_line(LOG_LEVEL_WARN,
		    "latches to \"c.example\" broken: 256 lines within 10 s, no more "
		    "until then; all are in: latchctl monitor");
	cr_expect_eq(lines_of(20000, break_by_d), 0);
	break_by_weak();
	expect_line(LOG_LEVEL_WARN,
		    "latch ab broken (sa-conflict): " LATCHED_TO_C
		    "new SA belongs to \"c.example\" with other parameters, see latchctl --json "
		    "monitor");
}

Test(log_news, a_flood_of_resets_or_heals_has_a_limited_number_of_lines)
{
	cr_expect_eq(lines_of(20000, reset_one), LOG_SHARE_LINES + 1);
	cr_expect_eq(lines_of(20000, heal_one), LOG_SHARE_LINES + 1);
}

Test(log_news, lines_come_again_in_the_next_period)
{
	unsigned int i;

	cr_expect_eq(lines_of(1000, break_by_d), LOG_SHARE_LINES + 1);
	for (i = 0; i < LOG_SHARE_SLOTS; i++)
		log_news.share.slots[LOG_SHARE_BROKEN][i].ends_ms = loop_now_ms();
	cr_expect_eq(lines_of(1000, break_by_d), LOG_SHARE_LINES + 1);
}

/* ---- requests of an administrator */

static const struct news_requester requester = {.pid = 42, .login_uid = 1000};
static const struct news_cause request = {.reason = LATCH_REASON_ADMIN, .requester = &requester};

Test(log_news, R_6_2_1_lines_of_requested_breaks_and_heals_name_the_requester)
{
	publish_broken(request);
	expect_line(LOG_LEVEL_WARN,
		    "latch ab broken (admin): " LATCHED_TO_C "requested by pid 42, login uid 1000");
	publish((struct news){.kind = NEWS_LATCH_HEALED, .cause = request}, latch_of_c());
	expect_line(LOG_LEVEL_WARN,
		    "latch ab healed (admin): " FLOW "; requested by pid 42, login uid 1000");
}

static void break_by_request(void)
{
	publish_broken(request);
}

Test(log_news, R_6_2_1_each_requested_break_has_a_line)
{
	cr_expect_eq(lines_of(1000, break_by_request), 1000);
}

Test(log_news, the_line_of_a_requested_close_names_the_requester_and_the_failure)
{
	const struct news_requester no_login = {.pid = 42, .login_uid = NEWS_NO_LOGIN};
	const struct news_cause cause = {.reason = LATCH_REASON_ADMIN, .requester = &no_login};

	publish((struct news){.kind = NEWS_LATCH_RESET, .cause = cause}, latch_of_c());
	expect_line(LOG_LEVEL_WARN, "latch ab closed (admin): " FLOW "; requested by pid 42");
	publish((struct news){.kind = NEWS_LATCH_RESET, .cause = cause, .error = -EPERM},
		latch_of_c());
	expect_line(LOG_LEVEL_WARN,
		    "latch ab not closed (admin): " FLOW "; requested by pid 42; socket: Operation "
		    "not permitted; latch broken, packets dropped");
}

/* ---- refusals */

static void publish_refused(int error)
{
	struct latch_event event = {
		.type = LATCH_EVENT_REFUSED,
		.flow = w_to_c(),
		.direction = LATCH_DIRECTION_OUT,
		.drop = LATCH_DROP_REQUIRED,
	};

	last_log[0] = '\0';
	news_publish(&bus,
		     &(struct news){.kind = NEWS_FLOW_REFUSED, .event = &event, .error = error});
}

/* Each of a flood is an event, but not a line of the log. */
Test(log_news, refusals_are_logged_once_a_second)
{
	publish_refused(0);
	expect_line(LOG_LEVEL_WARN, "flow refused (required): " FLOW "; connect() ended");
	log_news.refused_due_ms = loop_now_ms() + LIMIT_MS;
	publish_refused(-ENOENT);
	cr_expect_str_empty(last_log);
	publish_refused(-ENOENT);
	cr_expect_str_empty(last_log);
	log_news.refused_due_ms = loop_now_ms();
	publish_refused(-ENOENT);
	expect_line(LOG_LEVEL_WARN, "flow refused (required): " FLOW
				    "; packets dropped; 2 more since the last line");
}

Test(log_news, the_line_of_a_refusal_has_the_error_of_a_connect_that_did_not_end)
{
	publish_refused(-EPERM);
	expect_line(LOG_LEVEL_WARN, "flow refused (required): " FLOW
				    "; connect() not ended: Operation not permitted");
}

/* No rule explains it. */
Test(log_news, the_line_of_a_refusal_names_the_wish_of_the_application)
{
	struct latch_event event = {
		.type = LATCH_EVENT_REFUSED,
		.flow = w_to_c(),
		.direction = LATCH_DIRECTION_OUT,
		.drop = LATCH_DROP_IDENTITY,
		.wish = LATCH_WHY_PEER,
	};

	news_publish(&bus, &(struct news){.kind = NEWS_FLOW_REFUSED, .event = &event});
	expect_line(LOG_LEVEL_WARN, "flow refused (identity, wish of the application: peer): " FLOW
				    "; connect() ended");
}

/* ---- interfaces with SAs in another network namespace */

static void publish_elsewhere(void)
{
	struct latch_event event = {.type = LATCH_EVENT_SAS_ELSEWHERE, .flow = w_to_c()};

	last_log[0] = '\0';
	news_publish(&bus, &(struct news){.kind = NEWS_KERNEL_EVENT, .event = &event});
}

Test(log_news, a_flow_to_an_interface_with_sas_elsewhere_is_explained_once_a_minute)
{
	publish_elsewhere();
	expect_line(
		LOG_LEVEL_WARN,
		"flow not latched (sas-elsewhere): " FLOW
		"; its interface is a VTI or has its SAs in another network namespace; to latch it "
		"make an xfrm interface in this one");
	publish_elsewhere();
	cr_expect_str_empty(last_log);
	cr_expect_gt(log_news.elsewhere_due_ms, loop_now_ms());
	log_news.elsewhere_due_ms = loop_now_ms();
	publish_elsewhere();
	cr_expect_not(!last_log[0]);
}

/* ---- SAs */

Test(log_news, a_bound_sa_is_logged_at_debug_level)
{
	struct latch_sa sa = sa_of(LATCH_SA_PENDING, 0, 0);
	struct latch_sa_key key = sa_key();

	news_publish(&bus, &(struct news){
				   .kind = NEWS_SA_BOUND,
				   .sa = {&key, &sa, params_d, "charon", "vici child-updown"},
			   });
	expect_line(LOG_LEVEL_DEBUG,
		    "sa 0x0000a1b2 bound (vici child-updown): belongs to \"d.example\"");
}

Test(log_news, other_news_are_not_logged)
{
	struct latch_event event = {.type = LATCH_EVENT_LATCH_CLOSED, .flow = w_to_c()};

	news_publish(&bus, &(struct news){.kind = NEWS_KERNEL_EVENT, .event = &event});
	news_publish(&bus, &(struct news){.kind = NEWS_NETNS_SERVED, .netns = 1});
	news_publish(&bus, &(struct news){.kind = NEWS_FEED_AWAY, .netns = 1});
	news_publish(&bus, &(struct news){.kind = NEWS_EVENTS_LOST, .count = 1});
	cr_expect_str_empty(last_log);
}
