/* SPDX-License-Identifier: BSD-2-Clause */
/* Single TCP segments of no socket, on the loopback of the test's namespace. */
#ifndef LATCHD_TESTS_TCP_SEGMENT_H
#define LATCHD_TESTS_TCP_SEGMENT_H

#include <netinet/ip.h>
#include <netinet/tcp.h>

#include "tcp.h"

struct segment {
	struct iphdr ip;
	struct tcphdr tcp;
} __attribute__((packed));

/* RFC 1071, of what TCP covers: its pseudo-header has the addresses, protocol and length. */
static inline uint16_t segment_checksum(const struct segment *segment)
{
	uint16_t words[sizeof(segment->tcp) / 2];
	uint32_t sum = htons(IPPROTO_TCP) + htons(sizeof(segment->tcp));
	size_t i;

	sum += (segment->ip.saddr & 0xffff) + (segment->ip.saddr >> 16);
	sum += (segment->ip.daddr & 0xffff) + (segment->ip.daddr >> 16);
	memcpy(words, &segment->tcp, sizeof(words));
	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		sum += words[i];
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t) ~(sum + (sum >> 16));
}

/* From the same address. flags: TH_SYN and so on. */
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
