/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What another processor changes between the check of a datagram and its remembered pass. The test
 * compiles the text of bpf/gate/remember_pass.h. With sockets: test_gate_remembered_socket.c.
 */
#include <criterion/criterion.h>
#include <linux/bpf.h>
#include <linux/types.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

/* ---- in place of bpf/db/, bpf/packet/ and the kernel ---- */

#define LATCH_BPF_GATE_REMEMBERED_H
#define LATCH_BPF_DB_MAPS_H
#define LATCH_BPF_DB_RULES_H
#define __noinline
#define OWN_FRAME		    __attribute__((unused))
#define IPPROTO_UDP_NUMBER	    17
#define NO_STAMP		    0
#define BPF_SK_STORAGE_GET_F_CREATE 1
#define bpf_htons(x)		    __builtin_bswap16(x)
#define bpf_htonl(x)		    __builtin_bswap32(x)

#include "latch_abi.h"
#include "latch_mode.h"
#include "db/packet_protection.h"
#include "db/read_once.h"
#include "db/rule_decision.h"
#include "db/socket_wish.h"

struct datagram_socket {
	struct {
		__u8 was_latched;
	} verdict;
	__u8 sends_elsewhere, was_released, wished;
};

struct remembered_pass {
	__u64 stamp;
	__u32 local[4], remote[4];
	struct latch_sa_key sa;
	__u32 device, outer_ports;
	__u16 local_port, remote_port, flow_place, sa_place;
	__u8 socket_family, protocol, outer_protocol, made;
	__u8 pad[4];
};

static char latches[1], sas[1], datagram_sockets[1], passed_out[1], passed_in[1], wishes[1];
static struct datagram_socket the_socket;
static struct socket_wish the_wish;
static struct remembered_pass passes[2];
static bool has_pass[2];
static void (*meanwhile)(void); /* before the pass is stored */

static void *stored_pass(int which, const void *value)
{
	if (value) {
		if (meanwhile)
			meanwhile();
		has_pass[which] = true;
		memcpy(&passes[which], value, sizeof(passes[which]));
	}
	return has_pass[which] ? &passes[which] : NULL;
}

static void *storage_get(void *map, struct bpf_sock *sk, void *value, __u64 flags)
{
	(void)sk, (void)flags;
	if (map == (void *)wishes)
		return &the_wish;
	if (map == (void *)datagram_sockets)
		return &the_socket;
	return stored_pass(map == (void *)passed_out, value);
}
#define bpf_sk_storage_get storage_get

static long storage_delete(void *map, struct bpf_sock *sk)
{
	(void)sk;
	has_pass[map == (void *)passed_out] = false;
	return 0;
}
#define bpf_sk_storage_delete storage_delete

static struct bpf_sock *fullsock(struct bpf_sock *sk)
{
	return sk;
}
#define bpf_sk_fullsock fullsock

static void *bpf_map_lookup_elem(void *map, const void *key)
{
	(void)map, (void)key;
	return NULL;
}

static __u64 bpf_jiffies64(void)
{
	return 1;
}

static __u64 bpf_ktime_get_boot_ns(void)
{
	return 1;
}

static struct latch_settings *settings_get(void)
{
	return NULL;
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

static void full_barrier(void)
{
}

static void forget_pass(void *map, struct bpf_sock *sk)
{
	(void)sk;
	passes[map == (void *)passed_out].stamp = NO_STAMP;
}

static __u8 outer_protocol_of(const struct __sk_buff *skb, __u8 family)
{
	(void)skb, (void)family;
	return 0;
}

static __u32 outer_ports_of(const struct __sk_buff *skb, __u8 family)
{
	(void)skb, (void)family;
	return 0;
}

static __u16 place_of_flow(const struct latch_flow *flow)
{
	(void)flow;
	return 1;
}

#include "gate/passage.h"

static __u16 sa_place_of(const struct passage *p)
{
	return p->protection == PACKET_PROTECTED;
}

static int is_like(struct __sk_buff *skb, struct bpf_sock *sk, const struct remembered_pass *pass,
		   int egress)
{
	(void)skb, (void)sk, (void)pass, (void)egress;
	return 1;
}

/* Functions for the verifier have no header. */
#pragma GCC diagnostic ignored "-Wmissing-prototypes"
#pragma GCC diagnostic ignored "-Wsign-compare"
#include "gate/remember_pass.h"

int drop_packet(struct passage *p, struct latch *latch, int why)
{
	(void)p, (void)latch, (void)why;
	return GATE_DROP;
}

static struct passage passage;

static void begin(void)
{
	memset(&the_socket, 0, sizeof(the_socket));
	memset(&the_wish, 0, sizeof(the_wish));
	memset(passes, 0, sizeof(passes));
	has_pass[0] = has_pass[1] = false;
	meanwhile = NULL;
	passage = (struct passage){.flow = {.protocol = IPPROTO_UDP_NUMBER, .family = AF_INET}};
	(void)latches, (void)sas;
}

TestSuite(remember_pass, .init = begin);

static bool remembers(int egress)
{
	struct bpf_sock sk = {.family = AF_INET};
	struct __sk_buff skb = {.sk = &sk};

	passage.egress = !!egress;
	has_pass[egress] = false;
	remember_pass(&skb, &passage, 7);
	return has_pass[egress] && passes[egress].stamp != NO_STAMP;
}

/* Behind it, connect() to the same peer: the ends are equal. */
static void wish_one(void)
{
	the_socket.wished = 1;
}

Test(remember_pass, a_datagram_in_clear_is_remembered)
{
	cr_expect(remembers(0));
	cr_expect(remembers(1));
}

Test(remember_pass, a_datagram_in_clear_that_was_checked_before_the_wish_is_not_remembered)
{
	int egress;

	for (egress = 0; egress < 2; egress++) {
		begin();
		meanwhile = wish_one;
		cr_expect_not(remembers(egress));
		meanwhile = NULL;
		cr_expect_not(remembers(egress));
		passage.protection = PACKET_PROTECTED;
		cr_expect(remembers(egress), "under an SA it was compared");
	}
}

static void take_bypass_back(void)
{
	the_wish.terms = 0;
}

Test(remember_pass, a_datagram_that_was_checked_before_its_bypass_was_taken_back_is_not_remembered)
{
	int egress;

	for (egress = 0; egress < 2; egress++) {
		begin();
		passage.bypass = 1;
		the_wish.terms = WISH_BYPASS;
		cr_expect(remembers(egress));
		meanwhile = take_bypass_back;
		cr_expect_not(remembers(egress));
	}
}
