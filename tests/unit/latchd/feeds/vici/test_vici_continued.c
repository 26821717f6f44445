/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An IKE_SA without proof, and another that may continue it. It was authenticated again by this
 * host under the former connection, rekeyed while no latchd ran, or listed before its
 * event. And the ordinary IKE_SA beside it, which stays proven.
 */
#include "vici_identities.h"

#include <sys/stat.h>

#define NAMED	"\"remote-id\":\"" DN "\""
#define BEGUN	NAMED ",\"initiator\":\"yes\""
#define OTHER	"O=Acme, CN=Bob, OU=IT"
#define TRAPPED ",\"dummy\":\"\"},\"children\":{\"t\":{\"close_action\":\"trap\"}"

TestSuite(vici_continued, .init = harness_begin, .fini = harness_end, .timeout = 60);

static void begun(int id, int child)
{
	fake_charon_push(
		&charon, "ike-updown",
		text_of("{\"up\":\"yes\",%s}", ike_sa_in("ESTABLISHED", id, child, BEGUN)));
	child_up(id, child, BEGUN);
}

static void refused(int child)
{
	wait_for(text_of("log vici: child_sa %d refused (it may continue", child), 1);
}

/* IKE_SA 7 is refused under %any; then the connection is exact. */
static void refuse_first(const char *members)
{
	start_with("public key", members);
	up(7, 70, DN);
	wait_for(REFUSED, 1);
	load("public key", EXACT);
}

/* ---- this host authenticates again */

Test(vici_continued, an_ike_sa_that_this_host_begins_under_a_refused_connection_is_refused)
{
	refuse_first(ANY);
	begun(8, 80);
	refused(80);
	cr_expect_eq(trace_count("up "), 0);
	cr_expect_eq(trace_count("refused " DN " 00000080 it may continue"), 1);
}

Test(vici_continued, an_ike_sa_that_the_peer_begins_is_decided_by_what_is_loaded)
{
	refuse_first(ANY);
	up(8, 80, DN);
	wait_for("up " DN " 00000080", 1);
}

Test(vici_continued, an_ike_sa_that_this_host_begins_under_another_name_is_proven)
{
	char *ike_sa = ike_sa_in("ESTABLISHED", 8, 80, BEGUN);

	refuse_first(ANY);
	fake_charon_add_conn(&charon,
			     "{\"new\":{\"remote-1\":{\"class\":\"public key\"," EXACT "}}}");
	fake_charon_push(&charon, "child-updown",
			 text_of("{\"up\":\"yes\",\"new\":%s}", strchr(ike_sa, '{')));
	wait_for("up " DN " 00000080", 1);
}

Test(vici_continued, an_ike_sa_that_this_host_begins_under_a_proven_connection_is_proven)
{
	start_with("public key", EXACT);
	begun(8, 80);
	wait_for("up " DN " 00000080", 1);
}

Test(vici_continued, a_connection_is_proof_again_when_two_lists_show_no_ike_sa_without_proof)
{
	refuse_first(ANY);
	down(7);
	wait_for("snapshot end", 4);
	begun(8, 80);
	wait_for("up " DN " 00000080", 1);
}

Test(vici_continued, a_negotiation_that_is_listed_keeps_the_connection_unproven)
{
	refuse_first(ANY);
	listed("CONNECTING", 8, 80, BEGUN);
	down(7);
	wait_for("snapshot end", 2);
	feed->resync(feed);
	wait_for("snapshot end", 3);
	feed->resync(feed);
	wait_for("snapshot end", 4);
	charon.sa_count = 0;
	begun(8, 80);
	refused(80);
}

/* Any host can begin one, with a claim of any name, and before it authenticates. */
Test(vici_continued, a_negotiation_that_another_host_began_does_not_keep_the_connection_unproven)
{
	refuse_first(ANY);
	listed("CONNECTING", 8, 80, NAMED);
	down(7);
	wait_for("snapshot end", 4);
	begun(9, 90);
	wait_for("up " DN " 00000090", 1);
}

/* Its events were lost with a session, and other hosts see it DELETING. */
static void expect_unproven_while_deleting(int id, const char *members)
{
	refuse_first(ANY);
	listed("DELETING", id, 80, members);
	down(7);
	wait_for("snapshot end", 2);
	feed->resync(feed);
	wait_for("snapshot end", 3);
	feed->resync(feed);
	wait_for("snapshot end", 4);
	charon.sa_count = 0;
	begun(9, 90);
	refused(90);
}

Test(vici_continued, an_unreadable_ike_sa_that_is_being_deleted_keeps_the_connection_unproven)
{
	expect_unproven_while_deleting(8, "\"remote-id\":\"O=Acme, CN=M??ller, OU=IT\"");
}

Test(vici_continued,
     an_ike_sa_without_a_decision_that_is_being_deleted_keeps_the_connection_unproven)
{
	expect_unproven_while_deleting(8, NAMED);
}

/* The peer of 7 names itself in another way when this host authenticates it again. */
Test(vici_continued, a_peer_with_an_unreadable_identity_makes_its_connection_unproven)
{
	start_with("public key", ANY);
	up(7, 70, "O=Acme, CN=M??ller, OU=IT");
	wait_for(REFUSED, 1);
	load("public key", EXACT);
	begun(8, 80);
	refused(80);
	cr_expect_eq(trace_count("up "), 0);
	up(9, 90, DN);
	wait_for("up " DN " 00000090", 1);
}

Test(vici_continued, an_unreadable_identity_under_an_exact_type_leaves_its_connection_proven)
{
	start_with("public key", "\"id\":\"*.example\"");
	up(7, 70, "m?ller.example");
	wait_for(REFUSED, 1);
	child_up(8, 80, "\"remote-id\":\"v.example\",\"initiator\":\"yes\"");
	wait_for("up v.example 00000080", 1);
}

Test(vici_continued, a_proven_ike_sa_does_not_keep_the_connection_unproven)
{
	refuse_first(ANY);
	up(8, 80, DN);
	wait_for("up " DN " 00000080", 1);
	listed("ESTABLISHED", 8, 80, NAMED);
	down(7);
	wait_for("snapshot end", 4);
	begun(9, 90);
	wait_for("up " DN " 00000090", 1);
}

/* charon keeps the former connection in the trap, after all of its IKE_SAs have ended. */
Test(vici_continued, a_connection_that_leaves_traps_stays_unproven)
{
	refuse_first(ANY TRAPPED);
	down(7);
	feed->resync(feed);
	wait_for("snapshot end", 2);
	feed->resync(feed);
	wait_for("snapshot end", 3);
	feed->resync(feed);
	wait_for("snapshot end", 4);
	begun(8, 80);
	refused(80);
}

/* charon gives the children to the connection that its live IKE_SAs have. */
Test(vici_continued, a_connection_that_leaves_traps_later_stays_unproven)
{
	refuse_first(ANY);
	load("public key", EXACT TRAPPED);
	up(8, 80, DN);
	wait_for("up " DN " 00000080", 1);
	load("public key", EXACT);
	down(7);
	feed->resync(feed);
	wait_for("snapshot end", 2);
	feed->resync(feed);
	wait_for("snapshot end", 3);
	feed->resync(feed);
	wait_for("snapshot end", 4);
	begun(9, 90);
	refused(90);
}

/* A list misses a connection that is being loaded again. */
Test(vici_continued, a_connection_that_was_unlisted_for_a_moment_is_unproven_as_long_as_its_ike_sa)
{
	start_with("public key", EXACT);
	charon.conn_count = 0;
	up(7, 70, DN);
	expect_refusal("its connection is not loaded");
	load("public key", EXACT);
	down(7);
	wait_for("snapshot end", 4);
	begun(8, 80);
	wait_for("up " DN " 00000080", 1);
}

Test(vici_continued, the_traps_of_a_connection_outlast_a_list_without_it)
{
	start_with("public key", EXACT TRAPPED);
	charon.conn_count = 0;
	up(7, 70, DN);
	expect_refusal("its connection is not loaded");
	load("public key", EXACT);
	cr_expect_not(
		vici_unproven_await(&session()->dispatch.finder.memory.unproven_connections,
				    keyed_hash(&session()->dispatch.finder.memory.key, "x509", 4)));
	begun(8, 80);
	refused(80);
}

/* The peers of a stated gateway come and go, and each end would cause lists. */
Test(vici_continued, the_end_of_an_ike_sa_under_a_stated_connection_causes_no_list)
{
	strcpy(statements.unambiguous_names, "x509");
	start_with("public key", ANY);
	up(7, 70, DN);
	wait_for("up " DN " 00000070", 1);
	down(7);
	child_up(8, 80, NAMED);
	wait_for("up " DN " 00000080", 1);
	cr_expect_not(loop_timer_armed(&session()->soon));
	cr_expect_not(loop_timer_armed(&session()->resync));
}

/* Pubkey, then EAP without an identity of its own. */
Test(vici_continued, an_eap_identity_makes_its_connection_unproven)
{
	fake_charon_add_conn(&charon, "{\"x509\":{\"remote-1\":{\"class\":\"public key\"," EXACT
				      "},\"remote-2\":{\"class\":\"EAP\"}}}");
	fake_charon_start(&charon);
	feed_start();
	wait_for("state synced", 1);
	child_up(7, 70, NAMED);
	expect_refusal("an EAP or XAuth identity");
	load("public key", EXACT);
	begun(8, 80);
	refused(80);
	up(9, 90, DN);
	wait_for("up " DN " 00000090", 1);
}

Test(vici_continued, a_stated_eap_identity_is_reported_again_and_again)
{
	static const char eap[] = BEGUN ",\"remote-eap-id\":\"alice\"";

	strcpy(statements.eap_identities, "x509");
	start_with("EAP", EXACT);
	child_up(7, 70, eap);
	wait_for("up alice 00000070", 1);
	child_up(8, 80, eap);
	wait_for("up alice 00000080", 1);
}

/* ---- DNs */

Test(vici_continued, a_dn_from_the_time_of_loose_matching_is_no_proof_of_a_later_statement)
{
	statements.rdn_matching = FEED_RDN_REORDERED;
	start_with("public key", EXACT);
	up(7, 70, DN);
	expect_refusal("charon matched DNs loosely");
	session()->dispatch.finder.statements.rdn_matching = FEED_RDN_STRICT;
	child_up(7, 71, NAMED);
	wait_for("log vici: child_sa 71 refused (charon matched DNs loosely", 1);
	begun(8, 80);
	refused(80);
	up(9, 90, DN);
	wait_for("up " DN " 00000090", 1);
}

/* ---- the event of a rekey comes late, or never */

/* The list is handled first; the event that names the predecessor of IKE_SA 17 waits behind it. */
Test(vici_continued, a_list_that_is_handled_before_the_rekey_shows_no_new_peer)
{
	refuse_first(ANY);
	listed("ESTABLISHED", 17, 71, NAMED);
	charon.held_command = "list-conns";
	feed->resync(feed);
	wait_for("charon: list-conns ike=x509", 2);
	rekey(7, 17);
	wait_for("charon: answer list-sas", 2);
	fake_charon_release(&charon);
	wait_for("log vici: child_sa 71 refused (the connection's remote id admits", 1);
	wait_for("snapshot end", 2);
	cr_expect_eq(trace_count("up "), 0);
}

/* The connections were listed before this event, and the list of SAs is still under way. */
Test(vici_continued, an_event_before_the_first_list_asks_for_its_connection_again)
{
	load("public key", EXACT);
	charon.held_command = "list-sas";
	fake_charon_start(&charon);
	feed_start();
	wait_for("charon: list-sas", 1);
	load("public key", ANY);
	up(7, 70, DN);
	expect_refusal("the connection's remote id admits other identities");
	fake_charon_release(&charon);
	wait_for("state synced", 1);
}

static char *decisions_at(void)
{
	return text_of("%s", scratch_path("here.decisions"));
}

static void add_elsewhere(void)
{
	fake_charon_add_conn(&charon,
			     "{\"new\":{\"remote-1\":{\"class\":\"public key\"," EXACT "}}}");
}

static void listed_elsewhere(int id, int child)
{
	char *ike_sa = ike_sa_in("ESTABLISHED", id, child, NAMED);

	fake_charon_add_sa(&charon, text_of("{\"new\":%s}", strchr(ike_sa, '{')));
}

/* It knows IKE_SA 7. */
static void latchd_before(const char *members, const char *seen)
{
	load("public key", members);
	fake_charon_start(&charon);
	latchd_starts(decisions_at());
	wait_for("state synced", 1);
	up(7, 70, DN);
	wait_for(seen, 1);
	latchd_ends();
}

static void latchd_after(const char *members)
{
	load("public key", members);
	latchd_starts(decisions_at());
	wait_for("state synced", 2);
}

Test(vici_continued, an_ike_sa_that_was_rekeyed_without_latchd_stays_unproven)
{
	latchd_before(ANY, REFUSED);
	listed("ESTABLISHED", 17, 71, NAMED);
	listed("ESTABLISHED", 18, 81, "\"remote-id\":\"" OTHER "\"");
	listed_elsewhere(19, 91);
	load("public key", "\"id\":\"O=Acme, CN=*, OU=IT\"");
	add_elsewhere();
	latchd_starts(decisions_at());
	wait_for("state synced", 2);
	cr_expect_eq(trace_count("log vici: child_sa 71 refused (it may continue"), 1);
	cr_expect_eq(trace_count("log vici: child_sa 81 refused (it may continue"), 1);
	cr_expect_eq(trace_count("up "), 1);
	cr_expect_eq(trace_count("up " DN " 00000091"), 1, "another connection is not unproven");
	up(20, 95, OTHER);
	wait_for("up " OTHER " 00000095", 1);
}

/* Else an honest peer of the same name would be refused. */
Test(vici_continued, an_unproven_connection_that_has_ended_is_unknown_to_the_next_latchd)
{
	load("public key", ANY);
	fake_charon_start(&charon);
	latchd_starts(decisions_at());
	wait_for("state synced", 1);
	up(7, 70, DN);
	wait_for(REFUSED, 1);
	down(7);
	wait_for("snapshot end", 4);
	latchd_ends();
	listed("ESTABLISHED", 17, 71, BEGUN);
	latchd_after(EXACT);
	cr_expect_eq(trace_count("up " DN " 00000071 pubkey"), 1);
}

Test(vici_continued, a_proven_ike_sa_stays_proven_for_the_next_latchd)
{
	latchd_before(EXACT, "up " DN " 00000070 pubkey");
	listed("ESTABLISHED", 7, 71, NAMED);
	latchd_after(ANY);
	cr_expect_eq(trace_count("up " DN " 00000071 pubkey"), 1);
	up(8, 80, DN);
	wait_for("log vici: child_sa 80 refused (the connection's remote id admits", 1);
}

Test(vici_continued, a_refused_connection_stays_so_for_the_next_latchd)
{
	latchd_before(ANY, REFUSED);
	latchd_after(EXACT);
	begun(8, 80);
	refused(80);
}

/* ---- a feed that is changed while latchd runs: there is no file */

static void changed_feed_keeps(const char *path)
{
	struct feed *former = feed;

	feed_start();
	feed_vici_keep_decisions(feed, path);
	cr_assert(feed_vici_take_decisions(feed, former));
	former->destroy(former);
}

Test(vici_continued, a_refused_ike_sa_stays_so_for_a_changed_feed)
{
	start_with("public key", ANY);
	up(7, 70, DN);
	wait_for(REFUSED, 1);
	load("public key", EXACT);
	listed("ESTABLISHED", 7, 71, NAMED);
	feed_is_changed();
	wait_for("state synced", 2);
	cr_expect_eq(trace_count("log vici: child_sa 71 refused (the connection's remote id"), 1);
	cr_expect_eq(trace_count("up "), 0);
	begun(8, 80);
	refused(80);
	up(9, 90, DN);
	wait_for("up " DN " 00000090", 1);
}

Test(vici_continued, a_proven_ike_sa_stays_proven_for_a_changed_feed)
{
	start_with("public key", EXACT);
	up(7, 70, DN);
	wait_for("up " DN " 00000070 pubkey", 1);
	load("public key", ANY);
	listed("ESTABLISHED", 7, 71, NAMED);
	feed_is_changed();
	wait_for("state synced", 2);
	cr_expect_eq(trace_count("up " DN " 00000071 pubkey"), 1);
}

Test(vici_continued, an_ike_sa_without_room_finds_none_under_a_changed_feed)
{
	start_with("public key", ANY);
	session()->dispatch.finder.memory.unnoted = session()->dispatch.finder.unnoted = 70;
	load("public key", EXACT);
	listed("ESTABLISHED", 7, 71, NAMED);
	listed("ESTABLISHED", 77, 78, NAMED);
	feed_is_changed();
	wait_for("state synced", 2);
	cr_expect_eq(trace_count("up " DN " 00000071"), 0);
	cr_expect_eq(trace_count("up " DN " 00000078"), 1);
}

Test(vici_continued, a_number_of_a_first_list_that_did_not_end_is_counted_after_that_of_the_next)
{
	start_with("public key", EXACT);
	session()->dispatch.finder.memory.unnoted = 70;
	listed("ESTABLISHED", 7, 71, NAMED);
	feed_is_changed();
	wait_for("state synced", 2);
	cr_expect_eq(trace_count("up " DN " 00000071"), 1);
	cr_expect_eq(session()->dispatch.finder.unnoted, 70);
}

/* The IKE_SAs of another charon have numbers of their own. */
Test(vici_continued, the_decisions_on_another_charon_do_not_count_for_a_changed_feed)
{
	start_with("public key", ANY);
	up(7, 70, DN);
	wait_for(REFUSED, 1);
	inside()->daemon_started++;
	load("public key", EXACT);
	listed("ESTABLISHED", 7, 71, NAMED);
	feed_is_changed();
	wait_for("state synced", 2);
	cr_expect_eq(trace_count("up " DN " 00000071"), 1);
}

Test(vici_continued, the_next_latchd_has_what_a_changed_feed_has_taken)
{
	load("public key", ANY);
	fake_charon_start(&charon);
	latchd_starts(decisions_at());
	wait_for("state synced", 1);
	up(7, 70, DN);
	wait_for(REFUSED, 1);
	cr_assert_eq(unlink(decisions_at()), 0);
	load("public key", EXACT);
	listed("ESTABLISHED", 7, 71, NAMED);
	feed->stop(feed);
	changed_feed_keeps(decisions_at());
	wait_for("state synced", 2);
	latchd_ends();
	latchd_starts(decisions_at());
	wait_for("state synced", 3);
	cr_expect_eq(trace_count("up "), 0);
}

/* ---- class */

Test(vici_continued, an_ike_sa_keeps_the_class_that_it_authenticated_with)
{
	start_with("public key", EXACT);
	up(7, 70, DN);
	wait_for("up " DN " 00000070 pubkey", 1);
	load("pre-shared key", EXACT);
	up(8, 80, DN);
	wait_for("up " DN " 00000080 psk", 1);
	child_up(7, 71, NAMED);
	wait_for("up " DN " 00000071 pubkey", 1);
}

Test(vici_continued, a_refused_ike_sa_gains_nothing_by_a_connection_of_another_class)
{
	strcpy(statements.eap_identities, "x509");
	refuse_first(ANY);
	load("EAP", EXACT);
	up(8, 80, DN);
	wait_for("up " DN " 00000080 eap", 1);
	child_up(7, 71, NAMED);
	wait_for("log vici: child_sa 71 refused (the connection's remote id admits", 1);
}
