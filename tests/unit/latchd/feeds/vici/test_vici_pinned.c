/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The keys of both ends in the records of children, where the connection "x509" admits one key of
 * its peer. charon has the certificates of captured_certs.h.
 */
#include "vici_identities.h"

#include "captured_certs.h"
#include "latchd/feeds/vici/auth_keys.h"
#include "latchd/feeds/vici/key_query.h"
#include "made_cert.h"

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

static void add_pinned(const char *config_name, const char *cert, const char *local)
{
	fake_charon_add_conn(
		&charon,
		text_of("{\"%s\":{\"local-1\":{\"class\":\"public key\",\"certs\":[\"%s\"]},"
			"\"remote-1\":{\"class\":\"public key\",\"id\":\"*.example\","
			"\"certs\":[\"%s\"]}}}",
			config_name, local, cert));
}

/* charon has this connection only. */
static void load_pinned(const char *cert, const char *local)
{
	charon.conn_count = 0;
	add_pinned("x509", cert, local);
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

/* On a busy machine a test may take longer than the age of a list that is old. */
static void start_feed(void)
{
	feed_start();
	session()->list_age_ms = 3600000;
}

static void lists_are_old(unsigned int took_ms)
{
	session()->list_age_ms = VICI_KEYS_AGE_MS;
	session()->keys.listed_ms -= VICI_KEYS_AGE_MS + 1000;
	session()->keys.begun_ms = session()->keys.listed_ms - took_ms;
}

static void start_pinned(const char *cert)
{
	load_pinned(cert, CERT("w"));
	load_certs();
	fake_charon_start(&charon);
	start_feed();
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
	EXPECT_ORDER("charon: list-conns", "charon: register list-cert", "charon: flush-certs",
		     "charon: list-certs type=X509", "charon: list-certs type=PUBKEY",
		     "charon: flush-certs", "charon: list-certs type=X509", "charon: list-sas");
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
	start_feed();
	wait_for("state synced", 1);
	up(7, 70, "c.example");
	expect_child(0x70, UNKNOWN, UNKNOWN);
}

static size_t full_lists(void)
{
	return trace_count("charon: list-certs type=X509");
}

static size_t flushes(void)
{
	return trace_count("charon: flush-certs");
}

/* The sender hits the first flush only. */
Test(vici_pinned, a_certificate_that_is_sent_again_after_a_flush_gives_no_key_to_the_peer)
{
	load_pinned("c.example", CERT("w"));
	load_certs();
	charon.certs[0] = captured.certs[1]; /* c's key is not listed */
	send_another_key();
	charon.planted_again = 1;
	fake_charon_start(&charon);
	start_feed();
	wait_for("state synced", 1);
	up(7, 70, "c.example");
	expect_child(0x70, UNKNOWN, UNKNOWN);
}

Test(vici_pinned, a_certificate_that_is_sent_again_after_a_flush_takes_no_key_from_the_peer)
{
	start_pinned("c.example");
	send_another_key();
	charon.planted_again = VICI_KEY_ROUNDS - 1;
	up(7, 70, "c.example");
	expect_child(0x70, KEY_OF_C, KEY_OF_W);
	cr_expect_eq(full_lists(), VICI_KEY_ROUNDS_ALL, "only at the start");
}

/* Then the key is not known, and it is no other one. */
Test(vici_pinned, a_certificate_that_is_sent_again_at_each_flush_gives_no_key_to_the_peer)
{
	start_pinned("c.example");
	send_another_key();
	charon.planted_again = VICI_KEY_ROUNDS;
	up(7, 70, "c.example");
	expect_child(0x70, UNKNOWN, UNKNOWN);
	up(8, 80, "c.example");
	expect_child(0x80, KEY_OF_C, KEY_OF_W);
	cr_expect_eq(full_lists(), VICI_KEY_ROUNDS_ALL);
}

/* D plants a certificate with its own subject before each authentication. */
Test(vici_pinned, a_connection_has_a_share_of_what_it_may_cost)
{
	unsigned int i;

	start_pinned("c.example");
	for (i = 1; i <= 3 * VICI_KEYS_ASKS; i++) {
		send_another_key();
		up((int)(10 + i), (int)(10 + i), "c.example");
		wait_for(text_of("up c.example 000000%u", 10 + i), 1);
		charon.cert_count -= charon.cached_count;
		charon.cached_count = 0;
	}
	cr_expect_eq(flushes(), VICI_KEY_ROUNDS_ALL + VICI_KEYS_ASKS);
	cr_expect_eq(full_lists(), VICI_KEY_ROUNDS_ALL);
	up(99, 99, "c.example");
	expect_child(0x99, KEY_OF_C, KEY_OF_W);
}

Test(vici_pinned, a_key_that_stays_the_same_flushes_nothing)
{
	size_t before, flushed;

	start_pinned(CERT("c"));
	flushed = flushes();
	up(7, 70, "c.example");
	expect_child(0x70, KEY_OF_C, KEY_OF_W);
	before = trace_count("charon: list-certs");
	up(8, 80, "c.example");
	expect_child(0x80, KEY_OF_C, KEY_OF_W);
	cr_expect_eq(trace_count("charon: list-certs"), before + 2, "of both ends");
	cr_expect_eq(flushes(), flushed);
}

/* To list all, charon compares each certificate with each other one. */
Test(vici_pinned, of_a_new_ike_sa_only_the_certificates_of_its_connection_are_listed)
{
	size_t before;

	start_pinned(CERT("c"));
	before = trace_count("charon: list-certs");
	up(7, 70, "c.example");
	expect_child(0x70, KEY_OF_C, KEY_OF_W);
	cr_expect_eq(trace_count("charon: list-certs subject=" CERT("c")), 1);
	cr_expect_eq(trace_count("charon: list-certs subject=" CERT("w")), 1);
	cr_expect_eq(trace_count("charon: list-certs"), before + 2);
}

#define CERT_OF_X1 "C=CH, ST=Z??rich, L=Town, O=Latch AG, OU=Unit, CN=x1.example, E=a@b.example"
#define ENCODED	   "charon: list-certs subject=asn1dn:#"

Test(vici_pinned, a_subject_that_charon_does_not_find_by_its_text_is_asked_for_in_der)
{
	start_pinned(CERT_OF_X1);
	up(7, 70, "c.example");
	expect_child(0x70, KEY_OF_X1, KEY_OF_W);
	cr_expect_eq(trace_count("charon: list-certs subject=" CERT_OF_X1), 1);
	cr_expect_eq(trace_count(ENCODED), 1);
	cr_expect_eq(full_lists(), VICI_KEY_ROUNDS_ALL);
}

static struct made name_of(const char *o, const char *cn)
{
	struct made name = RDN(OID_O, o);

	return *cn ? made_both(name, RDN(OID_CN, cn)) : name;
}

static void add_cert(const char *o, const char *cn, const char *key)
{
	charon.certs[charon.cert_count++] = made_message(made_cert(name_of(o, cn), key));
}

Test(vici_pinned, peers_with_a_comma_in_their_subject_cost_no_list_of_all_certificates)
{
	struct feed_key first;

	load_pinned("O=Acme, Inc., CN=c", CERT("w"));
	load_certs();
	add_cert("Acme, Inc.", "c", "key of c");
	fake_charon_start(&charon);
	start_feed();
	wait_for("state synced", 1);
	up(7, 70, "c.example");
	first = reported(0x70)->peer_key;
	cr_expect(first.known);
	up(8, 80, "c.example");
	cr_expect_str_eq(key_text(&reported(0x80)->peer_key), key_text(&first));
	cr_expect_eq(full_lists(), VICI_KEY_ROUNDS_ALL);
}

Test(vici_pinned, several_configured_keys_stay_unknown_and_cost_little)
{
	size_t flushed;

	start_pinned(CERT("d"));
	up(7, 70, "c.example");
	expect_child(0x70, UNKNOWN, UNKNOWN);
	flushed = flushes();
	up(8, 80, "c.example");
	expect_child(0x80, UNKNOWN, UNKNOWN);
	cr_expect_eq(flushes(), flushed);
	cr_expect_eq(full_lists(), VICI_KEY_ROUNDS_ALL);
}

/* charon has the private keys of both. */
static void add_own_cert(const char *o, const char *cn, const char *key)
{
	struct made cert = made_cert(name_of(o, cn), key);
	uint8_t *bytes = malloc(cert.length + 64), *at;

	at = made_pair(bytes, "type", "X509", 4);
	at = made_pair(at, "has_privkey", "yes", 3);
	at = made_pair(at, "data", cert.bytes, cert.length);
	charon.certs[charon.cert_count++] =
		(struct vici_span){.at = bytes, .length = (size_t)(at - bytes)};
}

Test(vici_pinned, several_keys_of_this_host_take_no_key_from_the_peer)
{
	load_pinned(CERT("c"), "O=Latch, CN=w");
	load_certs();
	add_own_cert("Latch", "w", "an RSA key");
	fake_charon_start(&charon);
	start_feed();
	wait_for("state synced", 1);
	up(7, 70, "c.example");
	cr_expect(reported(0x70)->local_key.known);
	add_own_cert("Latch", "w", "an ECDSA key");
	up(8, 80, "c.example");
	expect_child(0x80, KEY_OF_C, UNKNOWN);
	cr_expect_eq(full_lists(), VICI_KEY_ROUNDS_ALL);
}

Test(vici_pinned, S33_a_renewed_key_under_the_same_subject_is_another_key)
{
	struct feed_key renewed, before;

	load_pinned("O=Latch, CN=c", CERT("w"));
	load_certs();
	add_cert("Latch", "c", "key of c");
	fake_charon_start(&charon);
	start_feed();
	wait_for("state synced", 1);
	up(7, 70, "c.example");
	before = reported(0x70)->peer_key;
	charon.cert_count--;
	add_cert("Latch", "c", "renewed key");
	up(8, 80, "c.example");
	renewed = reported(0x80)->peer_key;
	cr_expect(renewed.known);
	cr_expect_str_neq(key_text(&renewed), key_text(&before));
	up(9, 90, "c.example");
	cr_expect_str_eq(key_text(&reported(0x90)->peer_key), key_text(&renewed));
	cr_expect_eq(full_lists(), 2 * VICI_KEY_ROUNDS_ALL);
}

Test(vici_pinned, a_certificate_that_was_planted_at_the_start_takes_the_key_for_a_while_only)
{
	load_pinned("c.example", CERT("w"));
	load_certs();
	send_another_key();
	charon.planted_again = VICI_KEY_ROUNDS_ALL;
	fake_charon_start(&charon);
	start_feed();
	wait_for("state synced", 1);
	up(7, 70, "c.example");
	expect_child(0x70, KEY_OF_C, KEY_OF_W);
}

Test(vici_pinned, a_subject_that_cannot_be_read_here_costs_no_list_of_certificates)
{
	start_pinned("C=CH, O=Latch, UID=joe, CN=x4");
	up(7, 70, "c.example");
	expect_child(0x70, UNKNOWN, UNKNOWN);
	cr_expect_eq(trace_count("charon: list-certs"), 0);
	cr_expect_eq(flushes(), 0);
}

static void up_of(const char *config_name, int id, int child)
{
	char *ike_sa = ike_sa_in("ESTABLISHED", id, child, "\"remote-id\":\"c.example\"");
	char *named = text_of("\"%s\"%s", config_name, strchr(ike_sa, ':'));

	fake_charon_push(&charon, "ike-updown", text_of("{\"up\":\"yes\",%s}", named));
	fake_charon_push(&charon, "child-updown", text_of("{\"up\":\"yes\",%s}", named));
}

Test(vici_pinned, one_list_of_all_certificates_serves_all_messages_that_wait)
{
	start_pinned(CERT("c"));
	add_pinned("y1", "c.example", CERT("w"));
	add_pinned("y2", CERT_OF_X1, CERT("w"));
	add_pinned("y3", CERT("c"), CERT("w"));
	up_of("y1", 7, 71);
	up_of("y2", 8, 81);
	up_of("y3", 9, 91);
	expect_child(0x91, KEY_OF_C, KEY_OF_W);
	expect_child(0x81, KEY_OF_X1, KEY_OF_W);
	expect_child(0x71, KEY_OF_C, KEY_OF_W);
	cr_expect_eq(full_lists(), 2 * VICI_KEY_ROUNDS_ALL);
}

/* charon prints [O=Latch][CN=x] and [O="Latch, CN=x"] alike, and finds the first one by the text.
 */
Test(vici_pinned, S33_a_certificate_that_prints_alike_is_noticed_by_the_next_list_of_all)
{
	struct feed_key first;

	load_pinned("O=Latch, CN=x", CERT("w"));
	load_certs();
	add_cert("Latch", "x", "key of c");
	fake_charon_start(&charon);
	start_feed();
	wait_for("state synced", 1);
	up(7, 70, "c.example");
	first = reported(0x70)->peer_key;
	cr_expect(first.known);
	add_cert("Latch, CN=x", "", "key of d");
	lists_are_old(0);
	up(8, 80, "c.example");
	expect_child(0x80, UNKNOWN, UNKNOWN);
}

Test(vici_pinned, a_list_of_all_is_not_repeated_where_it_takes_long)
{
	start_pinned(CERT("c"));
	lists_are_old(VICI_KEYS_QUICK_MS + 1);
	up(7, 70, "c.example");
	expect_child(0x70, KEY_OF_C, KEY_OF_W);
	cr_expect_eq(full_lists(), VICI_KEY_ROUNDS_ALL);
}

Test(vici_pinned, an_unchanged_list_of_all_flushes_nothing)
{
	size_t flushed;

	start_pinned(CERT("c"));
	flushed = flushes();
	lists_are_old(0);
	up(7, 70, "c.example");
	expect_child(0x70, KEY_OF_C, KEY_OF_W);
	cr_expect_eq(full_lists(), VICI_KEY_ROUNDS_ALL + 1);
	cr_expect_eq(flushes(), flushed);
}

Test(vici_pinned, of_a_charon_that_flushes_nothing_the_listed_keys_count)
{
	charon.unknown_command = "flush-certs";
	start_pinned(CERT("c"));
	up(7, 70, "c.example");
	expect_child(0x70, KEY_OF_C, KEY_OF_W);
	cr_expect_eq(flushes(), 1);
	cr_expect_eq(full_lists(), 1);
}

/* ---- answers that are late: charon verifies a chain online, or has very many certificates */

static void start_without_answer_to(const char *command)
{
	charon.held_command = command;
	load_pinned(CERT("c"), CERT("w"));
	load_certs();
	fake_charon_start(&charon);
	start_feed();
	session()->answer_limit_ms = 100;
	session()->certs.flush_limit_ms = 200;
	wait_for(text_of("charon: %s", command), 1);
}

static int has_passed(void *then)
{
	return loop_now_ms() >= *(const uint64_t *)then;
}

Test(vici_pinned, a_list_that_takes_longer_than_other_answers_counts)
{
	uint64_t then = loop_now_ms() + 300;

	start_without_answer_to("list-certs");
	cr_assert(loop_until(loop, has_passed, &then));
	fake_charon_release(&charon);
	wait_for("state synced", 1);
	cr_expect_eq(trace_count("state lost"), 0);
	up(7, 70, "c.example");
	expect_child(0x70, KEY_OF_C, KEY_OF_W);
}

/* charon goes on with the first list: a second one would cost it the same again. */
Test(vici_pinned, a_list_that_does_not_come_stops_no_feed_and_is_not_asked_for_again)
{
	start_without_answer_to("list-certs");
	wait_for("state synced", 1);
	cr_expect_eq(trace_count("log vici: feed here goes on without keys (charon did not answer "
				 "list-certs within 600 ms)"),
		     1);
	up(7, 70, "c.example");
	expect_child(0x70, UNKNOWN, UNKNOWN);
	fake_charon_release(&charon);
	up(8, 80, "c.example");
	expect_child(0x80, UNKNOWN, UNKNOWN);
	cr_expect_eq(full_lists(), 1);
	cr_expect_eq(trace_count("state lost"), 0);
	session()->certs.pause_ends_ms = 0;
	up(9, 90, "c.example");
	expect_child(0x90, KEY_OF_C, KEY_OF_W);
}

/* Any host may hold the lock that a flush waits for. */
Test(vici_pinned, a_flush_that_does_not_end_stops_no_feed_and_is_not_asked_for_again)
{
	start_without_answer_to("flush-certs");
	wait_for("state synced", 1);
	up(7, 70, "c.example");
	expect_child(0x70, UNKNOWN, UNKNOWN);
	cr_expect_eq(flushes(), 1);
	cr_expect_eq(full_lists(), 0, "it may have certificates of any host");
	fake_charon_release(&charon);
	up(8, 80, "c.example");
	expect_child(0x80, KEY_OF_C, KEY_OF_W);
	cr_expect_eq(trace_count("state lost"), 0);
}

/* Each flush takes nearly as long as one may: there is no second one. */
Test(vici_pinned, slow_flushes_of_one_query_take_no_longer_than_a_late_one)
{
	start_pinned("c.example");
	charon.held_command = "flush-certs";
	send_another_key();
	charon.planted_again = VICI_KEY_ROUNDS;
	up(7, 70, "c.example");
	wait_for("charon: flush-certs", VICI_KEY_ROUNDS_ALL + 1);
	session()->keys.since_ms -= VICI_FLUSH_LIMIT_MS;
	fake_charon_release(&charon);
	expect_child(0x70, UNKNOWN, UNKNOWN);
	cr_expect_eq(flushes(), VICI_KEY_ROUNDS_ALL + 1);
}

Test(vici_pinned, a_list_that_was_late_delays_no_flush)
{
	start_pinned("c.example");
	session()->certs.pause_ends_ms = loop_now_ms() + VICI_LIST_PAUSE_MS;
	send_another_key();
	up(7, 70, "c.example");
	expect_child(0x70, KEY_OF_C, KEY_OF_W);
}

/* "other" is new and needs a flush. */
Test(vici_pinned, while_a_flush_does_not_end_known_peers_keep_their_keys)
{
	start_pinned(CERT("c"));
	session()->certs.flush_limit_ms = 100;
	charon.held_command = "flush-certs";
	add_pinned("other", CERT_OF_X1, CERT("w"));
	up_of("other", 7, 71);
	up_of("x509", 8, 81);
	expect_child(0x81, KEY_OF_C, KEY_OF_W);
	expect_child(0x71, UNKNOWN, UNKNOWN);
	cr_expect_eq(trace_count("state lost"), 0);
}

/* Without its key c would be another peer, and its latches would break. */
static void expect_no_memory(bool *none)
{
	*none = true;
	load_pinned(CERT("c"), CERT("w"));
	load_certs();
	fake_charon_start(&charon);
	start_feed();
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
