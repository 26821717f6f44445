/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whose is this SA? Joins what the kernel has installed with what the key
 * managers say, and binds an SA to its identity only after every latch that it
 * conflicts with was broken (RFC 5660 section 2.3, R-2.3-11).
 */
#ifndef LATCHD_SA_ATTRIBUTION_H
#define LATCHD_SA_ATTRIBUTION_H

#include "latchd/feeds/feed.h"
#include "latchd/identity/identities.h"
#include "latchd/maps/kernel_maps.h"
#include "latchd/news/news.h"
#include "common/loop.h"

struct attribution;

/* Keeps all pointers. NULL when out of memory. */
struct attribution *attribution_new(struct loop *loop, const struct kernel_maps *maps,
				    struct identities *identities, const struct news_bus *news);
/* After the feeds, which call into it. */
void attribution_free(struct attribution *attribution);

/* What the feeds report to. */
const struct feed_sink *attribution_sink(struct attribution *attribution);

/* ---- what the kernel's events hint at */

void attribution_sa_pending(struct attribution *attribution, const struct latch_sa_key *key);
void attribution_sa_gone(struct attribution *attribution, const struct latch_sa_key *key);
/* The programs let no latch be born from a contested SA; this one may have been quicker than that.
 */
void attribution_latch_born(struct attribution *attribution, const struct latch_flow *flow);
/* Hints were lost: looks at everything. */
void attribution_reconcile(struct attribution *attribution);

#endif
