/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The netfilter gate in one network namespace: a link for each program and family, pinned
 * in PINS_NETNS. A link keeps its namespace alive, so somebody must let go of it
 * when nobody else is left there (coverage.h).
 */
#ifndef LATCHD_ENFORCE_NETFILTER_GATE_H
#define LATCHD_ENFORCE_NETFILTER_GATE_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <stdint.h>

/* The programs' descriptors, of who loaded them; -1 both: this kernel has no such programs. */
struct netfilter_gate {
	int egress;
	int ingress;
	enum bpf_attach_type
		attach_type; /* of both; the system's headers may be too old for its name */
};

bool netfilter_gate_is_offered(const struct netfilter_gate *gate);

/*
 * Attaches what is missing there and replaces other programs' links; at every
 * moment the old one, the new one, or both are attached. 0, or a negative errno
 * and what was attached until then.
 */
int netfilter_gate_attach(const struct netfilter_gate *gate, uint64_t netns_cookie, int netns_fd);

/* Asks the kernel: are these very programs pinned for this namespace? */
bool netfilter_gate_is_attached(const struct netfilter_gate *gate, uint64_t netns_cookie);

/* Removes the pins; the namespace is free then. */
void netfilter_gate_detach(uint64_t netns_cookie);

/*
 * The namespaces that have pins, ours or an earlier latchd's; each may come more
 * than once. Non-zero ends the walk. The callback must not change pins. 0, a
 * negative errno, or what the callback returned.
 */
int netfilter_gate_walk(int (*visit)(void *context, uint64_t netns_cookie), void *context);

#endif
