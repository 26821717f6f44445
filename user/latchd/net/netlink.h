/* SPDX-License-Identifier: BSD-2-Clause */
/* Questions to a namespace's kernel over netlink(7), each answered before the call returns. */
#ifndef LATCHD_NET_NETLINK_H
#define LATCHD_NET_NETLINK_H

#include <libmnl/libmnl.h>
#include <stdint.h>

/*
 * A netlink socket of that namespace, the caller's to close. It hears nobody but
 * the kernel: whoever administers the namespace could else answer in its place.
 * -ENOENT: no such namespace (netns.h); or another negative errno.
 */
int netlink_open(uint64_t netns_cookie, int protocol);

/* Non-zero ends the answer early and is what netlink_request() returns. */
typedef int (*netlink_message_fn)(void *context, const struct nlmsghdr *message);

/*
 * Completes the header of request (NLM_F_REQUEST, NLM_F_ACK, sequence number),
 * sends it, and hands over each message of the answer. 0 when the kernel ended
 * the answer without error; else the kernel's negative errno, -EINTR when what
 * it dumped changed meanwhile, -ETIMEDOUT when it does not answer, -EBADMSG when
 * the answer is not understood. After an early end or an error close the socket.
 */
int netlink_request(int fd, struct nlmsghdr *request, netlink_message_fn handler, void *context);

/*
 * The attributes behind a header of that size, each where its type (0 to last) says, the
 * others NULL. 0, or -EBADMSG when one is cut short.
 */
int netlink_attributes(const struct nlmsghdr *message, size_t header,
		       const struct nlattr *ret_by_type[], uint16_t last);

#endif
