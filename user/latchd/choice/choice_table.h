/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which SA may the kernel choose for a flow, and under which may it accept one? RFC 4301's ordered
 * SPD and the xfrm interfaces of a namespace, as they were read, answer this. Every answer errs
 * towards "may". Nothing here calls the kernel.
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
	bool has_ids;	  /* some policy has an interface id, or had one: SAs have it still */
	bool interrupted; /* devices changed while they were read: not all of them may be there */
	bool unreadable;  /* sub-policies, or no answer: any SA may be used */
	struct choice_index index[CHOICE_DIRECTIONS];
};

/* 0 or -ENOMEM. */
int choice_table_add_policy(struct choice_table *table, const struct choice_policy *policy);
int choice_table_add_device(struct choice_table *table, uint32_t if_id);
/* After the last one. 0 or -ENOMEM. */
int choice_table_build(struct choice_table *table);
void choice_table_sort_devices(struct choice_table *table);
/* Is it up? Only of a table whose devices are sorted. */
bool choice_table_has_device(const struct choice_table *table, uint32_t if_id);
void choice_table_release(struct choice_table *table);

/*
 * Do interface ids keep the traffic of both apart? Only two ids that are not 0, of devices that are
 * up. A policy without id accepts an SA of any id, and an SA without device counts as one without
 * id.
 */
bool choice_table_tells_apart(const struct choice_table *table, const struct sa_way *one,
			      const struct sa_way *other);

/*
 * What answers may cost: peers choose selectors, and with them the number of policies. Beyond the
 * limit, the answer is "may".
 */
struct choice_work {
	uint64_t done, limit;
};

bool choice_work_is_over(const struct choice_work *work);

/* Is there a policy for the same flows, whatever it does with them? Whatever the answer costs. */
bool choice_table_has_selector(const struct choice_table *table, const struct choice_policy *of,
			       struct choice_work *work);

/* An SPD in which policies that are gone for a moment, and may use an SA of own, decide as before.
 */
struct choice_spd {
	const struct choice_table *table;
	const struct choice_table *removed; /* if own is set */
	const struct sa_way *own;	    /* NULL: those that are gone do not count */
};

bool choice_spd_may_carry(const struct choice_spd *spd, const struct sa_way *way,
			  const struct choice_box *box, struct choice_work *work);

/* May an SA of this way be chosen for some flow of the box, or be accepted for one? */
bool choice_table_may_carry(const struct choice_table *table, const struct sa_way *way,
			    const struct choice_box *box, struct choice_work *work);

#endif
