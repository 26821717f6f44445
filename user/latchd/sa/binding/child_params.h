/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The params of a reported CHILD_SA: identities and class of the report, protection of the kernel's
 * inbound SA. Two SAs are congruent if all of it is equal. An outbound SA without its inbound one
 * has the params that an earlier latchd bound it to.
 */
#ifndef LATCHD_SA_BINDING_CHILD_PARAMS_H
#define LATCHD_SA_BINDING_CHILD_PARAMS_H

#include "latchd/sa/binding/binding_parts.h"

/* Does the kernel's SA match the report? Another SA may have the same SPI. */
bool child_params_match_report(const struct child_sa *child, const struct latch_sa *sa,
			       const uint8_t source[16]);

/* The SA that is this end: 0, -ENOENT, or another negative errno. */
int child_params_get_sa(const struct binding *binding, const struct child_sa_end *end,
			struct latch_sa *ret);

/* Both SAs get the inbound SA's params: only the inbound SA has the whole quality of protection. */
int child_params_find(const struct binding *binding, struct child_sa *child);

/*
 * This host's key in the SAs with the params of the CHILD_SA is that of the newest one: while an
 * IKE_SA replaces another one, both are listed, and the key may have been renewed. Call it before
 * an SA gets the params. 0 or a negative errno.
 */
int child_params_set_own_key(const struct binding *binding, struct child_sa *child);

/*
 * Finds the authentication class and the key of the peer of this inbound SA: from an earlier
 * report, or from the pinned tables of an earlier latchd. Writes them to reported
 * when the names there are the same. 1; 0: not known; or a negative errno.
 */
int child_params_find_auth_class(const struct binding *binding, const struct feed *feed,
				 const struct latch_sa_key *in, struct feed_child *reported);

#endif
