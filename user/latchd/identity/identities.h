/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * RFC 5660 section 2.6: identities and params are interned, so that the gates
 * compare one integer. Source of truth: two pinned maps, which outlive latchd;
 * memory holds a copy. An index is never reused while a latch or an SA has it.
 */
#ifndef LATCHD_IDENTITY_IDENTITIES_H
#define LATCHD_IDENTITY_IDENTITIES_H

#include <stddef.h>
#include <stdint.h>

#include "latch_abi.h"
#include "latchd/config/config.h"
#include "latchd/identity/intern.h"
#include "latchd/maps/kernel_maps.h"

struct identities;

/*
 * Reads the pinned tables. Keeps maps. 0; -EBADMSG for a damaged table (R-2.6-1: then
 * every latch must be closed); another negative errno. A table is damaged by
 *   - a wrong checksum, or an unterminated text;
 *   - an index of 0 or beyond the maximum, or an entry that occurs twice;
 *   - params with an unknown identity, or a latch or SA with unknown params.
 */
int identities_load(const struct kernel_maps *maps, struct identities **ret);
/*
 * An empty copy for tables that identities_load() has refused. The tables stay as they are.
 * Only identities_reset() may follow. 0 or a negative errno.
 */
int identities_open(const struct kernel_maps *maps, struct identities **ret);
void identities_free(struct identities *identities);

/*
 * The sets of peers of a configuration, for rules and tags. A reload changes them whole or not at
 * all, with the rules:
 *   1. identities_prepare_sets() writes those of next to the half that is not in force. 0 or a
 *      negative errno, and nothing is changed.
 *   2. rules_load() (enforce/rules.h) puts the half in force.
 *   3. identities_use_sets() keeps config for peers that come later. config stays the caller's, and
 *      valid until the next call.
 * Between 1 and 3 no identity may be interned.
 */
int identities_prepare_sets(struct identities *identities, const struct config *next);
void identities_use_sets(struct identities *identities, const struct config *config);
/* The sets that a peer is of: bit = place in config->peers. 0 without a configuration. */
uint32_t identities_sets_of(const struct identities *identities, uint32_t peer);
/* The name of a set. NULL: there is none in this place. */
const char *identities_set_name(const struct identities *identities, unsigned int place);

/*
 * Are the pinned tables what this process has written? 0; -EBADMSG for a damaged table
 * (R-2.6-1); another negative errno.
 */
int identities_check(const struct identities *identities);

/*
 * Empties the pinned tables, intact or damaged, and the copy. -EBUSY and no change
 * while a latch or an SA still names params. A new entry would reuse that
 * index. First set every SA to PENDING with params 0, then close every latch.
 */
int identities_reset(struct identities *identities);

/*
 * Returns the index of an equal entry, or of a new one, which is in the pinned map
 * by then. The function fills checksum, padding and the bytes after a text's end.
 * -EINVAL for an unterminated text, or params with unknown identities; -ENOSPC
 * when the table is full and no entry is unreferenced. The last INTERN_RECENT
 * returned indices are never dropped: the caller may still write them to an SA.
 */
int identities_intern(struct identities *identities, const struct latch_identity *identity,
		      uint32_t *ret_index);
int identities_intern_params(struct identities *identities, const struct latch_params *params,
			     uint16_t *ret_index);
/*
 * The same for the identity of a peer. is_host: it is proven that the text is a host name. One
 * report to the contrary counts until the entry is dropped. Its sets are in the map by then.
 */
int identities_intern_peer(struct identities *identities, const struct latch_identity *identity,
			   bool is_host, uint32_t *ret_index);

/*
 * A full table causes a collection of unreferenced entries, with a scan of all
 * SAs and latches. After a collection that finds almost nothing, no other runs
 * before this call, because peers choose the number of names and their rate.
 */
void identities_allow_collection(struct identities *identities);

/* The index of an equal entry, or 0. */
uint32_t identities_find(const struct identities *identities,
			 const struct latch_identity *identity);

/* NULL for an unknown index. Valid until the next identities_intern*(). */
const struct latch_identity *identities_get(const struct identities *identities, uint32_t index);
const struct latch_params *identities_get_params(const struct identities *identities,
						 uint16_t index);

#endif
