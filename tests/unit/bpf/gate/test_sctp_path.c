/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which SA lets a path join a latched SCTP association. The test compiles the text of
 * bpf/gate/sctp.h, with one association and one SA. test_gate_sctp.c has whole packets, but no SAs.
 */
#include <criterion/criterion.h>
#include <linux/bpf.h>
#include <linux/types.h>
#include <stdbool.h>
#include <string.h>

/* ---- in place of bpf/db/, bpf/packet/ and the kernel ---- */

#define LATCH_BPF_DB_MAPS_H
#define LATCH_BPF_DB_LATCH_DB_H
#define LATCH_BPF_DB_RULES_H
#define LATCH_BPF_DB_ASSOCIATION_H
#define LATCH_BPF_DB_PAIR_H
#define LATCH_BPF_GATE_AUDIT_H
#define LATCH_BPF_PACKET_PACKET_H
#define OWN_FRAME __attribute__((unused))
#define __noinline
#define bpf_ntohs(x) __builtin_bswap16(x)
#define EEXIST	     17

#include "latch_abi.h"
#include "latch_mode.h"
#include "latch_sockopt.h"
#include "db/packet_protection.h"
#include "db/protocols.h"
#include "db/read_once.h"
#include "db/rule_decision.h"

#define PEER	       7
#define IMPOSTOR       8
#define PAIR_UNDECIDED -1

struct sctphdr {
	__be16 source, dest;
	__be32 vtag;
};

struct sctp_chunkhdr {
	__u8 type, flags;
	__be16 length;
};

struct sctp_inithdr {
	__be32 init_tag;
};

struct packet;
struct ip_headers {
	__u32 payload;
};

struct socket_verdict {
	__u8 was_latched;
	__u32 mode;
};

static char latches[1], params[1], associations[1];
static struct latch_sa sas[1];
static struct latch_association association;
static struct latch_params known_params[IMPOSTOR + 1] = {
	[PEER] = {.peer_id = 2}, [IMPOSTOR] = {.peer_id = 3}};
static struct latch_settings settings;

static void *bpf_map_lookup_elem(void *map, const void *key)
{
	if (map == (void *)sas)
		return sas;
	if (map == (void *)params)
		return &known_params[*(const __u32 *)key];
	return map == (void *)associations ? &association : NULL;
}

static __u64 bpf_ktime_get_boot_ns(void)
{
	return 5000;
}

static struct latch_settings *settings_get(void)
{
	return &settings;
}

static __u32 mode_get(void)
{
	return settings.mode;
}

static struct latch_clock *clock_get(void)
{
	return NULL;
}

static void count(enum latch_counter which)
{
	(void)which;
}

static struct latch_event *event_begin(enum latch_event_type type)
{
	(void)type;
	return NULL;
}

static void bpf_ringbuf_submit(void *event, __u64 flags)
{
	(void)event, (void)flags;
}

static int latch_establish(const struct latch_flow *flow, struct latch *latch, union latch_word was,
			   __u16 under)
{
	(void)flow, (void)latch, (void)was, (void)under;
	return 0;
}

static int rule_of(const struct latch_flow *flow, int direction, struct rule_decision *ret)
{
	(void)flow, (void)direction;
	ret->action = LATCH_ACTION_AUTO;
	return 0;
}

static int record_mark(const struct latch_flow *key, __u64 id, __u16 under, __u8 foreign,
		       __u32 mode)
{
	(void)key, (void)id, (void)under, (void)foreign, (void)mode;
	return 0;
}

static int packet_load(const struct packet *packet, __u32 at, void *to, __u32 size)
{
	(void)packet, (void)at, (void)to, (void)size;
	return -1;
}

static void flow_of_ports(const struct ip_headers *ip, __be16 source, __be16 destination,
			  __u64 netns, int egress, struct latch_flow *flow)
{
	(void)ip, (void)source, (void)destination, (void)netns, (void)egress, (void)flow;
}

static int decided; /* between the addresses of the path, for SAs of PEER */

static int pair_decision(const struct latch_flow *flow, int under)
{
	(void)flow;
	return under == PEER ? decided : PAIR_UNDECIDED;
}

struct passage;
static int is_provisional(const struct latch *latch)
{
	(void)latch;
	return 0;
}

static int audit_check_anew(struct passage *p)
{
	(void)p;
	return 0;
}

static int audit_begin(struct passage *p, int foreign)
{
	(void)p, (void)foreign;
	return 0;
}

/* Functions for the verifier have no header. */
#pragma GCC diagnostic ignored "-Wmissing-prototypes"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wunused-function"
#include "gate/sctp.h"

static int refused_for, dropped_for, latched_to;

int drop_packet(struct passage *p, struct latch *latch, int why)
{
	(void)p, (void)latch;
	dropped_for = why;
	return GATE_DROP;
}

int refuse(struct passage *p, int why)
{
	(void)p;
	refused_for = why;
	return GATE_LOSE;
}

int new_flow_latch(struct passage *p, int under)
{
	(void)p;
	latched_to = under;
	return GATE_PASS;
}

int new_flow_check(struct passage *p)
{
	(void)p;
	return GATE_DROP;
}

int new_flow_check_larval(struct passage *p)
{
	(void)p;
	return GATE_DROP;
}

int is_served(__u64 netns, int foreign)
{
	(void)netns, (void)foreign;
	return 1;
}

/* ---- the path */

static void begin(void)
{
	memset(sas, 0, sizeof(sas));
	sas[0].word.state = LATCH_SA_BOUND;
	sas[0].word.params = PEER;
	association = (struct latch_association){.id = 77, .params = PEER};
	decided = PAIR_UNDECIDED;
	refused_for = dropped_for = LATCH_DROP_COUNT;
	latched_to = 0;
	(void)latches;
}

TestSuite(sctp_path, .init = begin);

static int join(void)
{
	struct passage p = {.protection = PACKET_PROTECTED};
	struct sctp_segment segment = {.chunk = SCTP_AUTH};

	return sctp_check_path(&p, &segment);
}

Test(sctp_path, L_5_4_4_a_path_joins_under_an_sa_of_the_associations_peer)
{
	cr_expect_eq(join(), GATE_PASS);
	cr_expect_eq(latched_to, PEER);
	cr_expect_eq(association.changed, 5000);
}

Test(sctp_path, R_2_4_a_path_joins_under_no_sa_of_another_peer)
{
	sas[0].word.params = IMPOSTOR;
	decided = LATCH_PAIR_ALONE;
	cr_expect_eq(join(), GATE_DROP);
	cr_expect_eq(dropped_for, LATCH_DROP_IDENTITY);
	sas[0].word.flags = LATCH_SA_CONTESTED;
	cr_expect_eq(join(), GATE_DROP);
	cr_expect_eq(dropped_for, LATCH_DROP_IDENTITY);
	cr_expect_eq(refused_for, LATCH_DROP_COUNT);
	cr_expect_eq(latched_to, 0);
}

Test(sctp_path, R_2_3_8_under_a_contested_sa_a_path_joins_where_no_other_sa_can_carry_it)
{
	sas[0].word.flags = LATCH_SA_CONTESTED;
	cr_expect_eq(join(), GATE_DROP, "a netfilter program cannot lose it");
	cr_expect_eq(refused_for, LATCH_DROP_CONTESTED, "latchd is asked");
	decided = LATCH_PAIR_CONTESTED;
	cr_expect_eq(join(), GATE_DROP);
	cr_expect_eq(dropped_for, LATCH_DROP_CONFLICT);
	cr_expect_eq(latched_to, 0);
	cr_expect_eq(association.changed, 0, "any host may send an INIT in the peer's name");
	decided = LATCH_PAIR_ALONE;
	cr_expect_eq(join(), GATE_PASS);
	cr_expect_eq(latched_to, PEER);
}
