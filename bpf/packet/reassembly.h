/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A packet reassembled from tunnelled fragments shows the SA of the first fragment only. The
 * others may have arrived under another peer's SA, or in clear. Only their queue shows which
 * fragments are reassembled, and no program can reject a fragment there. A program can observe the
 * queue (reassembly.bpf.c), and marks the reassembled packet: see mixture.h.
 */
#ifndef LATCH_BPF_PACKET_REASSEMBLY_H
#define LATCH_BPF_PACKET_REASSEMBLY_H

#include "packet/mixture.h"

/* Longer than a queue lives by default (sysctl ipfrag_time, ip6frag_time). */
#define REASSEMBLY_SECONDS 300

static __always_inline struct object_marks mixed_queues(void)
{
	return (struct object_marks){&reassemblies, REASSEMBLY_SECONDS, REASSEMBLY_SECONDS};
}

#endif
