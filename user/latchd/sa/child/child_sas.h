/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The CHILD_SAs that key managers have reported, with their traffic selectors, found by the key of
 * either SA. Source of truth: the reports, since the kernel's SA table holds no selectors, and
 * latchd needs them to find conflicts. Those without an inbound SA in the table have a limit.
 */
#ifndef LATCHD_SA_CHILD_CHILD_SAS_H
#define LATCHD_SA_CHILD_CHILD_SAS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/hash.h"
#include "latch_abi.h"
#include "latchd/feeds/feed.h"
#include "latchd/sa/child/child_sa.h"
#include "latchd/sa/child/sa_groups.h"

/* Bound of CHILD_SAs without an SA in the table: the size of the table does not limit them. */
#define CHILD_SAS_ABSENT_MAX 1024

struct child_sas { /* zeroed before first use */
	struct child_sa_end *ends;
	struct child_sa *first;
	size_t absent; /* CHILD_SAs without an SA in the table */
	/*
	 * CHILD_SAs that may conflict without being in a group, since their SAs could not be
	 * read. An earlier latchd may have bound these SAs. Meanwhile no other SA is bound, and
	 * no latch heals.
	 */
	size_t uncounted;
	struct sa_groups groups;
	/* By params: it gave them this host's key. NULL: none, or it has ended. */
	struct child_sa *newest[LATCH_PARAMS_MAX + 1];
};

/*
 * Returns the CHILD_SA of the reported SAs: a known one with the new report, or
 * a new one. The report is copied, feed is not. A known CHILD_SA that has only
 * one of the two keys is removed. NULL: out of memory, or both SAs have one key.
 */
struct child_sa *child_sas_learn(struct child_sas *child_sas, struct feed *feed, uint64_t netns,
				 const struct feed_child *reported, const char *evidence);
/* NULL: no key manager has reported this key. */
struct child_sa_end *child_sas_find(const struct child_sas *child_sas,
				    const struct latch_sa_key *key);
void child_sas_note_absent(struct child_sas *child_sas, struct child_sa *child, bool absent);
void child_sas_note_uncounted(struct child_sas *child_sas, struct child_sa *child, bool uncounted);
/* Of these params. 0: of none. */
void child_sas_note_newest(struct child_sas *child_sas, struct child_sa *child, uint16_t params);
/* Its SAs have no place in the table, or too many CHILD_SAs are without an SA in the table. */
bool child_sas_is_superfluous(const struct child_sas *child_sas, const struct child_sa *child);
/* Frees the CHILD_SA. */
void child_sas_remove(struct child_sas *child_sas, struct child_sa *child);
void child_sas_clear(struct child_sas *child_sas);

/* The kernel's keys of the two reported SAs. */
void child_sas_keys(const struct feed_child *reported, uint64_t netns, struct latch_sa_key *ret_in,
		    struct latch_sa_key *ret_out);

#endif
