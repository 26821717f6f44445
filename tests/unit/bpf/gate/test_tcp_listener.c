/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a LISTENER counts of a SYN that arrives under an SA. The test compiles the text of
 * bpf/gate/tcp.h, and is the rest of the gate. With packets, but without SAs: test_gate_starts.c.
 */
#include <criterion/criterion.h>
#include <linux/bpf.h>
#include <linux/types.h>
#include <stdbool.h>
#include <string.h>

/* ---- in place of bpf/db/, bpf/packet/, the rest of bpf/gate/ and the kernel ---- */

#define LATCH_BPF_DB_MAPS_H
#define LATCH_BPF_DB_LATCH_DB_H
#define LATCH_BPF_DB_RULES_H
#define LATCH_BPF_GATE_AUDIT_H
#define LATCH_BPF_GATE_CGROUP_PACKET_H
#define LATCH_BPF_GATE_FLOW_CHECK_H
#define LATCH_BPF_GATE_MPTCP_H
#define LATCH_BPF_GATE_STAMPED_CHECK_H
#define LATCH_BPF_GATE_WISH_H
#define OWN_FRAME __attribute__((unused))
#define __noinline
#define bpf_ntohs(x) __builtin_bswap16(x)
#define LEAVES	     0
#define COMES_BACK   1

#include "latch_abi.h"
#include "latch_mode.h"
#include "latch_sockopt.h"
#include "db/packet_protection.h"
#include "db/protocols.h"
#include "db/read_once.h"
#include "db/rule_decision.h"

struct net {
	int any;
};

struct sock {
	struct net *net;
};

struct tcp_sock {
	struct sock sk;
	__be16 port;
};

struct sk_buff {
	int any;
};

struct packet {
	struct __sk_buff *cgroup;
};

struct ip_headers {
	int any;
};

struct socket_verdict {
	__u8 was_latched;
	__u32 mode;
};

static char latches[1], sas[1], verdicts[1];
static struct latch the_listener = {.word.state = LATCH_STATE_LISTENER};
static bool has_latch;

static void *bpf_map_lookup_elem(void *map, const void *key)
{
	const struct latch_flow *flow = key;

	if (map != (void *)latches)
		return NULL;
	return flow->remote_port && !has_latch ? NULL : &the_listener;
}

static __u64 bpf_ktime_get_boot_ns(void)
{
	return 1;
}

static struct latch_settings *settings_get(void)
{
	return NULL;
}

static struct latch_event *event_begin(enum latch_event_type type)
{
	(void)type;
	return NULL;
}

static void bpf_ringbuf_submit(void *event, __u64 flags)
{
	(void)event, (void)flags;
}

/* Functions for the verifier have no header. */
#pragma GCC diagnostic ignored "-Wmissing-prototypes"
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wunused-value"
#include "gate/passage.h"

#define bpf_skc_to_tcp_sock(sk)	       ((struct tcp_sock *)((sk) ? NULL : (void *)(sk)))
#define bpf_sk_fullsock(sk)	       (sk)
#define bpf_sk_storage_get(m, s, v, f) ((void)(m), (void)(s), (struct socket_verdict *)NULL)
#define BPF_CORE_READ(from, ...)       0
#define flow_of_socket(sk, n, flow)    ((void)(sk), (void)(n), (void)(flow))
#define kernel_socket(sk)	       ((void)(sk), NULL)
#define kernel_packet(skb)	       ((void)(skb), NULL)
#define netns_of_kernel_socket(sk)     ((void)(sk), 1)
#define cgroup_headers(skb, ip)	       ((void)(skb), (void)(ip), 0)
#define ingress_sa(skb, n, sa)	       ((void)(skb), (void)(n), (void)(sa), PACKET_PROTECTED)
#define is_mptcp(tcp)		       ((void)(tcp), 0)
#define mptcp_first_subflow(tcp)       ((void)(tcp), (struct sock *)NULL)
#define is_foreign(net)		       0
#define comes_back(skb, p, v)	       ((void)(skb), (void)(p), (void)(v), LEAVES)
#define wish_check(skb, p)	       ((void)(skb), (void)(p))
#define mptcp_check_subflow(p, id)     ((void)(p), (void)(id), GATE_PASS)
#define audit_begin(p, foreign)	       ((void)(p), (void)(foreign))
#define drop_unread(why, p, v)	       ((void)(p), (void)(v), GATE_DROP)
#define is_syn(flags)		       ((flags) == 2)
#define may_start_flow(flags)	       ((flags) == 2)
#define packet_egress_sa(packet, n, ip, from, sa)                                                  \
	((void)(packet), (void)(n), (void)(ip), (void)(from), (void)(sa), PACKET_PLAIN)

static void listener_of_socket(struct bpf_sock *sk, __u64 netns, struct latch_flow *flow)
{
	(void)sk;
	*flow = (struct latch_flow){.netns = netns, .local_port = 80};
}

static int flow_of_packet(const struct packet *packet, const struct ip_headers *ip, __u64 netns,
			  int egress, struct latch_flow *flow, __u8 *tcp_flags)
{
	(void)packet, (void)ip, (void)egress;
	*flow = (struct latch_flow){.netns = netns, .local_port = 80, .remote_port = 4711};
	*tcp_flags = 2;
	return 0;
}

static int check_packet(struct passage *p, struct socket_verdict *v);
static int check_and_remember(struct __sk_buff *skb, struct passage *p, struct socket_verdict *v)
{
	(void)skb;
	return check_packet(p, v);
}

#include "gate/tcp.h"

int drop_packet(struct passage *p, struct latch *latch, int why)
{
	(void)p, (void)latch, (void)why;
	return GATE_DROP;
}

static int verdict_of_check;

static int check_packet(struct passage *p, struct socket_verdict *v)
{
	(void)v;
	p->starts_flow = p->listener;
	has_latch = verdict_of_check == GATE_PASS;
	return verdict_of_check;
}

/* ---- a SYN */

static int receive_syn(int verdict)
{
	struct bpf_sock sk = {.state = BPF_TCP_LISTEN};
	struct __sk_buff skb = {.sk = &sk};
	struct passage p = {.socket_cookie = 1};

	verdict_of_check = verdict;
	(void)sas;
	return gate_tcp(&skb, &sk, &p, 0);
}

Test(tcp_listener, a_listener_counts_a_latched_and_a_refused_connection)
{
	cr_expect_eq(receive_syn(GATE_PASS), GATE_PASS);
	cr_expect_eq(the_listener.spawned, 1);
	cr_expect_eq(the_listener.refused, 0);
	cr_expect_eq(receive_syn(GATE_DROP), GATE_DROP);
	cr_expect_eq(the_listener.spawned, 1);
	cr_expect_eq(the_listener.refused, 1);
}

/* It asks latchd about a contested SA, or waits for the owner of its SA. */
Test(tcp_listener, a_syn_that_is_lost_and_comes_again_is_no_refused_connection)
{
	cr_expect_eq(receive_syn(GATE_LOSE), GATE_DROP, "a received packet is dropped");
	cr_expect_eq(the_listener.refused, 0);
	cr_expect_eq(receive_syn(GATE_PASS), GATE_PASS);
	cr_expect_eq(the_listener.spawned, 1);
	cr_expect_eq(the_listener.refused, 0);
}
