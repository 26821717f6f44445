/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Remote ids as list-conns prints them, and whether a peer's printed identity is
 * proof under each. No charon: vici_remote_proof() on made-up connections.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "latchd/feeds/vici/proof.h"

#define DN "O=Acme, CN=Alice, OU=IT"

static const char *unproven_under(const char *remote_id, const char *text,
				  enum feed_rdn_matching matching)
{
	const struct feed_statements statements = {.rdn_matching = matching};
	const struct vici_ike_sa ike_sa = {.config_name = {"x509", 4}};
	const struct feed_peer peer = {.auth = FEED_AUTH_PUBKEY};
	struct vici_remote remote = {
		.id = (char *)remote_id,
		.names = vici_names_of(remote_id),
		.listed = true,
	};

	return vici_identity_unproven(&ike_sa, &peer, &statements,
				      vici_remote_proof(&remote, text));
}

static bool proven(const char *remote_id, const char *text)
{
	return !unproven_under(remote_id, text, FEED_RDN_STRICT);
}

Test(vici_proof, an_exact_remote_id_is_proof_for_each_type)
{
	static const char *const ids[] = {
		"c.example",
		"c@example.org",
		"10.9.0.2",
		"fd09::2",
		"::ffff:10.9.0.2",
		DN,
		"63:2e:65",
		"urn:c",
		"c%d",
		"O=Acme, CN=*.example",
		"a host",
		"https://c.example/x",
	};
	size_t i;

	for (i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
		cr_expect(proven(ids[i], ids[i]), "%s", ids[i]);
	cr_expect(proven("c.example", "C.Example"), "charon ignores the case of names");
}

Test(vici_proof, no_text_is_proof_under_any)
{
	static const char *const texts[] = {"c.example", "c@example.org", "10.9.0.2",
					    DN,		 "CN=c",	  "63:2e:65"};
	size_t i;

	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		cr_expect_not(proven("%any", texts[i]), "%s", texts[i]);
		cr_expect_not(proven("", texts[i]), "%s", texts[i]);
	}
}

Test(vici_proof, every_proof_is_a_decision_but_that_of_an_ike_sa_without_room)
{
	int proof;

	for (proof = 0; proof <= VICI_PROOF_LAST; proof++)
		cr_expect_eq(vici_proof_is_decided((enum vici_proof)proof),
			     proof != VICI_UNPROVEN_UNNOTED, "proof %d", proof);
}

Test(vici_proof, a_wildcard_or_network_of_one_type_is_proof)
{
	cr_expect(proven("*.example", "c.example"));
	cr_expect(proven("*", "c.example"));
	cr_expect(proven("*@example.org", "c@example.org"));
	cr_expect(proven("10.9.0.0/24", "10.9.0.2"));
	cr_expect(proven("10.9.0.2-10.9.0.9", "10.9.0.3"));
	cr_expect(proven("fd09::/64", "fd09::2"));
}

/* Two wildcards: [CN=*][OU=*] admits [CN=a, OU=b][OU=c] and [CN=a][OU="b, OU=c"]. */
Test(vici_proof, a_dn_is_proof_under_one_wildcard_and_not_under_two)
{
	cr_expect(proven("O=Acme, CN=*", "O=Acme, CN=Alice"));
	cr_expect(proven("O=Acme, CN=*, OU=IT", DN));
	cr_expect_not(proven("O=Acme, CN=*, OU=*", DN));
	cr_expect_not(proven("O=*, CN=Alice, OU=*", DN));
}

Test(vici_proof, a_dn_is_no_proof_unless_charon_matches_rdn_by_rdn)
{
	cr_expect_null(unproven_under(DN, DN, FEED_RDN_STRICT));
	cr_expect_not_null(unproven_under(DN, DN, FEED_RDN_REORDERED));
	cr_expect_not_null(unproven_under(DN, DN, FEED_RDN_RELAXED));
	cr_expect_not_null(unproven_under("O=Acme, CN=*", "O=Acme, CN=Alice", FEED_RDN_RELAXED));
	cr_expect_null(unproven_under("c.example", "c.example", FEED_RDN_RELAXED),
		       "rdn_matching is about DNs only");
}

Test(vici_proof, an_identity_that_the_remote_id_excludes_is_no_proof)
{
	cr_expect_not(proven("c.example", "d.example"));
	cr_expect_not(proven("c.example", "c.example.org"));
	cr_expect_not(proven("*.example", "c.example.org"));
	cr_expect_not(proven("*.example", "example"));
	cr_expect_not(proven("O=Acme, CN=*", "O=Other, CN=Alice"));
	cr_expect_not(proven("host-1.example", "host-2.example"), "a dash makes no range");
	cr_expect_not(proven("10.9.0.2", "10.9.0.3"));
}

Test(vici_proof, a_regular_expression_or_a_truncated_remote_id_is_no_proof)
{
	char id[FEED_ID_MAX];

	cr_expect_not(proven("^.*\\.example$", "^.*\\.example$"));
	memset(id, 'a', sizeof(id));
	id[FEED_ID_MAX - 1] = '\0';
	cr_expect_not(proven(id, id));
	id[FEED_ID_MAX - 2] = '\0';
	cr_expect(proven(id, id));
}

Test(vici_proof, a_connection_that_is_not_loaded_is_no_proof)
{
	struct vici_remote remote = {.id = (char *)"c", .pinned = true};

	cr_expect_eq(vici_remote_proof(&remote, "c"), VICI_UNPROVEN_UNLISTED);
	remote.listed = true;
	cr_expect_eq(vici_remote_proof(&remote, "c"), VICI_PROOF);
}

static enum vici_proof proof_of(const char *remote_id, const char *text)
{
	struct vici_remote remote = {
		.id = (char *)remote_id, .names = vici_names_of(remote_id), .listed = true};

	return vici_remote_proof(&remote, text);
}

/* charon prints a key id, and a host name, as their bytes. Only a pattern shows the type. */
Test(vici_proof, a_pattern_of_host_names_proves_a_host_name)
{
	cr_expect_eq(proof_of("*.example", "c.example"), VICI_PROOF_OF_HOST);
	cr_expect_eq(proof_of("*.example", "a.b.example"), VICI_PROOF_OF_HOST);
	cr_expect_eq(proof_of("c.example", "c.example"), VICI_PROOF);
	cr_expect_eq(proof_of("*@c.example", "x@c.example"), VICI_PROOF);
	cr_expect_eq(proof_of("*.x@c.example", "y.x@c.example"), VICI_PROOF);
	cr_expect_eq(proof_of("*", "c.example"), VICI_PROOF);
	cr_expect_eq(proof_of("*example", "c.example"), VICI_PROOF);
	cr_expect_eq(proof_of("10.9.0.0/24", "10.9.0.2"), VICI_PROOF);
	cr_expect_eq(proof_of("O=x, CN=*.example", "O=x, CN=c.example"), VICI_PROOF_OF_DN);
	cr_expect_eq(proof_of("*.example", "c.example.org"), VICI_UNPROVEN_CHANGED);
	cr_expect_eq(proof_of("%any", "c.example"), VICI_UNPROVEN_ANY);
	cr_expect(vici_is_proof(VICI_PROOF_OF_HOST));
	cr_expect(vici_proof_is_decided(VICI_PROOF_OF_HOST));
}

/* An identity by EAP is another one. */
Test(vici_proof, only_the_ike_identity_is_proven_to_be_a_host_name)
{
	struct vici_ike_sa ike_sa = {.config_name = {"roads", 5}};
	struct feed_peer peer = {.auth = FEED_AUTH_PUBKEY};

	cr_expect(vici_identity_is_host(&ike_sa, &peer, VICI_PROOF_OF_HOST));
	cr_expect_not(vici_identity_is_host(&ike_sa, &peer, VICI_PROOF));
	peer.auth = FEED_AUTH_EAP;
	cr_expect_not(vici_identity_is_host(&ike_sa, &peer, VICI_PROOF_OF_HOST));
	peer.auth = FEED_AUTH_PUBKEY;
	ike_sa.remote_xauth_id = (struct vici_text){"c", 1};
	cr_expect_not(vici_identity_is_host(&ike_sa, &peer, VICI_PROOF_OF_HOST));
}

static const char *ike_sa_unproven(const char *text, enum feed_auth auth, const char *unambiguous,
				   const char *eap)
{
	struct vici_ike_sa ike_sa = {.config_name = {"roads", 5}};
	struct feed_peer peer = {.auth = auth};
	struct feed_statements statements = {0};

	strcpy(peer.id, text);
	strcpy(statements.unambiguous_names, unambiguous);
	strcpy(statements.eap_identities, eap);
	return vici_identity_unproven(&ike_sa, &peer, &statements, VICI_UNPROVEN_CHANGED);
}

Test(vici_proof, a_statement_counts_for_the_connections_that_it_names)
{
	cr_expect_null(ike_sa_unproven(DN, FEED_AUTH_PUBKEY, "roads", ""));
	cr_expect_null(ike_sa_unproven(DN, FEED_AUTH_PUBKEY, "a  roads b", ""));
	cr_expect_not_null(ike_sa_unproven(DN, FEED_AUTH_PUBKEY, "road roads2 aroads", ""));
	cr_expect_not_null(ike_sa_unproven(DN, FEED_AUTH_PUBKEY, "", "roads"));
}

Test(vici_proof, an_identity_that_is_a_wildcard_itself_is_never_proof)
{
	cr_expect_not_null(ike_sa_unproven("*.example", FEED_AUTH_PUBKEY, "roads", "roads"));
	cr_expect_not_null(ike_sa_unproven("O=Acme, CN=*", FEED_AUTH_PUBKEY, "roads", "roads"));
	cr_expect_not_null(ike_sa_unproven("CN=*, OU=IT", FEED_AUTH_PUBKEY, "roads", "roads"));
	cr_expect_null(ike_sa_unproven("CN=*.example", FEED_AUTH_PUBKEY, "roads", "roads"),
		       "only a value that is * alone is a wildcard");
}

Test(vici_proof, an_identity_of_several_addresses_is_never_proof)
{
	cr_expect_not_null(ike_sa_unproven("10.0.0.0/24", FEED_AUTH_PUBKEY, "roads", "roads"));
	cr_expect_not_null(ike_sa_unproven("fd09::/64", FEED_AUTH_PUBKEY, "roads", "roads"));
	cr_expect_not_null(
		ike_sa_unproven("10.0.0.1-10.0.0.9", FEED_AUTH_PUBKEY, "roads", "roads"));
	cr_expect_null(ike_sa_unproven("fe-1.ac.be", FEED_AUTH_PUBKEY, "roads", "roads"),
		       "a host name may have hyphens");
}

/* CVE-2026-78134: the outer EAP identity is a claim, whichever method is inside. */
Test(vici_proof, CVE_2026_78134_an_eap_identity_is_proof_only_where_it_is_stated)
{
	cr_expect_not_null(ike_sa_unproven("alice", FEED_AUTH_EAP, "roads", ""));
	cr_expect_not_null(ike_sa_unproven("alice", FEED_AUTH_XAUTH, "roads", ""));
	cr_expect_not_null(ike_sa_unproven("alice", FEED_AUTH_EAP, "roads", "road"));
	cr_expect_null(ike_sa_unproven("alice", FEED_AUTH_EAP, "", "roads"));
	cr_expect_null(ike_sa_unproven("alice", FEED_AUTH_XAUTH, "", "roads"));
}
