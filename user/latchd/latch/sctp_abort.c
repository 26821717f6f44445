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
#include "latchd/maps/tables.h"

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

static int send_abort(const struct latch_flow *flow, uint32_t tag)
{
	auto_close int netns = netns_open(flow->netns);
	auto_close int fd = netns < 0 ? netns : netns_socket(netns, AF_INET, SOCK_RAW, IPPROTO_RAW);
	uint8_t packet[SCTP_ABORT_PACKET_SIZE];
	struct sockaddr_in here = {.sin_family = AF_INET};

	if (fd < 0)
		return fd;
	memcpy(&here.sin_addr, flow->local_addr, sizeof(here.sin_addr));
	sctp_abort_packet(packet, flow, tag);
	if (sendto(fd, packet, sizeof(packet), 0, (struct sockaddr *)&here, sizeof(here)) < 0)
		return -errno;
	return 0;
}

struct abort_walk {
	const struct latch_flow *flow;
	const struct latch *latch;
	int result;
};

/*
 * Tag marks of an earlier incarnation of the association may be left: an ABORT is sent for
 * each tag, and the kernel accepts the one with the current tag.
 */
static int abort_by_tag(void *context, const struct latch_flow *key,
			const struct latch_association *association)
{
	struct abort_walk *walk = context;
	uint32_t tag;
	int err;

	if (key->pad != LATCH_MARK_LOCAL_TAG || association->id != walk->latch->association)
		return 0;
	memcpy(&tag, key->remote_addr, sizeof(tag));
	err = send_abort(walk->flow, tag);
	if (!err || walk->result == -ENOENT)
		walk->result = err;
	return 0;
}

int sctp_abort(const struct kernel_maps *maps, const struct latch_flow *flow,
	       const struct latch *latch)
{
	struct abort_walk walk = {flow, latch, -ENOENT};
	int err;

	if (flow->family != AF_INET)
		return -EAFNOSUPPORT;
	err = associations_walk(maps, abort_by_tag, &walk);
	return err ? err : walk.result;
}
