/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The netfilter gate in one network namespace: a link for each program and family, pinned in
 * PINS_NETNS, with whole packets where the kernel can defragment. A link keeps its namespace alive.
 * netfilter_netns.h therefore detaches the gate once no process, mount or latched socket is left in
 * the namespace.
 */
#ifndef LATCHD_ENFORCE_NETFILTER_NETFILTER_GATE_H
#define LATCHD_ENFORCE_NETFILTER_NETFILTER_GATE_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <stdint.h>

/* Descriptors that the object owns. Both are -1 where the kernel has no such programs. */
struct netfilter_gate {
	int egress;
	int ingress;
	/* Attach type of both programs. The system's headers may be too old to have its name. */
	enum bpf_attach_type attach_type;
};

/* True: this kernel has the programs. */
bool netfilter_gate_is_offered(const struct netfilter_gate *gate);

/*
 * Attaches missing links and replaces links of other programs. At every moment the old link, the
 * new one, or both are attached. 0, or a negative errno; links attached until then stay.
 */
int netfilter_gate_attach(const struct netfilter_gate *gate, uint64_t netns_cookie, int netns_fd);

/* True: the kernel reports the pinned links of this namespace with these programs. */
bool netfilter_gate_is_attached(const struct netfilter_gate *gate, uint64_t netns_cookie);

/* Removes the pins. The links then no longer keep the namespace alive. */
void netfilter_gate_detach(uint64_t netns_cookie);

/*
 * Visits the namespaces that have pins, of this latchd or an earlier one. A namespace may come
 * more than once. The visitor must not change pins; a non-zero result ends the walk. Returns
 * that result, 0, or a negative errno.
 */
int netfilter_gate_walk(int (*visit)(void *context, uint64_t netns_cookie), void *context);

#endif
