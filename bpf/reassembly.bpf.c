/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Notes when fragments are put together that came under SAs of several owners: see reassembly.h. */
#include "reassembly.h"
#include "same_owner.h"

/*
 * Each fragment is compared with the last one of those that are there, so that of a queue
 * without a mark all have one owner. One that turns out to be a duplicate marks it, too.
 */
SEC("fentry/inet_frag_queue_insert")
int BPF_PROG(watch_fragment, struct inet_frag_queue *queue, struct sk_buff *skb)
{
	struct sk_buff *last = queue->fragments_tail;

	if (!last)
		mark_clear(&reassemblies, queue);
	else if ((has_sec_path(last) || has_sec_path(skb)) &&
		 !same_owner(last, skb, BPF_CORE_READ(queue, fqdir, net, net_cookie)))
		mark_object(&reassemblies, queue);
	return 0;
}

/* By now whole has become the packet that goes on. */
SEC("fentry/inet_frag_reasm_finish")
int BPF_PROG(watch_reassembly, struct inet_frag_queue *queue, struct sk_buff *whole)
{
	if (is_marked(&reassemblies, queue))
		mark_object(&mixtures, whole);
	else
		mark_clear(&mixtures, whole);
	return 0;
}
