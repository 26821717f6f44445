/* SPDX-License-Identifier: BSD-2-Clause */
/* In place of vmlinux.h and the helpers: what the programs read of a packet's sec_path. */
#ifndef LATCHD_TESTS_FAKE_SEC_PATH_H
#define LATCHD_TESTS_FAKE_SEC_PATH_H

#include <linux/types.h>
#include <stddef.h>
#include <string.h>

#define bpf_ntohl(x)				 __builtin_bswap32(x)
#define READ_2(x, one, two)			 ((x)->one.two)
#define READ_1(x, one)				 ((x)->one)
#define READ_N(one, two, n, ...)		 n
#define BPF_CORE_READ(x, ...)			 READ_N(__VA_ARGS__, READ_2, READ_1, )(x, __VA_ARGS__)
#define BPF_CORE_READ_INTO(to, x, member)	 memcpy(to, &(x)->member, sizeof(*(to)))
#define BPF_CORE_READ_BITFIELD_PROBED(x, member) ((__u64)(x)->member)
#define BPF_CORE_READ_BITFIELD(x, member)	 ((__u64)(x)->member)
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
	char cb[48];
	struct {
		struct {
			void *net;
		} nd_net;
	} dev;
};

static long bpf_probe_read_kernel(void *to, __u32 size, const void *from)
{
	memcpy(to, from, size);
	return 0;
}

#endif
