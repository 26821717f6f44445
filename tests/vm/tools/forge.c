/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sends TCP segments of another host's connection, again and again; the routing and
 * the IPsec policies of its namespace apply to them:
 *
 *	forge --from ADDR --from-port N --to ADDR --to-port N --seq N --ack N
 *	      [--text TEXT] [--rst | --fin | --syn | --syn-ack] [--fragments]
 *	      [--every MS] [--count N]
 *
 * Without --text a bare ACK, RST or FIN, a request for a connection or its answer. --fragments
 * (IPv4): each in two fragments. Prints how many were handed to the kernel when it has sent
 * --count of them (0, the default: until SIGTERM).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define TEXT_MAX       512
#define FIRST_FRAGMENT 24 /* bytes of payload: a multiple of 8, and the whole TCP header */

struct forge {
	const char *from;
	const char *to;
	uint16_t from_port;
	uint16_t to_port;
	uint32_t seq;
	uint32_t ack;
	const char *text;
	uint8_t flags;
	bool fragments;
	unsigned int every_ms;
	unsigned int count;
};

struct packet {
	uint8_t bytes[sizeof(struct ip6_hdr) + sizeof(struct tcphdr) + TEXT_MAX];
	size_t len;
	struct sockaddr_storage to;
	socklen_t to_len;
	int family;
};

static volatile sig_atomic_t stop_asked;

static void on_signal(int number)
{
	(void)number;
	stop_asked = 1;
}

static uint32_t sum16(const void *data, size_t len, uint32_t sum)
{
	const uint8_t *byte = data;

	for (; len > 1; len -= 2, byte += 2)
		sum += (uint32_t)byte[0] << 8 | byte[1];
	if (len)
		sum += (uint32_t)byte[0] << 8;
	return sum;
}

static uint16_t fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

/* Writes the TCP part; addresses are 4 or 16 bytes each, for the checksum. */
static size_t put_tcp(const struct forge *forge, uint8_t *at, const void *src, const void *dst,
		      size_t addr_len)
{
	struct tcphdr *tcp = (struct tcphdr *)at;
	size_t text_len = forge->text ? strnlen(forge->text, TEXT_MAX) : 0;
	size_t len = sizeof(*tcp) + text_len;

	memset(tcp, 0, sizeof(*tcp));
	tcp->source = htons(forge->from_port);
	tcp->dest = htons(forge->to_port);
	tcp->seq = htonl(forge->seq);
	tcp->ack_seq = htonl(forge->ack);
	tcp->doff = sizeof(*tcp) / 4;
	tcp->th_flags = forge->flags | (text_len > 0 ? TH_PUSH : 0);
	tcp->window = htons(1000);
	if (text_len)
		memcpy(tcp + 1, forge->text, text_len);
	tcp->check = fold(sum16(src, addr_len, 0) + sum16(dst, addr_len, 0) + IPPROTO_TCP +
			  (uint32_t)len + sum16(tcp, len, 0));
	return len;
}

static bool make_v4(const struct forge *forge, struct packet *packet)
{
	struct iphdr *ip = (struct iphdr *)packet->bytes;
	struct sockaddr_in *to = (struct sockaddr_in *)&packet->to;

	if (inet_pton(AF_INET, forge->from, &ip->saddr) != 1 ||
	    inet_pton(AF_INET, forge->to, &ip->daddr) != 1)
		return false;
	ip->version = 4;
	ip->ihl = 5;
	ip->ttl = 64;
	ip->protocol = IPPROTO_TCP;
	packet->len = sizeof(*ip) + put_tcp(forge, (uint8_t *)(ip + 1), &ip->saddr, &ip->daddr, 4);
	ip->tot_len = htons((uint16_t)packet->len);
	to->sin_family = AF_INET;
	to->sin_addr.s_addr = ip->daddr;
	packet->to_len = sizeof(*to);
	packet->family = AF_INET;
	return true;
}

static bool make_v6(const struct forge *forge, struct packet *packet)
{
	struct ip6_hdr *ip = (struct ip6_hdr *)packet->bytes;
	struct sockaddr_in6 *to = (struct sockaddr_in6 *)&packet->to;
	size_t len;

	if (inet_pton(AF_INET6, forge->from, &ip->ip6_src) != 1 ||
	    inet_pton(AF_INET6, forge->to, &ip->ip6_dst) != 1)
		return false;
	len = put_tcp(forge, (uint8_t *)(ip + 1), &ip->ip6_src, &ip->ip6_dst, 16);
	ip->ip6_flow = htonl(6u << 28);
	ip->ip6_plen = htons((uint16_t)len);
	ip->ip6_nxt = IPPROTO_TCP;
	ip->ip6_hlim = 64;
	packet->len = sizeof(*ip) + len;
	to->sin6_family = AF_INET6;
	to->sin6_addr = ip->ip6_dst;
	packet->to_len = sizeof(*to);
	packet->family = AF_INET6;
	return true;
}

static const struct option options[] = {
	{"from", required_argument, NULL, 'f'},
	{"from-port", required_argument, NULL, 'F'},
	{"to", required_argument, NULL, 't'},
	{"to-port", required_argument, NULL, 'T'},
	{"seq", required_argument, NULL, 's'},
	{"ack", required_argument, NULL, 'a'},
	{"text", required_argument, NULL, 'x'},
	{"rst", no_argument, NULL, 'r'},
	{"every", required_argument, NULL, 'e'},
	{"count", required_argument, NULL, 'c'},
	{"syn", no_argument, NULL, 'y'},
	{"syn-ack", no_argument, NULL, 'Y'},
	{"fin", no_argument, NULL, 'n'},
	{"fragments", no_argument, NULL, 'g'},
	{0},
};

static bool take_option(struct forge *forge, int letter, const char *value)
{
	unsigned long number = value ? strtoul(value, NULL, 10) : 0;

	switch (letter) {
	case 'f':
		forge->from = value;
		return true;
	case 't':
		forge->to = value;
		return true;
	case 'F':
		forge->from_port = (uint16_t)number;
		return true;
	case 'T':
		forge->to_port = (uint16_t)number;
		return true;
	case 's':
		forge->seq = (uint32_t)number;
		return true;
	case 'a':
		forge->ack = (uint32_t)number;
		return true;
	case 'x':
		forge->text = value;
		return true;
	case 'r':
		forge->flags = TH_RST | TH_ACK;
		return true;
	case 'n':
		forge->flags = TH_FIN | TH_ACK;
		return true;
	case 'y':
		forge->flags = TH_SYN;
		return true;
	case 'Y':
		forge->flags = TH_SYN | TH_ACK;
		return true;
	case 'g':
		forge->fragments = true;
		return true;
	case 'e':
		forge->every_ms = (unsigned int)number;
		return true;
	case 'c':
		forge->count = (unsigned int)number;
		return true;
	default:
		return false;
	}
}

static void parse(struct forge *forge, int argc, char **argv)
{
	int letter;

	while ((letter = getopt_long(argc, argv, "", options, NULL)) != -1)
		if (!take_option(forge, letter, optarg))
			exit(2);
	if (!forge->from || !forge->to || !forge->from_port || !forge->to_port) {
		fputs("forge: --from, --from-port, --to and --to-port are needed\n", stderr);
		exit(2);
	}
}

static bool send_packet(const struct packet *packet, int sock)
{
	return sendto(sock, packet->bytes, packet->len, 0, (const struct sockaddr *)&packet->to,
		      packet->to_len) >= 0;
}

/* The part of the packet's payload from offset on, at most len bytes. */
static struct packet fragment(const struct packet *packet, uint16_t id, size_t offset, size_t len)
{
	struct packet part = *packet;
	struct iphdr *ip = (struct iphdr *)part.bytes;
	size_t left = packet->len - sizeof(*ip) - offset;
	bool more = len < left;

	if (!more)
		len = left;
	memmove(ip + 1, packet->bytes + sizeof(*ip) + offset, len);
	part.len = sizeof(*ip) + len;
	ip->tot_len = htons((uint16_t)part.len);
	ip->id = htons(id);
	ip->frag_off = htons((uint16_t)(offset / 8 | (more ? IP_MF : 0)));
	return part;
}

/* All ports and flags are in the first one. */
static bool send_fragments(const struct packet *packet, uint16_t id, int sock)
{
	struct packet first = fragment(packet, id, 0, FIRST_FRAGMENT);
	struct packet last = fragment(packet, id, FIRST_FRAGMENT, TEXT_MAX);

	return send_packet(&first, sock) && send_packet(&last, sock);
}

/* Refusals are expected: an SA that is not there yet, a route that is not. */
static unsigned int send_all(const struct forge *forge, const struct packet *packet, int sock)
{
	struct timespec pause = {.tv_sec = forge->every_ms / 1000,
				 .tv_nsec = forge->every_ms % 1000 * 1000000L};
	unsigned int sent = 0;

	while (!stop_asked && (forge->count == 0 || sent < forge->count)) {
		if (forge->fragments ? send_fragments(packet, (uint16_t)(sent + 1), sock)
				     : send_packet(packet, sock))
			sent++;
		nanosleep(&pause, NULL);
	}
	return sent;
}

int main(int argc, char **argv)
{
	struct forge forge = {.flags = TH_ACK, .every_ms = 10};
	struct sigaction action = {.sa_handler = on_signal};
	struct packet packet = {0};
	int sock;

	parse(&forge, argc, argv);
	if (!make_v4(&forge, &packet) && !make_v6(&forge, &packet)) {
		fputs("forge: addresses must be of one family\n", stderr);
		return 2;
	}
	if (forge.fragments && (packet.family != AF_INET || !forge.text)) {
		fputs("forge: --fragments needs IPv4 and --text\n", stderr);
		return 2;
	}
	sock = socket(packet.family, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	if (sock < 0) {
		perror("forge: raw socket");
		return 2;
	}
	sigaction(SIGTERM, &action, NULL);
	printf("%u segments sent\n", send_all(&forge, &packet, sock));
	close(sock);
	return 0;
}
