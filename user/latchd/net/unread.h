/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a client of an AF_UNIX socket has sent and latchd does not read. Such a message may hold
 * descriptors (SCM_RIGHTS), and the last close of a descriptor may block, as that of a TCP socket
 * with SO_LINGER. The kernel closes them when latchd reads the message, or closes the connection.
 * For the main thread only.
 */
#ifndef LATCHD_NET_UNREAD_H
#define LATCHD_NET_UNREAD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define UNREAD_CLOSES_MAX 512 /* connections that wait for their close */

/* Linux 6.16: sends of descriptors fail with EPERM. fd: before listen(); connections inherit it. */
void unread_refuse_descriptors(int fd);

/*
 * Reads text that arrived without descriptors, without waiting. fd: of type SOCK_STREAM. The number
 * of bytes, 0 at the end, or a negative errno. -EBADMSG: there are descriptors, and nothing is
 * read.
 */
ssize_t unread_receive(int fd, char *text, size_t size);

/*
 * Each ends the sending of the client: its next message fails with EPIPE. True: a message of the
 * client waits. For the type SOCK_SEQPACKET, and for SOCK_STREAM, where waiting text is dropped.
 */
bool unread_stop(int fd);
bool unread_stop_stream(int fd);

/* Closes fd at once, or by a thread if a message waits there. */
void unread_close(int fd, bool waits);
/* For a connection of the type SOCK_STREAM. */
void unread_close_stream(int fd);

/* Starts their close if that is possible, and returns the number of connections that still wait. */
unsigned int unread_waiting(void);

#endif
