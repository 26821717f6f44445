/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The network namespaces without a place in the share of netfilter_netns.h, each with the result
 * of its last look-up. They wait for a free place. Local users choose their number.
 */
#ifndef LATCHD_ENFORCE_NETFILTER_NETNS_UNPLACED_H
#define LATCHD_ENFORCE_NETFILTER_NETNS_UNPLACED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NETNS_UNPLACED_MAX   4096
#define NETNS_UNANSWERED_MAX 256

enum netns_unplaced_kind {
	NETNS_UNPLACED_NONE,	   /* not in the set */
	NETNS_UNPLACED_FOREIGN,	   /* of another user namespace */
	NETNS_UNPLACED_UNKNOWN,	   /* not found, or not readable */
	NETNS_UNPLACED_UNANSWERED, /* no look-up has been made: there were too many */
};

struct netns_unplaced_entry;

struct netns_unplaced { /* zeroed before first use */
	struct netns_unplaced_entry *entries;
	size_t count, unanswered;
};

/* Keeps at most NETNS_UNPLACED_MAX namespaces, among them NETNS_UNANSWERED_MAX unanswered ones. */
void netns_unplaced_note(struct netns_unplaced *set, uint64_t cookie,
			 enum netns_unplaced_kind kind);
void netns_unplaced_remove(struct netns_unplaced *set, uint64_t cookie);
/* Removes all but the unanswered ones. */
void netns_unplaced_clear_answered(struct netns_unplaced *set);
void netns_unplaced_free(struct netns_unplaced *set);

enum netns_unplaced_kind netns_unplaced_kind_of(const struct netns_unplaced *set, uint64_t cookie);
bool netns_unplaced_is_full(const struct netns_unplaced *set);
/* Removes the unanswered ones, for another look-up of each. Returns their number. */
size_t netns_unplaced_take_unanswered(struct netns_unplaced *set,
				      uint64_t cookies[NETNS_UNANSWERED_MAX]);

#endif
