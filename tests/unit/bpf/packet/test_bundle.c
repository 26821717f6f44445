/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The SA of a packet's route, and whether the packet returns to the cgroup gate as ESP. The test
 * compiles the text of bpf/packet/bundle.h, with the members of the kernel's structures that it
 * reads.
 */
#include <criterion/criterion.h>
#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

/* ---- in place of bpf/db/maps.h and the kernel ---- */

#define LATCH_BPF_DB_MAPS_H
#define OWN_FRAME				 __attribute__((unused))
#define bpf_ntohl(x)				 __builtin_bswap32(x)
#define READ_2(x, one, two)			 ((x)->one.two)
#define READ_1(x, one)				 ((x)->one)
#define READ_N(one, two, n, ...)		 n
#define BPF_CORE_READ(x, ...)			 READ_N(__VA_ARGS__, READ_2, READ_1, )(x, __VA_ARGS__)
#define BPF_CORE_READ_INTO(to, x, member)	 memcpy(to, &(x)->member, sizeof(*(to)))
#define BPF_CORE_READ_BITFIELD_PROBED(x, member) ((__u64)(x)->member)
#define bpf_core_enum_value(type, value)	 (value)
#define bpf_core_field_offset(type, member)	 offsetof(type, member)
#define bpf_core_field_exists(member)		 (kernel_has_offload_types)
#define __builtin_preserve_access_index(x)	 (x)

#include "latch_abi.h"
#include "db/packet_protection.h"

enum skb_ext_id {
	SKB_EXT_SEC_PATH = 1,
};

struct skb_ext {
	__u8 offset[8];
};

struct net {
	int any;
};

struct xfrm_dev_offload {
	__u8 type : 2;
};

struct xfrm_state {
	struct {
		struct net *net;
	} xs_net;
	struct {
		__u8 mode;
		__u16 family;
	} props;
	struct {
		union {
			__be32 a4;
			__be32 a6[4];
		} daddr;
		__be32 spi;
		__u8 proto;
	} id;
	struct xfrm_dev_offload xso;
};

struct sec_path {
	int len;
	struct xfrm_state *xvec[6];
};

struct dst_entry {
	struct xfrm_state *xfrm;
};

struct xfrm_dst {
	struct dst_entry route;
	struct dst_entry *child;
};

struct sk_buff {
	unsigned long _skb_refdst;
	__u8 active_extensions;
	void *extensions;
};

static bool kernel_has_offload_types = true;

static long bpf_probe_read_kernel(void *to, __u32 size, const void *from)
{
	memcpy(to, from, size);
	return 0;
}

#include "packet/bundle.h"

#define NETNS 7
#define SPI   0x1001

static struct net here, there;

static struct xfrm_state state_in(__u8 mode)
{
	return (struct xfrm_state){
		.xs_net = {&here},
		.props = {mode, AF_INET},
		.id = {.spi = __builtin_bswap32(SPI), .proto = 50},
	};
}

/* ---- a packet that is in clear now, and on its way to XFRM */

Test(bundle, a_packet_on_its_way_to_xfrm_returns_as_esp)
{
	static const __u8 modes[] = {MODE_TRANSPORT, MODE_TUNNEL, MODE_BEET};
	size_t i;

	for (i = 0; i < sizeof(modes); i++) {
		struct xfrm_state state = state_in(modes[i]);

		cr_expect(returns_as_esp(&state, &here), "mode %u", modes[i]);
		state.xso.type = 1; /* XFRM_DEV_OFFLOAD_CRYPTO: the stack makes the ESP */
		cr_expect(returns_as_esp(&state, &here), "mode %u, crypto offload", modes[i]);
	}
}

Test(bundle, R_2_4_a_packet_under_an_sa_of_another_namespace_does_not_return)
{
	struct xfrm_state state = state_in(MODE_TRANSPORT);

	cr_expect_not(returns_as_esp(&state, &there));
}

Test(bundle, R_2_4_a_packet_that_a_network_card_protects_does_not_return)
{
	struct xfrm_state state = state_in(MODE_TRANSPORT);

	state.xso.type = OFFLOAD_PACKET;
	cr_expect_not(returns_as_esp(&state, &here));
	kernel_has_offload_types = false;
	cr_expect(returns_as_esp(&state, &here), "a kernel that knows no such cards");
}

/* 5 is that of IP-TFS. Its packets lose their socket. */
Test(bundle, R_2_4_a_packet_under_an_sa_of_another_mode_does_not_return)
{
	static const __u8 modes[] = {2, 3, 5, 255};
	size_t i;

	for (i = 0; i < sizeof(modes); i++) {
		struct xfrm_state state = state_in(modes[i]);

		cr_expect_not(returns_as_esp(&state, &here), "mode %u", modes[i]);
	}
}

/* ---- the SA of the route */

static enum packet_protection protection_by(struct xfrm_state *first, struct xfrm_state *inner,
					    struct latch_sa_key *ret)
{
	struct dst_entry child = {inner};
	struct xfrm_dst bundle = {{first}, &child};
	struct sk_buff skb = {._skb_refdst = (unsigned long)&bundle | 1};

	return bundle_sa(&skb, NETNS, ret);
}

Test(bundle, the_sa_of_a_route_protects_the_packet_and_two_sas_are_nested)
{
	struct xfrm_state one = state_in(MODE_TRANSPORT), other = state_in(MODE_TUNNEL);
	struct latch_sa_key sa;

	cr_expect_eq(protection_by(&one, NULL, &sa), PACKET_PROTECTED);
	cr_expect_eq(sa.spi, SPI);
	cr_expect_eq(sa.netns, NETNS);
	cr_expect_eq(protection_by(&one, &other, &sa), PACKET_NESTED);
	cr_expect_eq(protection_by(NULL, NULL, &sa), PACKET_PLAIN);
	one.props.mode = 5;
	cr_expect_eq(protection_by(&one, NULL, &sa), PACKET_OTHER_MODE);
}

Test(bundle, a_packet_without_a_route_is_in_clear)
{
	struct sk_buff skb = {0};
	struct latch_sa_key sa;

	cr_expect_eq(bundle_sa(&skb, NETNS, &sa), PACKET_PLAIN);
}
