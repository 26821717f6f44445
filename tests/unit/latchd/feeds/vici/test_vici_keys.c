/* SPDX-License-Identifier: BSD-2-Clause */
/* The keys of connections that admit one key of their peer, from messages of a real charon. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* memmem() */
#endif
#include <criterion/criterion.h>

#include "latchd/feeds/vici/auth.h"
#include "latchd/feeds/vici/auth_keys.h"
#include "latchd/feeds/vici/certificate.h"

#include "captured_certs.h"
#include "exact_copy.h"
#include "made_cert.h"

static struct vici_auth auth;
static struct captured captured;
static bool uncertain; /* what the last answer was */

static void begin(void)
{
	captured = captured_certs();
}

static void finish(void)
{
	vici_auth_free(&auth);
}

TestSuite(vici_keys, .init = begin, .fini = finish);

static void list_conns(void)
{
	size_t i;

	vici_auth_listing_begin(&auth, 0);
	for (i = 0; i < captured.conn_count; i++)
		cr_assert_eq(vici_auth_read_listed(&auth, captured.conns[i]), 0);
}

/* Without the certificate number left_out. */
static void list_all_certs_but(size_t left_out)
{
	size_t i;

	list_conns();
	for (i = 0; i < captured.cert_count; i++)
		if (i != left_out)
			vici_auth_read_cert(&auth, captured.certs[i]);
	uncertain = vici_auth_keys_end(&auth, NULL) != VICI_KEYS_SAME;
	vici_auth_keys_decide(&auth);
	cr_assert_eq(vici_auth_listing_end(&auth, NULL), 0);
}

static const struct vici_remote *remote_of(const char *config_name)
{
	const struct vici_remote *remote = NULL;

	cr_assert(vici_auth_remote(&auth, config_name, 0, &remote), "%s", config_name);
	return remote;
}

#define expect_keys(config_name, peer, local)                                                      \
	do {                                                                                       \
		const struct vici_remote *remote_ = remote_of(config_name);                        \
                                                                                                   \
		cr_expect_str_eq(key_text(&remote_->key), peer, "%s", config_name);                \
		cr_expect_str_eq(key_text(&remote_->local_key), local, "%s", config_name);         \
	} while (0)

Test(vici_keys, R_2_7_a_connection_with_one_certificate_has_the_keys_of_both_ends)
{
	list_all_certs_but(SIZE_MAX);
	expect_keys("pin", KEY_OF_C, KEY_OF_W);
	expect_keys("x1", KEY_OF_X1, KEY_OF_W);
	expect_keys("x2", KEY_OF_X2, KEY_OF_W);
}

Test(vici_keys, a_subject_of_two_keys_has_none)
{
	list_all_certs_but(SIZE_MAX);
	expect_keys("raw", UNKNOWN, UNKNOWN);
	expect_keys("pind", UNKNOWN, UNKNOWN);
}

Test(vici_keys, connections_that_admit_several_keys_have_none)
{
	list_all_certs_but(SIZE_MAX);
	expect_keys("two", UNKNOWN, UNKNOWN);
	expect_keys("tworaw", UNKNOWN, UNKNOWN);
	expect_keys("ca", UNKNOWN, UNKNOWN);
}

Test(vici_keys, a_subject_with_an_unknown_type_of_name_has_none)
{
	list_all_certs_but(SIZE_MAX);
	expect_keys("x4", UNKNOWN, UNKNOWN);
}

/* list-cert 0 and 2 are raw keys of this subject: c's, and another one. */
Test(vici_keys, a_raw_key_is_known_if_it_is_the_only_one_of_its_subject)
{
	list_all_certs_but(2);
	expect_keys("raw", KEY_OF_C, KEY_OF_W);
	expect_keys("pin", KEY_OF_C, KEY_OF_W);
}

Test(vici_keys, the_next_answer_counts_in_place_of_this_one)
{
	list_all_certs_but(2);
	expect_keys("raw", KEY_OF_C, KEY_OF_W);
	list_all_certs_but(0);
	cr_expect_str_neq(key_text(&remote_of("raw")->key), KEY_OF_C);
	cr_expect(remote_of("raw")->key.known);
	list_conns();
	cr_assert_eq(vici_auth_listing_end(&auth, NULL), 0);
	expect_keys("raw", UNKNOWN, UNKNOWN);
	expect_keys("pin", UNKNOWN, UNKNOWN);
}

/* ---- certificates that any host has sent */

Test(vici_keys, a_key_is_uncertain_while_it_is_new_or_one_of_several)
{
	list_all_certs_but(2);
	cr_expect(uncertain, "the first answer, and two keys of d");
	captured.conn_count = 1; /* pin */
	list_all_certs_but(2);
	cr_expect_not(uncertain);
	expect_keys("pin", KEY_OF_C, KEY_OF_W);
	list_all_certs_but(SIZE_MAX);
	cr_expect_not(uncertain, "a raw key is no certificate of c");
}

Test(vici_keys, an_unknown_key_that_stays_unknown_is_not_asked_for_again)
{
	list_all_certs_but(SIZE_MAX);
	captured.conn_count = 1;
	captured.cert_count = 0;
	list_all_certs_but(SIZE_MAX);
	cr_expect(uncertain, "it was known");
	list_all_certs_but(SIZE_MAX);
	cr_expect_not(uncertain);
	expect_keys("pin", UNKNOWN, UNKNOWN);
}

/* As many bytes as before. */
static struct vici_span with_text(struct vici_span message, const char *before, const char *after)
{
	uint8_t *copy = malloc(message.length);
	uint8_t *at;

	cr_assert_eq(strlen(before), strlen(after));
	memcpy(copy, message.at, message.length);
	at = memmem(copy, message.length, before, strlen(before));
	cr_assert_not_null(at, "%s", before);
	memcpy(at, after, strlen(after));
	return (struct vici_span){.at = copy, .length = message.length};
}

/* Number 0 is c's raw key, without its private key. */
Test(vici_keys, a_certificate_with_the_name_of_this_host_and_no_private_key_is_not_its_own)
{
	captured.conns[0] = captured.conns[2]; /* raw */
	captured.conn_count = 1;
	captured.certs[2] = captured.certs[0];
	captured.certs[captured.cert_count++] =
		with_text(captured.certs[0], "c.example", "w.example");
	list_all_certs_but(SIZE_MAX);
	expect_keys("raw", KEY_OF_C, KEY_OF_W);
	captured.certs[captured.cert_count - 1] =
		with_text(captured.certs[1], "has_privkey", "has_pubkeys");
	list_all_certs_but(1);
	expect_keys("raw", KEY_OF_C, UNKNOWN);
}

#define NAMES "C=XX, O=Latch, CN=c.example"

Test(vici_keys, a_subject_that_a_certificate_of_another_type_may_have_is_not_readable)
{
	char longest[FEED_ID_MAX];

	cr_expect(vici_subject_is_readable(NAMES, FEED_ID_MAX));
	cr_expect(vici_subject_is_readable("O=Latch, Inc., DC=a, E=a@b, SN=c", FEED_ID_MAX));
	cr_expect(vici_subject_is_readable("c.example", FEED_ID_MAX));
	cr_expect_not(vici_subject_is_readable("C=XX, UID=7, CN=c.example", FEED_ID_MAX));
	cr_expect_not(vici_subject_is_readable("UID=7, CN=c.example", FEED_ID_MAX));
	cr_expect_not(vici_subject_is_readable("C=XX, 55:04:2d=7", FEED_ID_MAX));
	cr_expect_not(vici_subject_is_readable("C=XX, =7", FEED_ID_MAX));
	cr_expect_not(vici_subject_is_readable(NAMES ", O(invalid ID_DER_ASN1_DN)", FEED_ID_MAX));
	memset(longest, 'x', sizeof(longest) - 1);
	memcpy(longest, "CN=", 3);
	longest[FEED_ID_MAX - 1] = '\0';
	cr_expect_not(vici_subject_is_readable(longest, FEED_ID_MAX));
	longest[FEED_ID_MAX - 2] = '\0';
	cr_expect(vici_subject_is_readable(longest, FEED_ID_MAX));
}

static void list_made(size_t conn, struct made cert)
{
	captured.conns[0] = captured.conns[conn];
	captured.conn_count = 1;
	captured.certs[captured.cert_count++] = made_message(cert);
	list_all_certs_but(SIZE_MAX);
}

Test(vici_keys, a_connection_whose_certificate_cannot_be_read_needs_no_certificates)
{
	captured.conns[0] = captured.conns[7]; /* x4 */
	captured.conn_count = 1;
	list_conns();
	cr_expect_not(vici_auth_needs_keys(&auth));
}

/* The pinned certificate has the subject [C=CH][O=Latch][UID=joe][CN=x4]. */
Test(vici_keys, a_certificate_whose_o_looks_like_another_type_gives_no_key)
{
	struct made rdns = made_both(RDN(OID_C, "CH"), RDN(OID_O, "Latch, UID=joe"));

	list_made(7, made_cert(made_both(rdns, RDN(OID_CN, "x4")), "another key"));
	expect_keys("x4", UNKNOWN, UNKNOWN);
}

/* The only certificate of this subject that is listed. charon reads types that way, too. */
Test(vici_keys, what_follows_a_known_type_is_no_part_of_it)
{
	static const struct vici_text data = {.at = "\x30\x01k", .length = 3};
	struct made rdns = made_both(RDN(OID_C, "XX"), RDN(OID_O, "Latch"));
	struct made name = made_both(rdns, RDN("\x55\x04\x03\x63", "y.example"));
	struct made cert = made_cert(name, "k");
	struct vici_text bytes = {.at = (const char *)cert.bytes, .length = cert.length}, key;
	char subject[FEED_ID_MAX];

	cr_assert(vici_certificate_read(bytes, subject, sizeof(subject), &key));
	cr_expect_str_eq(subject, "C=XX, O=Latch, CN=y.example");
	cr_expect_eq(key.length, data.length);
	cr_expect_arr_eq(key.at, data.at, data.length);
}

/* Two certificates of c's subject: without the second one, the key is c's. */
Test(vici_keys, a_certificate_with_a_type_that_is_longer_than_known_takes_the_key)
{
	struct made rdns = made_both(RDN(OID_C, "XX"), RDN(OID_O, "Latch"));

	list_made(0, made_cert(made_both(rdns, RDN("\x55\x04\x03\x63", "c.example")), "k"));
	expect_keys("pin", UNKNOWN, UNKNOWN);
}

Test(vici_keys, a_length_with_leading_zeros_is_read)
{
	struct made cert = made_cert(RDN(OID_CN, "y"), "k");
	uint8_t longer[sizeof(cert.bytes) + 5] = {0x30, 0x85, 0, 0, 0, 0};
	struct vici_text bytes = {.at = (const char *)longer, .length = cert.length + 5}, key;
	char subject[FEED_ID_MAX];

	memcpy(longer + 6, cert.bytes + 1, cert.length - 1);
	cr_expect(vici_certificate_read(bytes, subject, sizeof(subject), &key));
	longer[1] = 0x89;
	cr_expect_not(vici_certificate_read(bytes, subject, sizeof(subject), &key));
}

/* ---- rounds: charon forgets what hosts have sent between them */

static enum vici_keys_result end_round_with(size_t first, size_t count)
{
	for (; count; count--, first++)
		cr_assert_eq(vici_auth_read_cert(&auth, captured.certs[first]), 0);
	return vici_auth_keys_end(&auth, NULL);
}

/* Number 0 is c's raw key, number 2 another one of its subject. */
Test(vici_keys, a_key_counts_if_each_round_has_listed_it)
{
	captured.conns[0] = captured.conns[2]; /* raw */
	captured.conn_count = 1;
	list_conns();
	cr_expect_eq(end_round_with(0, 3), VICI_KEYS_OTHER);
	cr_expect_eq(end_round_with(0, 2), VICI_KEYS_OTHER);
	cr_expect_eq(end_round_with(0, 3), VICI_KEYS_OTHER);
	vici_auth_keys_decide(&auth);
	expect_keys("raw", KEY_OF_C, KEY_OF_W);
	list_conns();
	end_round_with(0, 1);
	end_round_with(2, 1);
	vici_auth_keys_decide(&auth);
	expect_keys("raw", UNKNOWN, UNKNOWN);
}

Test(vici_keys, an_answer_about_one_connection_touches_no_other)
{
	list_all_certs_but(2);
	list_conns();
	cr_assert_eq(vici_auth_read_cert(&auth, captured.certs[0]), 0);
	cr_assert_eq(vici_auth_read_cert(&auth, captured.certs[1]), 0);
	cr_expect_eq(vici_auth_keys_end(&auth, "raw"), VICI_KEYS_SAME);
	expect_keys("raw", KEY_OF_C, KEY_OF_W);
	expect_keys("pin", UNKNOWN, UNKNOWN);
}

Test(vici_keys, connections_without_a_pinned_key_need_no_query)
{
	size_t i;

	vici_auth_listing_begin(&auth, 0);
	for (i = 0; i < captured.conn_count; i++) {
		struct vici_span message = captured.conns[i];
		struct vici_member member;

		cr_assert_eq(vici_member_next(&message, &member), 1);
		if (!vici_text_is(member.name, "two") && !vici_text_is(member.name, "tworaw") &&
		    !vici_text_is(member.name, "ca"))
			continue;
		cr_assert_eq(vici_auth_read_listed(&auth, captured.conns[i]), 0);
	}
	cr_expect_not(vici_auth_needs_keys(&auth));
}

/* ---- malformed certificates */

static struct vici_text data_of(size_t cert)
{
	struct vici_member data;

	cr_assert(vici_find(captured.certs[cert], "data", VICI_MEMBER_VALUE, &data));
	return data.value;
}

static bool reads(struct vici_span copy, char *subject, size_t size)
{
	struct vici_text bytes = {.at = (const char *)copy.at, .length = copy.length}, key;
	bool read = vici_certificate_read(bytes, subject, size, &key);

	if (read)
		cr_assert(key.at >= bytes.at && key.length &&
			  key.at + key.length <= bytes.at + bytes.length);
	return read;
}

/* Number 11 is the CA's. In memory of their exact size: sanitizers see a byte too many. */
Test(vici_keys, a_certificate_that_is_cut_anywhere_is_not_read)
{
	struct vici_text whole = data_of(11);
	char subject[FEED_ID_MAX];
	struct vici_span copy;
	size_t length;

	for (length = 0; length < whole.length; length++) {
		copy = exact_copy(whole.at, length);
		cr_expect_not(reads(copy, subject, sizeof(subject)), "length %zu", length);
		exact_free(copy);
	}
	copy = exact_copy(whole.at, whole.length);
	cr_expect(reads(copy, subject, sizeof(subject)));
	cr_expect_str_eq(subject, "C=XX, O=Latch, CN=Latch test CA");
	exact_free(copy);
}

Test(vici_keys, a_certificate_with_any_other_byte_is_read_within_its_bounds)
{
	struct vici_text whole = data_of(11);
	char subject[FEED_ID_MAX];
	struct vici_span copy;
	size_t at;
	int bit;

	for (at = 0; at < whole.length; at++)
		for (bit = 0; bit < 8; bit++) {
			copy = exact_copy(whole.at, whole.length);
			((uint8_t *)copy.at)[at] ^= (uint8_t)(1 << bit);
			if (reads(copy, subject, sizeof(subject)))
				cr_assert_lt(strlen(subject), sizeof(subject));
			exact_free(copy);
		}
}

Test(vici_keys, a_subject_that_does_not_fit_is_not_read)
{
	struct vici_text whole = data_of(11);
	struct vici_span copy = exact_copy(whole.at, whole.length);
	char subject[64];
	size_t needed = strlen("C=XX, O=Latch, CN=Latch test CA") + 1;

	cr_expect(reads(copy, subject, needed));
	cr_expect_not(reads(copy, subject, needed - 1));
	exact_free(copy);
}
