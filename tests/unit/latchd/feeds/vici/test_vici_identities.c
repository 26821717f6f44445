/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The feed of vici_feed_harness.h and a charon with a connection "x509" and a remote id
 * of the test's choice. IKE_SA 7 with the CHILD_SA 70 + n comes up, is listed or rekeyed:
 * is it reported, or refused for its identity?
 */
#include "vici_identities.h"

TestSuite(vici_identities, .init = harness_begin, .fini = harness_end, .timeout = 60);

Test(vici_identities, a_dn_under_any_is_refused_with_what_to_configure)
{
	start_with("public key", ANY);
	up(7, 70, DN);
	expect_refusal("the connection's remote id admits other identities");
}

Test(vici_identities, a_dn_under_its_exact_remote_id_is_reported)
{
	start_with("public key", EXACT);
	up(7, 70, DN);
	wait_for("up " DN " 00000070 pubkey vici child-updown", 1);
	cr_expect_eq(trace_count("peer 7 up " DN), 1);
	cr_expect_eq(trace_count("log vici: child_sa"), 0);
}

Test(vici_identities, a_host_name_under_any_is_refused_and_under_a_wildcard_reported)
{
	start_with("public key", ANY);
	up(7, 70, "c.example");
	expect_refusal("the connection's remote id admits other identities");
	load("public key", "\"id\":\"*.example\"");
	up(8, 80, "c.example");
	wait_for("up c.example 00000080", 1);
}

Test(vici_identities, one_pinned_certificate_is_proof_and_two_are_not)
{
	start_with("public key", ANY ",\"certs\":[\"" DN "\"]");
	up(7, 70, DN);
	wait_for("up " DN " 00000070", 1);
	load("public key", ANY ",\"certs\":[\"CN=a\",\"CN=b\"]");
	up(8, 80, DN);
	wait_for("log vici: child_sa 80 refused (", 1);
	load("any", ANY ",\"certs\":[\"CN=a\"]");
	up(9, 90, DN);
	wait_for("log vici: child_sa 90 refused (", 1);
}

Test(vici_identities, a_connection_that_is_stated_to_be_unambiguous_is_reported)
{
	strcpy(statements.unambiguous_names, "x509");
	start_with("public key", ANY);
	up(7, 70, DN);
	wait_for("up " DN " 00000070", 1);
	up(8, 80, "*.example");
	wait_for("log vici: child_sa 80 refused (the peer's identity is a wildcard", 1);
}

Test(vici_identities, a_dn_is_refused_where_charon_is_stated_to_match_loosely)
{
	statements.rdn_matching = FEED_RDN_REORDERED;
	start_with("public key", EXACT);
	up(7, 70, DN);
	expect_refusal("charon matched DNs loosely");
}

Test(vici_identities, an_eap_identity_is_refused_unless_it_is_stated_to_be_authenticated)
{
	static const char eap[] = "\"remote-id\":\"w.example\",\"remote-eap-id\":\"alice\"";

	start_with("EAP", "\"id\":\"*.example\",\"eap-type\":\"TTLS\",\"eap_id\":\"%any\"");
	child_up(7, 70, eap);
	expect_refusal("an EAP or XAuth identity may be an unauthenticated claim");
	strcpy(session()->dispatch.finder.statements.eap_identities, "other x509");
	child_up(7, 71, eap);
	wait_for("up alice 00000071", 1);
}

/* ---- is the refusal a decision, which no later report changes? */

static bool is_decided(const char *of)
{
	int at;

	wait_for(of, 1);
	at = trace_find(of, 0);
	return at >= 0 && strstr(trace_line(at), DECIDED);
}

Test(vici_identities, the_refusal_of_an_authenticated_peer_is_a_decision)
{
	start_with("public key", ANY);
	up(7, 70, DN);
	cr_expect(is_decided("refused " DN " 00000070"));
	child_up(7, 71, "\"remote-id\":\"" DN "\"");
	cr_expect(is_decided("refused " DN " 00000071"), "so is that of its next CHILD_SA");
	load("EAP", "\"id\":\"*.example\",\"eap_id\":\"%any\"");
	up(8, 80, "alice");
	cr_expect(is_decided("refused alice 00000080"));
	load("public key", "\"id\":\"*\"");
	up(9, 90, "*.example");
	cr_expect(is_decided("refused *.example 00000090"));
}

Test(vici_identities, the_refusal_of_an_identity_that_stands_for_no_one_peer_is_a_decision)
{
	start_with("public key", ANY);
	up(7, 70, "CN=M??ller");
	cr_expect(is_decided("refused CN=M??ller 00000070"));
}

/* Nothing authenticated it, as far as latchd knows. */
Test(vici_identities, the_refusal_of_a_peer_that_was_not_seen_established_is_no_decision)
{
	start_with("public key", ANY);
	fake_charon_push(&charon, "child-updown",
			 text_of("{\"up\":\"yes\",%s}",
				 ike_sa_in("DELETING", 7, 70, "\"remote-id\":\"" DN "\"")));
	cr_expect_not(is_decided("refused " DN " 00000070"));
	fake_charon_push(&charon, "child-updown",
			 text_of("{\"up\":\"yes\",%s}",
				 ike_sa_in("PASSIVE", 8, 80, "\"remote-id\":\"M??ller\"")));
	cr_expect_not(is_decided("refused M??ller 00000080"));
}

static bool names(const char *of, const char *evidence)
{
	int at;

	wait_for(of, 1);
	at = trace_find(of, 0);
	return at >= 0 && strstr(trace_line(at), text_of(" by %s (", evidence));
}

/* What a list decides differs from what an event does (unproven_sas.h). */
Test(vici_identities, a_refusal_names_the_message_that_has_the_child)
{
	char *members = text_of("\"remote-id\":\"%s\"", DN), *pair;

	load("public key", ANY);
	listed("ESTABLISHED", 7, 70, members);
	fake_charon_start(&charon);
	feed_start();
	cr_expect(names("refused " DN " 00000070", FEED_EVIDENCE_LIST));
	wait_for("state synced", 1);
	child_up(7, 71, members);
	cr_expect(names("refused " DN " 00000071", "vici child-updown"));
	pair = "{\"name\":\"t\",\"uniqueid\":\"%d\",\"state\":\"%s\","
	       "\"mode\":\"TRANSPORT\",\"protocol\":\"ESP\",\"spi-in\":\"%d\","
	       "\"spi-out\":\"%d\"}";
	fake_charon_push(&charon, "child-rekey",
			 text_of("{\"x509\":{\"uniqueid\":\"7\",\"version\":\"2\","
				 "\"state\":\"ESTABLISHED\",\"local-host\":\"10.9.0.1\","
				 "\"remote-host\":\"10.9.0.3\",\"local-id\":\"w\",%s,"
				 "\"child-sas\":{\"t\":{\"old\":%s,\"new\":%s}}}}",
				 members, text_of(pair, 71, "REKEYED", 71, 71),
				 text_of(pair, 72, "INSTALLED", 72, 72)));
	cr_expect(names("refused " DN " 00000072", "vici child-rekey"));
}

/* The connection says nothing of EAP, as with "auth = any"; the IKE_SA shows it. */
Test(vici_identities, CVE_2026_78134_an_inner_eap_identity_is_refused_whatever_the_class_is)
{
	start_with("any", "\"id\":\"w.example\"");
	child_up(7, 70, "\"remote-id\":\"w.example\",\"remote-eap-id\":\"alice\"");
	expect_refusal("an EAP or XAuth identity may be an unauthenticated claim");
}

/* A charon with this fault reports a CHILD_SA of an IKE_SA that it has not authenticated. */
Test(vici_identities, CVE_2026_78135_a_child_before_authentication_is_never_attributed)
{
	static const char *const states[] = {"CREATED", "CONNECTING", "DELETING", "DESTROYING",
					     "PASSIVE"};
	size_t i;

	start_with("public key", EXACT);
	for (i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		char *ike_sa = ike_sa_in(states[i], 7, 70, "\"remote-id\":\"" DN "\"");

		fake_charon_push(&charon, "child-updown", text_of("{\"up\":\"yes\",%s}", ike_sa));
		fake_charon_add_sa(&charon, text_of("{%s}", ike_sa));
		feed->resync(feed);
		wait_for("snapshot end", i + 2);
		charon.sa_count = 0;
		cr_expect_eq(trace_count("up "), 0, "%s", states[i]);
		cr_expect_eq(trace_count("peer 7 up"), 0, "%s", states[i]);
	}
	up(7, 70, DN);
	wait_for("up " DN " 00000070", 1);
}

Test(vici_identities, a_child_of_an_authenticated_ike_sa_that_is_being_deleted_is_reported)
{
	start_with("public key", EXACT);
	up(7, 70, DN);
	fake_charon_push(&charon, "child-updown",
			 text_of("{\"up\":\"yes\",%s}",
				 ike_sa_in("DELETING", 7, 71, "\"remote-id\":\"" DN "\"")));
	wait_for("up " DN " 00000071", 1);
}

/* The answer shows today's connection: an IKE_SA from before stays unproven. */
Test(vici_identities, a_connection_that_is_made_exact_later_proves_no_earlier_ike_sa)
{
	start_with("public key", ANY);
	up(7, 70, DN);
	expect_refusal("the connection's remote id admits other identities");
	load("public key", EXACT);
	up(8, 80, DN);
	wait_for("up " DN " 00000080", 1);
	child_up(7, 71, "\"remote-id\":\"" DN "\"");
	wait_for("log vici: child_sa 71 refused (", 1);
	cr_expect_eq(trace_count("up " DN), 1);
}

Test(vici_identities, a_connection_that_is_widened_later_leaves_an_earlier_ike_sa_attributed)
{
	start_with("public key", EXACT);
	up(7, 70, DN);
	wait_for("up " DN " 00000070", 1);
	load("public key", ANY);
	up(8, 80, DN);
	wait_for("log vici: child_sa 80 refused (", 1);
	child_up(7, 71, "\"remote-id\":\"" DN "\"");
	wait_for("up " DN " 00000071", 1);
}

/* latchd's answer from before the reload does not count for an IKE_SA from after it. */
Test(vici_identities, a_connection_that_is_widened_is_read_again_for_each_new_ike_sa)
{
	start_with("public key", EXACT);
	load("public key", ANY);
	child_up(7, 70, "\"remote-id\":\"" DN "\"");
	expect_refusal("the connection's remote id admits other identities");
}

Test(vici_identities, a_rekeyed_ike_sa_inherits_the_proof_or_its_refusal)
{
	start_with("public key", ANY);
	up(7, 70, DN);
	wait_for(REFUSED, 1);
	load("public key", EXACT);
	up(8, 80, DN);
	wait_for("up " DN " 00000080", 1);
	rekey(7, 17);
	child_up(17, 71, "\"remote-id\":\"" DN "\"");
	wait_for("log vici: child_sa 71 refused (", 1);
	load("public key", ANY);
	rekey(8, 18);
	child_up(18, 81, "\"remote-id\":\"" DN "\"");
	wait_for("up " DN " 00000081", 1);
}

Test(vici_identities, the_end_of_an_unproven_ike_sa_ends_no_other_peer)
{
	start_with("public key", ANY);
	up(7, 70, DN);
	wait_for(REFUSED, 1);
	fake_charon_push(&charon, "ike-updown",
			 "{\"x509\":{\"uniqueid\":\"7\",\"version\":\"2\",\"remote-id\":\"" DN
			 "\",\"state\":\"ESTABLISHED\",\"tasks-active\":[\"IKE_DPD\"]}}");
	load("public key", EXACT);
	up(8, 80, DN);
	wait_for("up " DN " 00000080", 1);
	cr_expect_eq(trace_count("peer 7"), 0);
}

/* The session is lost, and charon continues: its IKE_SAs stay unproven. */
Test(vici_identities, a_new_session_with_the_same_charon_keeps_ike_sas_unproven)
{
	start_with("public key", ANY);
	up(7, 70, DN);
	wait_for(REFUSED, 1);
	load("public key", EXACT);
	fake_charon_add_sa(&charon, text_of("{%s}", ike_sa_in("ESTABLISHED", 7, 70,
							      "\"remote-id\":\"" DN "\"")));
	fail_session("the test");
	wait_for("state synced", 2);
	cr_expect_eq(trace_count("up "), 0);
	cr_expect_eq(trace_count("peer 7 up"), 0);
}

Test(vici_identities, two_connections_of_one_name_are_no_proof)
{
	load("public key", EXACT);
	fake_charon_add_conn(&charon, charon.conns[0]);
	fake_charon_start(&charon);
	feed_start();
	wait_for("state synced", 1);
	up(7, 70, DN);
	expect_refusal("the connection's remote id admits other identities");
}

Test(vici_identities, each_round_must_have_a_remote_id_that_is_proof)
{
	charon.conn_count = 0;
	fake_charon_add_conn(&charon, "{\"x509\":{\"remote-1\":{\"class\":\"public key\"," ANY "},"
				      "\"remote-2\":{\"class\":\"public key\"," EXACT "}}}");
	fake_charon_start(&charon);
	feed_start();
	wait_for("state synced", 1);
	up(7, 70, DN);
	expect_refusal("the connection's remote id admits other identities");
}

static void load_rounds(const char *one, const char *other)
{
	charon.conn_count = 0;
	fake_charon_add_conn(&charon,
			     text_of("{\"x509\":{\"remote-1\":{\"class\":\"public key\",%s},"
				     "\"remote-2\":{\"class\":\"public key\",%s}}}",
				     one, other));
}

/* RFC 4739. charon prints the identity of the last round. */
Test(vici_identities, the_pinned_key_of_another_round_is_no_proof_of_the_printed_identity)
{
	load_rounds(ANY ",\"certs\":[\"" DN "\"]", ANY);
	fake_charon_start(&charon);
	feed_start();
	wait_for("state synced", 1);
	up(7, 70, DN);
	expect_refusal("the connection's remote id admits other identities");
}

Test(vici_identities, the_pinned_key_of_the_last_round_is_proof_of_the_printed_identity)
{
	load_rounds(ANY, ANY ",\"certs\":[\"" DN "\"]");
	fake_charon_start(&charon);
	feed_start();
	wait_for("state synced", 1);
	up(7, 70, DN);
	wait_for("up " DN " 00000070", 1);
}

/* A second latchd, with the same charon and another one's file. */
Test(vici_identities, a_new_latchd_keeps_the_decisions_of_the_one_before)
{
	char *path = text_of("%s", scratch_path("here.decisions"));

	load("public key", ANY);
	fake_charon_start(&charon);
	feed_start();
	feed_vici_keep_decisions(feed, path);
	wait_for("state synced", 1);
	up(7, 70, DN);
	wait_for(REFUSED, 1);
	feed->destroy(feed);
	load("public key", EXACT);
	fake_charon_add_sa(&charon, text_of("{%s}", ike_sa_in("ESTABLISHED", 7, 71,
							      "\"remote-id\":\"" DN "\"")));
	feed_start();
	feed_vici_keep_decisions(feed, path);
	wait_for("state synced", 2);
	cr_expect_eq(trace_count("log vici: child_sa 71 refused (the connection's remote id"), 1);
	cr_expect_eq(trace_count("up "), 0);
	up(8, 80, DN);
	wait_for("up " DN " 00000080", 1);
}

Test(vici_identities, decisions_about_another_charon_are_dropped)
{
	char *path = text_of("%s", scratch_path("here.decisions"));
	FILE *file = fopen(path, "w");

	cr_assert_not_null(file);
	fprintf(file, "charon 1 1\nkey 1 2\nike-sa 7 2 1 1 2\n");
	cr_assert_eq(fclose(file), 0);
	load("public key", EXACT);
	fake_charon_start(&charon);
	feed_start();
	feed_vici_keep_decisions(feed, path);
	wait_for("state synced", 1);
	up(7, 70, DN);
	wait_for("up " DN " 00000070", 1);
}

Test(vici_identities, pipes_in_place_of_the_file_of_decisions_are_not_opened)
{
	char *path = text_of("%s", scratch_path("here.decisions"));
	struct stat st;

	cr_assert_eq(mkfifo(path, 0666), 0);
	cr_assert_eq(mkfifo(scratch_path("here.decisions.new"), 0666), 0);
	load("public key", EXACT);
	fake_charon_start(&charon);
	feed_start();
	feed_vici_keep_decisions(feed, path);
	wait_for("state synced", 1);
	cr_expect(!lstat(path, &st) && S_ISREG(st.st_mode), "the file is written anew");
}

Test(vici_identities, a_file_of_decisions_that_cannot_be_written_is_reported)
{
	load("public key", ANY);
	fake_charon_start(&charon);
	feed_start();
	feed_vici_keep_decisions(feed, scratch_path("absent/here.decisions"));
	wait_for("log vici: decisions of feed here not kept (No such file or directory)", 1);
	wait_for("state synced", 1);
	up(7, 70, DN);
	wait_for(REFUSED, 1);
}
