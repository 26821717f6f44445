/* SPDX-License-Identifier: BSD-2-Clause */
#include <criterion/criterion.h>

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "latchd/latch/sctp_abort.h"

/* RFC 9260: an ABORT from 192.0.2.2 port 7002 to 192.0.2.1 port 6002, checksum by another program.
 */
static const uint8_t expected[SCTP_ABORT_PACKET_SIZE] = {
	0x45, 0x00, 0x00, 0x24, 0x00, 0x00, 0x00, 0x00, 0x40, 0x84, 0x00, 0x00,
	0xc0, 0x00, 0x02, 0x02, 0xc0, 0x00, 0x02, 0x01, 0x1b, 0x5a, 0x17, 0x72,
	0x11, 0x22, 0x33, 0x44, 0x68, 0x1c, 0xf5, 0x2c, 0x06, 0x00, 0x00, 0x04,
};

static struct latch_flow flow_between(int family)
{
	struct latch_flow flow = {
		.local_port = 6002,
		.remote_port = 7002,
		.family = (uint8_t)family,
		.protocol = IPPROTO_SCTP,
	};

	inet_pton(AF_INET, "192.0.2.1", flow.local_addr);
	inet_pton(AF_INET, "192.0.2.2", flow.remote_addr);
	return flow;
}

Test(sctp_abort, the_packet_is_an_abort_from_the_peer)
{
	struct latch_flow flow = flow_between(AF_INET);
	uint8_t packet[SCTP_ABORT_PACKET_SIZE];

	sctp_abort_packet(packet, &flow, htonl(0x11223344));
	cr_expect_arr_eq(packet, expected, sizeof(expected));
}

Test(sctp_abort, an_abort_needs_a_known_tag_and_ipv4)
{
	struct latch_flow flow = flow_between(AF_INET), flow6 = flow_between(AF_INET6);
	const uint32_t tag = htonl(1);

	cr_expect_eq(sctp_abort(&flow, NULL, 0), -ENOENT);
	cr_expect_eq(sctp_abort(&flow6, &tag, 1), -EAFNOSUPPORT);
}
