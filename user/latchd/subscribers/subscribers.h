/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The connections of applications that get news of their own sockets (LATCH_OPT_NEWS). Decides
 * which client gets a connection. The programs bind a socket to a connection by its token; which
 * news go there is in subscriber_news.c.
 */
#ifndef LATCHD_SUBSCRIBERS_SUBSCRIBERS_H
#define LATCHD_SUBSCRIBERS_SUBSCRIBERS_H

#include <stdbool.h>

#include "common/loop.h"
#include "latchd/maps/kernel_maps.h"
#include "latchd/maps/map_walk.h"
#include "latchd/subscribers/subscriber.h"
#include "latchd/subscribers/subscriber_file.h"

/* Of LATCH_SUBSCRIBERS_MAX: places that other users cannot take. */
#define SUBSCRIBERS_FOR_ROOT 32

struct subscribers {
	struct loop *loop;
	const struct kernel_maps *maps;
	char path[108];
	struct subscriber_file file;
	bool wanted, logged;
	bool unswept; /* a connection has ended since the walk over its sockets began */
	struct map_cursor swept;
	struct subscriber *first;
	unsigned int count;
	struct subscriber *ended; /* their sockets are in the map until a walk has ended */
	struct loop_timer accept_again, open_again, sweep;
};

/*
 * Part of its owner. Forgets the sockets of an earlier latchd: its connections have ended. path
 * is copied.
 */
void subscribers_start(struct subscribers *subscribers, struct loop *loop,
		       const struct kernel_maps *maps, const char *path);

/*
 * Listens, or ends all connections. If it cannot listen it warns, and tries again every second:
 * enforcement does not depend on it.
 */
void subscribers_enable(struct subscribers *subscribers, bool wanted);

/* News may be missing, or many states have changed: each application is to ask its sockets. */
void subscribers_tell_lost(struct subscribers *subscribers);

/* Before loop_free(). */
void subscribers_stop(struct subscribers *subscribers);

/* NULL: no connection has this token (any more). */
struct subscriber *subscribers_find(const struct subscribers *subscribers,
				    const struct latch_token *token);

#endif
