/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/feeds/vici/proof.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#include "common/text.h"

/* A value of a DN that is only "*" is a wildcard. */
static size_t dn_wildcards(const char *text)
{
	size_t count = 0;

	while ((text = strstr(text, "=*"))) {
		text += 2;
		if (!*text || *text == ',')
			count++;
	}
	return count;
}

/*
 * A name, an address, a network or a range fixes the type. Equal texts of one type are equal
 * bytes, since a "?" is refused. A DN shows "=". One wildcard leaves one value open, and the
 * rest of the text is that value. Two wildcards can divide a text in two ways. "^" begins a
 * regular expression of strongSwan 6.
 */
enum vici_names vici_names_of(const char *remote_id)
{
	if (!*remote_id || !strcmp(remote_id, "%any") || *remote_id == '^' ||
	    strlen(remote_id) >= FEED_ID_MAX - 1)
		return VICI_NAMES_ANY;
	if (!strchr(remote_id, '='))
		return VICI_NAMES_TYPED;
	return dn_wildcards(remote_id) <= 1 ? VICI_NAMES_DN : VICI_NAMES_ANY;
}

static bool is_network(const char *remote_id)
{
	return strpbrk(remote_id, "/-") &&
	       strspn(remote_id, "0123456789abcdefABCDEF.:/-") == strlen(remote_id);
}

bool vici_remote_id_admits(const char *remote_id, const char *text)
{
	const char *star = strchr(remote_id, '*');
	size_t before, after, length = strlen(text);

	if (!star)
		return is_network(remote_id) || !strcasecmp(remote_id, text);
	before = (size_t)(star - remote_id);
	after = strlen(star + 1);
	return length >= before + after && !strncasecmp(remote_id, text, before) &&
	       (strchr(star + 1, '*') || !strcasecmp(star + 1, text + length - after));
}

bool vici_identity_is_eap(const struct vici_ike_sa *ike_sa, enum feed_auth class)
{
	return ike_sa->remote_eap_id.at || ike_sa->remote_xauth_id.at || class == FEED_AUTH_EAP ||
	       class == FEED_AUTH_XAUTH;
}

/* The decision is on the IKE identity. The peer may have another one, by EAP or XAuth. */
bool vici_identity_is_host(const struct vici_ike_sa *ike_sa, const struct feed_peer *peer,
			   enum vici_proof proof)
{
	return proof == VICI_PROOF_OF_HOST && !vici_identity_is_eap(ike_sa, peer->auth);
}

static bool is_stated(const char *names, struct vici_text config_name)
{
	size_t length;

	for (; *names; names += length) {
		names += strspn(names, " \t");
		length = strcspn(names, " \t");
		if (length && length == config_name.length &&
		    !memcmp(names, config_name.at, length))
			return true;
	}
	return false;
}

/* A subnet or a range. A host name with a hyphen is none. */
static bool is_several_addresses(const char *text)
{
	size_t length = strcspn(text, "/-");
	char first[INET6_ADDRSTRLEN] = "";
	uint8_t address[16];

	if (!text[length] || length >= sizeof(first))
		return false;
	memcpy(first, text, length);
	return inet_pton(AF_INET, first, address) == 1 || inet_pton(AF_INET6, first, address) == 1;
}

/* charon takes a wildcard that a peer sends as its own identity for a match of its certificate. */
static bool is_pattern(const char *text)
{
	return *text == '*' || dn_wildcards(text) || is_several_addresses(text);
}

static const char *proof_unproven(enum vici_proof proof, enum feed_rdn_matching matching)
{
	switch (proof) {
	case VICI_PROOF:
	case VICI_PROOF_OF_HOST:
		break;
	case VICI_PROOF_OF_DN:
		return matching == FEED_RDN_STRICT
			       ? NULL
			       : "charon matches DNs loosely, by rdn-matching in latchd.conf; pin "
				 "the peer's certificate, or set rdn_matching = strict for both";
	case VICI_UNPROVEN_LOOSE:
		return "charon matched DNs loosely, by rdn-matching in latchd.conf, when the peer "
		       "authenticated; pin its certificate under a new name, or set rdn_matching = "
		       "strict for both and give the connection a new name; then terminate the "
		       "IKE_SA";
	case VICI_UNPROVEN_ANY:
		return "the connection's remote id admits other identities that charon prints "
		       "alike; configure an exact remote id or one certificate under a new name "
		       "and terminate the IKE_SA, or see unambiguous-names in latchd.conf(5)";
	case VICI_UNPROVEN_UNLISTED:
		return "its connection is not loaded, so the remote id that charon compared is "
		       "unknown; load it and authenticate again";
	case VICI_UNPROVEN_CHANGED:
		return "the connection was changed after the peer had authenticated; authenticate "
		       "again";
	case VICI_UNPROVEN_FORMER:
		return "it may continue an IKE_SA without proof under the connection's former "
		       "remote id; give the connection a new name and terminate the IKE_SA, see "
		       "latchd(8)";
	case VICI_UNPROVEN_UNNOTED:
		return "its connection or peer has too many IKE_SAs, or memory is short; "
		       "authenticate again when some have ended";
	}
	return NULL;
}

bool vici_proof_is_decided(enum vici_proof proof)
{
	switch (proof) {
	case VICI_PROOF:
	case VICI_PROOF_OF_DN:
	case VICI_PROOF_OF_HOST:
	case VICI_UNPROVEN_ANY:
	case VICI_UNPROVEN_UNLISTED:
	case VICI_UNPROVEN_CHANGED:
	case VICI_UNPROVEN_FORMER:
	case VICI_UNPROVEN_LOOSE:
		return true;
	case VICI_UNPROVEN_UNNOTED:
		break;
	}
	return false;
}

bool vici_is_stated(const struct feed_statements *statements, struct vici_text config_name)
{
	return is_stated(statements->unambiguous_names, config_name) ||
	       is_stated(statements->eap_identities, config_name);
}

const char *vici_identity_unproven(const struct vici_ike_sa *ike_sa, const struct feed_peer *peer,
				   const struct feed_statements *statements, enum vici_proof proof)
{
	if (is_pattern(peer->id))
		return "the peer's identity is a wildcard, which any of several peers may send";
	if (vici_identity_is_eap(ike_sa, peer->auth))
		return is_stated(statements->eap_identities, ike_sa->config_name)
			       ? NULL
			       : "an EAP or XAuth identity may be an unauthenticated claim of the "
				 "peer; see eap-identities in latchd.conf(5)";
	return is_stated(statements->unambiguous_names, ike_sa->config_name)
		       ? NULL
		       : proof_unproven(proof, statements->rdn_matching);
}

/*
 * A remote id *.example is a pattern of host names: that of a mail address shows "@", and a key id
 * has no pattern. So the peer's text is a host name, and no other type of identity. An exact remote
 * id does not show its type.
 */
static bool is_host_pattern(const char *remote_id)
{
	return remote_id[0] == '*' && remote_id[1] == '.' && !strchr(remote_id, '@');
}

enum vici_proof vici_remote_proof(const struct vici_remote *remote, const char *text)
{
	if (!remote->listed)
		return VICI_UNPROVEN_UNLISTED;
	if (remote->pinned)
		return VICI_PROOF;
	if (!remote->id || remote->names == VICI_NAMES_ANY)
		return VICI_UNPROVEN_ANY;
	if (!vici_remote_id_admits(remote->id, text))
		return VICI_UNPROVEN_CHANGED;
	if (remote->names == VICI_NAMES_DN)
		return VICI_PROOF_OF_DN;
	return is_host_pattern(remote->id) ? VICI_PROOF_OF_HOST : VICI_PROOF;
}

enum vici_proof vici_stated_proof(enum vici_proof proof, const struct feed_statements *statements)
{
	return proof == VICI_PROOF_OF_DN && statements->rdn_matching != FEED_RDN_STRICT
		       ? VICI_UNPROVEN_LOOSE
		       : proof;
}
