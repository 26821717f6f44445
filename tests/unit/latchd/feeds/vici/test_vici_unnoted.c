/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * IKE_SAs with a decision that finds no room: refused, and never decided later by a connection of
 * that time. And the ordinary peer beside them, which is reported.
 */
#include "vici_identities.h"

#define NAMED		"\"remote-id\":\"" DN "\""
#define OTHER		"O=Acme, CN=Bob, OU=IT"
#define UNREADABLE	"\"remote-id\":\"O=Acme, CN=M??ller, OU=IT\""
#define TOO_MANY(child) "log vici: child_sa " child " refused (its connection or peer has too many"

TestSuite(vici_unnoted, .init = harness_begin, .fini = harness_end, .timeout = 60);

static struct vici_memory *memory(void)
{
	return &session()->dispatch.finder.memory;
}

/* The peer has as many IKE_SAs as its share allows. */
static void fill_share(enum vici_proof proof)
{
	struct vici_decision decision = {
		.proof = proof, .class = FEED_AUTH_PUBKEY, .connection = 0, .peer = 0};
	uint32_t id;

	decision.connection = keyed_hash(&memory()->key, "x509", 4);
	decision.peer = keyed_hash(&memory()->key, "x509\0" DN, 5 + strlen(DN));
	for (id = 1000; id < 1000 + VICI_DECISIONS_PEER; id++)
		cr_assert_eq(vici_decisions_set(&memory()->decisions, id, &decision), 0);
}

static void empty_share(void)
{
	vici_decisions_clear(&memory()->decisions);
}

static void list_again(size_t count)
{
	feed->resync(feed);
	wait_for("snapshot end", count);
}

Test(vici_unnoted, an_identity_with_too_many_ike_sas_is_refused_and_another_is_not)
{
	start_with("public key", "\"id\":\"O=Acme, CN=*, OU=IT\"");
	fill_share(VICI_PROOF);
	up(7, 70, DN);
	wait_for(TOO_MANY("70"), 1);
	cr_expect_geq(trace_find("log vici: ike_sa 7 unproven (Disk quota exceeded)", 0), 0);
	wait_for("refused " DN " 00000070 its connection or peer has too many", 1);
	cr_expect_null(strstr(trace_line(trace_find("refused " DN " 00000070", 0)), DECIDED),
		       "it may be an honest peer: its SAs are waited for");
	up(8, 80, OTHER);
	wait_for("up " OTHER " 00000080", 1);
	cr_expect_not(vici_unproven_contain(&memory()->unproven_connections,
					    keyed_hash(&memory()->key, "x509", 4)),
		      "a full share does not make a connection unproven that is proof");
}

Test(vici_unnoted, an_ike_sa_without_room_is_not_decided_when_there_is_room_and_a_new_one_is)
{
	start_with("public key", ANY);
	fill_share(VICI_UNPROVEN_ANY);
	up(70, 70, DN);
	wait_for(TOO_MANY("70"), 1);
	load("public key", EXACT);
	empty_share();
	listed("ESTABLISHED", 70, 70, NAMED);
	list_again(2);
	child_up(70, 71, NAMED);
	wait_for(TOO_MANY("71"), 1);
	cr_expect_eq(trace_count("up "), 0);
	up(69, 69, DN);
	wait_for("up " DN " 00000069", 1);
	up(80, 80, DN);
	wait_for("up " DN " 00000080", 1);
}

/* charon leaves an IKE_SA with very many CHILD_SAs out of its lists. */
Test(vici_unnoted, a_refused_ike_sa_that_lists_leave_out_is_not_decided_anew_and_a_new_one_is)
{
	start_with("public key", ANY);
	up(7, 70, DN);
	wait_for(REFUSED, 1);
	load("public key", EXACT);
	list_again(2);
	list_again(3);
	list_again(4);
	cr_expect_eq(memory()->decisions.count, 0);
	child_up(7, 71, NAMED);
	wait_for(TOO_MANY("71"), 1);
	cr_expect_eq(trace_count("up "), 0);
	up(8, 80, DN);
	wait_for("up " DN " 00000080", 1);
}

Test(vici_unnoted, an_ike_sa_that_continues_one_without_room_is_refused)
{
	start_with("public key", ANY);
	fill_share(VICI_UNPROVEN_ANY);
	up(70, 70, DN);
	wait_for(TOO_MANY("70"), 1);
	load("public key", EXACT);
	empty_share();
	rekey(70, 90);
	child_up(90, 91, NAMED);
	wait_for(TOO_MANY("91"), 1);
	cr_expect_eq(trace_count("up "), 0);
	cr_expect_eq(memory()->decisions.count, 0, "no entry follows it");
}

Test(vici_unnoted, a_proven_ike_sa_is_rekeyed_although_its_share_is_full)
{
	start_with("public key", EXACT);
	up(7, 70, DN);
	wait_for("up " DN " 00000070", 1);
	fill_share(VICI_PROOF);
	load("public key", ANY);
	rekey(7, 17);
	child_up(17, 71, NAMED);
	wait_for("up " DN " 00000071", 1);
}

Test(vici_unnoted, a_refused_ike_sa_is_rekeyed_to_a_refused_one_although_its_share_is_full)
{
	start_with("public key", ANY);
	up(7, 70, DN);
	wait_for(REFUSED, 1);
	fill_share(VICI_UNPROVEN_ANY);
	load("public key", EXACT);
	rekey(7, 17);
	child_up(17, 71, NAMED);
	wait_for("log vici: child_sa 71 refused (the connection's remote id admits", 1);
	cr_expect_eq(trace_count("up "), 0);
}

static int rekey_is_noted(void *context)
{
	(void)context;
	return vici_decisions_find(&memory()->decisions, 90) != NULL;
}

/* Its event waits for an answer, and is handled behind a list that shows the new IKE_SA. */
Test(vici_unnoted, an_ike_sa_that_finds_no_place_to_wait_for_its_decision_has_it_in_the_end)
{
	uint32_t id;

	start_with("public key", EXACT);
	for (id = 1000; id < 1000 + VICI_DECISIONS_FOLLOWERS; id++)
		cr_assert_eq(vici_decisions_follow(&memory()->decisions, id, 999), 0);
	charon.held_command = "list-conns";
	up(70, 70, DN);
	wait_for("charon: list-conns ike=x509", 1);
	rekey(70, 90);
	up(80, 80, DN);
	cr_assert(loop_until(loop, rekey_is_noted, NULL));
	cr_expect_eq(vici_decisions_find(&memory()->decisions, 90)->proof, VICI_UNPROVEN_UNNOTED);
	cr_expect_eq(memory()->unnoted, 0, "no other IKE_SA is refused for it");
	fake_charon_release(&charon);
	child_up(90, 91, NAMED);
	wait_for("up " DN " 00000091", 1);
	wait_for("up " DN " 00000080", 1);
}

/* The place is for IKE_SAs that get a decision. */
Test(vici_unnoted, an_ike_sa_with_an_unreadable_identity_takes_no_place_to_wait_for_a_decision)
{
	char *one = ike_sa_in("REKEYED", 7, 1, UNREADABLE);
	char *two = ike_sa_in("ESTABLISHED", 17, 1, UNREADABLE);

	start_with("public key", EXACT);
	charon.held_command = "list-conns";
	up(70, 70, DN);
	wait_for("charon: list-conns ike=x509", 1);
	fake_charon_push(
		&charon, "ike-rekey",
		text_of("{\"x509\":{\"old\":%s,\"new\":%s}}", strchr(one, '{'), strchr(two, '{')));
	rekey(70, 90);
	fake_charon_release(&charon);
	child_up(90, 91, NAMED);
	wait_for("up " DN " 00000091", 1);
	cr_expect_eq(memory()->decisions.followers, 0);
}

/* D's IKE_SA without room is listed first; the event of the other was lost with the session. */
Test(vici_unnoted, a_number_counts_only_after_the_first_list)
{
	start_with("public key", "\"id\":\"O=Acme, CN=*, OU=IT\"");
	fill_share(VICI_PROOF);
	listed("ESTABLISHED", 70, 70, NAMED);
	listed("ESTABLISHED", 60, 60, "\"remote-id\":\"" OTHER "\"");
	fail_session("the test");
	wait_for("state synced", 2);
	cr_expect_eq(trace_count(TOO_MANY("70")), 1);
	cr_expect_eq(trace_count("up " OTHER " 0000003c") + trace_count("up " OTHER " 00000060"),
		     1);
	empty_share();
	child_up(70, 71, NAMED);
	wait_for(TOO_MANY("71"), 1);
	cr_expect_eq(trace_count("up " DN), 0);
}

Test(vici_unnoted, the_next_latchd_refuses_an_ike_sa_without_room_too)
{
	char *path = text_of("%s", scratch_path("here.decisions"));

	load("public key", ANY);
	fake_charon_start(&charon);
	latchd_starts(path);
	wait_for("state synced", 1);
	fill_share(VICI_UNPROVEN_ANY);
	up(70, 70, DN);
	wait_for(TOO_MANY("70"), 1);
	latchd_ends();
	load("public key", EXACT);
	listed("ESTABLISHED", 70, 71, NAMED);
	latchd_starts(path);
	wait_for("state synced", 2);
	cr_expect_eq(trace_count(TOO_MANY("71")), 1);
	cr_expect_eq(trace_count("up "), 0);
	up(80, 80, DN);
	wait_for("up " DN " 00000080", 1);
}
