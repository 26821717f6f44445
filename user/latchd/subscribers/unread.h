/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a client has sent and latchd does not read. Such a message may hold descriptors
 * (SCM_RIGHTS), and the last close of a descriptor may block, as that of a TCP socket with
 * SO_LINGER. Without a message a close cannot block.
 */
#ifndef LATCHD_SUBSCRIBERS_UNREAD_H
#define LATCHD_SUBSCRIBERS_UNREAD_H

#include <stdbool.h>

#define UNREAD_CLOSES_MAX 32 /* that may block at the same time */

/*
 * Ends the sending of the client: its next message fails with EPIPE. fd: of type SOCK_SEQPACKET.
 * True: a message of the client waits.
 */
bool unread_stop(int fd);

/* Closes fd at once, or by a thread if a message waits there. */
void unread_close(int fd, bool waits);

/* True: UNREAD_CLOSES_MAX closes are not finished. The next unread_close() must wait. */
bool unread_is_full(void);

#endif
