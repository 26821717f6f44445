/* SPDX-License-Identifier: BSD-2-Clause */
/* The feed of vici_feed_harness.h with a charon that behaves correctly. */
#include "vici_feed_harness.h"

TestSuite(vici_feed, .init = harness_begin, .fini = harness_end, .timeout = 60);

/* In the captured attack d.latch.test takes the address of c.latch.test. */
#define C_DOWN (vici_fixture_event("attackD-tcp", "child-updown", 1))
#define D_UP   (vici_fixture_event("attackD-tcp", "child-updown", 0))
#define D_LINE "up d.latch.test d3f0d477 "

Test(vici_feed, the_feed_registers_for_events_before_it_lists_sas)
{
	fake_charon_add_conn(&charon, fake_conn("x509", "public key"));
	fake_charon_add_sa(&charon, D_UP);
	fake_charon_start(&charon);
	feed_start();
	cr_expect_eq(trace_count(""), 0, "a callback before the caller has the feed");
	wait_for("state synced charon 5.9.8, process", 1);
	EXPECT_ORDER("attached", "state connected", "charon: register alert",
		     "charon: register ike-updown", "charon: register child-updown",
		     "charon: register child-rekey", "charon: register ike-rekey",
		     "charon: register ike-update", "charon: register list-conn", "charon: version",
		     "charon: register list-sa", "charon: list-conns", "charon: answer list-conns",
		     "snapshot begin", "charon: answer list-sas", D_LINE "pubkey vici list-sas",
		     "snapshot end", "state synced");
	cr_expect_eq(trace_count("charon: register"), 8);
	cr_expect_eq(trace_count("charon: accept"), 2);
	cr_expect_eq(feed->state, FEED_STATE_SYNCED);
	cr_expect_eq(feed->resyncs, 0);
	cr_expect_str_eq(feed->daemon_version, "charon 5.9.8");
}

Test(vici_feed, the_feed_reports_the_process_that_listens_on_the_socket)
{
	char expected[64];

	start_both();
	snprintf(expected, sizeof(expected), "attached %d", (int)getpid());
	cr_expect_str_eq(trace_line(trace_find("attached", 0)), expected);
}

Test(vici_feed, an_event_during_registration_waits_for_its_authentication_class)
{
	fake_charon_add_conn(&charon, fake_conn("x509", "public key"));
	charon.early_on = "ike-update";
	charon.early_event = "child-updown";
	charon.early_json = D_UP;
	fake_charon_start(&charon);
	feed_start();
	wait_for("state synced", 1);
	EXPECT_ORDER("charon: register ike-update", "charon: answer list-conns",
		     D_LINE "pubkey vici child-updown", "snapshot end");
	cr_expect_eq(trace_count("up "), 1);
}

Test(vici_feed, an_event_during_a_snapshot_is_reported_before_its_end)
{
	fake_charon_add_conn(&charon, fake_conn("x509", "public key"));
	charon.held_command = "list-sas";
	fake_charon_start(&charon);
	feed_start();
	wait_for("charon: list-sas", 1);
	fake_charon_push(&charon, "child-updown", D_UP);
	wait_for("up ", 1);
	cr_expect_eq(feed->state, FEED_STATE_CONNECTED);
	cr_expect_eq(trace_count("snapshot end"), 0);
	fake_charon_release(&charon);
	wait_for("state synced", 1);
	EXPECT_ORDER("snapshot begin", D_LINE "pubkey vici child-updown", "charon: answer list-sas",
		     "snapshot end", "state synced");
}

Test(vici_feed, a_child_rekey_event_reports_only_the_new_child)
{
	start_both();
	fake_charon_push(
		&charon, "child-rekey",
		vici_fixture_event("establish-rekey-collision-attackD-dpd", "child-rekey", 0));
	wait_for("up c.latch.test 60646137 pubkey vici child-rekey", 1);
	cr_expect_null(recorded_up(&sink, 0x866ad189));
	cr_expect_eq(sink.down_count, 0);
}

static void play(const char *name)
{
	struct vici_fixture fixture;

	vici_fixture_open(&fixture, name);
	while (vici_fixture_next(&fixture))
		fake_charon_push(&charon, fixture.event, fixture.json);
	vici_fixture_close(&fixture);
}

/*
 * The same steps with each version, captured from two charons with kernel-libipsec: the peer rekeys
 * its CHILD_SA and its IKE_SA, authenticates again, is killed and comes back, is killed and does
 * not answer a rekey, comes back and ends in good order. In 6.0 the new IKE_SA is up before the old
 * one ends. 6.1 has alerts, and none of them names another cause than the tasks.
 */
static void check_version(const char *version, bool has_alerts)
{
	charon.has_alerts = has_alerts;
	start_both();
	play(version);
	wait_for("peer 5 orderly d.example", 1);
	EXPECT_ORDER("peer 1 up d.example x509 pubkey", "up d.example");
	EXPECT_ORDER("peer 3 up d.example x509 pubkey", "up d.example",
		     "peer 3 peer-rebooted d.example x509 pubkey by 4",
		     "peer 4 up d.example x509 pubkey", "up d.example",
		     "peer 4 peer-dead d.example x509 pubkey by 0",
		     "peer 5 up d.example x509 pubkey", "up d.example",
		     "peer 5 orderly d.example x509 pubkey by 0");
	cr_expect_eq(trace_count("peer 2 orderly d.example"), 1, "authenticated again");
	cr_expect_eq(trace_count("peer 1 peer-") + trace_count("peer 2 peer-"), 0);
	cr_expect_eq(trace_count("peer 3 peer-"), 1, "rebooted");
	cr_expect_eq(trace_count("peer 4 peer-"), 1, "dead");
	cr_expect_eq(trace_count("peer 5 peer-"), 0);
	cr_expect_eq(sink.up_count, 5, "four IKE_SAs and a rekey");
}

Test(vici_feed, strongswan_5_9_8_tells_of_rekeys_reboots_and_dead_peers)
{
	check_version("strongswan-5.9.8", false);
}

Test(vici_feed, strongswan_6_0_1_tells_of_rekeys_reboots_and_dead_peers)
{
	check_version("strongswan-6.0.1", false);
}

Test(vici_feed, strongswan_6_1_0_tells_of_rekeys_reboots_and_dead_peers)
{
	check_version("strongswan-6.1.0", true);
}

Test(vici_feed, without_its_alerts_strongswan_6_1_0_tells_the_same)
{
	check_version("strongswan-6.1.0", false);
}

/*
 * Captured from 6.1.0 as the sessions above, its connection renamed. The peer's charon is killed
 * and comes back with INITIAL_CONTACT: first while all requests are answered, then during an
 * unanswered one.
 */
Test(vici_feed, R_2_19_alerts_tell_a_reboot_during_an_unanswered_request_from_a_dead_peer)
{
	charon.has_alerts = true;
	start_both();
	play("strongswan-6.1.0-reboots");
	wait_for("peer 3 up c.example", 1);
	EXPECT_ORDER("peer 1 orderly c.example", "peer 1 peer-rebooted c.example x509 pubkey by 2",
		     "peer 2 up c.example x509 pubkey now", "peer 2 orderly c.example",
		     "peer 2 peer-rebooted c.example x509 pubkey by 3");
	cr_expect_eq(trace_count("peer 1 peer-") + trace_count("peer 2 peer-"), 2);
}

Test(vici_feed, R_2_19_without_alerts_a_reboot_during_an_unanswered_request_is_a_dead_peer)
{
	start_both();
	play("strongswan-6.1.0-reboots");
	wait_for("peer 3 up c.example", 1);
	EXPECT_ORDER("peer 1 peer-rebooted c.example x509 pubkey by 2",
		     "peer 2 peer-dead c.example x509 pubkey by 0");
}

/*
 * Under unique = replace the peer authenticates again at its address. Then it loses its state,
 * moves and authenticates without INITIAL_CONTACT. Its old address answers neither the request nor
 * the DELETE.
 */
static void check_replaced(bool has_alerts)
{
	charon.has_alerts = has_alerts;
	start_both();
	play("strongswan-6.1.0-replaced");
	wait_for("peer 2 orderly c.example", 1);
	EXPECT_ORDER("peer 1 up c.example", "peer 2 up c.example", "peer 1 orderly c.example",
		     "peer 3 up c.example", "peer 2 orderly c.example");
	cr_expect_eq(trace_count("peer 1 peer-") + trace_count("peer 2 peer-") +
			     trace_count("peer 3 peer-"),
		     0);
}

Test(vici_feed,
     with_alerts_a_peer_that_has_moved_and_authenticated_again_is_neither_dead_nor_rebooted)
{
	check_replaced(true);
}

Test(vici_feed,
     without_alerts_a_peer_that_has_moved_and_authenticated_again_is_neither_dead_nor_rebooted)
{
	check_replaced(false);
}

Test(vici_feed, a_captured_session_reports_its_children_and_peers_in_order)
{
	start_both();
	play("establish-rekey-collision-attackD-dpd");
	wait_for("down d.latch.test 6d071e98", 1);
	EXPECT_ORDER("peer 1 up c.latch.test x509 pubkey", "up c.latch.test 866ad189",
		     "up c.latch.test 60646137", "up c.latch.test f8f77327",
		     "up c.latch.test 6f0579b2", "peer 2 up d.latch.test x509 pubkey",
		     "up d.latch.test 7199bc49", "peer 1 peer-dead c.latch.test x509 pubkey by 0",
		     "down c.latch.test 6f0579b2", "up d.latch.test 722530ed",
		     "up d.latch.test e56330d5", "peer 2 orderly d.latch.test x509 pubkey by 0",
		     "down d.latch.test e56330d5",
		     "peer 2 peer-rebooted d.latch.test x509 pubkey by 3",
		     "peer 3 up d.latch.test x509 pubkey", "up d.latch.test 0eeffca6",
		     "peer 5 up d.latch.test x509 pubkey", "up d.latch.test 6d071e98",
		     "peer 4 orderly d.latch.test x509 pubkey by 0", "down d.latch.test 0eeffca6",
		     "peer 5 orderly d.latch.test x509 pubkey by 0", "down d.latch.test 6d071e98");
	cr_expect_eq(sink.up_count, 9);
	cr_expect_eq(sink.down_count, 4);
	cr_expect_eq(trace_count("peer 1 peer-"), 1);
	cr_expect_eq(trace_count("peer 2 peer-"), 1);
}

Test(vici_feed, an_unknown_authentication_class_is_queried_once)
{
	start_both();
	fake_charon_add_conn(&charon, fake_conn("psk", "pre-shared key"));
	fake_charon_push(&charon, "child-updown",
			 vici_fixture_event("rawkey-psk-keyid", "child-updown", 1));
	wait_for("up c.latch.test 8a59fd25 psk vici child-updown", 1);
	fake_charon_push(&charon, "child-updown",
			 vici_fixture_event("rawkey-psk-keyid", "child-updown", 3));
	wait_for("down c.latch.test 2ed76464", 1);
	cr_expect_eq(trace_count("charon: list-conns ike=psk"), 1);
	cr_expect_eq(recorded_up(&sink, 0x8a59fd25)->child.peer_auth, FEED_AUTH_PSK);
	cr_expect_eq(recorded_down(&sink, 0x2ed76464)->child.peer_auth, FEED_AUTH_PSK);
}

/* Nothing shows which remote id charon has compared. */
Test(vici_feed, a_child_of_an_unloaded_configuration_is_refused)
{
	start_both();
	fake_charon_push(&charon, "child-updown",
			 vici_fixture_event("rawkey-psk-keyid", "child-updown", 0));
	wait_for("log vici: child_sa 1 refused (its connection is not loaded", 1);
	cr_expect_eq(trace_count("up "), 0);
}

/* The configuration is reloaded with another class before the new IKE_SA is set up. */
Test(vici_feed, a_new_ike_sa_queries_its_configuration_again)
{
	start_both();
	charon.conn_count = 0;
	fake_charon_add_conn(&charon, fake_conn("x509", "pre-shared key"));
	fake_charon_push(&charon, "ike-updown", vici_fixture_event("attackD-tcp", "ike-updown", 0));
	fake_charon_push(&charon, "child-updown", D_UP);
	wait_for(D_LINE "psk vici child-updown", 1);
	cr_expect_eq(trace_count("charon: list-conns ike=x509"), 1);
}

Test(vici_feed, messages_keep_their_order_during_a_query)
{
	start_both();
	fake_charon_add_conn(&charon, fake_conn("raw-d", "public key"));
	fake_charon_add_conn(&charon, fake_conn("psk", "pre-shared key"));
	charon.held_command = "list-conns";
	fake_charon_push(&charon, "child-updown",
			 vici_fixture_event("rawkey-psk-keyid", "child-updown", 0));
	wait_for("charon: list-conns ike=raw-d", 1);
	fake_charon_push(&charon, "child-updown", D_UP);
	fake_charon_push(&charon, "child-updown",
			 vici_fixture_event("rawkey-psk-keyid", "child-updown", 1));
	feed->resync(feed);
	wait_for("charon: answer list-sas", 2);
	cr_expect_eq(trace_count("up "), 0);
	fake_charon_release(&charon);
	wait_for("snapshot end", 2);
	EXPECT_ORDER("charon: answer list-conns", "charon: answer list-conns", "up d.raw 14c12056",
		     D_LINE, "up c.latch.test 8a59fd25", "snapshot end");
	cr_expect_eq(trace_count("charon: list-conns ike=psk"), 1);
}

Test(vici_feed, a_refused_child_is_logged_once_and_not_reported)
{
	static const char json[] =
		"{\"up\":\"yes\",\"x509\":{\"uniqueid\":\"1\",\"state\":\"ESTABLISHED\","
		"\"local-host\":\"10.9.0.1\",\"remote-host\":\"10.9.0.3\",\"local-id\":\"a\","
		"\"remote-id\":\"%any\",\"child-sas\":{\"t-77\":{\"name\":\"t\","
		"\"uniqueid\":\"77\",\"state\":\"INSTALLED\",\"mode\":\"TUNNEL\","
		"\"protocol\":\"ESP\",\"spi-in\":\"1\",\"spi-out\":\"2\"}}}}";

	start_both();
	fake_charon_push(&charon, "child-updown", json);
	fake_charon_push(&charon, "child-updown", json);
	fake_charon_push(&charon, "child-updown", D_UP);
	wait_for(D_LINE, 1);
	cr_expect_eq(sink.up_count, 1);
	cr_expect_eq(
		trace_count(
			"log vici: child_sa 77 refused (an identity is %any): connection x509 of "
			"feed here"),
		1);
}

/* The peers choose the number of children. */
Test(vici_feed, the_number_of_logged_refusals_is_bounded)
{
	char json[512];
	unsigned int i;

	start_both();
	for (i = 1; i <= VICI_REFUSALS_MAX + 20; i++) {
		snprintf(json, sizeof(json),
			 "{\"up\":\"yes\",\"x509\":{\"uniqueid\":\"1\",\"state\":\"ESTABLISHED\","
			 "\"child-sas\":{\"t\":{\"uniqueid\":\"%u\",\"state\":\"INSTALLED\"}}}}",
			 i);
		fake_charon_push(&charon, "child-updown", json);
	}
	fake_charon_push(&charon, "child-updown", D_UP);
	wait_for(D_LINE, 1);
	cr_expect_eq(trace_count("log vici: child_sa "), VICI_REFUSALS_MAX);
}

#define UPDATE(name, state)                                                                        \
	"{\"local-host\":\"10.9.0.1\",\"" name "\":{\"uniqueid\":\"9\",\"version\":\"2\","         \
	"\"state\":\"" state "\"}}"

Test(vici_feed, ike_rekey_ike_update_and_ikev1_events_cause_a_new_snapshot)
{
	start_both();
	fake_charon_add_sa(&charon, D_UP);
	fake_charon_push(
		&charon, "ike-rekey",
		vici_fixture_event("initialcontact-ikerekey-reauth-delete", "ike-rekey", 0));
	wait_for(D_LINE "pubkey vici list-sas", 1);
	fake_charon_push(&charon, "ike-update", UPDATE("x509", "ESTABLISHED"));
	wait_for(D_LINE "pubkey vici list-sas", 2);
	fake_charon_push(&charon, "ike-updown",
			 "{\"up\":\"yes\",\"x509\":{\"uniqueid\":\"9\",\"version\":\"1\"}}");
	wait_for("charon: answer list-sas", 4);
	cr_expect_eq(feed->resyncs, 3);
}

/* Any host can begin IKE_SAs: an update of one that is not authenticated is no reason for a list.
 */
Test(vici_feed, an_ike_update_before_authentication_causes_no_snapshot)
{
	start_both();
	fake_charon_push(
		&charon, "ike-update",
		vici_fixture_event("initialcontact-ikerekey-reauth-delete", "ike-update", 0));
	fake_charon_push(&charon, "ike-update", UPDATE("x509", "CONNECTING"));
	fake_charon_push(&charon, "child-updown", D_UP);
	wait_for(D_LINE, 1);
	cr_expect_not(loop_timer_armed(&session()->soon));
	cr_expect_not(loop_timer_armed(&session()->resync));
	cr_expect_eq(feed->resyncs, 0);
}

Test(vici_feed, after_a_burst_a_second_passes_between_two_lists)
{
	unsigned int i;

	start_both();
	for (i = 0; i < VICI_RESYNC_BURST; i++) {
		feed->resync(feed);
		wait_for("snapshot end", i + 2);
	}
	feed->resync(feed);
	cr_expect_gt(session()->resync.deadline_ms,
		     session()->listed_ms + VICI_RESYNC_LAST_MS - VICI_RESYNC_GAP_MS);
	session()->listed_ms -= 10 * VICI_RESYNC_LAST_MS;
	wait_for("snapshot end", VICI_RESYNC_BURST + 2);
	cr_expect_eq(session()->burst, 1);
}

Test(vici_feed, resync_requests_coalesce)
{
	unsigned int i;

	start_both();
	charon.held_command = "list-sas";
	for (i = 0; i < 5; i++)
		feed->resync(feed);
	wait_for("charon: list-sas", 2);
	for (i = 0; i < 5; i++)
		feed->resync(feed);
	fake_charon_release(&charon);
	/* The running list may be older than the request: one more list follows. */
	wait_for("snapshot end", 3);
	cr_expect_eq(feed->resyncs, 2);
	cr_expect_not(session()->listing || session()->listing_again);
	cr_expect_not(loop_timer_armed(&session()->resync));
	cr_expect_eq(trace_count("charon: list-sas"), 3);
	cr_expect_eq(trace_count("state synced"), 1);
}

Test(vici_feed, a_slow_list_sas_is_logged_and_not_aborted)
{
	start_both();
	session()->answer_limit_ms = 5;
	charon.held_command = "list-sas";
	feed->resync(feed);
	wait_for("log vici: feed here waits for list-sas (no answer within 5 ms)", 1);
	fake_charon_push(&charon, "child-updown", D_UP);
	wait_for(D_LINE, 1);
	cr_expect_eq(feed->state, FEED_STATE_SYNCED);
	fake_charon_release(&charon);
	wait_for("snapshot end", 2);
	cr_expect_eq(trace_count("state lost"), 0);
	cr_expect_eq(trace_count("log vici: feed here waits for list-sas"), 1);
}

Test(vici_feed, a_snapshot_reports_every_listed_child)
{
	fake_charon_add_conn(&charon, fake_conn("x509", "public key"));
	fake_charon_add_conn(&charon, fake_conn("psk", "pre-shared key"));
	fake_charon_add_conn(&charon, fake_conn("raw-d", "public key"));
	fake_charon_add_sa(&charon, D_UP);
	fake_charon_add_sa(&charon, C_DOWN);
	fake_charon_add_sa(&charon, vici_fixture_event("rawkey-psk-keyid", "child-updown", 0));
	fake_charon_add_sa(&charon, vici_fixture_event("rawkey-psk-keyid", "child-updown", 1));
	fake_charon_start(&charon);
	feed_start();
	wait_for("state synced", 1);
	cr_expect_eq(sink.up_count, 4);
	EXPECT_ORDER("snapshot begin", "up d.latch.test d3f0d477 pubkey vici list-sas",
		     "up c.latch.test 200ae9d6 pubkey vici list-sas",
		     "up d.raw 14c12056 pubkey vici list-sas",
		     "up c.latch.test 8a59fd25 psk vici list-sas", "snapshot end");
}

Test(vici_feed, a_feed_destroyed_during_a_snapshot_reports_nothing_more)
{
	fake_charon_add_conn(&charon, fake_conn("x509", "public key"));
	charon.held_command = "list-sas";
	fake_charon_start(&charon);
	feed_start();
	wait_for("charon: list-sas", 1);
	feed->resync(feed);
	feed->destroy(feed);
	feed = NULL;
	wait_for("charon: closed by peer", 2);
	cr_expect_eq(trace_count("snapshot end"), 0);
	cr_expect_eq(trace_count("state"), 1);
}
