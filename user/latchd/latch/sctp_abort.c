/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/latch/sctp_abort.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <string.h>
#include <sys/socket.h>

#include "common/cleanup.h"
#include "latchd/net/netns.h"

#define CHUNK_ABORT 6
#define CRC32C	    0x82f63b78u /* the polynomial, bits reversed */

struct sctp_part {
	uint16_t source, destination;
	uint32_t tag;
	uint32_t checksum; /* little-endian */
	uint8_t chunk, flags;
	uint16_t length;
};

_Static_assert(sizeof(struct iphdr) + sizeof(struct sctp_part) == SCTP_ABORT_PACKET_SIZE,
	       "no padding");

static uint32_t crc32c(const uint8_t *bytes, size_t length)
{
	uint32_t crc = ~0u;
	int bit;

	while (length--) {
		crc ^= *bytes++;
		for (bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? CRC32C : 0);
	}
	return ~crc;
}

void sctp_abort_packet(uint8_t packet[SCTP_ABORT_PACKET_SIZE], const struct latch_flow *flow,
		       uint32_t tag)
{
	struct iphdr ip = {
		.version = 4,
		.ihl = sizeof(ip) / 4,
		.ttl = 64,
		.protocol = IPPROTO_SCTP,
		.tot_len = htons(SCTP_ABORT_PACKET_SIZE),
	};
	struct sctp_part sctp = {
		.source = htons(flow->remote_port),
		.destination = htons(flow->local_port),
		.tag = tag,
		.chunk = CHUNK_ABORT,
		.length = htons(4),
	};
	uint32_t crc = crc32c((const uint8_t *)&sctp, sizeof(sctp));
	const uint8_t checksum[4] = {crc & 0xff, crc >> 8 & 0xff, crc >> 16 & 0xff, crc >> 24};

	memcpy(&ip.saddr, flow->remote_addr, sizeof(ip.saddr));
	memcpy(&ip.daddr, flow->local_addr, sizeof(ip.daddr));
	memcpy(&sctp.checksum, checksum, sizeof(checksum));
	memcpy(packet, &ip, sizeof(ip)); /* the kernel computes the checksum of this header */
	memcpy(packet + sizeof(ip), &sctp, sizeof(sctp));
}

static int send_abort(int fd, const struct latch_flow *flow, uint32_t tag)
{
	uint8_t packet[SCTP_ABORT_PACKET_SIZE];
	struct sockaddr_in here = {.sin_family = AF_INET};

	memcpy(&here.sin_addr, flow->local_addr, sizeof(here.sin_addr));
	sctp_abort_packet(packet, flow, tag);
	if (sendto(fd, packet, sizeof(packet), 0, (struct sockaddr *)&here, sizeof(here)) < 0)
		return -errno;
	return 0;
}

static int open_raw(const struct latch_flow *flow)
{
	auto_close int netns = netns_open(flow->netns);

	return netns < 0 ? netns : netns_socket(netns, AF_INET, SOCK_RAW, IPPROTO_RAW);
}

int sctp_abort(const struct latch_flow *flow, const uint32_t *tags, size_t count)
{
	auto_close int fd = -1;
	int result = -ENOENT, err;
	size_t i;

	if (flow->family != AF_INET)
		return -EAFNOSUPPORT;
	if (count)
		fd = open_raw(flow);
	if (count && fd < 0)
		return fd;
	for (i = 0; i < count; i++) {
		err = send_abort(fd, flow, tags[i]);
		result = result ? err : 0;
	}
	return result;
}
