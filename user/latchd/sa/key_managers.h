/* SPDX-License-Identifier: BSD-2-Clause */
/* Which key manager serves which network namespace, and whether it has told all that it knows. */
#ifndef LATCHD_KEEPERS_H
#define LATCHD_KEEPERS_H

#include <stdbool.h>
#include <stdint.h>

#include "latchd/feeds/feed.h"

struct keeper {
	struct feed *feed;
	uint64_t netns;
	bool synced; /* it has told all its children since it was attached */
	struct keeper *next;
};

struct keepers { /* zeroed before first use */
	struct keeper *first;
};

/* NULL: never attached. */
struct keeper *keepers_find(const struct keepers *keepers, const struct feed *feed);
/* Known from now on, there, and not synced. 0 or -ENOMEM. */
int keepers_attach(struct keepers *keepers, struct feed *feed, uint64_t netns);
void keepers_clear(struct keepers *keepers);

bool keepers_serve(const struct keepers *keepers, uint64_t netns);
/* Have all that serve it told all? Not while none does: after a restart they may be on their way. */
bool keepers_are_synced(const struct keepers *keepers, uint64_t netns);
/* Asks those that serve it to tell all again. */
void keepers_resync(const struct keepers *keepers, uint64_t netns);

#endif
