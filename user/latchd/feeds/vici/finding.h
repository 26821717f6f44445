/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Decides once for each IKE_SA on the class and the proof of its peer, and passes the decision on
 * to IKE_SAs that continue it. Decides which connections have no proof: by the decisions under
 * them, by lists and by IKE_SAs that end. After -EAGAIN of a function the message in hand has to
 * wait for the answer to a query.
 */
#ifndef LATCHD_FEEDS_VICI_FINDING_H
#define LATCHD_FEEDS_VICI_FINDING_H

#include <stdbool.h>

#include "common/log_limit.h"
#include "latchd/feeds/feed.h"
#include "latchd/feeds/vici/auth.h"
#include "latchd/feeds/vici/children.h"
#include "latchd/feeds/vici/decision_file.h"

struct vici_finder {
	const struct vici_auth *auth;
	struct feed_statements statements;
	struct vici_memory memory; /* outlives a session; the owner clears it */
	struct vici_decision_file file;
	uint64_t handling; /* time of arrival of the message in hand, as in auth.h */
	bool listing;	   /* the message in hand is part of a list */
	bool fresh;	   /* the message in hand shows that a peer has just authenticated */
	bool synced;	   /* the first snapshot is complete */
	/* An IKE_SA without a decision, up to this number, may be one for which there was no
	 * room. */
	uint32_t unnoted;
	struct log_limit unnoted_log;
	/* Queries charon for this configuration: -EAGAIN, or another negative errno. */
	int (*query)(void *context, const char *config_name);
	void *context;
};

struct vici_finding {
	enum feed_auth class;
	bool authenticated;   /* the IKE_SA was seen established */
	bool decided;	      /* all its later reports have the same identity and proof */
	const char *unproven; /* why its identity is unproven, a fixed text; NULL = proven */
	bool is_host;	      /* proven to be a host name */
	struct feed_key peer_key, local_key;
};

/* Forgets all decisions, and takes a new key for their names. 0 or a negative errno. */
int vici_finder_forget(struct vici_finder *finder);

/* Moves the decisions of former to finder, for a feed that takes the place of former's feed. */
void vici_finder_take(struct vici_finder *finder, struct vici_finder *former);
/* Call it without a session. */
void vici_finder_free(struct vici_finder *finder);

/* A snapshot is complete. True: another snapshot may show that a connection is no longer
 * unproven. */
bool vici_finder_sweep(struct vici_finder *finder);

/* The class of an IKE_SA, or of its configuration: 0, -EAGAIN, or the error of the query. */
int vici_find_class(struct vici_finder *finder, const struct vici_ike_sa *ike_sa,
		    enum feed_auth *class);

/* Class and decision of an IKE_SA. unproven stays NULL for an unreadable IKE_SA: its children are
 * refused anyway. */
int vici_find_finding(struct vici_finder *finder, const struct vici_ike_sa *ike_sa,
		      struct vici_finding *finding);

/* The peer's record. -ENOENT: the peer has no readable record, or its identity is unproven. */
int vici_find_peer(struct vici_finder *finder, const struct vici_ike_sa *ike_sa,
		   struct feed_peer *peer);

/* A rekeyed IKE_SA gets the decision of the old one: a rekey does not authenticate the peer
 * again. */
int vici_inherit_decision(struct vici_finder *finder, const struct vici_ike_sa *old,
			  const struct vici_ike_sa *new);
/* The same at once, without a query: a list may show the new IKE_SA before the event is handled. */
void vici_note_rekey(struct vici_finder *finder, const struct vici_ike_sa *old,
		     const struct vici_ike_sa *new);

/* A list shows the IKE_SA: see unproven_connections.h. */
void vici_note_listed(struct vici_finder *finder, const struct vici_ike_sa *ike_sa);
/* An IKE_SA ended. True: more lists may show that it was the last unproven one of its connection.
 */
bool vici_note_ended(struct vici_finder *finder, const struct vici_ike_sa *ike_sa);
/* An answer of list-conns is complete, for this configuration. NULL: for all. */
void vici_note_configs(struct vici_finder *finder, const char *config_name);

#endif
