/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * RFC 5660 section 2.6: what is latched is interned, so that the gate compares
 * one integer. The tables are pinned maps, which outlive latchd; memory holds a
 * copy. An index is never given to something else while a latch or an SA has it.
 */
#ifndef LATCHD_IDENTITY_IDENTITIES_H
#define LATCHD_IDENTITY_IDENTITIES_H

#include <stddef.h>
#include <stdint.h>

#include "latch_abi.h"
#include "latchd/identity/intern.h"
#include "latchd/maps/kernel_maps.h"

struct identities;

/*
 * Reads the pinned tables. 0; -EBADMSG when a checksum is wrong, an index is 0
 * or too large, a text is not terminated, an entry is there twice, params name
 * an identity that is not there, or a latch or an SA names such params
 * (R-2.6-1: then every latch must be closed); another negative errno.
 */
int identities_load(const struct kernel_maps *maps, struct identities **ret);
void identities_free(struct identities *identities);

/*
 * Empties the pinned tables, good or not, and the copy. -EBUSY and nothing done
 * while a latch or an SA still names params, which would soon mean something
 * else: first put every SA back to PENDING with params 0, then close every latch.
 */
int identities_reset(struct identities *identities);
/* The same for tables that identities_load() refused. */
int identities_erase(const struct kernel_maps *maps);

/*
 * The index of an equal entry, or of a new one that is in the pinned map
 * already. checksum, padding and what follows a text's end are filled here.
 * -EINVAL for a text without an end, or params whose identities are not there;
 * -ENOSPC when the table is full even after what no latch and no SA refers to
 * was dropped. The last INTERN_RECENT indices given out are never dropped: that
 * is how long their user may take to put them into an SA.
 */
int identities_intern(struct identities *identities, const struct latch_identity *identity,
		      uint32_t *ret_index);
int identities_intern_params(struct identities *identities, const struct latch_params *params,
			     uint16_t *ret_index);

/*
 * A table that is full is searched for what can be dropped, all SAs and latches
 * over; if there is next to nothing, not again before this call: peers choose how
 * many names there are, and how often they come.
 */
void identities_look_again(struct identities *identities);

/* The index of an equal entry, 0 if there is none. */
uint32_t identities_find(const struct identities *identities,
			 const struct latch_identity *identity);

/* NULL for an index that is not there. Valid until the next intern. */
const struct latch_identity *identities_get(const struct identities *identities, uint32_t index);
const struct latch_params *identities_get_params(const struct identities *identities,
						 uint16_t index);

#endif
