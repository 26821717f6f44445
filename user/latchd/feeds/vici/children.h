/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What charon says about an IKE_SA and its CHILD_SAs, in list-sa,
 * child-updown, child-rekey and ike-updown messages, as feed records.
 *
 * One record is made from one message only. Whatever cannot be represented
 * whole is refused, never shortened: a shortened identity is another identity.
 */
#ifndef LATCHD_FEEDS_VICI_CHILDREN_H
#define LATCHD_FEEDS_VICI_CHILDREN_H

#include <stdbool.h>
#include <stdint.h>

#include "latchd/feeds/feed.h"
#include "latchd/feeds/vici/message.h"

/* An IKE_SA's section; texts point into the message, and are empty (at NULL) when the key is
 * missing. */
struct vici_ike_sa {
	struct vici_text config_name;
	struct vici_text unique_id, version, state, initiator;
	struct vici_text local_host, remote_host;
	struct vici_text local_id, remote_id;
	struct vici_text remote_eap_id, remote_xauth_id;
	struct vici_span tasks_queued, tasks_active, tasks_passive;
	struct vici_span children;
	bool ambiguous; /* a key stood there twice */
};

/*
 * Takes the next IKE_SA off the front of a checked message: 1, 0 at the end,
 * -EBADMSG. IKE_SAs without a peer configuration yet ("(unnamed)") are left out.
 */
int vici_ike_sa_next(struct vici_span *message, struct vici_ike_sa *ike_sa);

/* The same of an ike-rekey message, which has both under one name: also 0 when one of them is
 * missing. */
int vici_ike_rekey_next(struct vici_span *message, struct vici_ike_sa *old,
			struct vici_ike_sa *new);

/*
 * Why an IKE_SA that an ike-updown event reports as down went away. For
 * PEER_REBOOTED this is only what it looks like: see vici_downs.h.
 */
enum feed_down_cause vici_ike_sa_down_cause(const struct vici_ike_sa *ike_sa);

/* Neither in negotiation, nor replaced, nor about to go. */
bool vici_ike_sa_is_established(const struct vici_ike_sa *ike_sa);

/* The record of its peer, but for auth. False: not authenticated, or it cannot be represented
 * whole. */
bool vici_peer_read(const struct vici_ike_sa *ike_sa, struct feed_peer *peer);

enum vici_children_form {
	VICI_CHILDREN_LISTED,  /* child-sas { NAME-ID { ... } }, as in list-sa and child-updown */
	VICI_CHILDREN_REKEYED, /* child-sas { NAME { old { ... } new { ... } } }; only new is taken
				*/
};

/* Takes the next CHILD_SA's section off the front of ike_sa->children: 1, 0 at the end, -EBADMSG.
 */
int vici_child_next(struct vici_span *children, enum vici_children_form form,
		    struct vici_span *child_sa);

enum vici_child_result {
	VICI_CHILD_OK,
	VICI_CHILD_SKIPPED, /* no SAs in the kernel (yet), or its IKE_SA is not authenticated (yet)
			     */
	VICI_CHILD_REFUSED,
};

/*
 * Makes the record, but for peer_auth, which the message does not tell. On
 * VICI_CHILD_REFUSED *reason is a fixed text, and child->child_unique_id is the
 * number if charon gave one, else 0.
 */
enum vici_child_result vici_child_read(const struct vici_ike_sa *ike_sa, struct vici_span child_sa,
				       struct feed_child *child, const char **reason);

#endif
