/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * liblatch: which authenticated peer is at the other end of a socket (RFC 5660). liblatch(3) is the
 * manual, latch(7) the system calls beneath it.
 *
 * Each call takes a descriptor, which the caller keeps. The kernel answers, without a daemon. No
 * call allocates, keeps data or blocks. Threads and signal handlers may use all calls. Buffers
 * belong to the caller.
 *
 * Results are 0 or positive, or a negative errno; errno itself is not kept. Errors of each call:
 *   -LATCH_UNAVAILABLE  no latchd serves this socket, or not this kind of socket: nothing is known
 *   -ENOSYS             the latchd of this host does not know the question
 *   -EBADF, -ENOTSOCK   fd
 */
#ifndef LATCH_H
#define LATCH_H

#include <stddef.h>

#include "latch_sockopt.h"

#ifdef __cplusplus
extern "C" {
#endif

#define LATCH_UNAVAILABLE 95 /* EOPNOTSUPP */

/*
 * INQUIRE_LATCH (section 2.3) in brief. An enum latch_app_state; one system call. UDP data is the
 * peer's only if it is read after LATCH_APP_ESTABLISHED.
 */
int latch_state(int fd);

/*
 * INQUIRE_LATCH. size: sizeof(*info) of the caller, which may be larger than what this host fills:
 * the rest is 0. 0, or -EINVAL: smaller than the first version. One system call.
 */
int latch_info(int fd, struct latch_info *info, size_t size);

/*
 * Peer identity, local identity (section 2), and the key manager's name of the connection, with a
 * NUL behind. size: of text; LATCH_TEXT_MAX is always enough. The length without the NUL; -ERANGE:
 * text is too small, and is "" (never a part); -ENODATA: no latch, or its peer is not proven. The
 * texts are chosen by others: escape them before a terminal or a log gets them. One system call.
 */
int latch_peer(int fd, char *text, size_t size);
int latch_local(int fd, char *text, size_t size);
int latch_connection(int fd, char *text, size_t size);

/*
 * Call it when read() has returned 0. An end of file alone does not show that the peer has ended
 * the connection (section 2.2): another call may have taken the error. 0: the latched peer has
 * ended it in order. -EKEYREVOKED: the latch was broken or closed. -ECONNRESET: ended by a reset or
 * a timeout. -ENOKEY: no latch has proven a peer for the whole connection. -EAGAIN: the peer has
 * not ended it (a UDP peer never does). One system call.
 */
int latch_end(int fd);

/*
 * Have both connections the same peer, and the same local identity (section 6.3)? 1 or 0. -ENOKEY:
 * one of the connections is not LATCH_APP_ESTABLISHED. Three system calls.
 */
int latch_same_peer(int fd, int other);

#ifdef __cplusplus
}
#endif

#endif
