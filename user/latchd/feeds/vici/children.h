/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Makes feed records from charon's reports of an IKE_SA and its CHILD_SAs, in
 * list-sa, child-updown, child-rekey and ike-updown messages.
 *
 * One record is made from one message only. A value that cannot be represented
 * whole is refused and never shortened: a shortened identity is another identity.
 */
#ifndef LATCHD_FEEDS_VICI_CHILDREN_H
#define LATCHD_FEEDS_VICI_CHILDREN_H

#include <stdbool.h>
#include <stdint.h>

#include "latchd/feeds/feed.h"
#include "latchd/feeds/vici/message.h"

/* An IKE_SA's section. Texts point into the message and live as long; a missing key has at NULL. */
struct vici_ike_sa {
	struct vici_text config_name;
	struct vici_text unique_id, version, state, initiator, established;
	struct vici_text local_host, remote_host;
	struct vici_text local_id, remote_id;
	struct vici_text remote_eap_id, remote_xauth_id;
	struct vici_span tasks_queued, tasks_active, tasks_passive;
	struct vici_span children;
	bool ambiguous; /* a key occurred twice */
};

/*
 * Takes the next IKE_SA off the front of a checked message: 1, 0 at the end,
 * -EBADMSG. IKE_SAs without a peer configuration yet ("(unnamed)") are skipped.
 */
int vici_ike_sa_next(struct vici_span *message, struct vici_ike_sa *ike_sa);

/* The same for an ike-rekey message, with both IKE_SAs under one name. Also 0 if one is missing. */
int vici_ike_rekey_next(struct vici_span *message, struct vici_ike_sa *old,
			struct vici_ike_sa *new);

/* What charon's alerts say of the end of an IKE_SA, see alerts.h. */
enum vici_named_cause {
	VICI_NAMED_NOTHING,    /* charon sends no alerts, or they do not say it */
	VICI_NAMED_NO_TIMEOUT, /* charon has not waited in vain for an answer of the peer */
	VICI_NAMED_TIMEOUT,    /* the peer has not answered */
	VICI_NAMED_REPLACED,   /* the peer has authenticated again */
};

/*
 * The cause of an ike-updown event that reports the IKE_SA as down.
 * PEER_REBOOTED is only a possibility until ended_ike_sas.h has its proof.
 */
enum feed_down_cause vici_ike_sa_down_cause(const struct vici_ike_sa *ike_sa,
					    enum vici_named_cause named);

/* The IKE_SA is neither in negotiation, nor replaced, nor being deleted. */
bool vici_ike_sa_is_established(const struct vici_ike_sa *ike_sa);

/* The IKE_SA is or was established, and is not being deleted. Its peer has authenticated. */
bool vici_ike_sa_is_set_up(const struct vici_ike_sa *ike_sa);

/* Makes the record of the IKE_SA's peer, except auth. False: the peer is not authenticated, or the
 * record cannot represent it whole. */
bool vici_peer_read(const struct vici_ike_sa *ike_sa, struct feed_peer *peer);

enum vici_children_form {
	VICI_CHILDREN_LISTED,  /* child-sas { NAME-ID { ... } }, as in list-sa and child-updown */
	VICI_CHILDREN_REKEYED, /* child-sas { NAME { old { ... } new { ... } } }; only new is read
				*/
};

/* Takes the next CHILD_SA's section off the front of ike_sa->children: 1, 0 at the end, -EBADMSG.
 */
int vici_child_next(struct vici_span *children, enum vici_children_form form,
		    struct vici_span *child_sa);

enum vici_child_result {
	VICI_CHILD_OK,
	VICI_CHILD_SKIPPED, /* no SAs in the kernel yet, or its IKE_SA is not authenticated yet */
	VICI_CHILD_REFUSED, /* the report cannot be read; a later report may be readable */
	VICI_CHILD_UNNAMED, /* a name or identity of its IKE_SA does not identify one peer */
};

/*
 * Makes the record, except peer_auth, which the message does not hold. On
 * VICI_CHILD_REFUSED and VICI_CHILD_UNNAMED *reason is a fixed text, and
 * child->child_unique_id is charon's number or 0.
 */
enum vici_child_result vici_child_read(const struct vici_ike_sa *ike_sa, struct vici_span child_sa,
				       struct feed_child *child, const char **reason);

#endif
