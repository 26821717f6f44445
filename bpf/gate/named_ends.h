/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The addresses that tasks have named for datagrams of a connected UDP socket. A sendmsg() adds a
 * name, and the gate takes it with the datagram. After a queue (NFQUEUE) the gate runs in another
 * task, where the last name serves for any number of datagrams.
 */
#ifndef LATCH_BPF_GATE_NAMED_ENDS_H
#define LATCH_BPF_GATE_NAMED_ENDS_H

#include "db/maps.h"

/*
 * Threads that name addresses at the same time get different places. Earlier names of this
 * task stay, since their datagrams may wait in a queue.
 */
static __always_inline void add_name(struct named_ends *names, const struct latch_flow *there)
{
	__u32 place = __sync_fetch_and_add(&names->named, 1) + 1;
	struct named_end *end = &names->ends[place % NAMED_ENDS];

	end->flow = *there;
	end->task = bpf_get_current_task();
}

/*
 * True: the sending task has named another address for its datagram. Removes its earlier names,
 * too: those datagrams were lost.
 */
static OWN_FRAME int take_name(struct named_ends *names)
{
	__u64 task = bpf_get_current_task();
	int named = 0;

	for (int i = 0; i < NAMED_ENDS; i++) {
		if (names->ends[i].task != task)
			continue;
		names->ends[i].task = 0;
		named = 1;
	}
	return named;
}

static __always_inline int has_remote_end(const struct latch_flow *flow, const __u8 address[16],
					  __u16 port)
{
	__u64 a[2], b[2];

	__builtin_memcpy(a, flow->remote_addr, 16);
	__builtin_memcpy(b, address, 16);
	return !((a[0] ^ b[0]) | (a[1] ^ b[1]) | (flow->remote_port ^ port));
}

/*
 * True: a task has named this address. Used if the gate runs in another task than sendmsg(). A
 * name serves for one datagram, the last name for any number.
 */
static __always_inline int take_name_of(struct named_ends *names, const __u8 address[16],
					__u16 port)
{
	for (__u32 i = 0; i < NAMED_ENDS; i++) {
		struct named_end *end = &names->ends[i];

		if (!end->task && i != names->named % NAMED_ENDS)
			continue;
		if (!has_remote_end(&end->flow, address, port))
			continue;
		end->task = 0;
		return 1;
	}
	return 0;
}

#endif
