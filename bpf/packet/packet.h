/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Parsing: the flow that a packet belongs to, and the SA that protects it. A datagram in clear is
 * no ESP in UDP, whatever its first bytes are. A packet that was made of packets under SAs of
 * several peers counts as PACKET_MERGED.
 */
#ifndef LATCH_BPF_PACKET_PACKET_H
#define LATCH_BPF_PACKET_PACKET_H

#include "db/protocols.h"
#include "db/read_once.h"
#include "packet/mixture.h"
#include "packet/sec_path.h"
#include "packet/xfrm_flag.h"

#define IPV6_EXTENSIONS_MAX 6

/*
 * A packet of a cgroup program or a netfilter program, to be read from its network header on. The
 * compiler knows the kind at each call, so neither program contains the other's helper.
 */
struct packet {
	struct __sk_buff *cgroup;
	const struct bpf_dynptr *netfilter;
};

static __always_inline long packet_load(const struct packet *packet, __u32 at, void *to, __u32 size)
{
	if (packet->netfilter)
		return bpf_dynptr_read(to, size, packet->netfilter, at, 0);
	return bpf_skb_load_bytes(packet->cgroup, at, to, size);
}

struct ip_headers {
	__u8 family;
	__u8 protocol;
	__u8 source[16];
	__u8 destination[16]; /* the last one of a routing header */
	__u32 payload;	      /* offset of the header that protocol names */
};

static __always_inline int ipv4_headers(const struct packet *packet, struct ip_headers *ip)
{
	struct iphdr header;

	if (packet_load(packet, 0, &header, sizeof(header)))
		return -1;
	ip->family = AF_INET;
	ip->protocol = header.protocol;
	__builtin_memcpy(ip->source, &header.saddr, 4);
	__builtin_memcpy(ip->destination, &header.daddr, 4);
	ip->payload = header.ihl * 4;
	return 0;
}

#define IPV6_ROUTING_HEADER  43
#define IPV6_FRAGMENT_HEADER 44
#define SEGMENT_ROUTING	     4	    /* RFC 8754: its segments are in reverse order */
#define FRAGMENT_BITS	     0xfff9 /* offset, and more fragments */

/* The first bytes of an extension header. All have at least eight. */
struct ipv6_extension {
	__u8 protocol;
	__u8 length; /* in 8-byte units after the first */
	union {
		struct {
			__u8 type;
			__u8 segments_left;
		} route;
		__be16 fragment;
	};
};

/*
 * XFRM has chosen the SA by the final destination. The sender's header has the next segment
 * instead. A host with the addresses of all segments delivers the packet to the last one.
 */
static __always_inline int ipv6_last_segment(const struct packet *packet,
					     const struct ipv6_extension *e, struct ip_headers *ip)
{
	__u32 at = ip->payload + 8;

	if (!e->route.segments_left || e->length < 2)
		return 0;
	if (e->route.type != SEGMENT_ROUTING)
		at += (e->length / 2 - 1) * 16;
	return packet_load(packet, at, ip->destination, 16) ? -1 : 0;
}

/* An atomic fragment (RFC 6946) is whole: the kernel skips its header and delivers it. */
static __always_inline int is_skipped(const struct ipv6_extension *e, __u8 protocol)
{
	return protocol != IPV6_FRAGMENT_HEADER || !(e->fragment & bpf_htons(FRAGMENT_BITS));
}

static __always_inline int is_extension(__u8 protocol)
{
	return protocol == 0 || protocol == 60 || protocol == IPV6_ROUTING_HEADER ||
	       protocol == IPV6_FRAGMENT_HEADER;
}

/* Each routing header may have segments left. The kernel delivers to the last segment of the last
 * header. */
static __always_inline int ipv6_headers(const struct packet *packet, struct ip_headers *ip)
{
	struct ipv6hdr header;
	struct ipv6_extension e;

	if (packet_load(packet, 0, &header, sizeof(header)))
		return -1;
	ip->family = AF_INET6;
	ip->protocol = header.nexthdr;
	__builtin_memcpy(ip->source, &header.saddr, 16);
	__builtin_memcpy(ip->destination, &header.daddr, 16);
	ip->payload = sizeof(header);
	for (int i = 0; i < IPV6_EXTENSIONS_MAX; i++) {
		if (!is_extension(ip->protocol))
			return 0;
		if (packet_load(packet, ip->payload, &e, sizeof(e)))
			return -1;
		if (!is_skipped(&e, ip->protocol))
			return 0;
		if (ip->protocol == IPV6_ROUTING_HEADER && ipv6_last_segment(packet, &e, ip))
			return -1;
		ip->payload += ip->protocol == IPV6_FRAGMENT_HEADER ? 8 : (e.length + 1) * 8;
		ip->protocol = e.protocol;
	}
	return -1;
}

static __always_inline int packet_headers(const struct packet *packet, __u8 family,
					  struct ip_headers *ip)
{
	__builtin_memset(ip, 0, sizeof(*ip));
	return family == AF_INET ? ipv4_headers(packet, ip) : ipv6_headers(packet, ip);
}

/*
 * The struct sk_buff behind a cgroup program's context. Both have the same address, as in
 * kernel_socket().
 */
static __always_inline struct sk_buff *kernel_packet(struct __sk_buff *ctx)
{
	__u64 address = 0;

	bpf_probe_read_kernel(&address, sizeof(address), &ctx);
	return (struct sk_buff *)address;
}

/*
 * True: UDP that XFRM has passed on is ESP (RFC 3948). IPComp leaves a datagram unchanged that it
 * cannot compress, and so does an SA that a network card applies. ESP goes to the port of its
 * SA. own_ports: number of the packet's ports that equal those of the socket's datagrams. ESP
 * never has both ports; under an SA that is not in the table it has neither.
 */
static OWN_FRAME int is_encapsulation(const struct latch_sa_key *sa, __u16 port, int own_ports)
{
	struct latch_sa_key key = *sa;
	struct latch_sa *known = bpf_map_lookup_elem(&sas, &key);

	union latch_encap_ports ports;

	if (own_ports == 2)
		return 0;
	if (!known)
		return !own_ports;
	ports = READ_WORD(known->encap_ports);
	return known->encap && (port == ports.port || port == ports.other);
}

static __always_inline void esp_key(const struct ip_headers *ip, __u64 netns, __be32 spi,
				    struct latch_sa_key *sa)
{
	sa->netns = netns;
	sa->family = ip->family;
	__builtin_memcpy(sa->daddr, ip->destination, 16);
	sa->spi = bpf_ntohl(spi);
}

/* The start of ESP in UDP. */
struct udp_esp {
	struct udphdr udp;
	__be32 spi;
};

/* NAT of this host may have changed one of the two. */
static __always_inline int own_ports(const struct udphdr *udp, const struct latch_flow *own)
{
	if (!own)
		return 0;
	return (bpf_ntohs(udp->dest) == own->remote_port) +
	       (bpf_ntohs(udp->source) == own->local_port);
}

/*
 * UDP is ESP only if XFRM made the packet: ports and first bytes of any datagram may equal those
 * of ESP.
 */
static __always_inline enum packet_protection
udp_egress_sa(const struct packet *packet, __u64 netns, const struct ip_headers *ip,
	      const struct latch_flow *own, struct latch_sa_key *sa)
{
	struct udp_esp start;

	if (!is_made_by_xfrm(kernel_packet(packet->cgroup), ip->family))
		return PACKET_PLAIN;
	if (packet_load(packet, ip->payload, &start, sizeof(start)))
		return PACKET_PLAIN; /* too short for ESP */
	sa->protocol = IPPROTO_ESP_NUMBER;
	esp_key(ip, netns, start.spi, sa);
	return is_encapsulation(sa, bpf_ntohs(start.udp.dest), own_ports(&start.udp, own))
		       ? PACKET_PROTECTED
		       : PACKET_PLAIN;
}

/*
 * Cgroup egress programs run after XFRM, so an outgoing packet shows its SA in its outer header.
 * own: the flow of a socket that sends datagrams, or NULL.
 */
static __always_inline enum packet_protection
packet_egress_sa(const struct packet *packet, __u64 netns, const struct ip_headers *ip,
		 const struct latch_flow *own, struct latch_sa_key *sa)
{
	__u32 spi_at = ip->payload;
	__be32 spi;

	__builtin_memset(sa, 0, sizeof(*sa));
	sa->protocol = ip->protocol;
	if (ip->protocol == IPPROTO_UDP_NUMBER)
		return udp_egress_sa(packet, netns, ip, own, sa);
	if (ip->protocol == IPPROTO_AH_NUMBER)
		spi_at += 4;
	else if (ip->protocol != IPPROTO_ESP_NUMBER)
		return PACKET_PLAIN;
	if (packet_load(packet, spi_at, &spi, sizeof(spi)))
		return PACKET_MALFORMED;
	esp_key(ip, netns, spi, sa);
	return PACKET_PROTECTED;
}

/* The protection of a received packet, considering merges and reassembly. */
static __always_inline enum packet_protection ingress_sa(struct sk_buff *skb, __u64 netns,
							 struct latch_sa_key *sa)
{
	enum packet_protection protection = sec_path_sa(skb, netns, sa);

	return protection == PACKET_PROTECTED && is_mixture(skb) ? PACKET_MERGED : protection;
}

#define TCP_FLAG_SYN 1
#define TCP_FLAG_ACK 2
#define TCP_FLAG_RST 4

/* The flow of a packet, for sockets that do not know their flow. */
static __always_inline void flow_of_ports(const struct ip_headers *ip, __be16 source,
					  __be16 destination, __u64 netns, int egress,
					  struct latch_flow *flow)
{
	__builtin_memset(flow, 0, sizeof(*flow));
	flow->netns = netns;
	flow->family = ip->family;
	flow->protocol = ip->protocol;
	__builtin_memcpy(flow->local_addr, egress ? ip->source : ip->destination, 16);
	__builtin_memcpy(flow->remote_addr, egress ? ip->destination : ip->source, 16);
	flow->local_port = bpf_ntohs(egress ? source : destination);
	flow->remote_port = bpf_ntohs(egress ? destination : source);
}

static __always_inline int flow_of_packet(const struct packet *packet, const struct ip_headers *ip,
					  __u64 netns, int egress, struct latch_flow *flow,
					  __u8 *tcp_flags)
{
	struct tcphdr tcp;

	if (ip->protocol != IPPROTO_TCP_NUMBER ||
	    packet_load(packet, ip->payload, &tcp, sizeof(tcp)))
		return -1;
	flow_of_ports(ip, tcp.source, tcp.dest, netns, egress, flow);
	*tcp_flags = (tcp.syn ? TCP_FLAG_SYN : 0) | (tcp.ack ? TCP_FLAG_ACK : 0) |
		     (tcp.rst ? TCP_FLAG_RST : 0);
	return 0;
}

/* True: the segment is a SYN without ACK. */
static __always_inline int is_syn(__u8 tcp_flags)
{
	return (tcp_flags & (TCP_FLAG_SYN | TCP_FLAG_ACK)) == TCP_FLAG_SYN;
}

static __always_inline int is_syn_ack(__u8 tcp_flags)
{
	return tcp_flags == (TCP_FLAG_SYN | TCP_FLAG_ACK);
}

/*
 * At a listener a flow may start with a SYN. It may also start with the ACK that answers a SYN
 * cookie, of which the host keeps no state. Data and even the sender's FIN may come with that ACK
 * (cookie_v4_check()).
 */
static __always_inline int may_start_flow(__u8 tcp_flags)
{
	return is_syn(tcp_flags) || tcp_flags == TCP_FLAG_ACK;
}

#endif
