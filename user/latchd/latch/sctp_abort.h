/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Ends an SCTP association as if its peer had sent ABORT (RFC 5660 section 5.5). SCTP has
 * no SOCK_DESTROY, so latchd sends an ABORT to the host itself over the loopback device.
 * No packet leaves the host, not even an answer (RFC 9260, 9.1).
 */
#ifndef LATCHD_LATCH_SCTP_ABORT_H
#define LATCHD_LATCH_SCTP_ABORT_H

#include <stddef.h>
#include <stdint.h>

#include "latch_abi.h"

/*
 * Tag marks of earlier associations of the flow may be left. So an ABORT is sent for each tag (in
 * network order), and the kernel accepts the ABORT with the current tag. The netfilter gate
 * accepts the packet for a BROKEN latch only. The application gets ECONNRESET. 0: an ABORT was
 * sent. -ENOENT: no tag, or the namespace is gone. -EAFNOSUPPORT for IPv6: its loopback packets
 * must obey IPsec policies. Or another negative errno.
 */
int sctp_abort(const struct latch_flow *flow, const uint32_t *tags, size_t count);

#define SCTP_ABORT_PACKET_SIZE 36 /* IPv4, SCTP, one chunk */

/* The ABORT packet; tag in network order. For sctp_abort() and its tests. */
void sctp_abort_packet(uint8_t packet[SCTP_ABORT_PACKET_SIZE], const struct latch_flow *flow,
		       uint32_t tag);

#endif
