/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* MPTCP (RFC 8684): all subflows of a connection must be latched to the same params. */
#ifndef LATCH_BPF_GATE_MPTCP_H
#define LATCH_BPF_GATE_MPTCP_H

#include "gate/passage.h"

static OWN_FRAME int is_mptcp(const struct tcp_sock *tcp)
{
	return bpf_core_field_exists(tcp->is_mptcp) && BPF_CORE_READ(tcp, is_mptcp);
}

/* NULL: the connection is not there yet, or has lost its first subflow. */
static OWN_FRAME struct sock *mptcp_first_subflow(struct tcp_sock *tcp)
{
	struct mptcp_subflow_context *subflow;
	struct mptcp_sock *connection;

	subflow = BPF_CORE_READ(tcp, inet_conn.icsk_ulp_data);
	connection = subflow ? (struct mptcp_sock *)BPF_CORE_READ(subflow, conn) : NULL;
	return connection ? BPF_CORE_READ(connection, first) : NULL;
}

/* p: of another subflow. first_socket: address of the first subflow's struct sock. */
int mptcp_check_subflow(struct passage *p, __u64 first_socket);

#endif
