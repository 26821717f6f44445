/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two dumps of the same SPD: their union, and their difference. A policy that only one of them has
 * may be gone, so it hides no other policy.
 */
#ifndef LATCHD_CHOICE_CHOICE_JOIN_H
#define LATCHD_CHOICE_CHOICE_JOIN_H

#include "latchd/choice/choice_table.h"

#define CHOICE_EDITS_MAX 64

/* The flows over which an added or removed policy or device decides. */
struct choice_edit {
	uint32_t if_id;
	uint8_t family;		   /* 0: a device, for all addresses */
	uint8_t low[16], high[16]; /* remote addresses */
};

struct choice_change {
	bool everything; /* edits of more than CHOICE_EDITS_MAX interface ids, or the SPD became
			    (un)readable */
	size_t count;
	struct choice_edit edits[CHOICE_EDITS_MAX];
};

/*
 * A policy counts if it is in one of the dumps. If it is missing in the other it may be gone, so
 * it is not certain. A device counts if it is in both: else it may be down. 0 or -ENOMEM. The sum
 * is not built.
 */
int choice_join(struct choice_table *sum, const struct choice_table *next);

/* Visits each policy that is in one and missing in other. 0, -ENOMEM or the visitor's result. */
typedef int (*choice_policy_fn)(void *context, const struct choice_policy *policy);
int choice_visit_missing(const struct choice_table *one, const struct choice_table *other,
			 choice_policy_fn visit, void *context);

void choice_change_add(struct choice_change *change, const struct choice_policy *policy);
/* If memory is short, everything counts as changed. */
void choice_compare(const struct choice_table *before, const struct choice_table *after,
		    struct choice_change *ret);

/* May the change concern an SA of this way, for flows with remote addresses of the range? */
bool choice_change_concerns(const struct choice_change *change, const struct sa_way *way,
			    uint8_t family, const uint8_t low[16], const uint8_t high[16]);

#endif
