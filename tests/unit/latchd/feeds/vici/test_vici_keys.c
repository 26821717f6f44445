/* SPDX-License-Identifier: BSD-2-Clause */
/* The keys of connections that admit one key of their peer, from messages of a real charon. */
#include <criterion/criterion.h>

#include "latchd/feeds/vici/auth.h"
#include "latchd/feeds/vici/certificate.h"

#include "captured_certs.h"
#include "exact_copy.h"

static struct vici_auth auth;
static struct captured captured;

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
	cr_assert(vici_auth_needs_keys(&auth));
	for (i = 0; i < captured.cert_count; i++)
		if (i != left_out)
			vici_auth_read_cert(&auth, captured.certs[i]);
	vici_auth_keys_end(&auth);
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
