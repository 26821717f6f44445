/* SPDX-License-Identifier: BSD-2-Clause */
/* Single TCP segments from a raw socket, on the loopback of the test's namespace. */
#ifndef LATCHD_TESTS_TCP_SEGMENT_H
#define LATCHD_TESTS_TCP_SEGMENT_H

#include <netinet/ip.h>
#include <netinet/tcp.h>

#include "checksum.h"
#include "tcp.h"

struct segment {
	struct iphdr ip;
	struct tcphdr tcp;
} __attribute__((packed));

/* RFC 9293 section 3.1: the pseudo-header has the addresses, the protocol and the length. */
static inline uint16_t segment_checksum(const struct segment *segment)
{
	uint32_t sum = htons(IPPROTO_TCP) + htons(sizeof(segment->tcp));

	sum = checksum_add(sum, &segment->ip.saddr, sizeof(segment->ip.saddr));
	sum = checksum_add(sum, &segment->ip.daddr, sizeof(segment->ip.daddr));
	return checksum_finish(checksum_add(sum, &segment->tcp, sizeof(segment->tcp)));
}

/* Source and destination have the same address. flags: TH_SYN and so on. */
static inline void send_segment(const struct sockaddr_in *to, uint16_t from_port, uint8_t flags)
{
	struct segment segment = {
		.ip = {.version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_TCP},
		.tcp = {.th_seq = htonl(1000), .th_ack = htonl(1), .th_off = 5},
	};
	int fd = netns_socket(ns.fd, AF_INET, SOCK_RAW, IPPROTO_RAW);

	cr_assert_geq(fd, 0, "raw socket: %s", strerror(-fd));
	segment.ip.saddr = segment.ip.daddr = to->sin_addr.s_addr;
	segment.tcp.th_sport = htons(from_port);
	segment.tcp.th_dport = to->sin_port;
	segment.tcp.th_win = 0xffff;
	segment.tcp.th_flags = flags;
	segment.tcp.th_sum = segment_checksum(&segment);
	cr_assert_eq(
		sendto(fd, &segment, sizeof(segment), 0, (const struct sockaddr *)to, sizeof(*to)),
		sizeof(segment), "%s", strerror(errno));
	close(fd);
}

#endif
