/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whether a packet has the protection of a remembered pass. Natively no packet arrives under an SA,
 * so that the test compiles the text of bpf/gate/same_sa.h and makes packet, sec_path and states.
 * Each case is tried in both ways to read them: by typed pointers, and by probes (Linux 6.1).
 */
#include <criterion/criterion.h>
#include <linux/bpf.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/socket.h>

/* ---- in place of bpf/db/maps.h and the kernel ---- */

#define LATCH_BPF_DB_MAPS_H
#define LATCH_BPF_PACKET_XFRM_FLAG_H
#define OWN_FRAME		 __attribute__((unused))
#define OBJECT_MARKS		 16384
#define IPSKB_XFRM_TRANSFORMED	 4
#define IP6SKB_XFRM_TRANSFORMED	 1
#define bpf_ntohs(x)		 __builtin_bswap16(x)
#define bpf_htons(x)		 __builtin_bswap16(x)
#define bpf_htonl(x)		 __builtin_bswap32(x)
#define LATCH_BPF_PACKET_TYPED_H /* what it declares is below */

#include "unit/bpf/packet/fake_sec_path.h"

/* Typed pointers are those of the test; a packet of a program is the one that is tried. */
#define TYPED(address, type) ((const type *)(address))

struct inet_skb_parm {
	__u16 flags;
};

struct inet6_skb_parm {
	__u16 flags;
};

struct net;

static struct arrival {
	struct {
		struct skb_ext ext;
		struct sec_path path;
	} extensions;
	struct xfrm_state states[2];
	struct sk_buff kernel;
	struct __sk_buff skb;
} arrived;

static __u8 typed_pointers;

static const void *bpf_cast_to_kern_ctx(const struct __sk_buff *skb)
{
	cr_assert_eq(skb, &arrived.skb);
	return &arrived.kernel;
}

static __u64 number_at(const void *place)
{
	return *(const __u64 *)place;
}

static int sas;
static __u64 mixtures[2 * OBJECT_MARKS];

static void *bpf_map_lookup_elem(const void *map, const void *key)
{
	return map == &sas ? NULL : &mixtures[*(const __u32 *)key];
}

static __u64 bpf_ktime_get_ns(void)
{
	return 1000000000;
}

static int is_foreign(const struct net *net)
{
	(void)net;
	return 0;
}

static int made_by_xfrm_flag;

static int is_made_by_xfrm(const struct sk_buff *skb, __u8 family)
{
	(void)skb, (void)family;
	return made_by_xfrm_flag;
}

static long bpf_skb_load_bytes(const struct __sk_buff *skb, __u32 at, void *to, __u32 size)
{
	(void)skb, (void)at, (void)to, (void)size;
	return -1;
}

static long bpf_dynptr_read(void *to, __u32 size, const struct bpf_dynptr *from, __u32 at,
			    __u64 flags)
{
	(void)to, (void)size, (void)from, (void)at, (void)flags;
	return -1;
}

/* As far as same_sa.h and what remember_pass.h has remembered need it. */
struct remembered_pass {
	__u8 protocol, outer_protocol;
	union {
		__u32 device, outer_ports;
	};
	struct latch_sa_key sa;
};

/* The packet of a context is read from its address, which the test has. */
#define kernel_packet real_kernel_packet
#include "packet/packet.h"
#undef kernel_packet
#define kernel_packet(skb) ((void)(skb), &arrived.kernel)
#include "gate/same_sa.h"

#define SPI   0x12345678u
#define NETNS 7

/* ---- packets that arrive ---- */

static void set_address(struct xfrm_state *x, __u16 family, __u8 last)
{
	x->props.family = family;
	if (family == AF_INET)
		x->id.daddr.a4 = bpf_htonl(0x0a090000u + last);
	else
		x->id.daddr.a6[0] = bpf_htonl(0xfd090000u), x->id.daddr.a6[3] = bpf_htonl(last);
}

/* A packet of a TCP flow of this family, in clear. */
static void begin(__u16 family)
{
	static struct ipv6hdr *header;

	if (!header)
		header = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	cr_assert_neq(header, MAP_FAILED);
	*header = (struct ipv6hdr){.version = 6, .nexthdr = IPPROTO_TCP};
	arrived = (struct arrival){
		.extensions = {.ext.offset = {0, 1}},
		.kernel.extensions = &arrived.extensions,
		.skb = {.protocol = bpf_htons(family == AF_INET ? 0x0800 : 0x86dd),
			.data = (__u32)(unsigned long)header,
			.data_end = (__u32)(unsigned long)(header + 1)},
	};
	memset(mixtures, 0, sizeof(mixtures));
}

/* ... under an SA. */
static struct xfrm_state *begin_protected(__u16 family)
{
	begin(family);
	arrived.kernel.active_extensions = 1 << SKB_EXT_SEC_PATH;
	arrived.extensions.path =
		(struct sec_path){.len = 1, .xvec = {&arrived.states[0], &arrived.states[1]}};
	arrived.states[0] =
		(struct xfrm_state){.id = {.spi = bpf_htonl(SPI), .proto = IPPROTO_ESP}};
	set_address(&arrived.states[0], family, 1);
	return &arrived.states[0];
}

static struct remembered_pass pass_of(const struct xfrm_state *x)
{
	struct remembered_pass pass = {.protocol = IPPROTO_TCP};

	pass.sa = (struct latch_sa_key){.netns = NETNS, .spi = SPI, .protocol = IPPROTO_ESP};
	pass.sa.family = (__u8)x->props.family;
	memcpy(pass.sa.daddr, &x->id.daddr, x->props.family == AF_INET ? 4 : 16);
	return pass;
}

/* Both ways to read the packet give one answer, or the test fails. */
static bool arrives(const struct remembered_pass *pass)
{
	bool typed, probed;

	typed_pointers = 1;
	typed = arrives_alike(&arrived.skb, pass);
	typed_pointers = 0;
	probed = arrives_alike(&arrived.skb, pass);
	cr_expect_eq(typed, probed, "by typed pointers %d, by probes %d", typed, probed);
	return typed && probed;
}

static const __u16 families[] = {AF_INET, AF_INET6};

Test(same_sa, a_packet_that_arrives_under_the_same_sa_is_alike)
{
	struct remembered_pass pass;
	size_t i;

	for (i = 0; i < 2; i++) {
		pass = pass_of(begin_protected(families[i]));
		cr_expect(arrives(&pass), "family %u", families[i]);
	}
}

Test(same_sa, R_2_4_the_same_spi_at_another_destination_is_another_sa_on_arrival)
{
	struct remembered_pass pass;
	size_t i;

	for (i = 0; i < 2; i++) {
		pass = pass_of(begin_protected(families[i]));
		set_address(&arrived.states[0], families[i], 2);
		cr_expect_not(arrives(&pass), "family %u", families[i]);
	}
}

Test(same_sa, R_2_4_each_word_of_an_ipv6_destination_counts_on_arrival)
{
	struct remembered_pass pass;
	int word;

	for (word = 0; word < 4; word++) {
		pass = pass_of(begin_protected(AF_INET6));
		arrived.states[0].id.daddr.a6[word] ^= bpf_htonl(0x100);
		cr_expect_not(arrives(&pass), "word %d", word);
	}
}

Test(same_sa, R_2_4_another_spi_protocol_or_family_is_another_sa_on_arrival)
{
	struct remembered_pass pass;
	size_t i;

	for (i = 0; i < 2; i++) {
		pass = pass_of(begin_protected(families[i]));
		arrived.states[0].id.spi = bpf_htonl(SPI + 1);
		cr_expect_not(arrives(&pass), "another SPI");
		pass = pass_of(begin_protected(families[i]));
		arrived.states[0].id.proto = IPPROTO_AH;
		cr_expect_not(arrives(&pass), "AH with the number of an ESP SA");
	}
	pass = pass_of(begin_protected(AF_INET));
	arrived.states[0].props.family = AF_INET6;
	cr_expect_not(arrives(&pass), "a tunnel over IPv6");
}

Test(same_sa, R_2_4_a_packet_under_two_sas_is_not_alike_whichever_comes_first)
{
	struct remembered_pass pass = pass_of(begin_protected(AF_INET));

	arrived.states[1] = arrived.states[0];
	arrived.extensions.path.len = 2;
	cr_expect_not(arrives(&pass));
	arrived.states[1].id.spi = bpf_htonl(SPI + 1);
	cr_expect_not(arrives(&pass));
}

Test(same_sa, R_2_4_a_mixture_under_the_same_sa_is_not_alike)
{
	struct remembered_pass pass = pass_of(begin_protected(AF_INET));

	cr_expect(arrives(&pass));
	mark_mixture(&arrived.kernel, 0);
	cr_expect_not(arrives(&pass));
}

Test(same_sa, R_2_4_a_packet_in_clear_is_not_alike_one_that_arrived_under_an_sa)
{
	struct remembered_pass pass = pass_of(begin_protected(AF_INET));

	begin(AF_INET);
	cr_expect_not(arrives(&pass));
}

Test(same_sa, R_2_15_a_packet_under_an_sa_is_not_alike_one_that_arrived_in_clear)
{
	static const struct remembered_pass in_clear = {.protocol = IPPROTO_TCP};
	size_t i;

	for (i = 0; i < 2; i++) {
		begin(families[i]);
		cr_expect(arrives(&in_clear));
		begin_protected(families[i]);
		cr_expect_not(arrives(&in_clear), "family %u", families[i]);
	}
}

/* The check in full may find such a packet malformed. */
Test(same_sa, a_packet_behind_extension_headers_is_not_alike)
{
	struct remembered_pass pass = pass_of(begin_protected(AF_INET6));
	struct ipv6hdr *header = (struct ipv6hdr *)(unsigned long)arrived.skb.data;

	header->nexthdr = IPPROTO_HOPOPTS;
	cr_expect_not(arrives(&pass));
	header->nexthdr = IPPROTO_TCP;
	arrived.skb.data_end--;
	cr_expect_not(arrives(&pass), "a header that is cut off");
}
