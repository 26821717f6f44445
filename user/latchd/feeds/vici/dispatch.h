/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From charon's messages to the feed's sink, in the order they came.
 *
 * A child needs its configuration's authentication class. When that is not
 * known, the message and all after it wait until the owner has asked for it;
 * they are kept in memory up to a limit. No input or output happens here.
 */
#ifndef LATCHD_FEEDS_VICI_DISPATCH_H
#define LATCHD_FEEDS_VICI_DISPATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "latchd/feeds/feed.h"
#include "latchd/feeds/vici/auth.h"
#include "latchd/feeds/vici/downs.h"
#include "latchd/feeds/vici/message.h"

#define VICI_HELD_BYTES_MAX ((size_t)16 * 1024 * 1024)
#define VICI_REFUSALS_MAX   64

enum vici_message_kind {
	VICI_MESSAGE_IKE_UPDOWN,
	VICI_MESSAGE_CHILD_UPDOWN,
	VICI_MESSAGE_IKE_REKEY,
	VICI_MESSAGE_CHILD_REKEY,
	VICI_MESSAGE_IKE_UPDATE,
	VICI_MESSAGE_LIST_SA,
	VICI_MESSAGE_SNAPSHOT_END, /* not charon's: the answer to list-sas is complete */
};

struct vici_dispatch_owner {
	/* Ask charon for this configuration's class, then call vici_dispatch_answered(). 0 or a
	 * negative errno. */
	int (*ask)(void *context, const char *config_name);
	/* SAs change without an event of their own; charon may announce it before it is done. */
	void (*resync_soon)(void *context);
	void (*snapshot_end)(void *context);
};

struct vici_held; /* a message that waits */

struct vici_dispatch {
	struct feed *feed;
	const struct vici_dispatch_owner *owner;
	void *context;
	struct vici_auth auth;
	uint64_t received; /* messages; the time of struct vici_auth */
	bool asking;	   /* from the start: nothing is handled before the first answer */
	char asked_name[FEED_NAME_MAX]; /* "" for all configurations */
	struct vici_held *held, **held_tail;
	size_t held_bytes, held_bytes_max;
	struct vici_downs downs;
	uint32_t refusals[VICI_REFUSALS_MAX]; /* children that were logged as refused */
	size_t refusal_count;
};

void vici_dispatch_init(struct vici_dispatch *dispatch, struct feed *feed,
			const struct vici_dispatch_owner *owner, void *context);

/* Forgets all that was charon's: at every new connection, and at the end. */
void vici_dispatch_reset(struct vici_dispatch *dispatch);

/* The owner is about to ask for all configurations; until it is answered all messages wait. */
void vici_dispatch_asking(struct vici_dispatch *dispatch);

/*
 * A checked message: handled at once, or kept. -ENOBUFS when too much waits,
 * -EBADMSG, -ENOMEM, or what ask() returned: connect again.
 */
int vici_dispatch_message(struct vici_dispatch *dispatch, enum vici_message_kind kind,
			  struct vici_span message);

/* The question was answered (vici_auth knows): goes on with what waited. Errors as above. */
int vici_dispatch_answered(struct vici_dispatch *dispatch);

#endif
