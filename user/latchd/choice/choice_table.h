/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The SPD (ordered, RFC 4301) and the xfrm interfaces of a namespace, as they were read. They
 * answer for which flows the kernel may choose an SA, or accept packets under it. If in question,
 * the answer is "may". No function here calls the kernel.
 */
#ifndef LATCHD_CHOICE_CHOICE_TABLE_H
#define LATCHD_CHOICE_CHOICE_TABLE_H

#include <stddef.h>

#include "latchd/choice/choice_policy.h"
#include "latchd/feeds/traffic_selector_set.h"

#define CHOICE_DIRECTIONS POLICY_DIRECTIONS

/*
 * Sorted by interface id, family, lowest remote address and the rest of the selector; reach: the
 * highest one of a subtree (choice_table.c).
 */
struct choice_index {
	struct choice_policy **policies;
	const uint8_t **reach;
	size_t count;
};

struct choice_table { /* zeroed: an empty SPD */
	struct choice_policy *policies;
	size_t count, capacity;
	uint32_t *devices; /* interface ids of xfrm interfaces that are up, sorted */
	size_t device_count, device_capacity;
	bool has_ids;	  /* a policy has an interface id, or had one that SAs may still have */
	bool interrupted; /* devices changed while they were read: some may be missing */
	bool unreadable;  /* sub-policies, or no answer: any SA may be used */
	struct choice_index index[CHOICE_DIRECTIONS];
};

/* 0 or -ENOMEM. */
int choice_table_add_policy(struct choice_table *table, const struct choice_policy *policy);
int choice_table_add_device(struct choice_table *table, uint32_t if_id);
/* Call it after the last addition. 0 or -ENOMEM. */
int choice_table_build(struct choice_table *table);
void choice_table_sort_devices(struct choice_table *table);
/* Is the device of this interface id up? The devices must be sorted. */
bool choice_table_has_device(const struct choice_table *table, uint32_t if_id);
void choice_table_release(struct choice_table *table);

/*
 * Do interface ids keep the traffic of both SAs apart? Only different ids, not 0, of devices that
 * are up do. A policy without id accepts an SA of any id. An SA without a device counts as one
 * without id.
 */
bool choice_table_tells_apart(const struct choice_table *table, const struct sa_way *one,
			      const struct sa_way *other);

/*
 * Bound of the work for an answer: peers choose selectors, and with them the number of policies.
 * Beyond the limit, the answer is "may".
 */
struct choice_work {
	uint64_t done, limit;
};

bool choice_work_is_over(const struct choice_work *work);

/* Is there a policy with the same selector, of any action? The search has no bound. */
bool choice_table_has_selector(const struct choice_table *table, const struct choice_policy *of,
			       struct choice_work *work);

/* An SPD in which removed policies still decide, if they may use an SA of own. */
struct choice_spd {
	const struct choice_table *table;
	const struct choice_table *removed; /* if own is set */
	const struct sa_way *own;	    /* NULL: removed policies do not count */
};

bool choice_spd_may_carry(const struct choice_spd *spd, const struct sa_way *way,
			  const struct choice_box *box, struct choice_work *work);

/* May the kernel choose an SA of this way for some flow of the box, or accept a packet under it? */
bool choice_table_may_carry(const struct choice_table *table, const struct sa_way *way,
			    const struct choice_box *box, struct choice_work *work);

#endif
