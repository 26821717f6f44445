/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Marks of packets that GRO merged or that were reassembled from mixed fragments. The test
 * compiles the text of bpf/packet/mixture.h and merge.bpf.c, with packets, a table and a clock of
 * its own.
 */
#include <criterion/criterion.h>
#include <linux/types.h>
#include <stdbool.h>
#include <string.h>

/* ---- in place of bpf/db/maps.h and the kernel ---- */

#define LATCH_BPF_DB_MAPS_H
#define LATCH_BPF_PACKET_SAME_PROTECTION_H
#define OBJECT_MARKS			16384
#define OWN_FRAME			__attribute__((unused))
#define READ_3(x, one, two, three)	((x)->one.two->three)
#define READ_2(x, one, two)		((x)->one->two)
#define READ_1(x, one)			((x)->one)
#define READ_N(one, two, three, n, ...) n
#define BPF_CORE_READ(x, ...)		READ_N(__VA_ARGS__, READ_3, READ_2, READ_1, )(x, __VA_ARGS__)
#define SEC(name)
#define BPF_PROG(name, ...) name(__VA_ARGS__)

struct net {
	__u64 net_cookie;
};

struct net_device {
	struct {
		struct net *net;
	} nd_net;
};

/* Of a packet's extensions only the address counts. */
struct skb_ext {
	char none;
};

struct sk_buff {
	struct skb_ext *extensions; /* NULL: the packet came in clear */
	struct net_device *dev;
	int params; /* of its SA */
};

static __u64 mixtures[2 * OBJECT_MARKS];
static __u64 now;
static __u64 namespace = 1; /* of the packets that are merged */

static void *bpf_map_lookup_elem(void *map, const __u32 *key)
{
	return (__u64 *)map + *key;
}

static __u64 bpf_ktime_get_ns(void)
{
	return now;
}

static long bpf_probe_read_kernel(void *to, __u32 size, const void *from)
{
	memcpy(to, from, size);
	return 0;
}

static bool has_sec_path(const struct sk_buff *skb)
{
	return skb->extensions;
}

static bool same_protection(const struct sk_buff *first, const struct sk_buff *next, __u64 netns)
{
	cr_assert_eq(netns, namespace);
	return has_sec_path(first) == has_sec_path(next) && first->params == next->params;
}

static int is_foreign(const struct net *net)
{
	return net->net_cookie != 1;
}

int watch_merge(struct sk_buff *first, struct sk_buff *next);
int watch_merge_list(struct sk_buff *first, struct sk_buff *next);

#include "packet/merge.bpf.c"

#define PEER	 7
#define IMPOSTOR 8
#define CLEAR	 0

static struct net host = {1};
static struct net_device device = {{&host}};
static struct skb_ext extensions[8];

/* at: place of its extensions. XFRM adds its sec_path. */
static struct sk_buff received(int params, int at)
{
	struct sk_buff skb = {params == CLEAR ? NULL : &extensions[at], &device, params};

	if (skb.extensions)
		clear_mixture(&skb);
	return skb;
}

static void begin(void)
{
	memset(mixtures, 0, sizeof(mixtures));
	now = 0;
}

TestSuite(mixture, .init = begin);

Test(mixture, R_2_4_a_packet_merged_with_another_peers_is_marked)
{
	struct sk_buff first = received(PEER, 0), next = received(IMPOSTOR, 1);

	watch_merge(&first, &next);
	cr_expect(is_mixture(&first));
	cr_expect_not(is_mixture(&next));
}

Test(mixture, R_2_4_a_packet_merged_with_one_in_clear_is_marked)
{
	struct sk_buff first = received(PEER, 0), next = received(CLEAR, 1);

	watch_merge_list(&first, &next);
	cr_expect(is_mixture(&first));
}

Test(mixture, packets_of_one_peer_are_merged_without_a_mark)
{
	struct sk_buff first = received(PEER, 0), next = received(PEER, 1);

	watch_merge(&first, &next);
	cr_expect_not(is_mixture(&first));
}

/* NAT changes its addresses, and a queue holds it. */
Test(mixture, R_2_4_the_mark_holds_for_every_segment_of_the_packet_while_it_waits)
{
	struct sk_buff first = received(PEER, 0), next = received(IMPOSTOR, 1), segment;

	watch_merge(&first, &next);
	segment = first;
	now += 200ull * 1000000000;
	cr_expect(is_mixture(&segment));
}

Test(mixture, R_2_4_a_mixture_that_is_merged_with_its_peers_next_packet_stays_one)
{
	struct sk_buff first = received(PEER, 0), next = received(PEER, 1);
	struct sk_buff foreign = received(IMPOSTOR, 2);

	watch_merge(&next, &foreign);
	watch_merge(&first, &next);
	cr_expect(is_mixture(&first));
}

Test(mixture, another_packet_of_the_peer_is_not_marked)
{
	struct sk_buff first = received(PEER, 0), next = received(IMPOSTOR, 1);
	struct sk_buff later = received(PEER, 2);

	watch_merge(&first, &next);
	cr_expect_not(is_mixture(&later));
}

Test(mixture, a_packet_in_the_memory_of_a_mixture_is_not_marked)
{
	struct sk_buff first = received(PEER, 0), next = received(IMPOSTOR, 1), later;

	watch_merge(&first, &next);
	later = received(PEER, 0);
	cr_expect_not(is_mixture(&later));
}

Test(mixture, R_2_4_a_mixture_in_a_foreign_namespace_is_found_there_and_nowhere_else)
{
	struct net container = {2};
	struct net_device inside = {{&container}};
	struct sk_buff first = received(PEER, 0), next = received(IMPOSTOR, 1);
	struct sk_buff same_place = first;

	first.dev = next.dev = &inside;
	namespace = 2;
	watch_merge(&first, &next);
	cr_expect(is_mixture(&first));
	cr_expect_not(is_mixture(&same_place), "a mark of a foreign namespace counts on the host");
}
