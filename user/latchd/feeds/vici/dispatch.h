/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reports charon's messages to the feed's sink, in the order of arrival. A message that needs an
 * unknown authentication class waits for a query, and all later ones with it, up to a limit.
 * Decides what a list may show, and what an event; does no input or output.
 */
#ifndef LATCHD_FEEDS_VICI_DISPATCH_H
#define LATCHD_FEEDS_VICI_DISPATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "latchd/feeds/feed.h"
#include "latchd/feeds/vici/alerts.h"
#include "latchd/feeds/vici/auth.h"
#include "latchd/feeds/vici/ended_ike_sas.h"
#include "latchd/feeds/vici/finding.h"
#include "latchd/feeds/vici/message.h"
#include "latchd/feeds/vici/refusal_log.h"

#define VICI_HELD_BYTES_MAX ((size_t)16 * 1024 * 1024)

enum vici_message_kind {
	VICI_MESSAGE_IKE_UPDOWN,
	VICI_MESSAGE_CHILD_UPDOWN,
	VICI_MESSAGE_IKE_REKEY,
	VICI_MESSAGE_CHILD_REKEY,
	VICI_MESSAGE_IKE_UPDATE,
	VICI_MESSAGE_ALERT,
	VICI_MESSAGE_LIST_SA,
	VICI_MESSAGE_SNAPSHOT_END, /* not a message of charon: the answer to list-sas is complete */
};

struct vici_dispatch_owner {
	/* Queries charon for this configuration; calls vici_dispatch_query_end() after the answer.
	 * 0 or a negative errno. */
	int (*query_config)(void *context, const char *config_name);
	/* SAs change without an event of their own. charon may send the triggering event before the
	 * change is complete. */
	void (*resync_soon)(void *context);
	/* All messages before the end of list-sas are reported. */
	void (*snapshot_end)(void *context);
};

struct vici_held; /* a waiting message */

struct vici_dispatch {
	struct feed *feed;
	const struct vici_dispatch_owner *owner;
	void *context;
	struct vici_auth auth;
	struct vici_finder finder;
	uint64_t received; /* count of messages; the clock of struct vici_auth */
	bool querying;	   /* true from the start: no message is handled before the first answer */
	char queried_name[FEED_NAME_MAX]; /* "" for all configurations */
	struct vici_held *held, **held_tail;
	size_t held_bytes, held_bytes_max;
	struct vici_ended_ike_sas ended;
	struct vici_alerts alerts;
	struct vici_refusal_log refusals;
};

void vici_dispatch_init(struct vici_dispatch *dispatch, struct feed *feed,
			const struct vici_dispatch_owner *owner, void *context);

/* Drops all state of this charon: before each new connection, and at the end. */
void vici_dispatch_reset(struct vici_dispatch *dispatch);

/* The owner is about to query all configurations. All messages wait for the answer. */
void vici_dispatch_query_begin(struct vici_dispatch *dispatch);

/* charon sends alerts, and every event that it is asked for, from here on. */
void vici_dispatch_alerts_complete(struct vici_dispatch *dispatch);

/*
 * Handles a checked message, or copies it to wait. 0; -ENOBUFS when too many bytes
 * wait, -EBADMSG, -ENOMEM, or the error of query_config(): then connect again.
 */
int vici_dispatch_message(struct vici_dispatch *dispatch, enum vici_message_kind kind,
			  struct vici_span message);

/* The answer is complete and vici_auth has read it: handles the waiting messages. Errors as above.
 */
int vici_dispatch_query_end(struct vici_dispatch *dispatch);

#endif
