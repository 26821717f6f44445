/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The key manager of each network namespace, whether it is away, and whether it has reported all
 * its CHILD_SAs.
 */
#ifndef LATCHD_SA_UNBOUND_KEY_MANAGERS_H
#define LATCHD_SA_UNBOUND_KEY_MANAGERS_H

#include <stdbool.h>
#include <stdint.h>

#include "latchd/feeds/feed.h"

struct key_manager {
	struct feed *feed;
	uint64_t netns;		/* cookie */
	uint64_t attached_ms;	/* the last time */
	bool away;		/* it may come back in another namespace */
	bool synced;		/* all its CHILD_SAs are reported since it was attached */
	bool list_failed;	/* its first list, or a report of a list, had no effect */
	bool has_left_out;	/* a report of the running list has another CHILD_SA's SPI */
	uint64_t list_began_ns; /* CLOCK_BOOTTIME, the last one */
	unsigned int left_out;	/* number of lists in a row with such a report */
	struct key_manager *next;
};

/* Bound of lists in a row that are requested because two CHILD_SAs have one SPI. */
#define KEY_MANAGER_LEFT_OUT_MAX 3

struct key_managers { /* zeroed before first use; owns its entries, not the feeds */
	struct key_manager *first;
};

/* NULL: the feed was never attached. */
struct key_manager *key_managers_find(const struct key_managers *key_managers,
				      const struct feed *feed);
/* The feed serves netns from now on and is not synced. 0 or -ENOMEM. */
int key_managers_attach(struct key_managers *key_managers, struct feed *feed, uint64_t netns);
/* The feed serves no namespace any more. */
void key_managers_detach(struct key_managers *key_managers, const struct feed *feed);
void key_managers_clear(struct key_managers *key_managers);

/* Does any key manager serve the namespace? */
bool key_managers_serve(const struct key_managers *key_managers, uint64_t netns);
/* Are all key managers of the namespace synced? False while none serves it: after a restart of
 * latchd they may attach later. */
bool key_managers_are_synced(const struct key_managers *key_managers, uint64_t netns);
/* Have all that are attached listed their CHILD_SAs, and is there one? Those that are away have
 * none that counts. */
bool key_managers_have_listed(const struct key_managers *key_managers, uint64_t netns);
/* Was one of them, whose list is missing, attached within this time? */
bool key_managers_list_soon(const struct key_managers *key_managers, uint64_t netns,
			    uint64_t within_ms);
/* Requests a snapshot from each synced key manager of the namespace. */
void key_managers_resync(const struct key_managers *key_managers, uint64_t netns);
/* Requests another list from each with list_failed. */
void key_managers_retry_lists(const struct key_managers *key_managers);

#endif
