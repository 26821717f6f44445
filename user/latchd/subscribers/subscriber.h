/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A connection of an application: its token, and what is sent there. The kernel's buffer of the
 * connection is its only queue. A client that does not read loses news, and learns it when it reads
 * again. A client sends nothing.
 */
#ifndef LATCHD_SUBSCRIBERS_SUBSCRIBER_H
#define LATCHD_SUBSCRIBERS_SUBSCRIBER_H

#include <stdbool.h>
#include <sys/types.h>

#include "common/loop.h"
#include "latch_abi.h"
#include "latch_sockopt.h"

struct subscribers;

struct subscriber {
	struct subscriber *next;
	struct subscribers *owner;
	struct loop *loop;
	int fd;
	uid_t uid;
	struct latch_token token;
	uint64_t sockets;	 /* ended: those that may be in the map still */
	bool swept;		 /* ended: before the walk began */
	bool lost;		 /* LATCH_NEWS_LOST waits for room; all later news are part of it */
	struct loop_timer again; /* ... or for memory */
};

/* A random token, never all 0. 0 or a negative errno. */
int subscriber_draw(struct latch_token *ret);

/* The first message: the token, or an errno and none (NULL). 0 or a negative errno. */
int subscriber_greet(int fd, int error, const struct latch_token *token);

/* The members owner, loop, fd and uid are set. */
void subscriber_start(struct subscriber *subscriber);
/* Before the descriptor is closed. */
void subscriber_stop(struct subscriber *subscriber);

/* Sends one item; its size and time are set here. */
void subscriber_tell(struct subscriber *subscriber, struct latch_news *item);
/* LATCH_NEWS_LOST, at once or when there is room. */
void subscriber_tell_lost(struct subscriber *subscriber);
/* The connection is writable. */
void subscriber_writable(struct subscriber *subscriber);

#endif
