/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The SA of a packet that leaves, from its outer header. The test compiles the text of
 * bpf/packet/packet.h and writes the packets.
 */
#include <criterion/criterion.h>
#include <linux/bpf.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

/* ---- in place of bpf/db/maps.h and what reads the kernel's structures ---- */

#define LATCH_BPF_PACKET_MIXTURE_H
#define OWN_FRAME __attribute__((unused))
#define LATCH_BPF_PACKET_SEC_PATH_H
#define LATCH_BPF_PACKET_XFRM_FLAG_H
#define bpf_ntohl(x) __builtin_bswap32(x)
#define bpf_ntohs(x) __builtin_bswap16(x)
#define bpf_htons(x) __builtin_bswap16(x)

#include "latch_abi.h"
#include "db/packet_protection.h"

struct sk_buff;

static unsigned char bytes[256];
static __u32 length;
static int made_by_xfrm;

static long bpf_skb_load_bytes(const struct __sk_buff *skb, __u32 at, void *to, __u32 size)
{
	cr_assert_null(skb);
	if (at + size > length)
		return -1;
	memcpy(to, bytes + at, size);
	return 0;
}

static long bpf_dynptr_read(void *to, __u32 size, const struct bpf_dynptr *from, __u32 at,
			    __u64 flags)
{
	(void)to, (void)size, (void)from, (void)at, (void)flags;
	return -1;
}

static long bpf_probe_read_kernel(void *to, __u32 size, const void *from)
{
	memcpy(to, from, size);
	return 0;
}

static int sas;
static struct latch_sa table_entry;
static bool is_in_table;

static void *bpf_map_lookup_elem(const void *map, const struct latch_sa_key *key)
{
	cr_assert_eq(map, &sas);
	cr_expect_eq(key->spi, 0x12345678u);
	return is_in_table ? &table_entry : NULL;
}

static int is_made_by_xfrm(const struct sk_buff *skb, __u8 family)
{
	(void)skb, (void)family;
	return made_by_xfrm;
}

static enum packet_protection sec_path_sa(struct sk_buff *skb, __u64 netns, struct latch_sa_key *sa)
{
	(void)skb, (void)netns, (void)sa;
	return PACKET_PLAIN;
}

static int is_mixture(const struct sk_buff *skb)
{
	(void)skb;
	return 0;
}

#include "packet/packet.h"

#define SPI	    0x12345678u
#define NETNS	    7
#define ESP_PORT    4500
#define SOURCE_PORT 1
#define ROUTING	    43
#define AHEAD	    1 /* the last byte of an address */
#define LAST	    2

static void add(const void *what, size_t size)
{
	memcpy(bytes + length, what, size);
	length += (__u32)size;
}

static void add_address(__u8 last)
{
	const __u8 address[16] = {0xfd, [15] = last};

	add(address, sizeof(address));
}

static void begin_ipv4(__u8 protocol)
{
	const struct iphdr header = {.version = 4, .ihl = 5, .protocol = protocol, .daddr = LAST};

	length = 0;
	add(&header, sizeof(header));
}

static void begin_ipv6(__u8 protocol, __u8 destination)
{
	struct ipv6hdr header = {.version = 6, .nexthdr = protocol};

	length = 0;
	add(&header, sizeof(header) - 16);
	add_address(destination);
}

/* Two segments. */
static void add_routing_header(__u8 protocol, __u8 type, __u8 segments_left)
{
	const __u8 header[8] = {protocol, 4, type, segments_left};

	add(header, sizeof(header));
	add_address(type == SEGMENT_ROUTING ? LAST : AHEAD);
	add_address(type == SEGMENT_ROUTING ? AHEAD : LAST);
}

static void add_udp(void)
{
	const struct udphdr udp = {.source = bpf_htons(SOURCE_PORT), .dest = bpf_htons(ESP_PORT)};

	add(&udp, sizeof(udp));
}

static void add_spi(void)
{
	const __u32 spi = __builtin_bswap32(SPI);

	add(&spi, sizeof(spi));
}

static struct latch_flow own; /* of the UDP socket that sends */

static enum packet_protection read_sa(__u8 family, struct latch_sa_key *ret)
{
	struct packet packet = {0};
	struct ip_headers ip;

	cr_assert_eq(packet_headers(&packet, family, &ip), 0);
	return packet_egress_sa(&packet, NETNS, &ip, own.remote_port ? &own : NULL, ret);
}

static void expect_esp_to(__u8 last)
{
	struct latch_sa_key sa;

	cr_assert_eq(read_sa(AF_INET6, &sa), PACKET_PROTECTED);
	cr_expect_eq(sa.spi, SPI);
	cr_expect_eq(sa.protocol, IPPROTO_ESP);
	cr_expect_eq(sa.netns, NETNS);
	cr_expect_eq(sa.daddr[15], last);
}

Test(egress_sa, ESP_has_its_SA_by_the_destination_of_its_header)
{
	begin_ipv6(IPPROTO_ESP, LAST);
	add_spi();
	expect_esp_to(LAST);
}

Test(egress_sa, ESP_behind_a_routing_header_has_its_SA_by_the_last_segment)
{
	static const __u8 types[] = {IPV6_SRCRT_TYPE_2, SEGMENT_ROUTING};
	size_t i;

	for (i = 0; i < sizeof(types); i++) {
		begin_ipv6(ROUTING, AHEAD);
		add_routing_header(IPPROTO_ESP, types[i], 1);
		add_spi();
		expect_esp_to(LAST);
	}
}

Test(egress_sa, a_routing_header_without_segments_left_names_no_other_destination)
{
	begin_ipv6(ROUTING, AHEAD);
	add_routing_header(IPPROTO_ESP, SEGMENT_ROUTING, 0);
	add_spi();
	expect_esp_to(AHEAD);
}

Test(egress_sa, R_2_4_a_routing_header_that_is_cut_off_cannot_be_read)
{
	const __u8 header[8] = {IPPROTO_ESP, 0, SEGMENT_ROUTING, 1};
	struct packet packet = {0};
	struct ip_headers ip;

	begin_ipv6(ROUTING, AHEAD);
	add(header, sizeof(header));
	add_spi();
	cr_expect_eq(packet_headers(&packet, AF_INET6, &ip), 0);
	cr_expect_eq(ip.destination[15], AHEAD);
	bytes[length - sizeof(__u32) - sizeof(header) + 1] = 4;
	cr_expect_eq(packet_headers(&packet, AF_INET6, &ip), -1);
}

#define FIRST_AHEAD 3
#define FIRST_LAST  4

/* The segments of the first header are behind the packet, or are to be. */
static void begin_two_routing_headers(__u8 left_of_first, __u8 left_of_second)
{
	const __u8 header[8] = {ROUTING, 4, SEGMENT_ROUTING, left_of_first};

	begin_ipv6(ROUTING, AHEAD);
	add(header, sizeof(header));
	add_address(FIRST_LAST);
	add_address(FIRST_AHEAD);
	add_routing_header(IPPROTO_UDP, SEGMENT_ROUTING, left_of_second);
	add_udp();
}

static __u8 delivered_to(__u8 *ret_protocol)
{
	struct packet packet = {0};
	struct ip_headers ip;

	cr_assert_eq(packet_headers(&packet, AF_INET6, &ip), 0);
	*ret_protocol = ip.protocol;
	return ip.destination[15];
}

Test(egress_sa, R_2_4_of_two_routing_headers_each_with_segments_left_counts)
{
	__u8 protocol;

	begin_two_routing_headers(1, 0);
	cr_expect_eq(delivered_to(&protocol), FIRST_LAST);
	cr_expect_eq(protocol, IPPROTO_UDP);
	begin_two_routing_headers(1, 1);
	cr_expect_eq(delivered_to(&protocol), LAST);
	begin_two_routing_headers(0, 1);
	cr_expect_eq(delivered_to(&protocol), LAST);
	begin_two_routing_headers(0, 0);
	cr_expect_eq(delivered_to(&protocol), AHEAD);
}

static void begin_fragment(__be16 bits)
{
	const __u8 header[4] = {IPPROTO_UDP, 255}; /* the second byte is reserved */
	const __u32 identification = 1;

	begin_ipv6(44, LAST);
	add(header, 2);
	add(&bits, sizeof(bits));
	add(&identification, sizeof(identification));
	add_udp();
}

Test(egress_sa, R_2_4_a_whole_packet_behind_a_fragment_header_is_read)
{
	struct packet packet = {0};
	struct ip_headers ip;

	begin_fragment(0);
	cr_assert_eq(packet_headers(&packet, AF_INET6, &ip), 0);
	cr_expect_eq(ip.protocol, IPPROTO_UDP);
	cr_expect_eq(ip.payload, sizeof(struct ipv6hdr) + 8);
}

Test(egress_sa, a_fragment_of_a_packet_shows_no_ports)
{
	struct packet packet = {0};
	struct ip_headers ip;

	begin_fragment(bpf_htons(1));
	cr_assert_eq(packet_headers(&packet, AF_INET6, &ip), 0);
	cr_expect_eq(ip.protocol, 44);
	begin_fragment(bpf_htons(8));
	cr_assert_eq(packet_headers(&packet, AF_INET6, &ip), 0);
	cr_expect_eq(ip.protocol, 44);
}

/* Whatever socket sends it, and whether the table has its SA. */
Test(egress_sa, UDP_that_XFRM_made_is_ESP)
{
	struct latch_sa_key sa;

	made_by_xfrm = 1;
	begin_ipv4(IPPROTO_UDP);
	add_udp();
	add_spi();
	cr_expect_eq(read_sa(AF_INET, &sa), PACKET_PROTECTED);
	cr_expect_eq(sa.spi, SPI);
	cr_expect_eq(sa.protocol, IPPROTO_ESP);
	cr_expect_eq(sa.daddr[0], LAST);
}

static enum packet_protection of_datagram_that_xfrm_passed_on(void)
{
	struct latch_sa_key sa;

	made_by_xfrm = 1;
	begin_ipv4(IPPROTO_UDP);
	add_udp();
	add_spi();
	return read_sa(AF_INET, &sa);
}

/* The SA of these bytes encapsulates to another port, or not at all. */
Test(egress_sa, R_2_4_a_datagram_that_IPComp_leaves_as_it_was_is_in_clear)
{
	is_in_table = true;
	table_entry = (struct latch_sa){0};
	cr_expect_eq(of_datagram_that_xfrm_passed_on(), PACKET_PLAIN);
	table_entry = (struct latch_sa){.encap = 1, .encap_ports.port = ESP_PORT + 1};
	cr_expect_eq(of_datagram_that_xfrm_passed_on(), PACKET_PLAIN);
	is_in_table = false;
	own.remote_port = ESP_PORT;
	cr_expect_eq(of_datagram_that_xfrm_passed_on(), PACKET_PLAIN);
	/* The host has changed its destination. */
	own = (struct latch_flow){.remote_port = 9, .local_port = SOURCE_PORT};
	cr_expect_eq(of_datagram_that_xfrm_passed_on(), PACKET_PLAIN);
}

Test(egress_sa, R_2_4_a_datagram_too_short_for_ESP_is_in_clear)
{
	struct latch_sa_key sa;

	made_by_xfrm = 1;
	begin_ipv4(IPPROTO_UDP);
	add_udp();
	cr_expect_eq(read_sa(AF_INET, &sa), PACKET_PLAIN);
}

Test(egress_sa, ESP_in_UDP_goes_to_the_port_of_its_SA)
{
	is_in_table = true;
	own = (struct latch_flow){.remote_port = 9, .local_port = SOURCE_PORT + 1};
	table_entry = (struct latch_sa){.encap = 1, .encap_ports.port = ESP_PORT};
	cr_expect_eq(of_datagram_that_xfrm_passed_on(), PACKET_PROTECTED);
	/* The NAT mapping of the peer has just changed. */
	table_entry = (struct latch_sa){.encap = 1, .encap_ports = {.port = 1, .other = ESP_PORT}};
	cr_expect_eq(of_datagram_that_xfrm_passed_on(), PACKET_PROTECTED);
	is_in_table = false;
	cr_expect_eq(of_datagram_that_xfrm_passed_on(), PACKET_PROTECTED);
}

Test(egress_sa, R_2_4_a_datagram_between_the_sockets_own_ports_is_no_esp)
{
	is_in_table = true;
	table_entry = (struct latch_sa){.encap = 1, .encap_ports.port = ESP_PORT};
	own = (struct latch_flow){.remote_port = ESP_PORT, .local_port = SOURCE_PORT};
	cr_expect_eq(of_datagram_that_xfrm_passed_on(), PACKET_PLAIN);
	own.local_port = SOURCE_PORT + 1;
	cr_expect_eq(of_datagram_that_xfrm_passed_on(), PACKET_PROTECTED);
}

Test(egress_sa, R_2_4_UDP_that_XFRM_did_not_make_is_in_clear)
{
	struct latch_sa_key sa;

	made_by_xfrm = 0;
	begin_ipv4(IPPROTO_UDP);
	add_udp();
	add_spi();
	cr_expect_eq(read_sa(AF_INET, &sa), PACKET_PLAIN);
}

Test(egress_sa, R_2_4_ESP_without_an_SPI_is_malformed)
{
	struct latch_sa_key sa;

	begin_ipv4(IPPROTO_ESP);
	cr_expect_eq(read_sa(AF_INET, &sa), PACKET_MALFORMED);
}
