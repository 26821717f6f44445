/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The simulated world: what is true of the peers, the SAs and the connections. latchd sees it only
 * through the doors.
 *
 *	peers C, D, E          W: kernel (SAs, SPD, sockets, gates) <--> latchd
 *	10.9.0.2, 10.9.0.3        charon (IKE_SAs, CHILD_SAs) ---vici-----^
 *
 * Any peer may have either address, one after another or at once behind a NAT.
 */
#ifndef LATCHD_SIM_WORLD_H
#define LATCHD_SIM_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "latch_abi.h"

#define WORLD_PEERS    3
#define WORLD_IKE_SAS  6
#define WORLD_CHILDREN 16
#define WORLD_FLOWS    8

/* RFC 5660 section 2 latches these parameters. */
struct world_params {
	uint8_t peer, local, cipher;
};

struct world_ike_sa {
	bool exists;
	uint32_t id;
	uint8_t peer, local;
	uint8_t host; /* last byte of the peer's address */
};

struct world_child {
	bool exists; /* in the kernel, or charon has it */
	struct world_params params;
	uint8_t host;
	uint8_t selector;
	uint32_t token; /* no other child ever has it */
	uint32_t id, ike_id;
	uint32_t spi_in, spi_out;
	int in, out;  /* of traffic.h, or -1 */
	bool listed;  /* charon has it */
	bool old;     /* a successor has replaced it */
	bool deleted; /* ... and its outbound SA is gone: charon keeps the inbound one for a while
		       */
};

enum world_socket {
	WORLD_NO_SOCKET,
	WORLD_CONNECTING,
	WORLD_ESTABLISHED,
	WORLD_TIME_WAIT,
};

struct world_flow {
	struct latch_flow key;
	uint64_t cookie;
	enum world_socket socket;
	bool blocked; /* the socket has had a latch: it never continues without one */
	bool latched; /* params are those of latch_id, which may be gone */
	struct world_params params;
	uint64_t latch_id;
	uint64_t latched_ms;
	bool admin; /* an administrator has broken it */
};

struct world {
	struct world_ike_sa ike_sas[WORLD_IKE_SAS];
	struct world_child children[WORLD_CHILDREN];
	struct world_flow flows[WORLD_FLOWS];
	bool policies;
	/* When the last report of a dead, rebooted or authenticated peer reached latchd. */
	uint64_t dead_ms[WORLD_PEERS], rebooted_ms[WORLD_PEERS], up_ms[WORLD_PEERS];
	/* When the only IKE_SA of a peer got no answer. 0: the peer had another, has
	 * authenticated since, or the report was lost. */
	uint64_t last_dead_ms[WORLD_PEERS];
	/* When the only IKE_SA of a peer ended for a reboot. 0: the peer had another, has a
	 * second, or the report was lost. */
	uint64_t last_reboot_ms[WORLD_PEERS];
	unsigned int steps_left;
	bool over;
};

extern struct world world;
extern const char *const world_peers[WORLD_PEERS], *const world_locals[2], *const world_ciphers[2];

void world_begin(void);
/* latchd does not run for a while. */
void world_pause(void);
/* The world acts, until virtual time is due_ms at the latest. */
void world_pass_time(uint64_t due_ms);
/* Reports of dead and rebooted peers that reached latchd since were lost with their connection. */
void world_forget_reports(uint64_t since_ms);
/* One action of another processor, or of a peer. */
void world_act(void);
/* All has settled and was checked: latchd is to stop. */
bool world_is_over(void);

/* ---- for the doors */
bool world_has_policies(void);
int world_destroy_socket(const struct latch_flow *flow, uint64_t cookie, bool connecting);
int world_find_socket(const struct latch_flow *flow, uint64_t cookie);
void world_trace_control(const struct latch_control *control);

/* ---- facts */
bool world_same(struct world_params a, struct world_params b);
bool world_covers(const struct world_child *child, const struct world_flow *flow);
const char *world_local_selector(const struct world_child *child);
const char *world_remote_selector(const struct world_child *child);
/* The child with the SA that has the key in the kernel now, or NULL. */
const struct world_child *world_child_of(const struct latch_sa_key *key);
struct world_flow *world_flow_of(const struct latch_flow *key);
struct latch_sa_key world_key(const struct world_child *child, bool inbound);

/* ---- checks.c */
/* The properties that hold at every moment. */
void world_check(void);
/* The properties that hold when all has settled. */
void world_check_settled(void);
/* A line of latchd's log. An SA may stay unattributed if a line names it for lack of memory.
 */
void world_note_line(const char *line);
void world_check_begin(void);

#endif
