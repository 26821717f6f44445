/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The keys of connections that admit one key of their peer. They are decided by lists of all
 * certificates. Later a list by the subjects of one connection is enough, if it has the same keys.
 * A key that a list does not confirm is not known.
 *
 * config_name: the connection of the query in hand; NULL: all that its answer has listed.
 */
#ifndef LATCHD_FEEDS_VICI_AUTH_KEYS_H
#define LATCHD_FEEDS_VICI_AUTH_KEYS_H

#include <stdbool.h>
#include <stddef.h>

#include "latchd/feeds/vici/auth_parts.h"
#include "latchd/feeds/vici/message.h"

#define VICI_KEYS_ASKS	  4	/* of one connection at once; then one in: */
#define VICI_KEYS_ASK_MS  60000 /* a hostile peer may plant certificates and authenticate again */
#define VICI_NAME_DER_MAX 1024	/* of a subject that is asked for in DER */
/* Room for a subject to ask for. */
#define VICI_SUBJECT_MAX (2 * VICI_NAME_DER_MAX + 16)

/* In order of gravity. */
enum vici_keys_result {
	VICI_KEYS_SAME,	   /* as decided */
	VICI_KEYS_ABSENT,  /* a known key is not listed */
	VICI_KEYS_OTHER,   /* there is another key, or nothing was decided */
	VICI_KEYS_SEVERAL, /* a subject has several */
};

/* The answer to list-conns is complete. True: a connection in it needs keys. */
bool vici_auth_needs_keys(const struct vici_auth *auth);

/* Were the keys of this connection decided before? */
bool vici_auth_is_decided(const struct vici_auth *auth, const char *config_name);

/* May the answers about this connection cost a flush, or lists of all certificates? It has a share
 * of them, and takes one. */
bool vici_auth_may_ask(struct vici_auth *auth, const char *config_name);

/* Another list of certificates begins, which has rounds. */
void vici_auth_keys_begin(struct vici_auth *auth);

/*
 * The next subject to ask for in this round, by which charon may find a certificate of a connection
 * that is decided. False: no more. *step is 0 before the first. charon parses what it has printed
 * without escapes, so it does not find each certificate by the text.
 */
bool vici_auth_next_subject(const struct vici_auth *auth, const char *config_name,
			    unsigned int *step, char subject[VICI_SUBJECT_MAX]);

/* Reads one list-cert message: 0 or -ENOMEM. Without a key a peer would be another one, so the
 * answer counts as a whole or not at all. */
int vici_auth_read_cert(struct vici_auth *auth, struct vici_span message);

/* The round is complete. What it says of the decided keys; those that it confirms are known. */
enum vici_keys_result vici_auth_keys_end(struct vici_auth *auth, const char *config_name);

/* All certificates were listed, in as many rounds as needed: what they show is decided. */
void vici_auth_keys_decide(struct vici_auth *auth);

/* All were asked for in vain. Decided connections may still be asked for one by one. */
void vici_auth_keys_give_up(struct vici_auth *auth);

#endif
