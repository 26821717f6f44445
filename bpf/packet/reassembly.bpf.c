/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Marks queues of fragments that arrived under SAs of different peers, and the packets
 * reassembled from them: see reassembly.h.
 */
#include "packet/reassembly.h"
#include "packet/same_protection.h"

static __always_inline struct net *net_of(struct inet_frag_queue *queue)
{
	return BPF_CORE_READ(queue, fqdir, net);
}

static __always_inline int differ_in_protection(struct inet_frag_queue *queue, struct sk_buff *last,
						struct sk_buff *skb)
{
	if (!has_sec_path(last) && !has_sec_path(skb))
		return 0;
	return !same_protection(last, skb, BPF_CORE_READ(net_of(queue), net_cookie));
}

/*
 * Each fragment is compared with the last one in the queue. All fragments of a queue without a
 * mark thus arrived under SAs of one peer. A fragment that turns out to be a duplicate sets the
 * mark, too. A mixture that is fragmented once more stays a mixture.
 */
SEC("fentry/inet_frag_queue_insert")
int BPF_PROG(watch_fragment, struct inet_frag_queue *queue, struct sk_buff *skb)
{
	struct sk_buff *last = queue->fragments_tail;
	int foreign = is_foreign(net_of(queue));

	if (!last)
		mark_clear(mixed_queues(), queue);
	if ((last && differ_in_protection(queue, last, skb)) ||
	    (has_sec_path(skb) && is_mixture_in(skb, foreign)))
		mark_object(mixed_queues(), queue, foreign);
	return 0;
}

/* By now whole is the complete packet. A packet that shows no SA counts as in clear anyway. */
SEC("fentry/inet_frag_reasm_finish")
int BPF_PROG(watch_reassembly, struct inet_frag_queue *queue, struct sk_buff *whole)
{
	int foreign = is_foreign(net_of(queue));

	if (has_sec_path(whole) && is_marked(mixed_queues(), queue, foreign))
		mark_mixture(whole, foreign);
	return 0;
}

SEC("fentry/inet_frag_destroy")
int BPF_PROG(watch_reassembly_end, struct inet_frag_queue *queue)
{
	mark_clear(mixed_queues(), queue);
	return 0;
}

/*
 * An earlier mixture may have had extensions at the same address. If the packet already has a
 * sec_path, a second SA follows, and the packet counts as nested.
 */
SEC("fexit/skb_ext_add")
int BPF_PROG(watch_sec_path, struct sk_buff *skb, enum skb_ext_id id, void *added)
{
	if (added && id == bpf_core_enum_value(enum skb_ext_id, SKB_EXT_SEC_PATH))
		clear_mixture(skb);
	return 0;
}
