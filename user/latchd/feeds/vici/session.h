/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One session with a charon: both connections, from the first registration to the events and
 * snapshots of a synced feed. Limits the lists of SAs that peers can cause; slow_request.h and
 * auth_keys.h limit those of certificates. The session reports children and peers to the feed's
 * sink, and its owner keeps the feed connected.
 */
#ifndef LATCHD_FEEDS_VICI_SESSION_H
#define LATCHD_FEEDS_VICI_SESSION_H

#include "latchd/feeds/vici/session_parts.h"

#define VICI_ANSWER_LIMIT_MS 10000
#define VICI_RESYNC_GAP_MS   50	  /* from one list-sas to the next */
#define VICI_RESYNC_BURST    5	  /* ... of so many; then: */
#define VICI_RESYNC_LAST_MS  1000 /* peers cause lists, and charon and latchd work for each */
#define VICI_RESYNC_SOON_MS  100

/* Keeps owner, context and feed. */
void vici_session_init(struct vici_session *session, struct loop *loop, struct feed *feed,
		       const struct vici_session_owner *owner, void *context);

/*
 * Opens both connections; socket_path must outlive the session. 0 or a negative errno;
 * -ECONNRESET when another process took over the socket between the two. After an error:
 * vici_session_stop().
 */
int vici_session_open(struct vici_session *session, const char *socket_path);

/* charon's process, from the kernel's credentials of the open socket. */
pid_t vici_session_daemon(const struct vici_session *session);

/* Registers for events, then asks for all configurations and SAs. */
void vici_session_start(struct vici_session *session);

/* Closes both connections and drops all state of this charon. Calls no callback. */
void vici_session_stop(struct vici_session *session);

/* Requests a snapshot soon; requests coalesce. No effect before the first list-sas. */
void vici_session_resync(struct vici_session *session);

#endif
