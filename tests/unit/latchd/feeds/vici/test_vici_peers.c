/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The feed of vici_feed_harness.h, with events and lists of IKE_SAs of two peers c
 * and d. The peer reports (up, dead, rebooted, rekeyed) that reach the sink.
 */
#include "vici_feed_harness.h"

#define C_ID  "\"remote-id\":\"c\","
#define D_ID  "\"remote-id\":\"d\","
#define DPD   "\"tasks-active\":[\"IKE_DPD\"],"
#define BY_US "\"initiator\":\"yes\","

TestSuite(vici_peers, .init = harness_begin, .fini = harness_end, .timeout = 60);

static const char *ike_sa(const char *config, int id, const char *members)
{
	static char texts[4][1024]; /* fake_charon keeps the pointers */
	static unsigned int next;
	char *json = texts[next++ % 4];

	snprintf(json, sizeof(texts[0]),
		 "{\"%s\":{\"uniqueid\":\"%d\",\"version\":\"2\",%s%s\"local-id\":\"w\"}}", config,
		 id, strstr(members, "\"state\"") ? "" : "\"state\":\"ESTABLISHED\",", members);
	return json;
}

static void up(const char *config, int id, const char *members)
{
	char json[1100];

	snprintf(json, sizeof(json), "{\"up\":\"yes\",%s", ike_sa(config, id, members) + 1);
	fake_charon_push(&charon, "ike-updown", json);
}

static void down(const char *config, int id, const char *members)
{
	fake_charon_push(&charon, "ike-updown", ike_sa(config, id, members));
}

/* Returns after all earlier events were handled. */
static void await_all(void)
{
	static int id = 1000;
	char line[64];

	up("x509", ++id, "\"remote-id\":\"last\",");
	snprintf(line, sizeof(line), "peer %d up last", id);
	wait_for(line, 1);
}

Test(vici_peers, an_unanswered_request_reports_a_dead_peer)
{
	start_both();
	up("x509", 7, C_ID);
	down("x509", 7, C_ID DPD);
	await_all();
	EXPECT_ORDER("peer 7 up c x509 pubkey now", "peer 7 peer-dead c x509 pubkey by 0");
	cr_expect_eq(trace_count("peer 7 "), 2);
}

Test(vici_peers, a_dead_peer_is_reported_by_its_eap_identity)
{
	strcpy(statements.eap_identities, "x509");
	start_both();
	down("x509", 7, C_ID "\"remote-eap-id\":\"e\"," DPD);
	await_all();
	cr_expect_eq(trace_count("peer 7 peer-dead e x509"), 1);
}

Test(vici_peers, an_unauthenticated_ike_sa_reports_no_peer_down)
{
	start_both();
	down("x509", 7, C_ID DPD "\"state\":\"CONNECTING\",");
	down("x509", 8, "\"remote-id\":\"%any\"," DPD);
	down("x509", 9, "\"remote-id\":\"m?ller\"," DPD);
	down("(unnamed)", 10, C_ID DPD);
	await_all();
	cr_expect_eq(trace_count("peer 7"), 0);
	cr_expect_eq(trace_count("peer 8"), 0);
	cr_expect_eq(trace_count("peer 9"), 0);
	cr_expect_eq(trace_count("peer 10 "), 0);
}

Test(vici_peers, initial_contact_reports_all_ike_sas_of_the_identity_as_rebooted)
{
	start_both();
	down("x509", 7, C_ID);
	down("x509", 8, C_ID);
	down("x509", 9, D_ID);
	up("x509", 10, C_ID);
	await_all();
	EXPECT_ORDER("peer 7 orderly c x509 pubkey by 0", "peer 8 orderly c", "peer 9 orderly d",
		     "peer 7 peer-rebooted c x509 pubkey by 10",
		     "peer 8 peer-rebooted c x509 pubkey by 10", "peer 10 up c x509 pubkey");
	cr_expect_eq(trace_count("peer 9 "), 1);
	up("x509", 11, C_ID);
	await_all();
	cr_expect_eq(trace_count("peer 7 peer-rebooted"), 1, "reported twice");
}

/* An unauthenticated message may have ended the IKE_SA. */
Test(vici_peers, an_ike_sa_down_without_a_successor_reports_no_reboot)
{
	start_both();
	down("x509", 7, C_ID);
	up("x509", 8, D_ID);
	up("x509", 9, C_ID BY_US);
	await_all();
	cr_expect_eq(trace_count("peer 7 peer-"), 0);
}

Test(vici_peers, a_successor_after_the_time_limit_reports_no_reboot)
{
	start_both();
	session()->dispatch.ended.contact_ms = 0;
	down("x509", 7, C_ID);
	wait_for("peer 7 orderly", 1);
	session()->dispatch.ended.latest[0].at_ms--;
	up("x509", 8, C_ID);
	await_all();
	cr_expect_eq(trace_count("peer 7 peer-"), 0);
}

/* The peer wrote INITIAL_CONTACT before it had the IKE_SA that this host began at the same time. */
Test(vici_peers, initial_contact_that_crossed_an_ike_sa_of_this_host_reports_no_reboot)
{
	start_both();
	down("x509", 7, C_ID BY_US "\"established\":\"5\",");
	down("x509", 8, C_ID BY_US DPD "\"established\":\"0\",");
	up("x509", 9, C_ID);
	await_all();
	EXPECT_ORDER("peer 7 orderly c x509 pubkey by 0", "peer 8 orderly c x509 pubkey by 0",
		     "peer 9 up c x509 pubkey");
	cr_expect_eq(trace_count("peer 7 peer-") + trace_count("peer 8 peer-"), 0);
}

Test(vici_peers, R_2_19_initial_contact_after_an_ike_sa_that_cannot_have_crossed_reports_a_reboot)
{
	start_both();
	down("x509", 7, C_ID BY_US "\"established\":\"6\",");
	down("x509", 8, C_ID "\"established\":\"0\",");
	down("x509", 9, C_ID BY_US "\"established\":\"-1\",");
	down("x509", 10, C_ID BY_US);
	down("x509", 11, C_ID BY_US DPD "\"established\":\"6\",");
	up("x509", 12, C_ID);
	await_all();
	cr_expect_eq(trace_count("peer 7 peer-rebooted"), 1);
	cr_expect_eq(trace_count("peer 8 peer-rebooted"), 1);
	cr_expect_eq(trace_count("peer 9 peer-rebooted"), 1);
	cr_expect_eq(trace_count("peer 10 peer-rebooted"), 1);
	cr_expect_eq(trace_count("peer 11 peer-dead"), 1);
}

static void expect_no_reboot_by(const char *config, const char *class, const char *line)
{
	fake_charon_add_conn(&charon, fake_conn(config, class));
	start_both();
	down("x509", 7, C_ID);
	up(config, 8, C_ID);
	await_all();
	expect_request((const char *const[]){"peer 7 orderly c x509 pubkey", line}, 2);
	cr_expect_eq(trace_count("peer 7 peer-"), 0);
}

/* Another authentication class makes another peer, with the same text as identity. */
Test(vici_peers, S19_a_successor_of_another_authentication_class_reports_no_reboot)
{
	expect_no_reboot_by("psk", "pre-shared key", "peer 8 up c psk psk");
}

Test(vici_peers, a_successor_of_another_configuration_reports_no_reboot)
{
	expect_no_reboot_by("guests", "public key", "peer 8 up c guests pubkey");
}

Test(vici_peers, feed_peer_equal_compares_identity_configuration_and_class)
{
	struct feed_peer one = {.config_name = "x509", .id = "c", .auth = FEED_AUTH_PUBKEY},
			 other = one;

	other.ike_unique_id = 1;
	cr_expect(feed_peer_equal(&one, &other));
	other.auth = FEED_AUTH_PSK;
	cr_expect_not(feed_peer_equal(&one, &other));
	other = one;
	other.id[0] = 'd';
	cr_expect_not(feed_peer_equal(&one, &other));
	other = one;
	other.config_name[0] = 'y';
	cr_expect_not(feed_peer_equal(&one, &other));
	other = one;
	other.key.known = true;
	cr_expect_not(feed_peer_equal(&one, &other));
	one.key.known = true;
	cr_expect(feed_peer_equal(&one, &other));
	other.key.sha256[31] = 1;
	cr_expect_not(feed_peer_equal(&one, &other));
}

Test(vici_peers, an_ike_sa_down_before_a_reconnect_reports_no_reboot)
{
	start_both();
	down("x509", 7, C_ID);
	wait_for("peer 7 orderly", 1);
	fake_charon_stop(&charon);
	wait_for("state lost", 1);
	fake_charon_start(&charon);
	wait_for("state synced", 2);
	up("x509", 8, C_ID);
	await_all();
	cr_expect_eq(trace_count("peer 7 peer-"), 0);
}

/* ---- snapshots */

static void resync(void)
{
	feed->resync(feed);
	wait_for("snapshot end", 2);
}

Test(vici_peers, a_snapshot_reports_ike_sas_without_children)
{
	fake_charon_add_sa(&charon, ike_sa("x509", 7, C_ID));
	start_both();
	EXPECT_ORDER("snapshot begin", "peer 7 up c x509 pubkey", "snapshot end");
	cr_expect_eq(trace_count("peer 7 up c x509 pubkey now"), 0);
}

Test(vici_peers, a_snapshot_reports_only_established_or_rekeying_ike_sas)
{
	fake_charon_add_sa(&charon, ike_sa("x509", 7, C_ID "\"state\":\"REKEYED\","));
	fake_charon_add_sa(&charon, ike_sa("x509", 8, C_ID "\"state\":\"DELETING\","));
	fake_charon_add_sa(&charon, ike_sa("x509", 9, C_ID "\"state\":\"CONNECTING\","));
	fake_charon_add_sa(&charon, ike_sa("x509", 10, C_ID "\"state\":\"REKEYING\","));
	start_both();
	cr_expect_eq(trace_count("peer "), 1);
	cr_expect_eq(trace_count("peer 10 up"), 1);
}

/* charon made the list before the IKE_SA went down; the feed reads it afterwards. */
Test(vici_peers, a_list_does_not_report_an_ike_sa_that_went_down)
{
	start_both();
	down("x509", 7, C_ID DPD);
	wait_for("peer 7 peer-dead", 1);
	fake_charon_add_sa(&charon, ike_sa("x509", 7, C_ID));
	fake_charon_add_sa(&charon, ike_sa("x509", 8, C_ID));
	resync();
	cr_expect_eq(trace_count("peer 7 up"), 0);
	cr_expect_eq(trace_count("peer 8 up"), 1);
}

/* ---- rekeys */

#define REKEY(old, new) "{\"x509\":{\"old\":{" old "},\"new\":{" new "}}}"
#define SIDE(id)                                                                                   \
	"\"uniqueid\":\"" id "\",\"version\":\"2\",\"state\":\"ESTABLISHED\"," C_ID                \
	"\"local-id\":\"w\""

Test(vici_peers, a_rekeyed_ike_sa_is_reported_with_its_successor)
{
	start_both();
	fake_charon_push(
		&charon, "ike-rekey",
		vici_fixture_event("initialcontact-ikerekey-reauth-delete", "ike-rekey", 0));
	await_all();
	cr_expect_eq(trace_count("peer 3 rekeyed to 4 d.latch.test x509 pubkey"), 1);
}

/* The old IKE_SA ends without an event, and the list may be older. */
Test(vici_peers, a_list_does_not_report_an_ike_sa_that_was_rekeyed)
{
	start_both();
	fake_charon_add_sa(&charon, ike_sa("x509", 7, C_ID));
	fake_charon_add_sa(&charon, ike_sa("x509", 8, C_ID));
	fake_charon_push(&charon, "ike-rekey", REKEY(SIDE("7"), SIDE("8")));
	wait_for("peer 7 rekeyed to 8 c x509 pubkey", 1);
	wait_for("snapshot end", 2);
	cr_expect_eq(trace_count("peer 7 up"), 0);
	cr_expect_eq(trace_count("peer 8 up"), 1);
}

Test(vici_peers, an_incomplete_ike_rekey_event_is_ignored)
{
	start_both();
	fake_charon_push(&charon, "ike-rekey", "{\"x509\":{\"old\":{" SIDE("7") "}}}");
	fake_charon_push(&charon, "ike-rekey", "{\"x509\":{\"new\":{" SIDE("8") "}}}");
	fake_charon_push(&charon, "ike-rekey", REKEY("", SIDE("8")));
	fake_charon_push(&charon, "ike-rekey", REKEY(SIDE("7"), ""));
	fake_charon_push(&charon, "ike-rekey",
			 REKEY(SIDE("7") ",\"state\":\"CONNECTING\"", SIDE("8")));
	await_all();
	wait_for("snapshot end", 2);
	cr_expect_eq(trace_count("peer 7 rekeyed"), 0);
	cr_expect_eq(trace_count("state lost"), 0);
}
