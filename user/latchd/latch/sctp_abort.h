/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Ends an SCTP association as if its peer had sent ABORT (RFC 5660 section 5.5):
 * SCTP has no SOCK_DESTROY, so that an ABORT is handed to the host itself over
 * its loopback device. Nothing leaves the host, not even an answer (RFC 9260, 9.1).
 */
#ifndef LATCHD_LATCH_SCTP_ABORT_H
#define LATCHD_LATCH_SCTP_ABORT_H

#include <stddef.h>
#include <stdint.h>

#include "latch_abi.h"
#include "latchd/maps/kernel_maps.h"

/*
 * The netfilter gate takes it for a BROKEN latch only. The owner sees ECONNRESET. 0;
 * -ENOENT when the association's tag or its namespace is not known, -EAFNOSUPPORT for
 * IPv6, whose loopback packets must obey IPsec policies; or another negative errno.
 */
int sctp_abort(const struct kernel_maps *maps, const struct latch_flow *flow,
	       const struct latch *latch);

#define SCTP_ABORT_PACKET_SIZE 36 /* IPv4, SCTP, one chunk */

/* That packet; tag in network order. For sctp_abort() and its tests. */
void sctp_abort_packet(uint8_t packet[SCTP_ABORT_PACKET_SIZE], const struct latch_flow *flow,
		       uint32_t tag);

#endif
