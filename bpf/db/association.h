/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Marks of SCTP associations: see struct latch_association. Those that local users' packets cause
 * have a share of the table.
 */
#ifndef LATCH_BPF_DB_ASSOCIATION_H
#define LATCH_BPF_DB_ASSOCIATION_H

#include "db/maps.h"

/*
 * Root of a user namespace can send any verification tags, and each tag is a mark. The marks of
 * all such namespaces together get a quarter of the table.
 */
static __always_inline int count_foreign_mark(void)
{
	const struct bpf_map *map = (const struct bpf_map *)&associations;
	struct latch_clock *clock = clock_get();

	return clock && quota_take(&clock->foreign_marks, map->max_entries / 4);
}

static __always_inline void uncount_foreign_mark(void)
{
	struct latch_clock *clock = clock_get();

	if (clock)
		__sync_fetch_and_sub(&clock->foreign_marks, 1);
}

static __always_inline int add_mark(const struct latch_flow *key, const struct latch_association *a)
{
	if (a->foreign && !count_foreign_mark())
		return -1;
	if (!bpf_map_update_elem(&associations, key, a, BPF_NOEXIST))
		return 0;
	if (a->foreign)
		uncount_foreign_mark();
	/* Another CPU was faster. */
	return bpf_map_update_elem(&associations, key, a, BPF_EXIST);
}

/*
 * foreign: of the namespace, so constant for this mark. mode: the mode in which the association
 * began. Non-zero: no room.
 */
static OWN_FRAME int record_mark(const struct latch_flow *key, __u64 id, __u16 params_id,
				 __u8 foreign, __u32 mode)
{
	struct latch_association a = {
		.id = id,
		.changed = bpf_ktime_get_boot_ns(),
		.params = params_id,
		.foreign = foreign,
		.mode = mode,
	};
	struct latch_flow copy = *key;

	if (!bpf_map_update_elem(&associations, &copy, &a, BPF_EXIST) || !add_mark(&copy, &a))
		return 0;
	count(LATCH_COUNTER_LATCHES_FULL);
	return -1;
}

static __always_inline int forget_mark(const struct latch_flow *key, __u8 foreign)
{
	int err = bpf_map_delete_elem(&associations, key);

	if (!err && foreign)
		uncount_foreign_mark();
	return err;
}

#endif
