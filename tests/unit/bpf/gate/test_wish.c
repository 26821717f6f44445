/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What another processor changes while the gate compares an SA with the wishes of a socket, and
 * between the comparison and the latch. The test compiles the texts of bpf/gate/wish.bpf.c and
 * bpf/gate/new_flow.bpf.c, with one SA and two sets of params. With sockets: test_gate_wish.c.
 */
#include <criterion/criterion.h>
#include <linux/bpf.h>
#include <linux/types.h>
#include <stdbool.h>
#include <string.h>

/* ---- in place of bpf/db/, bpf/packet/ and the kernel ---- */

#define LATCH_BPF_DB_MAPS_H
#define LATCH_BPF_DB_LATCH_DB_H
#define LATCH_BPF_DB_PAST_H
#define LATCH_BPF_DB_RULES_H
#define OWN_FRAME __attribute__((unused))
#define __noinline
#define EEXIST		   17
#define IPPROTO_UDP_NUMBER 17

#include "latch_abi.h"
#include "latch_mode.h"
#include "db/packet_protection.h"
#include "db/read_once.h"
#include "db/rule_decision.h"
#include "db/socket_wish.h"

struct datagram_socket {
	__u8 wished;
};

enum {
	PEER = 7,
	IMPOSTOR = 8,
	PEER_ID = 2,
	IMPOSTOR_ID = 3,
	LOCAL_ID = 4,
};

static char latches[1], wishes[1], params[1];
static struct latch_sa sas[1];
static struct latch_params known_params[IMPOSTOR + 1] = {
	[PEER] = {.peer_id = PEER_ID, .local_id = LOCAL_ID},
	[IMPOSTOR] = {.peer_id = IMPOSTOR_ID, .local_id = LOCAL_ID},
};
static struct latch_identity known_identities[LOCAL_ID + 1] = {
	[PEER_ID] = {.id = "c.example"},
	[IMPOSTOR_ID] = {.id = "d.example"},
	[LOCAL_ID] = {.id = "w.example"},
};
static struct socket_wish the_wish;
static struct latch_settings settings;
static void (*meanwhile)(void); /* during the comparison */

static void *bpf_map_lookup_elem(void *map, const void *key)
{
	if (map == (void *)params)
		return &known_params[*(const __u32 *)key];
	return map == (void *)sas ? sas : NULL;
}

static struct latch_params *params_find(__u16 index)
{
	return index ? &known_params[index] : NULL;
}

static struct latch_identity *identity_find(__u32 index)
{
	if (meanwhile)
		meanwhile();
	return &known_identities[index];
}

static struct bpf_sock *fullsock(struct bpf_sock *sk)
{
	return sk;
}
#define bpf_sk_fullsock fullsock

static void *storage_get(void *map, struct bpf_sock *sk, void *value, __u64 flags)
{
	(void)sk, (void)value, (void)flags;
	return map == (void *)wishes ? &the_wish : NULL;
}
#define bpf_sk_storage_get storage_get

static void full_barrier(void)
{
}

static __u64 bpf_ktime_get_boot_ns(void)
{
	return 0;
}

static struct latch_settings *settings_get(void)
{
	return &settings;
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

static void count(enum latch_counter which)
{
	(void)which;
}

static __u16 created; /* params of the new latch; 0: none */

static int latch_create(const struct latch_flow *flow, __u16 under,
			const struct rule_decision *rule, enum latch_direction direction,
			__u64 cookie, __u64 listener, int queued)
{
	(void)flow, (void)rule, (void)direction, (void)cookie, (void)listener, (void)queued;
	created = under;
	return 0;
}

static int latch_acquire(const struct latch_flow *flow, __u16 under,
			 const struct rule_decision *rule, enum latch_direction direction,
			 __u64 cookie, __u64 listener, int foreign)
{
	(void)flow, (void)under, (void)rule, (void)direction, (void)cookie, (void)listener,
		(void)foreign;
	cr_assert_fail("no LARVAL latch with a wish");
	return 0;
}

static int latch_establish(const struct latch_flow *flow, struct latch *latch, union latch_word was,
			   __u16 under)
{
	(void)flow, (void)latch, (void)was;
	created = under;
	return 0;
}

static int rule_of(const struct latch_flow *flow, int direction, struct rule_decision *ret)
{
	(void)flow, (void)direction;
	*ret = (struct rule_decision){.action = LATCH_ACTION_AUTO};
	return 0;
}

static int same_bytes(const void *one, const void *other, int size)
{
	return !memcmp(one, other, (size_t)size);
}
#define LATCH_BPF_PACKET_SAME_FLOW_H

/* Functions for the verifier have no header, and some arguments have the names of maps. */
#pragma GCC diagnostic ignored "-Wmissing-prototypes"
#pragma GCC diagnostic ignored "-Wshadow"
#include "gate/wish.bpf.c"
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
	return 1;
}

static struct passage passage;

static void begin(void)
{
	memset(sas, 0, sizeof(sas));
	sas[0].word.state = LATCH_SA_BOUND;
	sas[0].word.params = PEER;
	sas[0].word.serial = 1;
	the_wish = (struct socket_wish){.terms = WISH_REQUIRE | WISH_PEER, .peer = "c.example"};
	passage = (struct passage){.protection = PACKET_PROTECTED, .egress = 1, .may_start = 1};
	meanwhile = NULL;
	created = 0;
	dropped = LATCH_DROP_COUNT;
}

TestSuite(wish, .init = begin);

static void compare(void)
{
	struct bpf_sock sk = {0};
	struct __sk_buff skb = {.sk = &sk};

	wish_check(&skb, &passage);
}

static void bind_to_impostor(void)
{
	sas[0].word.params = IMPOSTOR;
	sas[0].word.serial++;
}

static void expect_not_admitted(void)
{
	compare();
	cr_expect(passage.wish);
	cr_expect(passage.enforced);
	cr_expect_eq(passage.admitted, 0);
}

Test(wish, the_wished_peer_is_admitted_and_another_one_is_refused)
{
	compare();
	cr_expect_eq(passage.admitted, PEER);
	cr_expect_eq(new_flow_check(&passage), GATE_PASS);
	cr_expect_eq(created, PEER);
	begin();
	bind_to_impostor();
	compare();
	cr_expect_eq(passage.admitted, 0);
	cr_expect_eq(the_wish.failed, LATCH_WHY_PEER);
	cr_expect_eq(new_flow_check(&passage), GATE_DROP);
	cr_expect_eq(dropped, LATCH_DROP_IDENTITY);
	cr_expect_eq(created, 0);
}

/* R-2.3-17. The latch would have params that were not compared. */
Test(wish, an_sa_that_gets_another_peer_behind_the_comparison_makes_no_latch)
{
	compare();
	bind_to_impostor();
	cr_expect_eq(new_flow_check(&passage), GATE_DROP);
	cr_expect_eq(created, 0);
	cr_expect_eq(dropped, LATCH_DROP_REQUIRED);
}

Test(wish, an_sa_that_gets_its_peer_behind_the_comparison_makes_no_latch)
{
	sas[0].word.state = LATCH_SA_PENDING;
	sas[0].word.params = 0;
	compare();
	sas[0].word.state = LATCH_SA_BOUND;
	sas[0].word.params = IMPOSTOR;
	cr_expect_eq(new_flow_check(&passage), GATE_DROP);
	cr_expect_eq(created, 0);
}

/* The index of params may be another peer's by then. */
Test(wish, an_sa_that_changes_during_the_comparison_is_not_admitted)
{
	meanwhile = bind_to_impostor;
	expect_not_admitted();
	cr_expect_eq(new_flow_check(&passage), GATE_DROP);
	cr_expect_eq(created, 0);
}

static void write_wish(void)
{
	the_wish.changes += 2;
}

Test(wish, a_wish_that_is_being_written_admits_nothing)
{
	the_wish.changes = 1;
	expect_not_admitted();
	begin();
	meanwhile = write_wish;
	expect_not_admitted();
	begin();
	the_wish.changes = 1;
	the_wish.terms = 0; /* the first one of the socket */
	expect_not_admitted();
}

Test(wish, an_sa_without_a_certain_peer_is_not_admitted)
{
	sas[0].word.state = LATCH_SA_PENDING;
	expect_not_admitted();
	begin();
	sas[0].word.flags = LATCH_SA_AMBIGUOUS;
	expect_not_admitted();
	begin();
	sas[0].word.params = 0;
	expect_not_admitted();
	begin();
	passage.protection = PACKET_PLAIN;
	expect_not_admitted();
	cr_expect_eq(passage.wish_drop, 0);
	cr_expect_eq(the_wish.failed, LATCH_WHY_REQUIRED);
}

/* All connections of a listener share its wish. */
Test(wish, a_listener_does_not_note_what_one_connection_lacks)
{
	bind_to_impostor();
	passage.listener = 1;
	compare();
	cr_expect_eq(passage.wish_why, LATCH_WHY_PEER);
	cr_expect_eq(the_wish.failed, LATCH_WHY_NONE);
}

Test(wish, a_later_sa_of_the_wished_peer_takes_the_reason_back)
{
	bind_to_impostor();
	compare();
	cr_assert_eq(the_wish.failed, LATCH_WHY_PEER);
	sas[0].word.params = PEER;
	compare();
	cr_expect_eq(the_wish.failed, LATCH_WHY_NONE);
}

Test(wish, a_packet_that_is_sent_in_clear_changes_the_reason_and_a_received_one_does_not)
{
	bind_to_impostor();
	compare();
	passage.protection = PACKET_PLAIN;
	passage.egress = 0;
	compare();
	cr_expect_eq(the_wish.failed, LATCH_WHY_PEER);
	passage.egress = 1;
	compare();
	cr_expect_eq(the_wish.failed, LATCH_WHY_REQUIRED);
}

Test(wish, a_socket_without_a_wish_is_not_concerned)
{
	the_wish = (struct socket_wish){.peer = "d.example"};
	compare();
	cr_expect_not(passage.wish);
	cr_expect_not(passage.enforced);
	cr_expect_eq(new_flow_check(&passage), GATE_PASS);
	cr_expect_eq(created, PEER);
}
