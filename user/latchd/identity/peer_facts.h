/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the gates need of a peer besides its identity: the map peer_facts, and a copy. Source of
 * truth: the configuration, and whether the peer's identity is a host name.
 */
#ifndef LATCHD_IDENTITY_PEER_FACTS_H
#define LATCHD_IDENTITY_PEER_FACTS_H

#include <stdbool.h>
#include <stdint.h>

#include "latch_abi.h"
#include "latchd/config/config.h"
#include "latchd/identity/intern.h"
#include "latchd/maps/kernel_maps.h"

struct peer_facts {
	const struct kernel_maps *maps;
	struct latch_peer_facts *known; /* by index of the identity */
	const struct config *config;	/* in force; NULL: none so far */
};

/* All return 0 or a negative errno. */
int peer_facts_open(struct peer_facts *facts, const struct kernel_maps *maps);
void peer_facts_close(struct peer_facts *facts);

/* Reads the facts of these identities. */
int peer_facts_load(struct peer_facts *facts, const struct intern *ids);

/* An identity gets this index: it has no facts. context: the struct peer_facts. */
int peer_facts_clear(void *context, uint32_t index);

/* A report of the peer: see identities_intern_peer(). */
int peer_facts_report(struct peer_facts *facts, uint32_t index,
		      const struct latch_identity *identity, bool is_host);

/* Writes the sets of next, and of these identities, to the half that is not in force. */
int peer_facts_prepare(struct peer_facts *facts, const struct intern *ids,
		       const struct config *next);

#endif
