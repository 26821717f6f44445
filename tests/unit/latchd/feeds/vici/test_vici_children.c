/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * CHILD_SA records from captured messages of a real charon, and from one valid
 * message of vici_samples.h with one part changed. In the captures d.latch.test
 * has taken the address of c.latch.test.
 */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "fake/vici_json.h"
#include "latchd/feeds/vici/children.h"
#include "vici_samples.h"

static void expect_host(const uint8_t address[16], const char *expected)
{
	uint8_t bytes[16] = {0};

	cr_assert_eq(inet_pton(strchr(expected, ':') ? AF_INET6 : AF_INET, expected, bytes), 1);
	cr_expect_arr_eq(address, bytes, 16, "%s", expected);
}

static void expect_one_selector(const struct traffic_selector_set *set, const char *address)
{
	cr_expect_not(set->covers_all);
	cr_assert_eq(set->count, 1);
	expect_host(set->selector[0].low, address);
	expect_host(set->selector[0].high, address);
	cr_expect_eq(set->selector[0].protocol, 0);
}

Test(vici_children, the_captured_child_of_peer_d_is_read_whole)
{
	struct feed_child child = accepted(vici_fixture_event("attackD-tcp", "child-updown", 0),
					   VICI_CHILDREN_LISTED);

	cr_expect_str_eq(child.config_name, "x509");
	cr_expect_str_eq(child.child_name, "trans");
	cr_expect_str_eq(child.local_id, "a.latch.test");
	cr_expect_str_eq(child.peer_id, "d.latch.test");
	cr_expect_eq(child.peer_auth, FEED_AUTH_UNKNOWN);
	cr_expect_eq(child.ike_unique_id, 2);
	cr_expect_eq(child.child_unique_id, 2);
	cr_expect_eq(child.mode, FEED_MODE_TUNNEL);
	cr_expect_eq(child.family, AF_INET);
	cr_expect_eq(child.ipsec_protocol, IPPROTO_ESP);
	cr_expect(child.encap);
	cr_expect_eq(child.spi_in, 0xd3f0d477);
	cr_expect_eq(child.spi_out, 0xb6ce45ac);
	cr_expect_eq(child.reqid, 1);
	cr_expect_eq(child.if_id_in, 0);
	expect_host(child.local_host, "10.9.0.1");
	expect_host(child.remote_host, "10.9.0.3");
	expect_one_selector(&child.local_ts, "10.9.1.1");
	expect_one_selector(&child.remote_ts, "10.9.1.3");
}

/* As captured: address, selectors and reqid are the same; only identity and SPIs differ. */
Test(vici_children, two_peers_may_share_reqid_address_and_selectors)
{
	struct feed_child d = accepted(vici_fixture_event("attackD-tcp", "child-updown", 0),
				       VICI_CHILDREN_LISTED);
	struct feed_child c = accepted(vici_fixture_event("attackD-tcp", "child-updown", 1),
				       VICI_CHILDREN_LISTED);

	cr_expect_str_eq(c.peer_id, "c.latch.test");
	cr_expect_eq(c.spi_out, 0x13f837f0);
	cr_expect_eq(c.reqid, d.reqid);
	cr_expect_arr_eq(c.remote_host, d.remote_host, 16);
	cr_expect_eq(memcmp(&c.remote_ts, &d.remote_ts, sizeof(c.remote_ts)), 0);
}

/* charon prints "keyid:c.latch.test" of a shared key like the host name of a certificate. */
Test(vici_children, a_key_id_and_an_equal_host_name_differ_in_the_configuration)
{
	struct feed_child key_id = accepted(
		vici_fixture_event("rawkey-psk-keyid", "child-updown", 1), VICI_CHILDREN_LISTED);
	struct feed_child name = accepted(vici_fixture_event("attackD-tcp", "child-updown", 1),
					  VICI_CHILDREN_LISTED);

	cr_expect_str_eq(key_id.peer_id, name.peer_id);
	cr_expect_str_eq(key_id.config_name, "psk");
	cr_expect_str_eq(name.config_name, "x509");
}

Test(vici_children, a_child_rekey_event_yields_only_the_new_child)
{
	struct vici_span message = vici_from_json(
		vici_fixture_event("establish-rekey-collision-attackD-dpd", "child-rekey", 0));
	struct vici_ike_sa ike_sa;
	struct vici_span section;
	struct feed_child child;
	const char *reason;

	cr_assert_eq(vici_ike_sa_next(&message, &ike_sa), 1);
	cr_assert_eq(vici_child_next(&ike_sa.children, VICI_CHILDREN_REKEYED, &section), 1);
	cr_assert_eq(vici_child_read(&ike_sa, section, &child, &reason), VICI_CHILD_OK);
	cr_expect_eq(child.spi_in, 0x60646137);
	cr_expect_eq(child.child_unique_id, 2);
	cr_expect_eq(vici_child_next(&ike_sa.children, VICI_CHILDREN_REKEYED, &section), 0);
	cr_expect_eq(vici_ike_sa_next(&message, &ike_sa), 0);
}

Test(vici_children, every_captured_child_is_read_and_unnamed_ike_sas_are_skipped)
{
	static const char *const files[] = {"attackD-tcp",
					    "establish-rekey-collision-attackD-dpd",
					    "initialcontact-ikerekey-reauth-delete",
					    "rawkey-psk-keyid",
					    "strongswan-5.9.8",
					    "strongswan-6.0.1",
					    "strongswan-6.1.0"};
	unsigned int children = 0, unnamed = 0;
	struct vici_fixture fixture;
	size_t i;

	for (i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		vici_fixture_open(&fixture, files[i]);
		while (vici_fixture_next(&fixture)) {
			if (!strcmp(fixture.event, "child-updown"))
				accepted(fixture.json, VICI_CHILDREN_LISTED);
			else if (!strcmp(fixture.event, "child-rekey"))
				accepted(fixture.json, VICI_CHILDREN_REKEYED);
			else if (!strcmp(fixture.event, "ike-update"))
				expect_skipped(fixture.json);
			children += !strncmp(fixture.event, "child-", 6);
			unnamed += !strcmp(fixture.event, "ike-update");
		}
		vici_fixture_close(&fixture);
	}
	cr_expect_eq(children, 51);
	cr_expect_eq(unnamed, 13);
}

/* ---- one part changed */

Test(vici_children, the_sample_child_of_the_other_tests_is_accepted)
{
	struct feed_child child = accepted(PLAIN, VICI_CHILDREN_LISTED);

	cr_expect_str_eq(child.peer_id, "b");
	cr_expect_eq(child.mode, FEED_MODE_TRANSPORT);
	cr_expect_not(child.encap);
}

static const char *with_peer(const char *members)
{
	static char json[8192];

	snprintf(json, sizeof(json), IKE_BEGIN IKE_REST LOCAL_ID "%s" KIDS, members);
	return json;
}

static const char *with_remote_id(const char *id)
{
	static char member[2048];

	snprintf(member, sizeof(member), "\"remote-id\":\"%s\",", id);
	return with_peer(member);
}

static const char *const unprintable[] = {
	"(invalid ID_IPV4_ADDR)",
	"(invalid ID_DER_ASN1_DN)",
	"C=XX, O=Latch, CN=(invalid ID_DER_ASN1_DN)",
	"(unknown ID type: 201)",
	"(null)",
	"(ASN.1 general name)",
	"c.latch.test(null)",
};

Test(vici_children, an_identity_that_charon_could_not_print_is_refused)
{
	size_t i;

	for (i = 0; i < sizeof(unprintable) / sizeof(unprintable[0]); i++)
		expect_unnamed(with_remote_id(unprintable[i]),
			       "charon could not print an identity");
}

Test(vici_children, a_peer_identity_with_a_question_mark_is_refused)
{
	static const char reason[] =
		"the peer's identity contains a ?, which charon also prints for "
		"bytes it cannot show";

	expect_unnamed(with_remote_id("CN=M??ller"), reason);
	expect_unnamed(with_remote_id("c.latch.test?"), reason);
	expect_unnamed(with_peer(REMOTE_ID "\"remote-eap-id\":\"m?ller\","), reason);
	/* No peer chooses the local identity. */
	accepted(IKE_BEGIN IKE_REST "\"local-id\":\"CN=M??ller\"," REMOTE_ID KIDS,
		 VICI_CHILDREN_LISTED);
}

Test(vici_children, a_missing_empty_or_any_identity_is_refused)
{
	expect_unnamed(with_remote_id("%any"), "an identity is %any");
	expect_unnamed(with_remote_id(""), "an identity is missing or empty");
	expect_unnamed(with_peer(""), "an identity is missing or empty");
	expect_unnamed(with_peer("\"remote-id\":[\"b\"],"), "an identity is missing or empty");
	expect_unnamed(IKE_BEGIN IKE_REST REMOTE_ID KIDS, "an identity is missing or empty");
	expect_unnamed(IKE_BEGIN IKE_REST "\"local-id\":\"%any\"," REMOTE_ID KIDS,
		       "an identity is %any");
}

Test(vici_children, an_identity_that_may_be_truncated_is_refused)
{
	char id[FEED_ID_MAX + 2];
	struct feed_child child;

	memset(id, 'c', sizeof(id));
	id[FEED_ID_MAX - 2] = '\0';
	child = accepted(with_remote_id(id), VICI_CHILDREN_LISTED);
	cr_expect_str_eq(child.peer_id, id);
	id[FEED_ID_MAX - 2] = 'c';
	id[FEED_ID_MAX - 1] = '\0';
	expect_unnamed(with_remote_id(id), "an identity is too long");
	id[FEED_ID_MAX - 1] = 'c';
	id[FEED_ID_MAX + 1] = '\0';
	expect_unnamed(with_remote_id(id), "an identity is too long");
}

/* A text in JSON ends at a NUL; a text on the wire does not. */
static struct vici_span with_nul_in_remote_id(void)
{
	struct vici_span message = vici_from_json(with_remote_id("c.latch.test_.evil"));
	uint8_t *at = memmem(message.at, message.length, "_.evil", 6);

	cr_assert_not_null(at);
	*at = '\0';
	return message;
}

Test(vici_children, an_identity_with_a_nul_byte_is_refused)
{
	struct vici_span message = with_nul_in_remote_id(), section;
	struct vici_ike_sa ike_sa;
	struct feed_child child;
	const char *reason;

	cr_assert_eq(vici_ike_sa_next(&message, &ike_sa), 1);
	cr_assert_eq(vici_child_next(&ike_sa.children, VICI_CHILDREN_LISTED, &section), 1);
	cr_assert_eq(vici_child_read(&ike_sa, section, &child, &reason), VICI_CHILD_UNNAMED);
	cr_expect_str_eq(reason, "an identity contains a NUL byte");
}

static void expect_peer(const char *members, const char *expected)
{
	struct feed_child child = accepted(with_peer(members), VICI_CHILDREN_LISTED);

	cr_expect_str_eq(child.peer_id, expected);
}

Test(vici_children, the_eap_or_else_xauth_identity_overrides_the_ike_identity)
{
	expect_peer(REMOTE_ID "\"remote-eap-id\":\"eve\",", "eve");
	expect_peer("\"remote-eap-id\":\"eve\"," REMOTE_ID, "eve");
	expect_peer(REMOTE_ID "\"remote-xauth-id\":\"xan\",", "xan");
	expect_peer(REMOTE_ID "\"remote-xauth-id\":\"xan\",\"remote-eap-id\":\"eve\",", "eve");
	/* An empty value is not a missing key. */
	expect_unnamed(with_peer(REMOTE_ID "\"remote-eap-id\":\"\","),
		       "an identity is missing or empty");
	expect_unnamed(with_peer(REMOTE_ID "\"remote-eap-id\":\"%any\","), "an identity is %any");
}

/* An identity is an opaque text, also when it looks like a distinguished name. */
Test(vici_children, identity_texts_are_kept_unchanged)
{
	expect_peer("\"remote-id\":\"C=XX, O=Latch, CN=c.latch.test\",",
		    "C=XX, O=Latch, CN=c.latch.test");
	expect_peer("\"remote-id\":\"C.Latch.Test\",", "C.Latch.Test");
	expect_peer("\"remote-id\":\" b \",", " b ");
	expect_peer("\"remote-id\":\"10.9.0.3\",", "10.9.0.3");
	expect_peer("\"remote-id\":\"b\\u001b[2J\\nup\",", "b\033[2J\nup");
}

/* A JSON object keeps one of two equal keys: the second one is renamed on the wire. */
static void expect_ambiguous(const char *json, const char *renamed, const char *to)
{
	struct vici_span message = vici_from_json(json), section;
	uint8_t *at = memmem(message.at, message.length, renamed, strlen(renamed));
	struct vici_ike_sa ike_sa;
	struct feed_child child;
	const char *reason;

	cr_assert_not_null(at);
	cr_assert_eq(strlen(renamed), strlen(to));
	memcpy(at, to, strlen(to));
	cr_assert_eq(vici_ike_sa_next(&message, &ike_sa), 1);
	cr_assert_eq(vici_child_next(&ike_sa.children, VICI_CHILDREN_LISTED, &section), 1);
	cr_assert_eq(vici_child_read(&ike_sa, section, &child, &reason), VICI_CHILD_REFUSED);
	cr_expect_str_eq(reason, "a key occurs twice");
	cr_expect_eq(child.child_unique_id, 5);
}

Test(vici_children, a_child_with_a_duplicate_key_is_refused)
{
	expect_ambiguous(with_peer(REMOTE_ID "\"remote-iX\":\"c\","), "remote-iX", "remote-id");
	expect_ambiguous(with_peer("\"remote-iX\":\"\"," REMOTE_ID), "remote-iX", "remote-id");
	expect_ambiguous(with_peer(REMOTE_ID "\"statX\":\"ESTABLISHED\","), "statX", "state");
	expect_ambiguous(IKE_BEGIN IKE_REST LOCAL_ID REMOTE_ID KIDS_BEGIN KID_REST
			 "\"spi-iX\":\"0000000c\"," KID_TS KIDS_END,
			 "spi-iX", "spi-in");
	expect_ambiguous(IKE_BEGIN IKE_REST LOCAL_ID REMOTE_ID KIDS_BEGIN KID_REST
			 "\"remote-tX\":[\"10.0.0.0/8\"]," KID_TS KIDS_END,
			 "remote-tX", "remote-ts");
	expect_ambiguous(IKE_BEGIN IKE_REST LOCAL_ID REMOTE_ID KIDS_BEGIN KID_REST KID_TS
			 "}},\"child-saX\":{}}}",
			 "child-saX", "child-sas");
}

static const char *with_ike_state(const char *state)
{
	static char json[4096];

	snprintf(json, sizeof(json),
		 IKE_BEGIN IKE_ID "\"state\":\"%s\"," IKE_HOSTS LOCAL_ID REMOTE_ID KIDS, state);
	return json;
}

Test(vici_children, a_child_of_an_unauthenticated_ike_sa_is_skipped)
{
	static const char *const before[] = {"CREATED", "CONNECTING", "(unknown)", "",
					     "established"};
	static const char *const after[] = {"ESTABLISHED", "PASSIVE",  "REKEYING",
					    "REKEYED",	   "DELETING", "DESTROYING"};
	size_t i;

	for (i = 0; i < sizeof(before) / sizeof(before[0]); i++)
		expect_skipped(with_ike_state(before[i]));
	for (i = 0; i < sizeof(after) / sizeof(after[0]); i++)
		accepted(with_ike_state(after[i]), VICI_CHILDREN_LISTED);
	expect_skipped(IKE_BEGIN IKE_ID IKE_HOSTS LOCAL_ID REMOTE_ID KIDS);
}

Test(vici_children, a_child_of_an_unnamed_ike_sa_is_skipped)
{
	expect_skipped("{\"(unnamed)\":{" IKE_REST LOCAL_ID REMOTE_ID KIDS);
}

Test(vici_children, a_child_in_a_state_without_kernel_sas_is_skipped)
{
	static const char *const states[] = {"CREATED",	 "ROUTED",   "INSTALLING",
					     "UPDATING", "RETRYING", "DESTROYING"};
	char members[1024];
	size_t i;

	for (i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		snprintf(members, sizeof(members),
			 KID_ID KID_MODE KID_PROTO KID_SPIS "\"state\":\"%s\"," KID_TS, states[i]);
		expect_skipped(with_child(members));
	}
	expect_skipped(with_child(KID_ID KID_MODE KID_PROTO KID_SPIS KID_TS));
}
