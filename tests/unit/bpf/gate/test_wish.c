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
#define LATCH_BPF_DB_MET_LATCH_H
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

struct socket_verdict {
	__u8 was_latched;
};

struct datagram_socket {
	struct socket_verdict verdict;
	__u8 wished, was_released;
	__u32 released_mode;
	struct latch_flow flow;
};

static void met_latch(struct socket_verdict *v, const struct latch_flow *flow,
		      const struct latch *latch)
{
	(void)flow;
	v->was_latched = latch != NULL;
}

enum {
	PEER = 7,
	IMPOSTOR = 8,
	PEER_ID = 2,
	IMPOSTOR_ID = 3,
	LOCAL_ID = 4,
};

static char latches[1], wishes[1], params[1], peer_facts[1], peer_sets[1];
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

static struct latch the_latch;
static struct latch *found_latch;
static struct latch_peer_facts known_facts[LOCAL_ID + 1];
static struct latch_peer_sets known_sets[2];
static void (*during_names)(void); /* while a tag is compared */

static void *bpf_map_lookup_elem(void *map, const void *key)
{
	if (map == (void *)latches) {
		if (meanwhile)
			meanwhile();
		return found_latch;
	}
	if (map == (void *)peer_facts) {
		if (meanwhile)
			meanwhile();
		return &known_facts[*(const __u32 *)key];
	}
	if (map == (void *)peer_sets) {
		if (during_names)
			during_names();
		return &known_sets[*(const __u32 *)key];
	}
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

static long bpf_loop(__u32 times, long (*step)(__u32, void *), void *context, __u64 flags)
{
	__u32 i;

	(void)flags;
	for (i = 0; i < times; i++)
		if (step(i, context))
			break;
	return i;
}
#define bpf_loop(times, step, context, flags)                                                      \
	bpf_loop(times, (long (*)(__u32, void *))(void *)(step), context, flags)

static void (*full_barrier_seen)(void); /* at the next one */

static void full_barrier(void)
{
	if (full_barrier_seen)
		full_barrier_seen();
	full_barrier_seen = NULL;
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

static struct rule_decision the_rule;

static int rule_of(const struct latch_flow *flow, int direction, struct rule_decision *ret)
{
	(void)flow, (void)direction;
	*ret = the_rule;
	return 0;
}

static bool is_audit;

static int was_audited(__u64 began, __u8 unproven, __u8 rule_flags)
{
	(void)began, (void)unproven, (void)rule_flags;
	return is_audit;
}

static unsigned int released;

static struct latch *latch_read(const struct latch_flow *flow, __u64 *id)
{
	(void)flow;
	*id = the_latch.id;
	return found_latch;
}

static int latch_release(const struct latch_flow *flow, struct latch *latch, __u64 id)
{
	(void)flow, (void)latch, (void)id;
	released++;
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
#include "gate/peer_terms.bpf.c"
#include "gate/wish.bpf.c"
#include "gate/new_flow.bpf.c"
#include "gate/socketless.h"

/* Of a contested SA. */
int pair_decision(const struct latch_flow *flow, int under)
{
	(void)flow, (void)under;
	return PAIR_UNDECIDED;
}

static enum latch_drop dropped;
static bool refused; /* with an event, by which latchd decides over a contested SA */

int drop_packet(struct passage *p, struct latch *latch, int why)
{
	(void)p, (void)latch;
	dropped = (enum latch_drop)why;
	return GATE_DROP;
}

int refuse(struct passage *p, int why)
{
	refused = true;
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
	meanwhile = during_names = NULL;
	created = 0;
	dropped = LATCH_DROP_COUNT;
	found_latch = NULL;
	is_audit = refused = false;
	released = 0;
	the_rule = (struct rule_decision){.action = LATCH_ACTION_AUTO};
	settings.rule_stamp = 0;
	memset(known_facts, 0, sizeof(known_facts));
	memset(known_sets, 0, sizeof(known_sets));
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

/* ---- a latch that was there before the wish */

#define OUR_COOKIE 5

static void begin_latch(void)
{
	the_latch = (struct latch){.id = 1,
				   .socket_cookie = OUR_COOKIE,
				   .owner = LATCH_OWNER_SOCKET,
				   .rule_flags = LATCH_RULE_PROTECT,
				   .disposition = LATCH_DISPOSITION_WAIT,
				   .spd = LATCH_SPD_IN,
				   .rule_set = 9};
	found_latch = &the_latch;
	passage.socket_cookie = OUR_COOKIE;
	passage.wish = 1;
}

Test(wish, the_latch_of_the_socket_notes_its_wish_and_keeps_the_rest)
{
	begin_latch();
	wish_keep(&passage, &the_latch);
	cr_expect_eq(the_latch.rule_flags, LATCH_RULE_PROTECT | LATCH_RULE_WISHED);
	cr_expect_eq(the_latch.disposition, LATCH_DISPOSITION_WAIT);
	cr_expect_eq(the_latch.spd, LATCH_SPD_IN);
	cr_expect_eq(the_latch.rule_set, 9);
	cr_expect_eq(the_latch.unproven, 0);
}

Test(wish, a_handshake_has_no_socket_yet)
{
	begin_latch();
	the_latch.socket_cookie = 0;
	the_latch.owner = LATCH_OWNER_HANDSHAKE;
	wish_keep(&passage, &the_latch);
	cr_expect(the_latch.rule_flags & LATCH_RULE_WISHED);
}

/* Its socket has no wish: in audit mode packets of other peers pass there. */
Test(wish, the_latch_of_another_socket_of_the_flow_notes_no_wish)
{
	begin_latch();
	the_latch.socket_cookie = OUR_COOKIE + 1;
	wish_keep(&passage, &the_latch);
	cr_expect_not(the_latch.rule_flags & LATCH_RULE_WISHED);
}

Test(wish, a_latch_that_was_audited_until_now_proves_no_earlier_data)
{
	begin_latch();
	is_audit = true;
	wish_keep(&passage, &the_latch);
	cr_expect(the_latch.rule_flags & LATCH_RULE_WISHED);
	cr_expect(the_latch.unproven & LATCH_UNPROVEN_AUDITED);
}

static void reuse_latch(void)
{
	the_latch = (struct latch){.id = 2, .rule_flags = LATCH_RULE_TIMEOUT};
}

static void reuse_for_another_flow(void)
{
	reuse_latch();
	found_latch = NULL;
}

Test(wish, a_latch_that_is_in_the_memory_since_notes_no_wish)
{
	begin_latch();
	meanwhile = reuse_latch;
	is_audit = true;
	wish_keep(&passage, &the_latch);
	cr_expect_eq(the_latch.rule_flags, LATCH_RULE_TIMEOUT);
	cr_expect_eq(the_latch.unproven, 0);
	begin_latch();
	meanwhile = reuse_for_another_flow;
	wish_keep(&passage, &the_latch);
	cr_expect_eq(the_latch.rule_flags, LATCH_RULE_TIMEOUT);
}

/* ---- a datagram whose check began before the wish */

static int look_again(struct datagram_socket *socket)
{
	struct bpf_sock sk = {0};
	struct __sk_buff skb = {.sk = &sk};

	return wish_look_again(&skb, &passage, socket);
}

Test(wish, a_datagram_that_was_checked_before_the_wish_is_lost_with_its_latch)
{
	struct datagram_socket socket = {.wished = 1};

	begin_latch();
	passage.wish = 0;
	cr_expect_eq(look_again(&socket), GATE_DROP);
	cr_expect_eq(dropped, LATCH_DROP_REQUIRED);
	cr_expect(passage.enforced);
	cr_expect_eq(released, 1);
}

Test(wish, a_latch_that_was_compared_meanwhile_stays)
{
	struct datagram_socket socket = {.wished = 1};

	begin_latch();
	the_latch.rule_flags |= LATCH_RULE_WISHED;
	look_again(&socket);
	the_latch.rule_flags = 0;
	the_latch.socket_cookie++;
	look_again(&socket);
	cr_expect_eq(released, 0);
	cr_expect_eq(dropped, LATCH_DROP_REQUIRED);
}

Test(wish, a_datagram_of_a_socket_without_a_wish_is_not_looked_at_again)
{
	struct datagram_socket socket = {.wished = 0};

	begin_latch();
	cr_expect_eq(look_again(&socket), GATE_PASS);
	cr_expect_eq(released, 0);
}

/* The datagram of c has passed by the former wish, and has begun the latch. */
static struct datagram_socket begin_under_former_wish(void)
{
	begin();
	compare();
	begin_latch();
	the_latch.rule_flags |= LATCH_RULE_WISHED;
	the_latch.word.params = PEER;
	cr_assert_eq(passage.admitted, PEER);
	return (struct datagram_socket){.wished = 1};
}

Test(wish, a_latch_of_a_former_wish_ends_if_the_present_one_does_not_admit_its_sa)
{
	struct datagram_socket socket = begin_under_former_wish();

	strcpy(the_wish.peer, "d.example");
	cr_expect_eq(look_again(&socket), GATE_DROP);
	cr_expect_eq(dropped, LATCH_DROP_REQUIRED);
	cr_expect_eq(released, 1);
	socket = begin_under_former_wish();
	the_wish.terms |= WISH_TAG;
	strcpy(the_wish.tag, "staff");
	cr_expect_eq(look_again(&socket), GATE_DROP);
	cr_expect_eq(released, 1);
	socket = begin_under_former_wish();
	the_wish.terms = 0;
	socket.wished = 0;
	cr_expect_eq(look_again(&socket), GATE_DROP, "taken back");
	cr_expect_eq(released, 1);
}

static struct datagram_socket looking;
static bool noted_first;

static void see_whether_noted(void)
{
	noted_first = looking.verdict.was_latched;
}

/* setsockopt() ends a latch that the socket has noted. */
Test(wish, the_socket_notes_the_latch_before_its_wish_is_read_again)
{
	looking = begin_under_former_wish();
	full_barrier_seen = see_whether_noted;
	cr_expect_eq(look_again(&looking), GATE_PASS);
	cr_expect(noted_first);
}

Test(wish, a_latch_of_a_former_wish_stays_if_the_present_one_admits_its_sa)
{
	struct datagram_socket socket = begin_under_former_wish();

	cr_expect_eq(look_again(&socket), GATE_PASS);
	the_wish.terms |= WISH_LOCAL;
	strcpy(the_wish.local, "w.example");
	the_wish.changes += 2;
	cr_expect_eq(look_again(&socket), GATE_PASS);
	cr_expect_eq(released, 0);
	strcpy(the_wish.peer, "d.example");
	the_latch.word.params = IMPOSTOR;
	cr_expect_eq(look_again(&socket), GATE_DROP);
	cr_expect_eq(released, 0);
}

/* As after an upgrade that was taken back. */
Test(wish, a_term_of_a_later_latchd_is_not_fulfilled)
{
	the_wish.terms |= 1 << 15;
	compare();
	cr_expect(passage.wish);
	cr_expect_eq(passage.admitted, 0);
	cr_expect_eq(the_wish.failed, LATCH_WHY_PEER);
	the_wish.terms = 1 << 15;
	passage.wish = 0;
	compare();
	cr_expect(passage.wish);
	cr_expect_eq(passage.admitted, 0);
}

/* ---- datagrams without a connection */

static int check_datagram_under(__u16 under, __u8 egress)
{
	begin();
	the_wish.terms |= WISH_DATAGRAMS;
	sas[0].word.params = under;
	passage.egress = egress;
	compare();
	return wish_check_datagram(&passage);
}

Test(wish, a_datagram_without_a_connection_passes_under_an_sa_of_the_wished_peer_only)
{
	__u8 egress;

	for (egress = 0; egress < 2; egress++) {
		cr_expect_eq(check_datagram_under(PEER, egress), GATE_PASS);
		cr_expect_eq(check_datagram_under(IMPOSTOR, egress), GATE_DROP);
		cr_expect_eq(dropped, LATCH_DROP_IDENTITY);
		cr_expect_eq(check_datagram_under(0, egress), GATE_DROP);
		cr_expect_eq(dropped, LATCH_DROP_SA_PENDING);
	}
	cr_expect_eq(created, 0);
}

Test(wish, a_datagram_without_a_connection_passes_under_one_certain_sa_only)
{
	static const struct {
		enum packet_protection protection;
		enum latch_drop why;
	} others[] = {{PACKET_PLAIN, LATCH_DROP_REQUIRED},
		      {PACKET_NESTED, LATCH_DROP_REQUIRED},
		      {PACKET_MERGED, LATCH_DROP_MERGED},
		      {PACKET_MALFORMED, LATCH_DROP_MALFORMED},
		      {PACKET_OTHER_MODE, LATCH_DROP_OTHER_MODE}};
	size_t i;

	for (i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		begin();
		passage.protection = others[i].protection;
		compare();
		cr_expect_eq(wish_check_datagram(&passage), GATE_DROP);
		cr_expect_eq(dropped, others[i].why);
	}
	begin();
	sas[0].word.flags = LATCH_SA_AMBIGUOUS;
	compare();
	cr_expect_eq(wish_check_datagram(&passage), GATE_DROP);
}

/* ---- terms of a rule, and tags */

static void begin_set(void)
{
	begin();
	the_wish = (struct socket_wish){.terms = 0};
	the_rule = (struct rule_decision){.action = LATCH_ACTION_REQUIRE, .peer_set = 2};
	known_facts[PEER_ID].sets[0] = 2;
	known_facts[IMPOSTOR_ID].sets[0] = ~2u;
	strcpy(known_sets[0].names[1], "web");
	strcpy(known_sets[1].names[1], "web");
}

Test(wish, a_rule_admits_the_peers_of_its_set_only)
{
	begin_set();
	cr_expect_eq(new_flow_check(&passage), GATE_PASS);
	cr_expect_eq(created, PEER);
	begin_set();
	bind_to_impostor();
	cr_expect_eq(new_flow_check(&passage), GATE_DROP);
	cr_expect_eq(dropped, LATCH_DROP_IDENTITY);
	cr_expect_eq(created, 0);
}

Test(wish, an_sa_that_gets_another_peer_during_the_check_of_the_set_makes_no_latch)
{
	begin_set();
	meanwhile = bind_to_impostor;
	cr_expect_eq(new_flow_check(&passage), GATE_DROP);
	cr_expect_eq(dropped, LATCH_DROP_REQUIRED);
	cr_expect_eq(created, 0);
}

/* Two reloads: the half that was read is another set's by now, and the impostor is of that. */
static void change_sets_twice(void)
{
	settings.rule_stamp += 2;
	known_facts[PEER_ID].sets[0] = 0;
	known_facts[IMPOSTOR_ID].sets[0] = 2;
}

Test(wish, a_set_that_is_reloaded_twice_during_the_check_makes_no_latch)
{
	begin_set();
	bind_to_impostor();
	meanwhile = change_sets_twice;
	cr_expect_eq(new_flow_check(&passage), GATE_DROP);
	cr_expect_eq(dropped, LATCH_DROP_SA_PENDING, "the next packet decides");
	cr_expect_eq(created, 0);
}

/* R-2.3-17. A LARVAL latch must not settle by rules that were read in part. */
Test(wish, a_larval_latch_does_not_settle_while_the_rules_change)
{
	struct latch latch = {.word.state = LATCH_STATE_LARVAL};

	begin_set();
	the_rule = (struct rule_decision){.action = LATCH_ACTION_REQUIRE, .undecided = 1};
	settings.rule_stamp = 1;
	cr_expect_eq(new_flow_check_larval(&passage), GATE_DROP);
	cr_expect_eq(pass_latched(&passage, &latch), GATE_DROP);
	cr_expect_eq(dropped, LATCH_DROP_SA_PENDING);
	cr_expect_eq(created, 0);
	the_rule.undecided = 0;
	the_rule.stamp = 1;
	cr_expect_eq(new_flow_check_larval(&passage), GATE_PASS);
	cr_expect_eq(pass_latched(&passage, &latch), GATE_PASS);
	cr_expect_eq(created, PEER);
}

/* ---- packets without a full socket */

Test(wish, a_received_packet_at_the_netfilter_gate_settles_no_latch_on_a_peer_of_no_set)
{
	struct latch latch = {.word.state = LATCH_STATE_LARVAL};

	begin_set();
	passage.egress = 0;
	bind_to_impostor();
	cr_expect_eq(pass_received(&passage, &latch), GATE_DROP);
	cr_expect_eq(created, 0);
	begin_set();
	passage.egress = 0;
	cr_expect_eq(pass_received(&passage, &latch), GATE_PASS);
	cr_expect_eq(created, 0, "the kernel may refuse it for its address");
	begin_set();
	passage.egress = 0;
	the_rule.peer_set = 0;
	bind_to_impostor();
	cr_expect_eq(pass_received(&passage, &latch), GATE_PASS);
	cr_expect_eq(created, 0, "nor where no rule names a peer");
}

/* A socket that only receives: no packet of the cgroup gate asks for it. */
Test(wish, a_received_packet_under_a_contested_sa_has_latchd_decide_if_its_peer_is_of_the_set)
{
	struct latch latch = {.word.state = LATCH_STATE_LARVAL};

	begin_set();
	passage.egress = 0;
	sas[0].word.flags = LATCH_SA_CONTESTED;
	cr_expect_eq(pass_received(&passage, &latch), GATE_DROP);
	cr_expect_eq(dropped, LATCH_DROP_CONTESTED);
	cr_expect(refused);
	begin_set();
	passage.egress = 0;
	sas[0].word.flags = LATCH_SA_CONTESTED;
	bind_to_impostor();
	cr_expect_eq(pass_received(&passage, &latch), GATE_DROP);
	cr_expect_not(refused);
	cr_expect_eq(created, 0);
}

Test(wish, a_packet_without_a_socket_passes_to_a_peer_of_the_set_only)
{
	begin_set();
	the_rule.flags = LATCH_RULE_SOCKETLESS;
	cr_expect_eq(check_rule(&passage), GATE_PASS);
	bind_to_impostor();
	cr_expect_eq(check_rule(&passage), GATE_DROP);
	cr_expect_eq(dropped, LATCH_DROP_IDENTITY);
	the_rule.peer_set = 0;
	cr_expect_eq(check_rule(&passage), GATE_PASS);
}

/* With a cgroup below the root, sockets outside are not latchd's. A latch is. */
Test(wish, a_rule_without_socketless_flag_still_settles_no_latch_on_another_peer)
{
	struct latch latch = {.word.state = LATCH_STATE_LARVAL};

	begin_set();
	bind_to_impostor();
	cr_expect_eq(check_rule(&passage), GATE_PASS);
	cr_expect_eq(pass_latched(&passage, &latch), GATE_DROP);
	cr_expect_eq(created, 0);
}

/* pass_larval() reads the SA again. */
Test(wish, an_sa_that_gets_another_peer_behind_the_check_settles_no_larval_latch)
{
	struct latch latch = {.word.state = LATCH_STATE_LARVAL};

	begin_set();
	cr_assert_eq(new_flow_check_larval(&passage), GATE_PASS);
	bind_to_impostor();
	cr_expect_eq(pass_latched(&passage, &latch), GATE_DROP);
	cr_expect_eq(created, 0);
	sas[0].word.params = PEER;
	cr_expect_eq(pass_latched(&passage, &latch), GATE_PASS);
	cr_expect_eq(created, PEER);
}

Test(wish, a_bypass_is_bound_to_no_terms_of_a_rule)
{
	struct latch latch = {.word.state = LATCH_STATE_LARVAL};

	begin_set();
	bind_to_impostor();
	passage.bypass = 1;
	passage.opened = LATCH_DIRECTION_OUT;
	cr_expect_eq(new_flow_check_larval(&passage), GATE_PASS);
	cr_expect_eq(pass_latched(&passage, &latch), GATE_PASS);
	begin_set();
	bind_to_impostor();
	cr_expect_eq(new_flow_check_larval(&passage), GATE_DROP);
}

static void begin_tag(void)
{
	begin_set();
	the_rule = (struct rule_decision){.action = LATCH_ACTION_AUTO};
	the_wish = (struct socket_wish){.terms = WISH_TAG, .tag = "web"};
}

Test(wish, a_tag_is_compared_by_the_half_in_force)
{
	begin_tag();
	compare();
	cr_expect_eq(passage.admitted, PEER);
	begin_tag();
	settings.rule_stamp = 1;
	compare();
	cr_expect_eq(passage.admitted, 0);
	cr_expect_eq(passage.wish_why, LATCH_WHY_TAG);
}

/* A reload: the half that was read may be another one's by now. */
static void switch_halves(void)
{
	during_names = NULL;
	settings.rule_stamp++;
	known_facts[IMPOSTOR_ID].sets[1] = 0;
}

Test(wish, a_tag_is_compared_again_after_a_change_of_the_sets)
{
	begin_tag();
	bind_to_impostor();
	known_facts[IMPOSTOR_ID].sets[0] = 2;
	during_names = switch_halves;
	compare();
	cr_expect_eq(passage.admitted, 0);
	cr_expect_eq(passage.wish_drop, LATCH_DROP_IDENTITY);
}

static int pass_with(const struct latch *latch)
{
	struct latch copy = *latch;

	return pass_latched(&passage, &copy);
}

Test(wish, only_the_latch_of_this_socket_does_without_its_tag)
{
	struct latch latch = {.word = {.state = LATCH_STATE_ESTABLISHED, .params = IMPOSTOR},
			      .rule_flags = LATCH_RULE_WISHED,
			      .socket_cookie = OUR_COOKIE};

	begin_tag();
	bind_to_impostor();
	passage.socket_cookie = OUR_COOKIE;
	compare();
	cr_assert_eq(passage.wish_why, LATCH_WHY_TAG);
	cr_expect_eq(pass_with(&latch), GATE_PASS);
	latch.socket_cookie = 0; /* of a handshake */
	cr_expect_eq(pass_with(&latch), GATE_DROP);
	latch.socket_cookie = OUR_COOKIE;
	latch.rule_flags = 0;
	cr_expect_eq(pass_with(&latch), GATE_DROP);
	latch.rule_flags = LATCH_RULE_WISHED;
	passage.wish_why = LATCH_WHY_PEER;
	cr_expect_eq(pass_with(&latch), GATE_DROP);
}
