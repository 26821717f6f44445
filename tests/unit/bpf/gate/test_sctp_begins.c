/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which packet makes the latch of an SCTP path. The netfilter gate sees what arrives before the
 * kernel has compared address and SA, so a peer with a tunnel can send a packet in another address.
 * The test compiles the texts of bpf/gate/sctp.h and bpf/gate/new_flow.bpf.c, with tables of its
 * own. test_gate_sctp.c has whole packets, but no SAs.
 *
 *	here: HERE, HERE_TOO === SA of PEER === PEER_HOST, PEER_HOST_TOO
 *	                     === SA of IMPOSTOR === a host that sends as PEER_HOST
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

enum {
	PEER = 7,
	IMPOSTOR = 8,
	UNATTRIBUTED = 0,
};

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

#define ENTRIES 16

struct entry {
	bool used;
	struct latch_flow key;
	union {
		struct latch latch;
		struct latch_association association;
	};
};

static struct entry latches[ENTRIES], associations[ENTRIES];
static struct latch_sa sas[IMPOSTOR + 1]; /* their SPI is the number of their params */
static struct latch_params params[IMPOSTOR + 1] = {
	[PEER] = {.peer_id = 2}, [IMPOSTOR] = {.peer_id = 3}};
static struct latch_settings settings;
static struct latch_clock the_clock;
static __u64 now;

static struct entry *entry_at(struct entry *map, const struct latch_flow *key)
{
	size_t i;

	for (i = 0; i < ENTRIES; i++)
		if (map[i].used && !memcmp(&map[i].key, key, sizeof(*key)))
			return &map[i];
	return NULL;
}

static struct entry *entry_add(struct entry *map, const struct latch_flow *key)
{
	size_t i;

	for (i = 0; i < ENTRIES && map[i].used; i++)
		;
	cr_assert_lt(i, ENTRIES);
	map[i] = (struct entry){.used = true, .key = *key};
	return &map[i];
}

static void *bpf_map_lookup_elem(void *map, const void *key)
{
	struct entry *entry;

	if (map == (void *)sas)
		return &sas[((const struct latch_sa_key *)key)->spi];
	if (map == (void *)params)
		return &params[*(const __u32 *)key];
	if (map != (void *)latches && map != (void *)associations)
		return NULL;
	entry = entry_at(map, key);
	return entry ? &entry->latch : NULL;
}

static __u64 bpf_ktime_get_boot_ns(void)
{
	return now;
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
	return &the_clock;
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

static int add_latch(const struct latch_flow *flow, enum latch_state state, __u16 under,
		     enum latch_direction direction)
{
	struct latch *latch;

	if (entry_at(latches, flow))
		return -EEXIST;
	latch = &entry_add(latches, flow)->latch;
	latch->word.state = state;
	latch->word.params = under;
	latch->id = ++the_clock.latch_id;
	latch->direction = direction;
	latch->owner = LATCH_OWNER_HANDSHAKE;
	return 0;
}

static int latch_create(const struct latch_flow *flow, __u16 under,
			const struct rule_decision *rule, enum latch_direction direction,
			__u64 cookie, __u64 listener, int queued)
{
	(void)rule, (void)cookie, (void)listener, (void)queued;
	return add_latch(flow, LATCH_STATE_ESTABLISHED, under, direction);
}

static int latch_acquire(const struct latch_flow *flow, __u16 under,
			 const struct rule_decision *rule, enum latch_direction direction,
			 __u64 cookie, __u64 listener, int foreign)
{
	(void)rule, (void)cookie, (void)listener, (void)foreign;
	return add_latch(flow, LATCH_STATE_LARVAL, under, direction);
}

static int latch_establish(const struct latch_flow *flow, struct latch *latch, union latch_word was,
			   __u16 under)
{
	(void)flow, (void)was;
	latch->word.state = LATCH_STATE_ESTABLISHED;
	latch->word.params = under;
	return 0;
}

static int record_mark(const struct latch_flow *key, __u64 id, __u16 under, __u8 foreign,
		       __u32 mode)
{
	struct entry *entry = entry_at(associations, key);

	if (!entry)
		entry = entry_add(associations, key);
	entry->association = (struct latch_association){
		.id = id, .changed = now, .params = under, .foreign = foreign, .mode = mode};
	return 0;
}

static enum latch_action action;

static int rule_of(const struct latch_flow *flow, int direction, struct rule_decision *ret)
{
	(void)flow, (void)direction;
	*ret = (struct rule_decision){.action = action};
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

static int pair_decision(const struct latch_flow *flow, int under)
{
	(void)flow, (void)under;
	return PAIR_UNDECIDED;
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

/* Functions for the verifier have no header, and some arguments have the names of maps. */
#pragma GCC diagnostic ignored "-Wmissing-prototypes"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wunused-function"
#include "gate/sctp.h"
#include "gate/new_flow.bpf.c"

static enum latch_drop dropped;

int drop_packet(struct passage *p, struct latch *latch, int why)
{
	(void)p, (void)latch;
	dropped = (enum latch_drop)why;
	return GATE_DROP;
}

int refuse(struct passage *p, int why)
{
	return drop_packet(p, NULL, why);
}

int is_served(__u64 netns, int foreign)
{
	(void)netns, (void)foreign;
	return 0;
}

int rule_refuses(struct passage *p, int carried)
{
	(void)p, (void)carried;
	return REJECT_NONE;
}

/* ---- packets */

enum address {
	HERE = 1,
	HERE_TOO,
	PEER_HOST,
	PEER_HOST_TOO,
};

#define PEER_TAG      0x20202020 /* of packets to PEER */
#define LOCAL_TAG     0x10101010 /* of packets from PEER */
#define NEW_TAG	      0x11111111 /* after a restart */
#define IMPOSTORS_TAG 0x30303030 /* of packets from IMPOSTOR, to its own association */
#define SCTP_DATA     0
#define SCTP_BEAT     4

static struct latch_flow path(enum address here, enum address there)
{
	return (struct latch_flow){.local_addr = {(__u8)here},
				   .remote_addr = {(__u8)there},
				   .local_port = 3868,
				   .remote_port = 3868,
				   .family = 2,
				   .protocol = IPPROTO_SCTP_NUMBER};
}

struct packet_of {
	bool egress;
	enum address here, there;
	__u8 chunk;
	__be32 tag, initiate_tag;
	int under;
	bool in_clear;
};

static bool passes(const struct packet_of *packet)
{
	struct passage p = {
		.flow = path(packet->here ? packet->here : HERE,
			     packet->there ? packet->there : PEER_HOST),
		.egress = packet->egress,
		.sa.spi = (__u32)packet->under,
		.protection = packet->in_clear ? PACKET_PLAIN : PACKET_PROTECTED,
	};
	struct sctp_segment s = {
		.chunk = packet->chunk, .tag = packet->tag, .initiate_tag = packet->initiate_tag};

	now++;
	dropped = LATCH_DROP_COUNT;
	return sctp_verdict(&p, &s) == GATE_PASS;
}

#define SENDS(chunk_type, under_sa, ...)                                                           \
	passes(&(struct packet_of){                                                                \
		.egress = true, .chunk = (chunk_type), .under = (under_sa), __VA_ARGS__})
#define ARRIVES(chunk_type, under_sa, ...)                                                         \
	passes(&(struct packet_of){.chunk = (chunk_type), .under = (under_sa), __VA_ARGS__})

static const struct latch *latch_at(enum address here, enum address there)
{
	struct latch_flow flow = path(here, there);
	struct entry *entry = entry_at(latches, &flow);

	return entry ? &entry->latch : NULL;
}

static const struct latch *latch_of(enum address here, enum address there)
{
	const struct latch *latch = latch_at(here, there);

	cr_assert_not_null(latch);
	return latch;
}

static bool is_latched_to(enum address here, enum address there, __u16 peer)
{
	const struct latch *latch = latch_at(here, there);

	return latch && latch->word.state == LATCH_STATE_ESTABLISHED && latch->word.params == peer;
}

static struct latch_flow tag_mark(enum latch_association_mark mark, __be32 tag)
{
	struct passage p = {.flow = path(HERE, PEER_HOST)};
	struct latch_flow key;

	tag_key(&p, mark, tag, &key);
	return key;
}

static bool is_marked(enum latch_association_mark mark, __be32 tag)
{
	struct latch_flow key = tag_mark(mark, tag);

	return entry_at(associations, &key);
}

static void set_sa(__u16 under, enum latch_sa_state state)
{
	sas[under].word = (union latch_sa_word){.state = state, .params = under};
}

static void begin(void)
{
	memset(latches, 0, sizeof(latches));
	memset(associations, 0, sizeof(associations));
	set_sa(PEER, LATCH_SA_BOUND);
	set_sa(IMPOSTOR, LATCH_SA_BOUND);
	set_sa(UNATTRIBUTED, LATCH_SA_PENDING);
	action = LATCH_ACTION_AUTO;
}

TestSuite(sctp_begins, .init = begin);

/* ---- an association that PEER opens */

static void peer_connects(void)
{
	cr_expect(ARRIVES(SCTP_INIT, PEER, .initiate_tag = PEER_TAG));
	cr_expect(SENDS(SCTP_INIT_ACK, PEER, .tag = PEER_TAG, .initiate_tag = LOCAL_TAG));
	cr_expect(ARRIVES(SCTP_COOKIE_ECHO, PEER, .tag = LOCAL_TAG));
	cr_expect(SENDS(SCTP_COOKIE_ACK, PEER, .tag = PEER_TAG));
	cr_expect(ARRIVES(SCTP_DATA, PEER, .tag = LOCAL_TAG));
	cr_expect(SENDS(SCTP_DATA, PEER, .tag = PEER_TAG));
	cr_expect(is_latched_to(HERE, PEER_HOST, PEER));
}

Test(sctp_begins, L_5_4_2_an_init_that_arrives_makes_a_latch_by_its_answer)
{
	cr_expect(ARRIVES(SCTP_INIT, PEER, .initiate_tag = PEER_TAG));
	cr_expect_null(latch_at(HERE, PEER_HOST));
	cr_expect(SENDS(SCTP_INIT_ACK, PEER, .tag = PEER_TAG, .initiate_tag = LOCAL_TAG));
	cr_expect(is_latched_to(HERE, PEER_HOST, PEER));
	cr_expect_eq(latch_of(HERE, PEER_HOST)->direction, LATCH_DIRECTION_IN);
	peer_connects();
	cr_expect_eq(latch_of(HERE, PEER_HOST)->owner, LATCH_OWNER_SOCKET);
	cr_expect(is_marked(LATCH_MARK_LOCAL_TAG, LOCAL_TAG));
	cr_expect(is_marked(LATCH_MARK_REMOTE_TAG, PEER_TAG));
}

Test(sctp_begins, L_5_4_3_an_init_that_is_sent_makes_a_latch)
{
	cr_expect(SENDS(SCTP_INIT, PEER, .initiate_tag = LOCAL_TAG));
	cr_expect(is_latched_to(HERE, PEER_HOST, PEER));
	cr_expect_eq(latch_of(HERE, PEER_HOST)->direction, LATCH_DIRECTION_OUT);
	cr_expect(ARRIVES(SCTP_INIT_ACK, PEER, .tag = LOCAL_TAG, .initiate_tag = PEER_TAG));
	cr_expect(SENDS(SCTP_COOKIE_ECHO, PEER, .tag = PEER_TAG));
	cr_expect_not(ARRIVES(SCTP_COOKIE_ACK, IMPOSTOR, .tag = LOCAL_TAG));
	cr_expect(ARRIVES(SCTP_COOKIE_ACK, PEER, .tag = LOCAL_TAG));
}

/* The kernel refuses these packets, behind this gate. */
Test(sctp_begins, R_2_4_a_packet_in_the_address_of_another_peer_makes_no_latch)
{
	cr_expect(ARRIVES(SCTP_INIT, IMPOSTOR, .initiate_tag = IMPOSTORS_TAG));
	cr_expect(ARRIVES(SCTP_COOKIE_ECHO, IMPOSTOR, .tag = IMPOSTORS_TAG));
	cr_expect_null(latch_at(HERE, PEER_HOST));
	peer_connects();
	cr_expect_not(ARRIVES(SCTP_INIT, IMPOSTOR, .initiate_tag = IMPOSTORS_TAG));
	cr_expect_not(ARRIVES(SCTP_DATA, IMPOSTOR, .tag = LOCAL_TAG));
}

static void put_impostors_association(void)
{
	struct latch_flow key = tag_mark(LATCH_MARK_LOCAL_TAG, IMPOSTORS_TAG);

	record_mark(&key, 99, IMPOSTOR, 0, 0);
}

Test(sctp_begins, R_2_4_a_peers_own_tag_in_the_address_of_another_peer_makes_no_latch)
{
	struct latch_flow key = tag_mark(LATCH_MARK_LOCAL_TAG, IMPOSTORS_TAG);
	__u64 changed;

	put_impostors_association();
	changed = entry_at(associations, &key)->association.changed;
	cr_expect(ARRIVES(SCTP_DATA, IMPOSTOR, .tag = IMPOSTORS_TAG));
	cr_expect_null(latch_at(HERE, PEER_HOST));
	cr_expect_eq(entry_at(associations, &key)->association.changed, changed);
	peer_connects();
	cr_expect(ARRIVES(SCTP_DATA, IMPOSTOR, .tag = IMPOSTORS_TAG, .here = HERE_TOO));
	cr_expect_null(latch_at(HERE_TOO, PEER_HOST), "the address is another association's");
}

/* RFC 9260 section 5.2.1: both ends send INIT. */
Test(sctp_begins, an_association_that_both_ends_open_is_latched)
{
	cr_expect(SENDS(SCTP_INIT, PEER, .initiate_tag = LOCAL_TAG));
	cr_expect(ARRIVES(SCTP_INIT, PEER, .initiate_tag = PEER_TAG));
	cr_expect(SENDS(SCTP_INIT_ACK, PEER, .tag = PEER_TAG, .initiate_tag = LOCAL_TAG));
	cr_expect(ARRIVES(SCTP_INIT_ACK, PEER, .tag = LOCAL_TAG, .initiate_tag = PEER_TAG));
	cr_expect(SENDS(SCTP_COOKIE_ECHO, PEER, .tag = PEER_TAG));
	cr_expect(ARRIVES(SCTP_COOKIE_ECHO, PEER, .tag = LOCAL_TAG));
	cr_expect(SENDS(SCTP_COOKIE_ACK, PEER, .tag = PEER_TAG));
	cr_expect(ARRIVES(SCTP_COOKIE_ACK, PEER, .tag = LOCAL_TAG));
	cr_expect(is_latched_to(HERE, PEER_HOST, PEER));
	cr_expect(is_marked(LATCH_MARK_LOCAL_TAG, LOCAL_TAG));
}

/* RFC 9260 section 5.2.2, 5.2.4 */
Test(sctp_begins, an_association_that_the_peer_restarts_continues_on_its_path)
{
	peer_connects();
	cr_expect(ARRIVES(SCTP_INIT, PEER, .initiate_tag = PEER_TAG + 1));
	cr_expect(SENDS(SCTP_INIT_ACK, PEER, .tag = PEER_TAG + 1, .initiate_tag = NEW_TAG));
	cr_expect_eq(latch_of(HERE, PEER_HOST)->tag_seen, LOCAL_TAG, "an ABORT needs it");
	cr_expect(ARRIVES(SCTP_COOKIE_ECHO, PEER, .tag = NEW_TAG));
	cr_expect(SENDS(SCTP_COOKIE_ACK, PEER, .tag = PEER_TAG + 1));
	cr_expect(is_marked(LATCH_MARK_LOCAL_TAG, NEW_TAG));
	cr_expect(is_marked(LATCH_MARK_REMOTE_TAG, PEER_TAG + 1));
}

/* ---- paths */

/* The route to the peer has another local address. */
Test(sctp_begins, an_init_that_is_answered_on_another_path_begins_an_association)
{
	cr_expect(ARRIVES(SCTP_INIT, PEER, .initiate_tag = PEER_TAG));
	cr_expect(SENDS(SCTP_INIT_ACK, PEER, .here = HERE_TOO, .tag = PEER_TAG,
			.initiate_tag = LOCAL_TAG));
	cr_expect(is_latched_to(HERE_TOO, PEER_HOST, PEER));
	cr_expect(ARRIVES(SCTP_COOKIE_ECHO, PEER, .tag = LOCAL_TAG));
	cr_expect_null(latch_at(HERE, PEER_HOST));
	cr_expect(SENDS(SCTP_COOKIE_ACK, PEER, .here = HERE_TOO, .tag = PEER_TAG));
	cr_expect(is_marked(LATCH_MARK_LOCAL_TAG, LOCAL_TAG));
	cr_expect_not(ARRIVES(SCTP_DATA, IMPOSTOR, .tag = LOCAL_TAG));
	cr_expect_not(ARRIVES(SCTP_DATA, PEER, .tag = LOCAL_TAG, .in_clear = true));
	cr_expect(ARRIVES(SCTP_DATA, PEER, .tag = LOCAL_TAG));
	cr_expect(is_latched_to(HERE, PEER_HOST, PEER), "the kernel sends to the address");
	cr_expect_eq(latch_of(HERE, PEER_HOST)->association,
		     latch_of(HERE_TOO, PEER_HOST)->association);
}

Test(sctp_begins, L_5_4_4_a_new_address_of_the_peer_is_latched_once_the_kernel_sends_to_it)
{
	peer_connects();
	cr_expect(ARRIVES(SCTP_DATA, PEER, .there = PEER_HOST_TOO, .tag = LOCAL_TAG));
	cr_expect_null(latch_at(HERE, PEER_HOST_TOO));
	cr_expect_not(ARRIVES(SCTP_DATA, IMPOSTOR, .there = PEER_HOST_TOO, .tag = LOCAL_TAG));
	cr_expect_eq(dropped, LATCH_DROP_IDENTITY);
	cr_expect_not(ARRIVES(SCTP_DATA, PEER, .there = PEER_HOST_TOO, .tag = LOCAL_TAG,
			      .in_clear = true));
	cr_expect_eq(dropped, LATCH_DROP_PLAINTEXT);
	cr_expect(SENDS(SCTP_BEAT, PEER, .there = PEER_HOST_TOO, .tag = PEER_TAG));
	cr_expect(is_latched_to(HERE, PEER_HOST_TOO, PEER));
	cr_expect(ARRIVES(SCTP_DATA, PEER, .here = HERE_TOO, .there = PEER_HOST_TOO,
			  .tag = LOCAL_TAG));
	cr_expect(is_latched_to(HERE_TOO, PEER_HOST_TOO, PEER), "it may only receive there");
}

/* latchd releases the latch of a handshake after some seconds; a cookie lives longer. */
Test(sctp_begins, a_cookie_that_comes_late_begins_an_association_with_all_its_marks)
{
	cr_expect(ARRIVES(SCTP_COOKIE_ECHO, PEER, .tag = LOCAL_TAG));
	cr_expect_null(latch_at(HERE, PEER_HOST));
	cr_expect(SENDS(SCTP_COOKIE_ACK, PEER, .tag = PEER_TAG));
	cr_expect(is_latched_to(HERE, PEER_HOST, PEER));
	cr_expect_eq(latch_of(HERE, PEER_HOST)->direction, LATCH_DIRECTION_IN);
	cr_expect(ARRIVES(SCTP_DATA, PEER, .tag = LOCAL_TAG));
	cr_expect(SENDS(SCTP_DATA, PEER, .tag = PEER_TAG));
	cr_expect(is_marked(LATCH_MARK_LOCAL_TAG, LOCAL_TAG));
	cr_expect_eq(latch_of(HERE, PEER_HOST)->owner, LATCH_OWNER_SOCKET);
}

/* ---- rules, and SAs without a peer */

Test(sctp_begins, R_2_2_a_rule_that_requires_a_latch_refuses_an_init_that_could_not_have_one)
{
	action = LATCH_ACTION_REQUIRE;
	cr_expect_not(ARRIVES(SCTP_INIT, PEER, .initiate_tag = PEER_TAG, .in_clear = true));
	cr_expect_eq(dropped, LATCH_DROP_REQUIRED);
	cr_expect_not(ARRIVES(SCTP_INIT, UNATTRIBUTED, .initiate_tag = PEER_TAG));
	cr_expect_not(SENDS(SCTP_INIT_ACK, PEER, .tag = PEER_TAG, .in_clear = true));
	cr_expect_not(SENDS(SCTP_COOKIE_ACK, PEER, .tag = PEER_TAG, .in_clear = true));
	peer_connects();
}

Test(sctp_begins, an_association_that_begins_in_clear_has_no_latch)
{
	cr_expect(ARRIVES(SCTP_INIT, PEER, .initiate_tag = PEER_TAG, .in_clear = true));
	cr_expect(SENDS(SCTP_INIT_ACK, PEER, .tag = PEER_TAG, .in_clear = true));
	cr_expect(ARRIVES(SCTP_COOKIE_ECHO, PEER, .tag = LOCAL_TAG, .in_clear = true));
	cr_expect(SENDS(SCTP_COOKIE_ACK, PEER, .tag = PEER_TAG, .in_clear = true));
	cr_expect(SENDS(SCTP_DATA, PEER, .tag = PEER_TAG));
	cr_expect_null(latch_at(HERE, PEER_HOST));
}

Test(sctp_begins, R_2_4_only_what_is_sent_settles_a_larval_latch)
{
	cr_expect(ARRIVES(SCTP_INIT, UNATTRIBUTED, .initiate_tag = PEER_TAG));
	cr_expect_null(latch_at(HERE, PEER_HOST));
	cr_expect(SENDS(SCTP_INIT_ACK, UNATTRIBUTED, .tag = PEER_TAG, .initiate_tag = LOCAL_TAG));
	cr_expect(ARRIVES(SCTP_INIT, IMPOSTOR, .initiate_tag = IMPOSTORS_TAG));
	cr_expect_eq(latch_of(HERE, PEER_HOST)->word.state, LATCH_STATE_LARVAL);
	put_impostors_association();
	cr_expect(ARRIVES(SCTP_DATA, IMPOSTOR, .tag = IMPOSTORS_TAG));
	cr_expect_eq(latch_of(HERE, PEER_HOST)->association, 0);
	cr_expect_eq(latch_of(HERE, PEER_HOST)->tag_seen, LOCAL_TAG);
	cr_expect(ARRIVES(SCTP_COOKIE_ECHO, PEER, .tag = LOCAL_TAG));
	cr_expect_eq(latch_of(HERE, PEER_HOST)->word.state, LATCH_STATE_LARVAL);
	cr_expect(SENDS(SCTP_COOKIE_ACK, PEER, .tag = PEER_TAG));
	cr_expect(is_latched_to(HERE, PEER_HOST, PEER));
	cr_expect(is_marked(LATCH_MARK_LOCAL_TAG, LOCAL_TAG));
}
