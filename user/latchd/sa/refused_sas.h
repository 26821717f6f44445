/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SAs of CHILD_SAs of a peer that is not proven: the reason for latchctl sa, and the end of a
 * binding that an earlier configuration allowed. The peers choose their number: the last
 * REFUSED_SAS_MAX have a reason.
 */
#ifndef LATCHD_SA_REFUSED_SAS_H
#define LATCHD_SA_REFUSED_SAS_H

#include <stdbool.h>
#include <stddef.h>

#include "latchd/feeds/feed.h"
#include "latchd/sa/binding_parts.h"
#include "latchd/sa/orphans.h"

#define REFUSED_SAS_MAX 4096

struct refused_sa;

struct refused_sas { /* zeroed before first use */
	struct refused_sa *by_key, *oldest;
};

/* reason is a fixed text. Without memory there is none. */
void refused_sas_note(struct refused_sas *refused, const struct latch_sa_key *key,
		      const char *reason);
void refused_sas_forget(struct refused_sas *refused, const struct latch_sa_key *key);
/* NULL: not known. */
const char *refused_sas_reason(const struct refused_sas *refused, const struct latch_sa_key *key);
void refused_sas_clear(struct refused_sas *refused);

struct refused_child {
	const struct feed *feed;
	const struct feed *former; /* reported it before, and has ended; or NULL */
	const struct feed_child *reported;
	const struct latch_sa_key *in, *out;
};

/*
 * Both SAs become PENDING if they are bound to the peer of the report, by the word of this feed or
 * of one that is no longer configured: latched flows stop. 0 or a negative errno, which is logged.
 */
int refused_sas_unbind(const struct binding *binding, const struct orphans *orphans,
		       const struct refused_child *child);

#endif
