/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The cgroup gate: checks packets of TCP sockets and connected UDP sockets, by the SA that
 * protects them. A latched flow passes only under a bound SA with the latch's params, and only
 * while its latch is ESTABLISHED. A flow that starts under a bound SA is latched to it. A flow
 * that starts in clear stays unlatched. If a rule requires a latch, such a flow is refused.
 *
 * TCP and UDP are headers, included here only.
 */
#include "gate/audit.h"
#include "gate/remember_pass.h"
#include "gate/tcp.h"
#include "gate/udp.h"

static __always_inline int check_socket(struct __sk_buff *skb, struct passage *p, int egress)
{
	struct bpf_sock *sk = skb->sk;

	sk = sk ? bpf_sk_fullsock(sk) : NULL;
	if (!sk)
		return GATE_PASS;
	p->socket_cookie = bpf_get_socket_cookie(skb);
	if (sk->protocol == IPPROTO_UDP_NUMBER)
		return datagram_verdict(gate_udp(skb, sk, p, egress), egress);
	/*
	 * A raw socket has no flow. The kernel's own raw socket, which sends resets and ACKs, is
	 * left to the netfilter gate.
	 */
	if (sk->protocol == IPPROTO_TCP_NUMBER && sk->type == SOCK_STREAM)
		return gate_tcp(skb, sk, p, egress);
	return GATE_PASS;
}

static __always_inline int check_in_full(struct __sk_buff *skb, int egress)
{
	struct passage p = {.egress = egress};
	int verdict = check_socket(skb, &p, egress);

	if (p.audited && verdict == GATE_PASS)
		audit_count(&p);
	/* The verifier knows no bounds of a global function's result. */
	return egress ? verdict & (GATE_DROP | GATE_PASS | GATE_LOSE) : verdict == GATE_PASS;
}

static __always_inline int gate(struct __sk_buff *skb, int egress)
{
	struct bpf_sock *sk = skb->sk;

	if (!sk || passes_as_before(skb, sk, egress))
		return GATE_PASS;
	return check_in_full(skb, egress);
}

SEC("cgroup_skb/egress")
int gate_egress(struct __sk_buff *skb)
{
	return gate(skb, 1);
}

SEC("cgroup_skb/ingress")
int gate_ingress(struct __sk_buff *skb)
{
	return gate(skb, 0);
}
