/* SPDX-License-Identifier: BSD-2-Clause */
/* Which key manager serves which network namespace, and whether it has told all that it knows. */
#ifndef LATCHD_SA_KEY_MANAGERS_H
#define LATCHD_SA_KEY_MANAGERS_H

#include <stdbool.h>
#include <stdint.h>

#include "latchd/feeds/feed.h"

struct key_manager {
	struct feed *feed;
	uint64_t netns;
	bool synced; /* it has told all its children since it was attached */
	struct key_manager *next;
};

struct key_managers { /* zeroed before first use */
	struct key_manager *first;
};

/* NULL: never attached. */
struct key_manager *key_managers_find(const struct key_managers *key_managers,
				      const struct feed *feed);
/* Known from now on, there, and not synced. 0 or -ENOMEM. */
int key_managers_attach(struct key_managers *key_managers, struct feed *feed, uint64_t netns);
void key_managers_clear(struct key_managers *key_managers);

bool key_managers_serve(const struct key_managers *key_managers, uint64_t netns);
/* Have all that serve it told all? Not while none does: after a restart they may be on their way.
 */
bool key_managers_are_synced(const struct key_managers *key_managers, uint64_t netns);
/* Asks those that serve it to tell all again. */
void key_managers_resync(const struct key_managers *key_managers, uint64_t netns);

#endif
