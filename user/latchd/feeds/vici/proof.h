/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Does the printed text of a peer's identity stand for one identity only?
 *
 * charon prints identities for people: without the type, and a DN without escapes.
 * [CN=Alice][OU=IT] and [CN="Alice, OU=IT"] are one text, as are a host name, a mail
 * address and a key id with equal bytes. charon compares the remote id of the
 * connection. A text is proof if that remote id fixes everything that the text does
 * not show.
 */
#ifndef LATCHD_FEEDS_VICI_PROOF_H
#define LATCHD_FEEDS_VICI_PROOF_H

#include <stdbool.h>
#include <stddef.h>

#include "latchd/feeds/feed.h"
#include "latchd/feeds/vici/children.h"

/* The identities that a remote id admits, from the narrowest set to the widest. */
enum vici_names {
	VICI_NAMES_TYPED, /* one type, and no DN: its text is injective */
	VICI_NAMES_DN,	  /* also one number of RDNs, if charon compares RDN by RDN */
	VICI_NAMES_ANY,	  /* identities that print alike are admitted */
};

/* The remote sections of one connection, as charon listed them last. */
struct vici_remote {
	char *id; /* printed remote id; NULL without one. Owned by the holder. */
	enum vici_names names;
	bool pinned; /* one certificate or raw public key, and no other is admitted */
	bool traps;  /* the end of a CHILD_SA may leave a trap policy */
	bool listed;
	bool was_listed; /* now or before: traps is known */
	/* The subject of the only certificate or key of either end; NULL: none, or several. Owned
	 * as id. */
	char *cert, *local_cert;
	struct feed_key key, local_key; /* of these */
};

/* The decision on an authenticated IKE_SA. The decision file contains these numbers. */
enum vici_proof {
	VICI_PROOF = 0,
	VICI_PROOF_OF_DN = 1, /* if charon matches DNs RDN by RDN */
	VICI_UNPROVEN_ANY = 2,
	VICI_UNPROVEN_UNLISTED = 3,
	VICI_UNPROVEN_CHANGED = 4,
	VICI_UNPROVEN_FORMER = 5,  /* the IKE_SA may continue one that is not proven */
	VICI_UNPROVEN_UNNOTED = 6, /* there is no room for the decision */
	VICI_UNPROVEN_LOOSE = 7,   /* a DN, and charon was not stated to match RDN by RDN */
	VICI_PROOF_OF_HOST = 8,	   /* and its type: a host name */
};
#define VICI_PROOF_LAST VICI_PROOF_OF_HOST

static inline bool vici_is_proof(enum vici_proof proof)
{
	return proof == VICI_PROOF || proof == VICI_PROOF_OF_DN || proof == VICI_PROOF_OF_HOST;
}

/* Is the decision kept until the IKE_SA ends? */
bool vici_proof_is_decided(enum vici_proof proof);

enum vici_names vici_names_of(const char *remote_id);

/* May a peer with this printed identity authenticate under the remote id? Only "no" is reliable. */
bool vici_remote_id_admits(const char *remote_id, const char *text);

/* Did EAP or XAuth supply the identity of this IKE_SA? */
bool vici_identity_is_eap(const struct vici_ike_sa *ike_sa, enum feed_auth class);

/* Is the identity proven to be a host name, of no other type? */
bool vici_identity_is_host(const struct vici_ike_sa *ike_sa, const struct feed_peer *peer,
			   enum vici_proof proof);

/* Result for a peer that has authenticated under this connection. The second function applies the
 * present statements. Later statements say nothing about this authentication. */
enum vici_proof vici_remote_proof(const struct vici_remote *remote, const char *text);
enum vici_proof vici_stated_proof(enum vici_proof proof, const struct feed_statements *statements);

/* Has the administrator made a statement about identities under this connection? */
bool vici_is_stated(const struct feed_statements *statements, struct vici_text config_name);

/* The reason why an identity is unproven, from the IKE_SA, its decision and the statements. It is a
 * fixed text with the next step. NULL: the identity is proven. */
const char *vici_identity_unproven(const struct vici_ike_sa *ike_sa, const struct feed_peer *peer,
				   const struct feed_statements *statements, enum vici_proof proof);

#endif
