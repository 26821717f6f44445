/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The keys of both ends in the records of children, where the connection "x509" admits one key of
 * its peer. charon has the certificates of captured_certs.h.
 */
#include "vici_identities.h"

#include "captured_certs.h"

TestSuite(vici_pinned, .init = harness_begin, .fini = harness_end, .timeout = 60);

#define CERT(name) "C=XX, O=Latch, CN=" name ".example"

static struct captured captured;

/* In place of the C library's. */
static bool no_room, no_text;

void *reallocarray(void *memory, size_t count, size_t size)
{
	return no_room ? NULL : realloc(memory, count * size);
}

char *strndup(const char *text, size_t length)
{
	char *copy = no_text ? NULL : calloc(1, length + 1);

	return copy ? memcpy(copy, text, length) : NULL;
}

/* charon has this connection only, and its certificates up to number from. */
static void load_pinned(const char *cert, const char *local)
{
	charon.conn_count = 0;
	fake_charon_add_conn(
		&charon,
		text_of("{\"x509\":{\"local-1\":{\"class\":\"public key\",\"certs\":[\"%s\"]},"
			"\"remote-1\":{\"class\":\"public key\",\"id\":\"*.example\","
			"\"certs\":[\"%s\"]}}}",
			local, cert));
}

/* Without the raw key 2, which has c's subject and is another one. */
static void load_certs(void)
{
	size_t i;

	captured = captured_certs();
	charon.cert_count = 0;
	for (i = 0; i < captured.cert_count; i++)
		if (i != 2)
			charon.certs[charon.cert_count++] = captured.certs[i];
}

static void start_pinned(const char *cert)
{
	load_pinned(cert, CERT("w"));
	load_certs();
	fake_charon_start(&charon);
	feed_start();
	wait_for("state synced", 1);
}

static const struct feed_child *reported(unsigned int child)
{
	const struct recorded_child *up;
	char line[64];

	snprintf(line, sizeof(line), "up c.example %08x", child);
	wait_for(line, 1);
	up = recorded_up(&sink, child);
	cr_assert_not_null(up);
	return &up->child;
}

#define expect_child(child, peer, local)                                                           \
	do {                                                                                       \
		cr_expect_str_eq(key_text(&reported(child)->peer_key), peer);                      \
		cr_expect_str_eq(key_text(&reported(child)->local_key), local);                    \
	} while (0)

Test(vici_pinned, R_2_7_a_child_has_the_keys_that_its_connection_admits)
{
	start_pinned(CERT("c"));
	up(7, 70, "c.example");
	expect_child(0x70, KEY_OF_C, KEY_OF_W);
	EXPECT_ORDER("charon: list-conns", "charon: register list-cert", "charon: list-certs",
		     "charon: flush-certs", "charon: list-certs", "charon: list-sas");
}

Test(vici_pinned, a_raw_key_counts_as_a_certificate_does)
{
	start_pinned("c.example");
	up(7, 70, "c.example");
	expect_child(0x70, KEY_OF_C, KEY_OF_W);
}

Test(vici_pinned, S33_after_a_reload_an_ike_sa_keeps_its_key_and_the_next_one_has_another)
{
	start_pinned(CERT("c"));
	up(7, 70, "c.example");
	expect_child(0x70, KEY_OF_C, KEY_OF_W);
	load_pinned("C=CH, ST=Z??rich, L=Town, O=Latch AG, OU=Unit, CN=x1.example, E=a@b.example",
		    CERT("w"));
	child_up(7, 71, "\"remote-id\":\"c.example\"");
	expect_child(0x71, KEY_OF_C, KEY_OF_W);
	up(8, 80, "c.example");
	expect_child(0x80, KEY_OF_X1, KEY_OF_W);
	child_up(7, 72, "\"remote-id\":\"c.example\"");
	expect_child(0x72, KEY_OF_C, KEY_OF_W);
}

Test(vici_pinned, a_rekeyed_ike_sa_has_the_key_of_the_one_before)
{
	start_pinned(CERT("c"));
	up(7, 70, "c.example");
	reported(0x70);
	load_pinned(CERT("x"), CERT("w"));
	fake_charon_push(
		&charon, "ike-rekey",
		text_of("{\"x509\":{\"old\":%s,\"new\":%s}}",
			strchr(ike_sa_in("REKEYED", 7, 1, "\"remote-id\":\"c.example\""), '{'),
			strchr(ike_sa_in("ESTABLISHED", 17, 1, "\"remote-id\":\"c.example\""),
			       '{')));
	child_up(17, 71, "\"remote-id\":\"c.example\"");
	expect_child(0x71, KEY_OF_C, KEY_OF_W);
}

Test(vici_pinned, the_next_latchd_has_the_key_of_an_ike_sa_whatever_is_loaded)
{
	const char *path = scratch_path("decisions");

	load_pinned(CERT("c"), CERT("w"));
	load_certs();
	fake_charon_start(&charon);
	latchd_starts(path);
	wait_for("state synced", 1);
	up(7, 70, "c.example");
	expect_child(0x70, KEY_OF_C, KEY_OF_W);
	latchd_ends();
	load_pinned("C=CH, ST=Z??rich, L=Town, O=Latch AG, OU=Unit, CN=x1.example, E=a@b.example",
		    CERT("w"));
	latchd_starts(path);
	wait_for("state synced", 2);
	child_up(7, 71, "\"remote-id\":\"c.example\"");
	expect_child(0x71, KEY_OF_C, KEY_OF_W);
}

Test(vici_pinned, a_connection_without_a_known_key_is_reported_without)
{
	start_pinned(CERT("d")); /* of two keys */
	up(7, 70, "c.example");
	expect_child(0x70, UNKNOWN, UNKNOWN);
}

Test(vici_pinned, of_a_charon_that_lists_no_certificates_the_children_have_no_keys)
{
	charon.unknown_event = "list-cert";
	start_pinned(CERT("c"));
	up(7, 70, "c.example");
	expect_child(0x70, UNKNOWN, UNKNOWN);
	cr_expect_eq(trace_count("charon: list-certs"), 0);
}

Test(vici_pinned, of_a_charon_that_refuses_the_list_the_children_have_no_keys)
{
	charon.failing_command = "list-certs";
	start_pinned(CERT("c"));
	up(7, 70, "c.example");
	expect_child(0x70, UNKNOWN, UNKNOWN);
	up(8, 80, "c.example");
	expect_child(0x80, UNKNOWN, UNKNOWN);
}

Test(vici_pinned, a_list_of_certificates_that_does_not_come_ends_the_session)
{
	charon.held_command = "list-certs";
	load_pinned(CERT("c"), CERT("w"));
	load_certs();
	fake_charon_start(&charon);
	feed_start();
	session()->answer_limit_ms = 50;
	wait_for("state lost charon did not answer list-certs", 1);
	charon.held_command = NULL;
	session()->answer_limit_ms = VICI_ANSWER_LIMIT_MS;
	wait_for("state synced", 1);
}

/* ---- certificates that a host has sent, and charon has cached: here c's subject, of another key
 */

static void send_another_key(void)
{
	charon.certs[charon.cert_count++] = captured.certs[2];
	charon.cached_count = 1;
}

Test(vici_pinned, a_certificate_that_any_host_has_sent_takes_no_key_from_the_peer)
{
	start_pinned("c.example");
	up(7, 70, "c.example");
	expect_child(0x70, KEY_OF_C, KEY_OF_W);
	send_another_key();
	up(8, 80, "c.example");
	expect_child(0x80, KEY_OF_C, KEY_OF_W);
	cr_expect_eq(charon.cached_count, 0);
}

Test(vici_pinned, a_certificate_that_any_host_has_sent_gives_no_key_to_the_peer)
{
	load_pinned("c.example", CERT("w"));
	load_certs();
	charon.certs[0] = captured.certs[1]; /* c's key is not listed */
	send_another_key();
	fake_charon_start(&charon);
	feed_start();
	wait_for("state synced", 1);
	up(7, 70, "c.example");
	expect_child(0x70, UNKNOWN, UNKNOWN);
}

Test(vici_pinned, a_key_that_stays_the_same_flushes_nothing)
{
	unsigned int before;

	start_pinned(CERT("c"));
	up(7, 70, "c.example");
	expect_child(0x70, KEY_OF_C, KEY_OF_W);
	before = trace_count("charon: list-certs");
	up(8, 80, "c.example");
	expect_child(0x80, KEY_OF_C, KEY_OF_W);
	cr_expect_eq(trace_count("charon: list-certs"), before + 2, "of both ends");
	cr_expect_eq(trace_count("charon: flush-certs"), 1);
}

/* To list all, charon compares each certificate with each other one. */
Test(vici_pinned, of_a_new_ike_sa_only_the_certificates_of_its_connection_are_listed)
{
	start_pinned(CERT("c"));
	cr_expect_eq(trace_count("charon: list-certs"), 2);
	up(7, 70, "c.example");
	expect_child(0x70, KEY_OF_C, KEY_OF_W);
	cr_expect_eq(trace_count("charon: list-certs subject=" CERT("c")), 1);
	cr_expect_eq(trace_count("charon: list-certs subject=" CERT("w")), 1);
	cr_expect_eq(trace_count("charon: list-certs"), 4);
}

#define CERT_OF_X1 "C=CH, ST=Z??rich, L=Town, O=Latch AG, OU=Unit, CN=x1.example, E=a@b.example"

Test(vici_pinned, where_charon_does_not_find_a_subject_all_certificates_are_listed)
{
	start_pinned(CERT_OF_X1);
	up(7, 70, "c.example");
	expect_child(0x70, KEY_OF_X1, KEY_OF_W);
	cr_expect_eq(trace_count("charon: list-certs subject=" CERT_OF_X1), 1);
}

Test(vici_pinned, several_configured_keys_are_asked_for_twice_and_stay_unknown)
{
	start_pinned(CERT("d"));
	cr_expect_eq(trace_count("charon: list-certs"), 2);
	up(7, 70, "c.example");
	expect_child(0x70, UNKNOWN, UNKNOWN);
}

Test(vici_pinned, of_a_charon_that_flushes_nothing_the_listed_keys_count)
{
	charon.unknown_command = "flush-certs";
	start_pinned(CERT("c"));
	up(7, 70, "c.example");
	expect_child(0x70, KEY_OF_C, KEY_OF_W);
	cr_expect_eq(trace_count("charon: flush-certs"), 1);
	cr_expect_eq(trace_count("charon: list-certs"), 3, "of all, and of the connection");
}

/* charon holds the certificate that it verifies, also while it waits for a CRL. */
static void start_with_slow_flush(void)
{
	charon.held_command = "flush-certs";
	load_pinned(CERT("c"), CERT("w"));
	load_certs();
	fake_charon_start(&charon);
	feed_start();
	session()->answer_limit_ms = 100;
	wait_for("charon: flush-certs", 1);
}

static int has_passed(void *then)
{
	return loop_now_ms() >= *(const uint64_t *)then;
}

Test(vici_pinned, a_flush_that_takes_longer_than_other_answers_does_not_end_the_session)
{
	uint64_t then;

	start_with_slow_flush();
	then = loop_now_ms() + 300;
	cr_assert(loop_until(loop, has_passed, &then));
	fake_charon_release(&charon);
	wait_for("state synced", 1);
	cr_expect_eq(trace_count("state lost"), 0);
	up(7, 70, "c.example");
	expect_child(0x70, KEY_OF_C, KEY_OF_W);
}

Test(vici_pinned, a_flush_that_does_not_end_ends_the_session)
{
	start_with_slow_flush();
	wait_for("state lost charon did not answer flush-certs within 600 ms", 1);
}

/* Without its key c would be another peer, and its latches would break. */
static void expect_no_memory(bool *none)
{
	*none = true;
	load_pinned(CERT("c"), CERT("w"));
	load_certs();
	fake_charon_start(&charon);
	feed_start();
	wait_for("state lost Cannot allocate memory", 1);
	*none = false;
	wait_for("state synced", 1);
	up(7, 70, "c.example");
	expect_child(0x70, KEY_OF_C, KEY_OF_W);
}

Test(vici_pinned, without_memory_for_a_key_the_session_ends_and_no_peer_is_another_one)
{
	expect_no_memory(&no_room);
}

Test(vici_pinned, without_memory_for_the_name_of_a_certificate_the_session_ends)
{
	expect_no_memory(&no_text);
}

Test(vici_pinned, without_a_pinned_key_no_certificates_are_listed)
{
	start_both();
	up(7, 70, "c.example");
	expect_child(0x70, UNKNOWN, UNKNOWN);
	cr_expect_eq(trace_count("charon: register list-cert"), 0);
}
