/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Requests to the kernel over netlink(7) in a network namespace. Each call blocks until the answer,
 * checks its length and says whether a dump was interrupted.
 */
#ifndef LATCHD_NET_NETLINK_H
#define LATCHD_NET_NETLINK_H

#include <libmnl/libmnl.h>
#include <stdint.h>

/*
 * Opens a netlink socket of that namespace, which the caller closes. The socket receives from the
 * kernel only: an administrator of the namespace could otherwise send answers of its own.
 * -ENOENT: no such namespace (netns.h). Or another negative errno.
 */
int netlink_open(uint64_t netns_cookie, int protocol);

/* The same, for the kernel's reports to a multicast group. */
int netlink_open_group(uint64_t netns_cookie, int protocol, unsigned int group);

/* A non-zero result ends the answer early; netlink_request() returns it. */
typedef int (*netlink_message_fn)(void *context, const struct nlmsghdr *message);

/*
 * Completes the header of request (NLM_F_REQUEST, NLM_F_ACK, sequence number), sends it, and passes
 * each message of the answer to the handler. 0: the kernel ended the answer without an error. Else:
 *   the kernel's negative errno
 *   -EINTR      the dumped objects changed meanwhile: the answer is whole, but some may be missing
 *   -ETIMEDOUT  no answer
 *   -EBADMSG    a malformed answer
 *   the handler's result
 * Close the socket after an error or an early end.
 */
int netlink_request(int fd, struct nlmsghdr *request, netlink_message_fn handler, void *context);

/*
 * Finds the attributes behind a header of that size. ret_by_type has last + 1 entries: pointers
 * into the message, or NULL. Types above last are ignored. 0, or -EBADMSG for a truncated
 * attribute.
 */
int netlink_attributes(const struct nlmsghdr *message, size_t header,
		       const struct nlattr *ret_by_type[], uint16_t last);

#endif
