/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The simulated kernel's SAs and sockets, as far as the programs of bpf/ see them: each function
 * calls the programs that the kernel would call.
 */
#ifndef LATCHD_SIM_TRAFFIC_H
#define LATCHD_SIM_TRAFFIC_H

#ifndef __VMLINUX_H__
#include <stdbool.h>
#endif

#include "latch_abi.h"

#define TRAFFIC_SAS	48
#define TRAFFIC_SOCKETS 8

struct traffic_sa {
	struct latch_sa_key key;
	__u8 source[16];
	const char *cipher;
	bool inbound;
	__u32 reqid, mark;
	__u16 encap_port; /* 0: no encapsulation */
};

/* Empties the programs' own state. */
void traffic_reset(void);
/* The index of the new SA, or -1: the kernel refused it, as its key is in use. */
int traffic_install(const struct traffic_sa *sa);
void traffic_delete(int sa);
/* XFRM_MSG_MIGRATE to the same addresses: the index of the copy, which replaces the SA. */
int traffic_migrate(int sa);
/* XFRM_MSG_UPDSA with another port, which the kernel may refuse. */
void traffic_update(int sa, __u16 encap_port, bool accepted);
/*
 * XFRM_MSG_MIGRATE_STATE (Linux 7.1) deletes the SA first. Here the kernel then refuses the copy:
 * both are gone.
 */
void traffic_migrate_refused(int sa);
/* NULL: no such SA. */
const struct traffic_sa *traffic_sa(int sa);
/* The address that the programs have recorded as the instance of the SA. */
__u64 traffic_instance(int sa);

struct traffic_packet {
	int socket; /* index of its state; -1: a listener's */
	struct latch_flow flow;
	__u64 cookie;
	const struct latch_sa_key *sa; /* NULL: in clear */
	bool egress, syn, connecting;
};

/* True: the packet passes the cgroup gate. */
bool traffic_packet(const struct traffic_packet *packet);
/* How many packets passed as one before, although the check in full drops them. */
extern unsigned int traffic_stale;

void traffic_connect(int socket);
/* The connection is established: the socket owns the latch. */
void traffic_established(int socket, const struct latch_flow *flow, __u64 cookie);
/* The same of a connection that a listener accepts. sa: of its ACK, or NULL. */
void traffic_accepted(int socket, const struct latch_flow *flow, __u64 cookie,
		      const struct latch_sa_key *sa);
/* The socket ends. time_wait: its flow continues in TIME_WAIT. */
void traffic_closed(const struct latch_flow *flow, __u64 cookie, bool time_wait);

/* Edits of the SPD by netlink. */
void traffic_policies_flushed(void);
void traffic_policy_added(void);
/* Runs the program latch_control. */
void traffic_control(struct latch_control *control);

#endif
