/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The request "explain" with the real control program, a real SPD and real sockets, without the
 *gates.
 *
 *	client <---- loopback of the test's network namespace ----> server
 */
#define LATCHES_ROOM 1024
#include "latch_fixture.h"

/* json-c has a type of the name of one of our functions. */
#define json_bool json_c_bool
#include <json-c/json.h>
#undef json_bool

#include "latchd/daemon_explain.h"
#include "latchd/enforce/rules.h"

static struct daemon d;
static struct config config;
static struct json_object *document;
static unsigned int parts;

static void set_up(void)
{
	latches_start();
	config = (struct config){.pending_ms = 5000};
	d = (struct daemon){.config = &config, .source.maps = &maps};
	cr_assert_eq(identities_load(&maps, &d.identities), 0);
	d.source.identities = d.identities;
	cr_assert_eq(daemon_explain_start(&d), 0);
}

static void tear_down(void)
{
	json_object_put(document);
	daemon_explain_stop(&d);
	identities_free(d.identities);
	latches_finish();
}

TestSuite(daemon_explain, .init = set_up, .fini = tear_down, .timeout = 60);

static void ask(struct control_explain *asked)
{
	struct map_cursor cursor = {0};
	struct json_writer w;

	json_init(&w);
	for (parts = 1; !daemon_explain(&d, asked, &cursor, &w); parts++)
		cr_assert_eq(w.length, 0, "only the last part has text");
	cr_assert_eq(json_finish(&w), 0);
	json_object_put(document);
	document = json_tokener_parse(w.text);
	cr_assert_not_null(document, "%s", w.text);
	json_release(&w);
}

static void ask_flow(const struct latch_flow *flow)
{
	struct control_explain asked = {.query.flow = *flow, .for_root = true};

	asked.query.flow.netns = 0;
	snprintf(asked.query.netns, sizeof(asked.query.netns), "%llu",
		 (unsigned long long)flow->netns);
	ask(&asked);
}

static void ask_id(uint64_t id)
{
	struct control_explain asked = {.by_id = true, .latch_id = id, .for_root = true};

	ask(&asked);
}

static const char *text_at(const char *outer, const char *inner)
{
	struct json_object *object = json_object_object_get(document, outer);

	object = inner ? json_object_object_get(object, inner) : object;
	return object ? json_object_get_string(object) : "";
}

static void expect_text(const char *outer, const char *inner, const char *expected)
{
	cr_expect_str_eq(text_at(outer, inner), expected, "%s.%s: %s", outer, inner ? inner : "",
			 json_object_to_json_string(document));
}

Test(daemon_explain, a_latch_is_found_by_its_flow_and_by_its_id)
{
	struct latch_flow flow = flow_without_socket(1000), other = flow_without_socket(1001);

	put_latch(&flow, LATCH_STATE_ESTABLISHED, LATCH_OWNER_SOCKET, 1);
	put_latch(&other, LATCH_STATE_LARVAL, LATCH_OWNER_SOCKET, 1);
	ask_flow(&flow);
	expect_text("found", NULL, "latch");
	expect_text("latch", "id", "1");
	expect_text("cause", "code", "established");
	ask_id(2);
	expect_text("latch", "id", "2");
	expect_text("cause", "code", "larval");
}

Test(daemon_explain, without_a_local_port_the_latch_is_searched_for)
{
	struct latch_flow flow = flow_without_socket(1000);

	put_latch(&flow, LATCH_STATE_ESTABLISHED, LATCH_OWNER_SOCKET, 1);
	flow.local_port = 0;
	ask_flow(&flow);
	expect_text("latch", "id", "1");
}

static struct control_explain any_port_of(const struct latch_flow *flow,
					  enum latch_direction direction)
{
	struct control_explain asked = {.query.flow = *flow, .for_root = true};

	asked.query.direction = direction;
	asked.query.flow.netns = 0;
	asked.query.flow.local_port = 0;
	snprintf(asked.query.netns, sizeof(asked.query.netns), "%llu",
		 (unsigned long long)flow->netns);
	return asked;
}

static void expect_latch(const struct latch_flow *flow, enum latch_direction direction,
			 const char *id)
{
	struct control_explain asked = any_port_of(flow, direction);

	ask(&asked);
	expect_text("latch", "id", id);
}

static void put_created(uint16_t port, uint64_t created, enum latch_direction direction)
{
	struct latch_flow flow = flow_without_socket(port);
	struct latch latch = {.id = port, .created = created, .direction = direction};

	latch.word.state = LATCH_STATE_ESTABLISHED;
	cr_assert_eq(bpf_map_update_elem(maps.latches, &flow, &latch, BPF_ANY), 0);
}

#define LATCHES 400

Test(daemon_explain, of_several_latches_the_newest_is_explained_and_all_are_counted)
{
	struct latch_flow flow = flow_without_socket(0);
	char newest[16];
	uint16_t i;

	for (i = 1; i <= LATCHES; i++)
		put_created(i, 1000 + (i * 7) % LATCHES,
			    i % 2 ? LATCH_DIRECTION_OUT : LATCH_DIRECTION_IN);
	/* 7 * 57 = 399 and 7 * 114 = 398 of 400. */
	snprintf(newest, sizeof(newest), "%x", 57);
	expect_latch(&flow, LATCH_DIRECTION_NONE, newest);
	cr_expect_gt(parts, 1);
	expect_text("flow", "latches", "400");
	snprintf(newest, sizeof(newest), "%x", 114);
	expect_latch(&flow, LATCH_DIRECTION_IN, newest);
	expect_text("flow", "latches", "200");
}

static void publish_refused(const struct latch_flow *flow, uint64_t time, int error)
{
	struct latch_event event = {
		.type = LATCH_EVENT_REFUSED,
		.time = time,
		.flow = *flow,
		.drop = LATCH_DROP_REQUIRED,
		.rule = LATCH_RULE_NONE,
		.direction = LATCH_DIRECTION_OUT,
	};

	news_publish(&d.news,
		     &(struct news){.kind = NEWS_FLOW_REFUSED, .event = &event, .error = error});
}

Test(daemon_explain, a_record_that_is_newer_than_every_latch_is_explained)
{
	struct latch_flow flow = flow_without_socket(9);

	put_created(1, 1000, LATCH_DIRECTION_OUT);
	publish_refused(&flow, 999, 0);
	expect_latch(&flow, LATCH_DIRECTION_NONE, "1");
	publish_refused(&flow, 1001, 0);
	expect_latch(&flow, LATCH_DIRECTION_NONE, "");
	expect_text("found", NULL, "refused");
	expect_text("flow", "latches", "1");
	expect_latch(&flow, LATCH_DIRECTION_IN, "");
	expect_text("found", NULL, "none");
}

Test(daemon_explain, a_refusal_is_explained_although_its_socket_lives)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL);
	struct latch_flow flow = flow_of(pair.client);
	struct latch_event event = {.type = LATCH_EVENT_SAS_ELSEWHERE, .flow = flow};

	publish_refused(&flow, clock_boot_ns(), -ENOENT);
	ask_flow(&flow);
	expect_text("found", NULL, "refused");
	expect_text("cause", "code", "required");
	news_publish(&d.news, &(struct news){.kind = NEWS_KERNEL_EVENT, .event = &event});
	ask_flow(&flow);
	expect_text("cause", "code", "sas-elsewhere");
	publish_refused(&flow, clock_boot_ns(), 0);
	ask_flow(&flow);
	expect_text("found", NULL, "socket");
	close_pair(&pair);
}

Test(daemon_explain, a_latch_that_is_closed_and_still_there_has_ended)
{
	struct latch_flow flow = flow_without_socket(1000);
	struct latch_event event = {
		.type = LATCH_EVENT_LATCH_CLOSED,
		.time = clock_boot_ns(),
		.latch_id = 1000,
		.flow = flow,
		.direction = LATCH_DIRECTION_OUT,
	};

	put_created(1000, 1000, LATCH_DIRECTION_OUT);
	news_publish(&d.news, &(struct news){.kind = NEWS_KERNEL_EVENT, .event = &event});
	event.type = LATCH_EVENT_DROP;
	event.drop = LATCH_DROP_CLOSED;
	news_publish(&d.news, &(struct news){.kind = NEWS_KERNEL_EVENT, .event = &event});
	ask_flow(&flow);
	expect_text("found", NULL, "ended");
	expect_text("cause", "code", "ended");
}

Test(daemon_explain, a_latch_that_has_ended_is_found_by_both)
{
	struct latch_event event = {
		.type = LATCH_EVENT_LATCH_CLOSED,
		.time = clock_boot_ns(),
		.latch_id = 9,
		.flow = flow_without_socket(1000),
		.direction = LATCH_DIRECTION_OUT,
	};

	event.word.reasons = LATCH_REASON_PEER_DEAD;
	news_publish(&d.news, &(struct news){.kind = NEWS_KERNEL_EVENT, .event = &event});
	ask_id(9);
	expect_text("found", NULL, "ended");
	expect_text("cause", "code", "peer-dead");
	ask_flow(&event.flow);
	expect_text("latch", "id", "9");
}

Test(daemon_explain, an_id_that_never_was_is_an_error)
{
	ask_id(77);
	expect_text("code", NULL, "not-found");
}

Test(daemon_explain, a_namespace_that_does_not_exist_is_an_error)
{
	struct control_explain asked = {.query = {.flow = flow_without_socket(1)}};

	strcpy(asked.query.netns, "no-such-namespace");
	ask(&asked);
	expect_text("code", NULL, "not-found");
}

static struct config_rule require_port_9(void)
{
	struct config_rule rule = {
		.name = "needed",
		.rule = {.action = LATCH_ACTION_REQUIRE,
			 .flags = LATCH_RULE_REQUIRE,
			 .local_port_last = 65535,
			 .remote_port_first = 9,
			 .remote_port_last = 9},
	};

	return rule;
}

Test(daemon_explain, a_connection_that_does_not_exist_has_the_rule_that_would_decide)
{
	struct latch_flow flow = flow_without_socket(0), other = flow;
	struct rules_change change;

	config.rules[0] = require_port_9();
	config.rule_count = 1;
	d.source.rules = config.rules;
	d.source.rule_count = 1;
	cr_assert_eq(rules_load(&maps, &config, false, &change), 0);
	ask_flow(&flow);
	expect_text("found", NULL, "none");
	expect_text("rule", "name", "needed");
	expect_text("now", "code", "required");
	cr_expect(strstr(text_at("cause", "text"), "whether a socket has it is not known"));
	other.remote_port = 10;
	ask_flow(&other);
	expect_text("rule", "name", "");
	expect_text("now", "code", "clear");
}

static void expect_rule_of(uint8_t protocol, const char *name)
{
	struct latch_flow flow = flow_without_socket(0);

	flow.protocol = protocol;
	ask_flow(&flow);
	expect_text("rule", "name", name);
}

/* As the gate: a socket does not know which end has opened its flow. */
Test(daemon_explain, a_rule_for_what_is_accepted_decides_over_udp_too)
{
	struct rules_change change;

	config.rules[0] = require_port_9();
	config.rules[0].rule.direction = LATCH_DIRECTION_IN;
	config.rule_count = 1;
	d.source.rules = config.rules;
	d.source.rule_count = 1;
	cr_assert_eq(rules_load(&maps, &config, false, &change), 0);
	expect_rule_of(IPPROTO_UDP, "needed");
	expect_rule_of(IPPROTO_TCP, "");
}

Test(daemon_explain, a_connection_in_clear_has_no_ipsec_as_its_cause)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL);
	struct latch_flow flow = flow_of(pair.client);

	ask_flow(&flow);
	expect_text("found", NULL, "socket");
	expect_text("cause", "code", "no-ipsec");
	close_pair(&pair);
}

Test(daemon_explain, members_wait_after_a_long_explanation_and_root_does_not)
{
	struct control_explain asked = {.query.flow = flow_without_socket(1)};

	walk_pace_hold(&d.explain_pace, 60000);
	ask(&asked);
	expect_text("code", NULL, "busy");
	asked.for_root = true;
	ask(&asked);
	expect_text("found", NULL, "none");
}
