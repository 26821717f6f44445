/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The SA of a packet that has arrived. The test compiles the text of bpf/packet/sec_path.h, with
 * the members of the kernel's structures that it reads.
 */
#include <criterion/criterion.h>
#include <stddef.h>
#include <linux/types.h>
#include <string.h>
#include <sys/socket.h>

/* ---- in place of bpf/db/maps.h and the kernel ---- */

#define LATCH_BPF_DB_MAPS_H
#define bpf_ntohl(x)				 __builtin_bswap32(x)
#define READ_2(x, one, two)			 ((x)->one.two)
#define READ_1(x, one)				 ((x)->one)
#define READ_N(one, two, n, ...)		 n
#define BPF_CORE_READ(x, ...)			 READ_N(__VA_ARGS__, READ_2, READ_1, )(x, __VA_ARGS__)
#define BPF_CORE_READ_INTO(to, x, member)	 memcpy(to, &(x)->member, sizeof(*(to)))
#define BPF_CORE_READ_BITFIELD_PROBED(x, member) ((__u64)(x)->member)
#define bpf_core_enum_value(type, value)	 (value)
#define bpf_core_field_offset(type, member)	 offsetof(type, member)

#include "latch_abi.h"
#include "db/packet_protection.h"

enum skb_ext_id {
	SKB_EXT_SEC_PATH = 1,
};

struct skb_ext {
	__u8 offset[8]; /* in units of 8 bytes */
};

struct xfrm_state {
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
};

struct sec_path {
	int len;
	struct xfrm_state *xvec[6];
};

struct sk_buff {
	__u8 active_extensions;
	void *extensions;
};

static long bpf_probe_read_kernel(void *to, __u32 size, const void *from)
{
	memcpy(to, from, size);
	return 0;
}

#include "packet/sec_path.h"

#define SPI   0x12345678u
#define NETNS 7

static struct xfrm_state state;

static enum packet_protection protection_by(__u8 mode, int sas, struct latch_sa_key *ret)
{
	struct {
		struct skb_ext ext;
		struct sec_path path;
	} extensions = {.ext.offset = {0, 1}, .path = {.len = sas, .xvec = {&state, &state}}};
	struct sk_buff skb = {1 << SKB_EXT_SEC_PATH, &extensions};

	state = (struct xfrm_state){.props = {mode, AF_INET},
				    .id = {.spi = __builtin_bswap32(SPI), .proto = 50}};
	return sec_path_sa(&skb, NETNS, ret);
}

Test(sec_path, one_sa_in_transport_tunnel_or_beet_mode_protects_a_packet)
{
	static const __u8 modes[] = {0, 1, 4};
	struct latch_sa_key sa;
	size_t i;

	for (i = 0; i < sizeof(modes); i++) {
		cr_expect_eq(protection_by(modes[i], 1, &sa), PACKET_PROTECTED);
		cr_expect_eq(sa.spi, SPI);
		cr_expect_eq(sa.netns, NETNS);
	}
}

/* 5 is that of IP-TFS; 2 and 3 are those of Mobile IPv6. */
Test(sec_path, R_2_4_an_sa_in_any_other_mode_is_not_taken_for_one_that_latchd_knows)
{
	static const __u8 modes[] = {2, 3, 5, 6, 255};
	struct latch_sa_key sa;
	size_t i;

	for (i = 0; i < sizeof(modes); i++)
		cr_expect_eq(protection_by(modes[i], 1, &sa), PACKET_OTHER_MODE);
}

Test(sec_path, two_sas_are_nested_whatever_their_mode)
{
	struct latch_sa_key sa;

	cr_expect_eq(protection_by(1, 2, &sa), PACKET_NESTED);
	cr_expect_eq(protection_by(1, 0, &sa), PACKET_PLAIN);
}
