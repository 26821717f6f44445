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
#include "fake_sec_path.h"

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
	struct sk_buff skb = {.active_extensions = 1 << SKB_EXT_SEC_PATH,
			      .extensions = &extensions};

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
