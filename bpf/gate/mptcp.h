/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* MPTCP (RFC 8684): all subflows of a connection must be latched to the same params. */
#ifndef LATCH_BPF_GATE_MPTCP_H
#define LATCH_BPF_GATE_MPTCP_H

#include "gate/passage.h"

/* The connection's first subflow, for any subflow of MPTCP (RFC 8684). */
static OWN_FRAME struct sock *mptcp_first_subflow(struct tcp_sock *tcp)
{
	struct mptcp_subflow_context *subflow;
	struct mptcp_sock *whole;

	if (!bpf_core_field_exists(tcp->is_mptcp) || !BPF_CORE_READ(tcp, is_mptcp))
		return NULL;
	subflow = BPF_CORE_READ(tcp, inet_conn.icsk_ulp_data);
	whole = subflow ? (struct mptcp_sock *)BPF_CORE_READ(subflow, conn) : NULL;
	return whole ? BPF_CORE_READ(whole, first) : NULL;
}

/* first_socket: address of the first subflow's struct sock; p is of another subflow. */
int mptcp_check_subflow(struct passage *p, __u64 first_socket);

#endif
