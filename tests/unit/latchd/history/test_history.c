/* SPDX-License-Identifier: BSD-2-Clause */
/* What news leaves in the history. */
#include "../report/report_fixture.h"

#include "latchd/history/history.h"

#define FOREIGN_NETNS 99
#define GONE_NETNS    98

static struct news_bus bus;
static struct history *history;
static int foreign_answers;

static int is_foreign(uint64_t netns)
{
	foreign_answers++;
	return netns == GONE_NETNS ? -ENOENT : netns == FOREIGN_NETNS;
}

static const char *rule_name(const void *context, uint16_t rule, int set)
{
	(void)context;
	return rule == 1 && (set < 0 || set == 9) ? "patient" : NULL;
}

static void begin_history(void)
{
	bus = (struct news_bus){0};
	history = history_new(&bus, &(struct history_sources){
					    .maps = &maps,
					    .identities = identities,
					    .is_foreign = is_foreign,
					    .rule_name = rule_name,
				    });
	cr_assert_not_null(history);
}

static void set_up(void)
{
	report_start();
	begin_history();
}

#define HISTORIES 12

/* By a random key two groups share a slot now and then: most histories must keep the record. */
static void expect_kept_by_most(bool (*is_kept)(void))
{
	unsigned int i, count = 0;

	for (i = 0; i < HISTORIES; i++) {
		history_free(history);
		begin_history();
		count += is_kept();
	}
	cr_expect_geq(count, HISTORIES / 2, "kept by %u", count);
}

static void tear_down(void)
{
	history_free(history);
	report_finish();
}

TestSuite(history, .init = set_up, .fini = tear_down, .timeout = 60);

static struct latch_flow flow;

static struct latch latch_now(uint16_t params)
{
	struct latch latch = latch_of(LATCH_STATE_ESTABLISHED, params, 0);

	flow = w_to_c();
	latch.rule = 1;
	latch.rule_set = 9;
	return latch;
}

static void publish_broken(uint16_t want, uint16_t got)
{
	struct latch latch = latch_now(want);

	news_publish(&bus, &(struct news){
				   .kind = NEWS_LATCH_BROKEN,
				   .flow = &flow,
				   .latch = &latch,
				   .cause = {.reason = LATCH_REASON_SA_CONFLICT, .got = got},
			   });
}

static struct latch_event event_of(enum latch_event_type type, uint16_t params)
{
	struct latch_event event = {
		.time = clock_boot_ns(),
		.type = type,
		.flow = w_to_c(),
		.latch_id = 0x1f3,
		.direction = LATCH_DIRECTION_OUT,
		.packet = LATCH_DIRECTION_OUT,
		.rule = 1,
		.rule_set = 9,
	};

	event.word.params = params;
	return event;
}

static void publish_event(const struct latch_event *event)
{
	news_publish(&bus, &(struct news){.kind = NEWS_KERNEL_EVENT, .event = event});
}

static void publish_closed(uint16_t params, uint8_t reasons)
{
	struct latch_event event = event_of(LATCH_EVENT_LATCH_CLOSED, params);

	event.word.reasons = reasons;
	event.drops = 17;
	publish_event(&event);
}

Test(history, a_broken_latch_has_expected_and_actual_peer_reason_and_rule)
{
	const struct history_record *record;

	publish_broken(params_c, params_d);
	record = history_find(history, HISTORY_LIVE, 0x1f3);
	cr_assert_not_null(record);
	cr_expect_eq(record->reason, LATCH_REASON_SA_CONFLICT);
	cr_expect_neq(record->broken_ns, 0);
	cr_expect_str_eq(record->want.peer.id, "c.example");
	cr_expect_str_eq(record->got.peer.id, "d.example");
	cr_expect_str_eq(record->rule, "patient");
	cr_expect_null(history_find(history, HISTORY_ENDED, 0x1f3));
}

Test(history, the_record_of_a_broken_latch_is_kept_when_it_ends)
{
	const struct history_record *record;

	publish_broken(params_c, params_d);
	publish_closed(params_c, LATCH_REASON_SA_CONFLICT);
	cr_expect_null(history_find(history, HISTORY_LIVE, 0x1f3));
	record = history_find(history, HISTORY_ENDED, 0x1f3);
	cr_assert_not_null(record);
	cr_expect_eq(record->kind, HISTORY_ENDED);
	cr_expect_eq(record->reasons, LATCH_REASON_SA_CONFLICT);
	cr_expect_str_eq(record->got.peer.id, "d.example");
	cr_expect_eq(record->drops, 17);
	cr_expect_neq(record->ended_ns, 0);
	cr_expect_str_eq(record->rule, "patient");
}

Test(history, names_stay_when_their_index_means_another_peer)
{
	publish_closed(params_c, 0);
	cr_assert_eq(identities_reset(identities), 0);
	params_d = intern_params("w.example", "other.example", FEED_AUTH_PSK, gcm(), 1);
	cr_expect_str_eq(history_find(history, HISTORY_ENDED, 0x1f3)->want.peer.id, "c.example");
}

Test(history, the_end_of_a_listener_is_no_record)
{
	struct latch_event event = event_of(LATCH_EVENT_LATCH_CLOSED, params_c);

	event.flow.remote_port = 0;
	publish_event(&event);
	cr_expect_null(history_find(history, HISTORY_ENDED, 0x1f3));
}

static void publish_healed(uint16_t want)
{
	struct latch latch = latch_now(want);

	news_publish(&bus,
		     &(struct news){.kind = NEWS_LATCH_HEALED, .flow = &flow, .latch = &latch});
}

Test(history, a_break_that_has_healed_is_a_former_one)
{
	const struct history_record *record;

	publish_broken(params_c, params_d);
	publish_healed(params_c);
	record = history_find(history, HISTORY_LIVE, 0x1f3);
	cr_assert_not_null(record);
	cr_expect_eq(record->reason, 0);
	cr_expect_eq(record->broken_ns, 0);
	cr_expect_not(record->got.known);
	cr_expect_neq(record->healed_ns, 0);
	cr_expect_eq(record->former.reason, LATCH_REASON_SA_CONFLICT);
	cr_expect_neq(record->former.broken_ns, 0);
	cr_expect_str_eq(record->former.got.peer.id, "d.example");
	publish_broken(params_c, params_weak);
	cr_expect_eq(record->reason, LATCH_REASON_SA_CONFLICT);
	cr_expect_eq(record->healed_ns, 0);
}

static void publish_drop(uint64_t id, enum latch_drop drop, enum latch_state state)
{
	struct latch_event event = event_of(LATCH_EVENT_DROP, params_c);

	event.latch_id = id;
	event.drop = drop;
	event.word.state = state;
	publish_event(&event);
}

Test(history, drops_that_wait_for_an_owner_are_no_evidence_and_replace_none)
{
	publish_drop(1, LATCH_DROP_SA_PENDING, LATCH_STATE_ESTABLISHED);
	publish_drop(2, LATCH_DROP_SA_UNKNOWN, LATCH_STATE_ESTABLISHED);
	publish_drop(3, LATCH_DROP_IDENTITY, LATCH_STATE_ESTABLISHED);
	publish_drop(3, LATCH_DROP_SA_PENDING, LATCH_STATE_ESTABLISHED);
	cr_expect_null(history_find(history, HISTORY_LIVE, 1));
	cr_expect_null(history_find(history, HISTORY_LIVE, 2));
	cr_assert_not_null(history_find(history, HISTORY_LIVE, 3));
	cr_expect_eq(history_find(history, HISTORY_LIVE, 3)->packet.drop, LATCH_DROP_IDENTITY);
}

Test(history, packets_behind_the_end_of_a_latch_leave_its_record_as_it_was)
{
	publish_closed(params_c, 0);
	publish_drop(0x1f3, LATCH_DROP_CLOSED, LATCH_STATE_NONE);
	publish_drop(5, LATCH_DROP_CLOSED, LATCH_STATE_CLOSED);
	cr_expect_null(history_find(history, HISTORY_LIVE, 0x1f3));
	cr_expect_null(history_find(history, HISTORY_LIVE, 5));
	cr_expect_not_null(history_find(history, HISTORY_ENDED, 0x1f3));
}

Test(history, a_rule_that_is_known_no_more_keeps_its_name)
{
	struct latch_event event = event_of(LATCH_EVENT_LATCH_CLOSED, params_c);

	publish_broken(params_c, params_d);
	event.rule_set = 10;
	publish_event(&event);
	cr_expect_str_eq(history_find(history, HISTORY_ENDED, 0x1f3)->rule, "patient");
}

Test(history, a_dropped_packet_has_its_sa_and_the_owner_at_that_time)
{
	struct latch_event event = event_of(LATCH_EVENT_DROP, params_c);
	struct latch_sa sa = sa_of(LATCH_SA_BOUND, params_d, 0);
	struct latch_sa_key key = sa_key();
	const struct history_record *record;

	put_sa(&key, &sa);
	event.sa = key;
	event.drop = LATCH_DROP_IDENTITY;
	publish_event(&event);
	cr_assert_eq(bpf_map_delete_elem(maps.sas, &key), 0);
	record = history_find(history, HISTORY_LIVE, 0x1f3);
	cr_assert_not_null(record);
	cr_expect_eq(record->packet.drop, LATCH_DROP_IDENTITY);
	cr_expect_eq(record->packet.sa_state, LATCH_SA_BOUND);
	cr_expect_str_eq(record->packet.owner.peer.id, "d.example");
	cr_expect_str_eq(record->want.peer.id, "c.example");
}

static void publish_refused(uint16_t port, uint64_t netns, enum latch_direction direction,
			    int error)
{
	struct latch_event event = event_of(LATCH_EVENT_REFUSED, 0);

	event.flow.local_port = port;
	event.flow.netns = netns;
	event.drop = LATCH_DROP_REQUIRED;
	event.direction = direction;
	news_publish(&bus,
		     &(struct news){.kind = NEWS_FLOW_REFUSED, .event = &event, .error = error});
}

static const struct history_record *refused(uint16_t port, uint64_t netns)
{
	struct latch_flow wanted = w_to_c();

	wanted.local_port = port;
	wanted.netns = netns;
	return history_find_flow(history, HISTORY_REFUSED, &wanted);
}

Test(history, a_flow_that_is_refused_again_has_one_record)
{
	publish_refused(1, 1, LATCH_DIRECTION_OUT, 0);
	publish_refused(1, 1, LATCH_DIRECTION_OUT, -ENOENT);
	cr_assert_not_null(refused(1, 1));
	cr_expect_eq(refused(1, 1)->count, 2);
	cr_expect(refused(1, 1)->reset);
	cr_expect_eq(refused(1, 1)->reset_error, 0, "connect() was ended");
	cr_expect_str_eq(refused(1, 1)->rule, "patient");
}

static void publish_conflict(const struct news_rival *rival)
{
	struct latch_event event = event_of(LATCH_EVENT_REFUSED, 0);

	event.flow.local_port = 1;
	event.flow.netns = 1;
	event.drop = LATCH_DROP_CONFLICT;
	event.rule = LATCH_RULE_NONE;
	news_publish(&bus,
		     &(struct news){.kind = NEWS_FLOW_REFUSED, .event = &event, .rival = rival});
}

Test(history, a_refusal_with_another_cause_has_nothing_of_the_former_one)
{
	const struct news_rival rival = {.params = params_c, .rival_params = params_d};

	publish_conflict(&rival);
	publish_conflict(NULL);
	cr_assert_not_null(refused(1, 1));
	cr_expect_str_eq(refused(1, 1)->got.peer.id, "d.example", "the same cause keeps it");
	cr_expect(refused(1, 1)->reset);
	publish_refused(1, 1, LATCH_DIRECTION_OUT, -ENOENT);
	cr_expect_not(refused(1, 1)->has_rival);
	cr_expect_not(refused(1, 1)->want.known);
	cr_expect_not(refused(1, 1)->got.known);
	cr_expect_not(refused(1, 1)->reset);
	cr_expect_eq(refused(1, 1)->count, 1);
	publish_conflict(NULL);
	cr_expect_str_eq(refused(1, 1)->rule, "", "no rule has refused it");
}

static void publish_elsewhere(unsigned int host)
{
	struct latch_event event = event_of(LATCH_EVENT_SAS_ELSEWHERE, 0);

	event.flow.netns = 1;
	event.direction = event.packet = LATCH_DIRECTION_NONE;
	memcpy(event.flow.remote_addr, &host, sizeof(host));
	publish_event(&event);
}

Test(history, a_flow_with_its_sas_elsewhere_is_not_in_the_group_of_other_hosts)
{
	struct latch_event event = event_of(LATCH_EVENT_REFUSED, 0);
	const struct news news = {.kind = NEWS_FLOW_REFUSED, .event = &event, .error = -ENOENT};
	struct latch_flow wanted = w_to_c();
	const struct history_record *record;
	unsigned int i, host = 77;

	publish_elsewhere(host);
	event.flow.netns = 1;
	event.direction = LATCH_DIRECTION_IN;
	for (i = 1000; i < 3000; i++) {
		memcpy(event.flow.remote_addr, &i, sizeof(i));
		news_publish(&bus, &news);
	}
	wanted.netns = 1;
	memcpy(wanted.remote_addr, &host, sizeof(host));
	record = history_find_flow(history, HISTORY_REFUSED, &wanted);
	cr_assert_not_null(record);
	cr_expect(record->elsewhere);
	cr_expect_eq(record->direction, LATCH_DIRECTION_OUT);
	cr_expect_eq(record->packet.direction, LATCH_DIRECTION_OUT);
}

Test(history, a_namespace_of_another_user_namespace_and_other_hosts_replace_no_refused_connect)
{
	unsigned int port;

	publish_refused(1, 1, LATCH_DIRECTION_OUT, 0);
	for (port = 2; port < 2000; port++) {
		publish_refused((uint16_t)port, FOREIGN_NETNS, LATCH_DIRECTION_OUT, 0);
		publish_refused((uint16_t)port, 1, LATCH_DIRECTION_IN, -ENOENT);
	}
	cr_expect_not_null(refused(1, 1));
	cr_expect_not_null(refused(1999, FOREIGN_NETNS));
	cr_expect_not_null(refused(1999, 1));
	cr_expect_null(refused(2, FOREIGN_NETNS));
	cr_expect_gt(history_gaps(history).replaced, 3000);
	cr_expect_leq(foreign_answers, 2, "asked %d times", foreign_answers);
}

Test(history, a_namespace_that_cannot_be_looked_up_has_the_share_of_others)
{
	unsigned int port;

	publish_refused(1, 1, LATCH_DIRECTION_OUT, 0);
	for (port = 2; port < 2000; port++)
		publish_refused((uint16_t)port, GONE_NETNS, LATCH_DIRECTION_OUT, 0);
	cr_expect_not_null(refused(1, 1));
	cr_expect_null(refused(1800, GONE_NETNS));
	cr_expect_not_null(refused(1999, GONE_NETNS));
}

Test(history, refused_flows_of_other_hosts_are_one_group)
{
	struct latch_event event = event_of(LATCH_EVENT_REFUSED, 0);
	const struct news news = {.kind = NEWS_FLOW_REFUSED, .event = &event, .error = -ENOENT};
	unsigned int i;

	publish_refused(1, 1, LATCH_DIRECTION_OUT, 0);
	event.time = clock_boot_ns();
	event.flow.netns = 1;
	event.direction = LATCH_DIRECTION_IN;
	for (i = 0; i < 20000; i++) {
		memcpy(event.flow.remote_addr, &i, sizeof(i));
		news_publish(&bus, &news);
	}
	cr_expect_not_null(refused(1, 1));
}

static void publish_many_ends(uint16_t params)
{
	struct latch_event event = event_of(LATCH_EVENT_LATCH_CLOSED, params);
	unsigned int i;

	for (i = 0; i < 600; i++) {
		event.latch_id = 0x1000 + i;
		publish_event(&event);
	}
	cr_expect_not_null(history_find(history, HISTORY_ENDED, 0x1000 + 599));
}

static bool keeps_break_against_ends_of_d(void)
{
	publish_broken(params_c, params_d);
	publish_closed(params_c, LATCH_REASON_SA_CONFLICT);
	publish_many_ends(params_d);
	return history_find(history, HISTORY_ENDED, 0x1f3) != NULL;
}

Test(history, a_peer_that_connects_very_often_replaces_no_record_of_another_latch)
{
	expect_kept_by_most(keeps_break_against_ends_of_d);
}

/* Its reason alone tells it from those: a dead peer is no peer in conflict. */
static bool keeps_break_against_ends_of_its_peer(void)
{
	struct latch latch = latch_now(params_c);

	news_publish(&bus, &(struct news){
				   .kind = NEWS_LATCH_BROKEN,
				   .flow = &flow,
				   .latch = &latch,
				   .cause = {.reason = LATCH_REASON_PEER_DEAD, .got = params_c},
			   });
	publish_closed(params_c, LATCH_REASON_PEER_DEAD);
	publish_many_ends(params_c);
	return history_find(history, HISTORY_ENDED, 0x1f3) != NULL;
}

Test(history, normal_ends_of_a_peer_replace_no_break_of_the_same_peer)
{
	expect_kept_by_most(keeps_break_against_ends_of_its_peer);
}

static bool keeps_break_against_drops(void)
{
	unsigned int i;

	publish_drop(0x1f3, LATCH_DROP_IDENTITY, LATCH_STATE_ESTABLISHED);
	publish_broken(params_c, params_d);
	for (i = 0; i < 600; i++)
		publish_drop(0x1000 + i, LATCH_DROP_IDENTITY, LATCH_STATE_ESTABLISHED);
	cr_expect_null(history_find(history, HISTORY_LIVE, 0x1000));
	return history_find(history, HISTORY_LIVE, 0x1f3) != NULL;
}

Test(history, drops_of_a_peer_replace_no_break_of_a_latch_that_had_drops_before)
{
	expect_kept_by_most(keeps_break_against_drops);
}

Test(history, lost_events_are_remembered)
{
	cr_expect_eq(history_gaps(history).lost, 0);
	news_publish(&bus, &(struct news){.kind = NEWS_EVENTS_LOST, .count = 5});
	news_publish(&bus, &(struct news){.kind = NEWS_EVENTS_LOST, .count = 2});
	cr_expect_eq(history_gaps(history).lost, 7);
	cr_expect_neq(history_gaps(history).lost_ns, 0);
	cr_expect_leq(history_gaps(history).since_ns, history_gaps(history).lost_ns);
}
