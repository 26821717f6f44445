/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reads the latch database and the SA table. A walk is no snapshot: it visits an entry that stays
 * at least once, and may miss an entry that comes or goes meanwhile.
 */
#ifndef LATCHD_MAPS_TABLES_H
#define LATCHD_MAPS_TABLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "latch_abi.h"
#include "latchd/maps/kernel_maps.h"
#include "latchd/maps/map_walk.h"

/* A non-zero result ends the walk. key and value are copies: the visitor may change the tables. */
typedef int (*latch_visit_fn)(void *context, const struct latch_flow *flow,
			      const struct latch *latch);
typedef int (*sa_visit_fn)(void *context, const struct latch_sa_key *key,
			   const struct latch_sa *sa);
typedef int (*association_visit_fn)(void *context, const struct latch_flow *key,
				    const struct latch_association *association);

/* Return 0, a negative errno, or the visitor's result. */
int latches_walk(const struct kernel_maps *maps, latch_visit_fn visit, void *context);
int sas_walk(const struct kernel_maps *maps, sa_visit_fn visit, void *context);
/* The next part of such a walk: see map_walk_part(). */
int latches_walk_part(const struct kernel_maps *maps, struct map_cursor *cursor,
		      latch_visit_fn visit, void *context);
int sas_walk_part(const struct kernel_maps *maps, struct map_cursor *cursor, sa_visit_fn visit,
		  void *context);
int associations_walk(const struct kernel_maps *maps, association_visit_fn visit, void *context);

/*
 * 0; -ENOENT: there is no entry, or the kernel has deleted the SA (LATCH_SA_GONE). Another
 * negative errno: not known.
 */
int latch_get(const struct kernel_maps *maps, const struct latch_flow *flow, struct latch *ret);
int sa_get(const struct kernel_maps *maps, const struct latch_sa_key *key, struct latch_sa *ret);
/* The same, but also finds entries of deleted SAs. sas_walk() visits them, too. */
int sa_get_entry(const struct kernel_maps *maps, const struct latch_sa_key *key,
		 struct latch_sa *ret);

/* True: no new flow waits for the owner of the SA, as in bpf/gate/pending_limit.h. */
static inline bool sa_is_unproven(union latch_sa_word word)
{
	return word.state == LATCH_SA_PENDING && word.flags & LATCH_SA_UNPROVEN &&
	       !(word.flags & LATCH_SA_AMBIGUOUS);
}

/* Sums over all CPUs. 0 or a negative errno. */
int drops_read(const struct kernel_maps *maps, struct latch_drop_count ret[LATCH_DROP_COUNT]);
int counters_read(const struct kernel_maps *maps, uint64_t ret[LATCH_COUNTER_COUNT]);

/*
 * Time of the last event of an edit of the namespace's SPD: CLOCK_BOOTTIME. Edits less than 100
 * ms later have no event. 0 or a negative errno; -ENOENT: no event is known.
 */
int spd_last_edit(const struct kernel_maps *maps, uint64_t netns, uint64_t *ret_ns);

int clock_read(const struct kernel_maps *maps, struct latch_clock *ret);
int settings_read(const struct kernel_maps *maps, struct latch_settings *ret);
/* The mode word (latch_mode.h). 0, which is enforcement, if the kernel does not answer. */
uint32_t mode_read(const struct kernel_maps *maps);

typedef int (*audit_visit_fn)(void *context, const struct latch_audit_key *key,
			      const struct latch_audit *row);
/* The rows of packets that enforcement would have dropped, in this audit or the last one. */
int audits_walk_part(const struct kernel_maps *maps, struct map_cursor *cursor,
		     audit_visit_fn visit, void *context);
int audits_walk(const struct kernel_maps *maps, audit_visit_fn visit, void *context);
/* Clears the counts of marks. Call it when there is no mark. */
int mark_shares_clear(const struct kernel_maps *maps);
/* Deletes every row, and clears the counts of rows. 0 or a negative errno. */
int audits_clear(const struct kernel_maps *maps);

/* max_entries of the latch map; 0 if the kernel does not answer. */
uint32_t latches_capacity(const struct kernel_maps *maps);

#endif
