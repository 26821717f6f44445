/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The feed of vici_feed_harness.h, with a charon that has alerts (strongSwan 6.0.3 and later) and
 * with one that has none: the causes of the ends of IKE_SAs that reach the sink.
 */
#include "vici_feed_harness.h"

#define C_ID "\"remote-id\":\"c\","
#define DPD  "\"tasks-active\":[\"IKE_DPD\"],"
#define MANY 3000

TestSuite(vici_alerts, .init = harness_begin, .fini = harness_end, .timeout = 60);

static const char *ike_sa(int id, const char *members)
{
	static char json[1024];

	snprintf(json, sizeof(json),
		 "{\"x509\":{\"uniqueid\":\"%d\",\"version\":\"2\",%s%s\"local-id\":\"w\"}}", id,
		 strstr(members, "\"state\"") ? "" : "\"state\":\"ESTABLISHED\",", members);
	return json;
}

static void up(int id, const char *members)
{
	char json[1100];

	snprintf(json, sizeof(json), "{\"up\":\"yes\",%s", ike_sa(id, members) + 1);
	fake_charon_push(&charon, "ike-updown", json);
}

static void down(int id, const char *members)
{
	fake_charon_push(&charon, "ike-updown", ike_sa(id, members));
}

static void alert(const char *type, int id, const char *members)
{
	char json[1200];

	snprintf(json, sizeof(json), "{\"type\":\"%s\",\"ike-sa\":%s}", type, ike_sa(id, members));
	fake_charon_push(&charon, "alert", json);
}

/* Returns after all earlier events were handled. */
static void await_all(void)
{
	static int id = 100000;
	char line[64];

	up(++id, "\"remote-id\":\"last\",");
	snprintf(line, sizeof(line), "peer %d up last", id);
	wait_for(line, 1);
}

static void start_with_alerts(void)
{
	charon.has_alerts = true;
	start_both();
}

Test(vici_alerts, R_2_19_an_alert_names_the_dead_peer)
{
	start_with_alerts();
	up(7, C_ID);
	alert("retransmit-send", 7, C_ID DPD);
	alert("retransmit-send-timeout", 7, C_ID DPD);
	down(7, C_ID DPD);
	await_all();
	EXPECT_ORDER("charon: register alert", "peer 7 up c x509 pubkey now",
		     "peer 7 peer-dead c x509 pubkey by 0");
	cr_expect_eq(trace_count("peer 7 "), 2);
}

/* Of IKEv1, and of a peer that has left a request of its own unfinished, tasks tell nothing. */
Test(vici_alerts, R_2_19_an_alert_names_a_dead_peer_that_tasks_do_not_show)
{
	start_with_alerts();
	alert("retransmit-send-timeout", 7, C_ID "\"tasks-passive\":[\"CHILD_CREATE\"]," DPD);
	down(7, C_ID "\"tasks-passive\":[\"CHILD_CREATE\"]," DPD);
	alert("retransmit-send-timeout", 8, C_ID "\"version\":\"1\",");
	down(8, C_ID "\"version\":\"1\",");
	await_all();
	cr_expect_eq(trace_count("peer 7 peer-dead c"), 1);
	cr_expect_eq(trace_count("peer 8 peer-dead c"), 1);
}

/* Quick Mode as its initiator and as its responder. The peer may answer DPD. */
Test(vici_alerts, of_ikev1_an_exchange_that_the_peer_does_not_complete_shows_no_dead_peer)
{
	start_with_alerts();
	alert("retransmit-send-timeout", 7, C_ID "\"version\":\"1\",");
	down(7, C_ID "\"version\":\"1\",\"tasks-active\":[\"QUICK_MODE\"],");
	alert("retransmit-send-timeout", 8, C_ID "\"version\":\"1\",");
	down(8, C_ID "\"version\":\"1\",\"tasks-passive\":[\"QUICK_MODE\"],");
	alert("retransmit-send-timeout", 9, C_ID "\"version\":\"1\",");
	down(9, C_ID "\"version\":\"1\",\"tasks-active\":[\"ISAKMP_DPD\"],");
	await_all();
	cr_expect_eq(trace_count("peer 7 orderly c"), 1);
	cr_expect_eq(trace_count("peer 8 orderly c"), 1);
	cr_expect_eq(trace_count("peer 9 peer-dead c"), 1);
}

/* charon looks up the name of the peer's host in between. */
Test(vici_alerts, R_2_19_a_slow_resolver_between_alert_and_end_hides_no_dead_peer)
{
	start_with_alerts();
	alert("retransmit-send-timeout", 7, C_ID "\"version\":\"1\",");
	await_all();
	session()->dispatch.alerts.timeouts.latest[0].at_ms -= 60000;
	down(7, C_ID "\"version\":\"1\",");
	await_all();
	cr_expect_eq(trace_count("peer 7 peer-dead c"), 1);
}

/* The peer came back and sent INITIAL_CONTACT while a request was unanswered. */
Test(vici_alerts, R_2_19_a_reboot_while_a_request_is_unanswered_is_a_reboot)
{
	start_with_alerts();
	alert("retransmit-send", 7, C_ID DPD);
	down(7, C_ID DPD);
	up(8, C_ID);
	await_all();
	EXPECT_ORDER("peer 7 orderly c x509 pubkey by 0", "peer 7 peer-rebooted c x509 pubkey by 8",
		     "peer 8 up c x509 pubkey now");
	cr_expect_eq(trace_count("peer 7 peer-dead"), 0);
}

/* Another credential with the name of c ended the IKE_SA of c. */
Test(vici_alerts, a_request_in_flight_at_an_end_without_alert_is_no_dead_peer)
{
	start_with_alerts();
	down(7, C_ID DPD);
	await_all();
	cr_expect_eq(trace_count("peer 7 orderly c"), 1);
	cr_expect_eq(trace_count("peer 7 peer-"), 0);
}

/* The client has moved: the old address answers neither the request nor the DELETE. */
Test(vici_alerts, a_peer_that_has_authenticated_again_is_not_dead)
{
	start_with_alerts();
	up(8, C_ID);
	alert("unique-replace", 7, C_ID);
	alert("retransmit-send-timeout", 7, C_ID DPD);
	down(7, C_ID DPD);
	alert("unique-replace", 9, C_ID);
	alert("retransmit-send-timeout", 9, C_ID "\"state\":\"DELETING\"," DPD);
	down(9, C_ID "\"state\":\"DELETING\"," DPD);
	await_all();
	cr_expect_eq(trace_count("peer 7 orderly c"), 1);
	cr_expect_eq(trace_count("peer 9 orderly c"), 1);
	cr_expect_eq(trace_count("peer 7 peer-") + trace_count("peer 9 peer-"), 0);
}

Test(vici_alerts, R_2_19_without_alerts_tasks_show_the_dead_peer)
{
	start_both();
	down(7, C_ID DPD);
	await_all();
	EXPECT_ORDER("charon: register alert", "state synced", "peer 7 peer-dead c");
}

/* Alerts of a charon that has refused the registration do not reach latchd. */
Test(vici_alerts, alerts_that_charon_refuses_change_nothing)
{
	start_both();
	alert("retransmit-send-timeout", 7, C_ID);
	down(7, C_ID);
	await_all();
	cr_expect_eq(trace_count("peer 7 orderly c"), 1);
	cr_expect_eq(trace_count("peer 7 peer-"), 0);
}

/* As stated: charon keeps alerts that latchd does not read, and any host can cause them. */
Test(vici_alerts, without_alerts_none_is_asked_for_and_tasks_show_the_dead_peer)
{
	statements.without_alerts = true;
	start_with_alerts();
	down(7, C_ID DPD);
	await_all();
	cr_expect_eq(trace_count("charon: register alert"), 0);
	cr_expect_eq(trace_count("peer 7 peer-dead c"), 1);
}

/* charon raised the alert before latchd was registered for it. */
Test(vici_alerts, an_end_during_the_registration_counts_by_its_tasks)
{
	static char json[1024];

	strcpy(json, ike_sa(7, C_ID DPD));
	charon.early_on = "list-conn";
	charon.early_event = "ike-updown";
	charon.early_json = json;
	start_with_alerts();
	await_all();
	cr_expect_eq(trace_count("peer 7 peer-dead c"), 1);
}

/* Events wait for the query of a configuration, and alerts do not. */
Test(vici_alerts, an_end_that_waits_for_a_query_keeps_its_alert)
{
	start_with_alerts();
	fake_charon_add_conn(&charon, fake_conn("psk", "pre-shared key"));
	charon.held_command = "list-conns";
	fake_charon_push(&charon, "ike-updown",
			 "{\"psk\":{\"uniqueid\":\"3\",\"version\":\"2\",\"state\":\"ESTABLISHED\","
			 "\"remote-id\":\"e\",\"local-id\":\"w\"}}");
	wait_for("charon: list-conns ike=psk", 1);
	alert("retransmit-send-timeout", 7, C_ID DPD);
	down(7, C_ID DPD);
	down(8, C_ID DPD);
	fake_charon_release(&charon);
	await_all();
	cr_expect_eq(trace_count("peer 7 peer-dead c"), 1);
	cr_expect_eq(trace_count("peer 8 peer-"), 0);
}

Test(vici_alerts, a_timeout_that_the_ike_sa_has_outlived_breaks_nothing)
{
	size_t i;

	start_with_alerts();
	alert("retransmit-send-timeout", 7, C_ID DPD);
	alert("retransmit-send-timeout", 8, C_ID DPD);
	alert("retransmit-send-timeout", 9, C_ID DPD);
	alert("retransmit-send-cleared", 9, C_ID DPD);
	await_all();
	for (i = 0; i < VICI_ALERTS_MAX; i++)
		session()->dispatch.alerts.timeouts.latest[i].at_ms -= VICI_ALERT_MS + 1;
	down(7, C_ID "\"tasks-passive\":[\"CHILD_CREATE\"]," DPD);
	down(8, C_ID "\"state\":\"DELETING\",");
	down(9, C_ID DPD);
	await_all();
	cr_expect_eq(trace_count("peer 7 orderly") + trace_count("peer 8 orderly") +
			     trace_count("peer 9 orderly"),
		     3);
	cr_expect_eq(trace_count("peer 7 peer-") + trace_count("peer 8 peer-") +
			     trace_count("peer 9 peer-"),
		     0);
}

Test(vici_alerts, an_alert_after_the_end_breaks_nothing)
{
	start_with_alerts();
	down(7, C_ID "\"state\":\"DELETING\",");
	alert("retransmit-send-timeout", 7, C_ID DPD);
	await_all();
	cr_expect_eq(trace_count("peer 7 orderly"), 1);
	cr_expect_eq(trace_count("peer 7 peer-"), 0);
}

/* Each names IKE_SA 7, or seems to, and none says that its peer did not answer. */
static const char *const no_timeouts[] = {
	"{}",
	"{\"type\":\"retransmit-send-timeout\"}",
	"{\"type\":\"retransmit-send-timeout\",\"ike-sa\":{}}",
	"{\"type\":\"retransmit-send-timeout\",\"ike-sa\":\"7\"}",
	"{\"type\":[\"retransmit-send-timeout\"],\"ike-sa\":{\"x509\":{\"uniqueid\":\"7\","
	"\"state\":\"ESTABLISHED\"}}}",
	"{\"type\":\"retransmit-send-timeout\",\"ike-sa\":{\"x509\":{\"state\":\"ESTABLISHED\"}}}",
	"{\"type\":\"retransmit-send-timeout\",\"ike-sa\":{\"x509\":{\"uniqueid\":\"7\","
	"\"state\":\"CONNECTING\"}}}",
	"{\"type\":\"retransmit-send-timeout\",\"ike-sa\":{\"(unnamed)\":{\"uniqueid\":\"7\","
	"\"state\":\"ESTABLISHED\"}}}",
	"{\"type\":\"retransmit-send-timeout\",\"ike-sa\":{\"x509\":{\"uniqueid\":\"8\","
	"\"state\":\"ESTABLISHED\"}}}",
	"{\"type\":\"retransmit-send-timeout\",\"ike-sa\":{\"x509\":{\"uniqueid\":\"7\","
	"\"state\":\"ESTABLISHED\"},\"psk\":{\"uniqueid\":\"9\",\"state\":\"ESTABLISHED\"}}}",
	"{\"type\":\"retransmit-send-timeout-2\",\"ike-sa\":{\"x509\":{\"uniqueid\":\"7\","
	"\"state\":\"ESTABLISHED\"}}}",
	"{\"type\":\"peer-dead\",\"ike-sa\":{\"x509\":{\"uniqueid\":\"7\",\"state\":"
	"\"ESTABLISHED\"}}}",
	"{\"type\":\"cert-revoked\",\"ike-sa\":{\"x509\":{\"uniqueid\":\"7\",\"state\":"
	"\"ESTABLISHED\"}}}",
	"{\"type\":\"retransmit-send-timeout\",\"x509\":{\"uniqueid\":\"7\",\"state\":"
	"\"ESTABLISHED\"}}",
};

Test(vici_alerts, an_alert_that_does_not_name_this_ike_sa_and_a_timeout_breaks_nothing)
{
	size_t i;

	start_with_alerts();
	for (i = 0; i < sizeof(no_timeouts) / sizeof(no_timeouts[0]); i++)
		fake_charon_push(&charon, "alert", no_timeouts[i]);
	down(7, C_ID DPD);
	await_all();
	cr_expect_eq(trace_count("peer 7 orderly c"), 1);
	cr_expect_eq(trace_count("peer 7 peer-"), 0);
	cr_expect_eq(trace_count("state lost"), 0);
}

static void flood(const char *type, const char *members, int first)
{
	int i;

	for (i = 0; i < MANY; i++) {
		alert(type, first + i, members);
		if (i % 100 == 99)
			await_all();
	}
}

/* Unauthenticated hosts cause these. */
Test(vici_alerts, thousands_of_unauthenticated_alerts_hide_no_dead_peer_and_make_none)
{
	start_with_alerts();
	alert("retransmit-send-timeout", 7, C_ID DPD);
	flood("retransmit-send-timeout", "\"state\":\"CONNECTING\",", 1000);
	flood("invalid-ike-spi", C_ID, 1000);
	down(7, C_ID DPD);
	down(1001, C_ID DPD);
	await_all();
	cr_expect_eq(trace_count("peer 7 peer-dead c"), 1);
	cr_expect_eq(trace_count("peer 1001 peer-"), 0);
	cr_expect_not(session()->dispatch.alerts.timeouts.lost);
	cr_expect_eq(trace_count("state lost"), 0);
}

Test(vici_alerts, a_repeated_alert_takes_one_place)
{
	int i;

	start_with_alerts();
	alert("retransmit-send-timeout", 8, C_ID DPD);
	for (i = 0; i < MANY; i++) {
		alert("retransmit-send-timeout", 7, C_ID DPD);
		if (i % 100 == 99)
			await_all();
	}
	down(8, C_ID "\"tasks-passive\":[\"CHILD_CREATE\"]," DPD);
	down(7, C_ID DPD);
	await_all();
	cr_expect_eq(trace_count("peer 7 peer-dead c"), 1);
	cr_expect_eq(trace_count("peer 8 peer-dead c"), 1);
}

/* More timeouts than latchd keeps: an absent one says nothing any more. */
Test(vici_alerts, after_lost_alerts_tasks_show_the_dead_peer_again)
{
	start_with_alerts();
	alert("retransmit-send-timeout", 7, C_ID DPD);
	flood("retransmit-send-timeout", C_ID DPD, 1000);
	down(7, C_ID DPD);
	down(8, C_ID "\"tasks-passive\":[\"CHILD_CREATE\"]," DPD);
	await_all();
	cr_expect_eq(trace_count("peer 7 peer-dead c"), 1);
	cr_expect_eq(trace_count("peer 8 peer-"), 0);
}

/* The second IKE_SA needs a query, and the whole message is read again after it. */
Test(vici_alerts, an_event_that_is_read_again_names_the_same_cause)
{
	start_with_alerts();
	fake_charon_add_conn(&charon, fake_conn("psk", "pre-shared key"));
	alert("retransmit-send-timeout", 7, C_ID DPD);
	fake_charon_push(
		&charon, "ike-updown",
		"{\"x509\":{\"uniqueid\":\"7\",\"version\":\"2\",\"state\":\"ESTABLISHED\","
		"\"remote-id\":\"c\",\"local-id\":\"w\",\"tasks-active\":[\"IKE_DPD\"]},"
		"\"psk\":{\"uniqueid\":\"3\",\"version\":\"2\",\"state\":\"ESTABLISHED\","
		"\"remote-id\":\"e\",\"local-id\":\"w\"}}");
	await_all();
	cr_expect_geq(trace_count("peer 7 peer-dead c"), 1);
	cr_expect_eq(trace_count("peer 7 orderly"), 0);
}

/* Each has been used when another takes its place. */
Test(vici_alerts, R_2_19_alerts_that_were_used_make_room_for_others)
{
	const int count = 3 * VICI_ALERTS_MAX;
	char last[64];
	int i;

	start_with_alerts();
	for (i = 1; i <= count; i++) {
		alert("retransmit-send-timeout", i, C_ID "\"version\":\"1\",");
		down(i, C_ID "\"version\":\"1\",");
		if (i % 32 == 0)
			await_all();
	}
	snprintf(last, sizeof(last), "peer %d peer-dead c", count);
	cr_expect_eq(trace_count("peer 1 peer-dead c"), 1);
	cr_expect_eq(trace_count(last), 1);
	cr_expect_not(session()->dispatch.alerts.timeouts.lost);
}

Test(vici_alerts, alerts_do_not_wait_for_a_query)
{
	start_with_alerts();
	session()->dispatch.held_bytes_max = 1000;
	fake_charon_add_conn(&charon, fake_conn("psk", "pre-shared key"));
	charon.held_command = "list-conns";
	fake_charon_push(&charon, "ike-updown",
			 "{\"psk\":{\"uniqueid\":\"3\",\"version\":\"2\",\"state\":\"ESTABLISHED\","
			 "\"remote-id\":\"e\",\"local-id\":\"w\"}}");
	wait_for("charon: list-conns ike=psk", 1);
	for (int i = 0; i < 200; i++)
		alert("retransmit-receive", 7, C_ID);
	fake_charon_release(&charon);
	await_all();
	cr_expect_eq(trace_count("state lost"), 0);
}

/* Another charon: its numbers begin anew. */
Test(vici_alerts, alerts_of_a_charon_that_has_ended_are_forgotten)
{
	start_with_alerts();
	alert("retransmit-send-timeout", 7, C_ID DPD);
	alert("unique-replace", 8, C_ID);
	await_all();
	fake_charon_stop(&charon);
	wait_for("state lost", 1);
	fake_charon_start(&charon);
	wait_for("state synced", 2);
	down(7, C_ID DPD);
	alert("retransmit-send-timeout", 8, C_ID DPD);
	down(8, C_ID DPD);
	await_all();
	cr_expect_eq(trace_count("peer 7 peer-"), 0);
	cr_expect_eq(trace_count("peer 8 peer-dead c"), 1);
}
