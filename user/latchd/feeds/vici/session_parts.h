/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of a session share. */
#ifndef LATCHD_FEEDS_VICI_SESSION_PARTS_H
#define LATCHD_FEEDS_VICI_SESSION_PARTS_H

#include "latchd/feeds/vici/session.h"

#define VICI_NO_MESSAGE ((struct vici_span){0})

__attribute__((format(printf, 2, 3))) void vici_session_fail(struct vici_session *session,
							     const char *format, ...);

/* An answer to this request must come within the limit. The answer cancels answer_limit. */
void vici_session_await(struct vici_session *session, const char *awaited);
void vici_session_await_for(struct vici_session *session, const char *awaited, unsigned int ms);

/* "success = no" is an error; a list that succeeds ends with an empty message. */
bool vici_session_is_refusal(enum vici_packet_type type, struct vici_span message);

/* The answers to a query of connections are complete. */
void vici_session_end_query(struct vici_session *session);

#endif
