/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The destination of a packet before NAT of this host, which conntrack keeps. The types of
 * conntrack may be in the BTF of a module only. Programs loaded before that module do not see
 * them.
 */
#ifndef LATCH_BPF_PACKET_NAT_H
#define LATCH_BPF_PACKET_NAT_H

#include "db/maps.h"

#define CONNTRACK_BITS	7 /* NFCT_INFOMASK: the rest of the word is the address of the entry */
#define CONNTRACK_REPLY 3 /* IP_CT_IS_REPLY, and all above */

/* True: the packet left its socket for this remote end. 0: it did not, or that is not known. */
static OWN_FRAME int was_sent_to(const struct sk_buff *skb, const struct latch_flow *flow)
{
	__u64 address[2] = {}, remote[2], word;
	struct nf_conn *entry;
	__be16 port;

	if (!bpf_core_type_exists(struct nf_conn) || !bpf_core_field_exists(skb->_nfct))
		return 0;
	word = BPF_CORE_READ(skb, _nfct);
	entry = (void *)(word & ~(__u64)CONNTRACK_BITS);
	if (!entry)
		return 0;
	if ((word & CONNTRACK_BITS) < CONNTRACK_REPLY) {
		BPF_CORE_READ_INTO(&address, entry, tuplehash[0].tuple.dst.u3);
		port = BPF_CORE_READ(entry, tuplehash[0].tuple.dst.u.all);
	} else {
		BPF_CORE_READ_INTO(&address, entry, tuplehash[1].tuple.dst.u3);
		port = BPF_CORE_READ(entry, tuplehash[1].tuple.dst.u.all);
	}
	__builtin_memcpy(remote, flow->remote_addr, sizeof(remote));
	return address[0] == remote[0] && address[1] == remote[1] &&
	       bpf_ntohs(port) == flow->remote_port;
}

#endif
