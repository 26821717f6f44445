/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which connection of a UDP socket a datagram is of, and which one has used a tunnel device. The
 * test compiles the text of bpf/gate/udp.h, with the members of the kernel's structures that it
 * reads, and is the rest of the gate.
 */
#include <criterion/criterion.h>
#include <linux/bpf.h>
#include <linux/types.h>
#include <linux/udp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

/* ---- in place of bpf/db/, bpf/packet/ and the kernel ---- */

#define LATCH_BPF_DB_MAPS_H
#define LATCH_BPF_DB_LATCH_DB_H
#define LATCH_BPF_DB_EPOCHS_H
#define LATCH_BPF_GATE_STAMPED_CHECK_H
#define LATCH_BPF_DB_RULES_H
#define LATCH_BPF_PACKET_PACKET_H
#define LATCH_BPF_PACKET_SOCKET_FLOW_H
#define LATCH_BPF_PACKET_BUNDLE_H
#define LATCH_BPF_PACKET_XFRM_DEVICE_H
#define LATCH_BPF_PACKET_NAT_H
#define OWN_FRAME				 __attribute__((unused))
#define __noinline				 static __attribute__((noinline))
#define READ_2(x, one, two)			 ((x)->one.two)
#define READ_1(x, one)				 ((x)->one)
#define READ_N(one, two, n, ...)		 n
#define BPF_CORE_READ(x, ...)			 READ_N(__VA_ARGS__, READ_2, READ_1, )(x, __VA_ARGS__)
#define BPF_CORE_READ_BITFIELD_PROBED(x, member) ((__u64)(x)->member)
#define bpf_htons(x)				 __builtin_bswap16(x)
#define bpf_ntohs(x)				 __builtin_bswap16(x)
#define IPPROTO_UDP_NUMBER			 17
#define PARAMS					 9
#define NAMED_ENDS				 4
#define NO_SA					 0
#define NO_STAMP				 0

#include "latch_abi.h"
#include "latch_mode.h"
#include "db/packet_protection.h"
#include "db/read_once.h"
#include "db/rule_decision.h"
#include "db/socket_wish.h"

struct net {
	int any;
};

enum sas_place {
	SAS_PLACE_NONE,
	SAS_PLACE_HERE,
	SAS_PLACE_HIDDEN,
};

struct net_device {
	bool is_tunnel;
	enum sas_place sas;
};

struct sock {
	struct {
		struct {
			struct net *net;
		} skc_net;
	} __sk_common;
	struct {
		__u32 qlen;
	} sk_receive_queue;
	__u32 sk_txhash;
};

struct udp_sock {
	struct sock sk;
	struct {
		__u32 qlen;
	} reader_queue;
};

struct sk_buff {
	struct net_device *dev;
	__u32 hash;
	__u8 l4_hash : 1, sw_hash : 1;
};

struct xfrm_state {
	int any;
};

struct socket_verdict {
	__u8 was_latched, listens, exempt;
	enum latch_direction opened;
	__u32 exempt_stamp;
	__u32 tunnelled;
	__u32 mode;
};

struct datagram_socket {
	struct socket_verdict verdict;
	__u8 sends_elsewhere, was_released, wished;
	__u32 released_mode;
	struct latch_flow flow;
};

struct remembered_pass {
	__u64 stamp;
	__u16 sa_place;
};

struct named_end {
	struct latch_flow flow;
	__u64 task;
};

struct named_ends {
	struct named_end ends[NAMED_ENDS];
	__u32 named;
	__u32 pad;
};

static int latches, sas, drops, datagram_sockets, named_ends, passed_in;
static struct datagram_socket stored;
static bool is_stored;
static struct latch_flow latched_flow;
static struct latch stored_latch;
static bool has_latch;
static __u64 clock_now = 1000000000ull * 1000;
static struct udp_sock kernel_udp;
static struct latch_flow socket_flow;
static enum packet_protection sent_protection;
static bool is_named; /* the task that sends has named another address */
static struct named_ends names_stored;
static struct sk_buff packet_sent;
static struct remembered_pass received;
static bool has_received;
static int verdict_of_check = 1;

static void *bpf_sk_storage_get(void *map, struct bpf_sock *sk, void *value, __u64 flags)
{
	(void)sk, (void)value;
	if (map == (void *)&named_ends)
		return is_named ? &names_stored : NULL;
	if (map == (void *)&passed_in)
		return has_received ? &received : NULL;
	is_stored = is_stored || flags;
	return is_stored ? &stored : NULL;
}

static void *bpf_map_lookup_elem(void *map, const void *key)
{
	if (map != (void *)&latches || !has_latch)
		return NULL;
	return memcmp(key, &latched_flow, sizeof(latched_flow)) ? NULL : &stored_latch;
}

static struct latch *latch_read(const struct latch_flow *flow, __u64 *id)
{
	struct latch *latch = bpf_map_lookup_elem(&latches, flow);

	*id = latch ? latch->id : 0;
	return latch;
}

int latch_release(const struct latch_flow *flow, struct latch *which, __u64 id);
int latch_release(const struct latch_flow *flow, struct latch *which, __u64 id)
{
	cr_assert_eq(id, which->id);
	(void)flow;
	has_latch = false;
	return 0;
}

static void full_barrier(void)
{
}

static int flow_changed(const struct latch_flow *flow)
{
	(void)flow;
	return 0;
}

static __u64 bpf_ktime_get_ns(void)
{
	return clock_now;
}

static __u64 bpf_ktime_get_boot_ns(void)
{
	return clock_now;
}

static __u64 bpf_get_current_task(void)
{
	return 1;
}

static void count(enum latch_counter counter)
{
	(void)counter;
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

static __u32 mode_in_force;

static __u32 mode_get(void)
{
	return mode_in_force;
}

static int is_foreign(const struct net *net)
{
	return net && net->any;
}

#include "db/audit.h"

static struct sock *kernel_socket(struct bpf_sock *sk)
{
	(void)sk;
	return &kernel_udp.sk;
}

static __u64 netns_of_kernel_socket(const struct sock *sk)
{
	(void)sk;
	return 7;
}

static void flow_of_socket(struct bpf_sock *sk, __u64 netns, struct latch_flow *flow)
{
	(void)sk, (void)netns;
	*flow = socket_flow;
}

struct packet {
	struct __sk_buff *cgroup;
	const void *netfilter;
};

struct ip_headers {
	__u8 family, protocol, source[16], destination[16];
	__u32 payload;
};

static int packet_headers(const struct packet *packet, __u8 family, struct ip_headers *ip)
{
	(void)packet;
	memset(ip, 0, sizeof(*ip));
	ip->family = family;
	ip->protocol = sent_protection == PACKET_PLAIN ? IPPROTO_UDP_NUMBER : 50;
	memcpy(ip->destination, socket_flow.remote_addr, 16);
	memcpy(ip->source, socket_flow.remote_addr, 16);
	return 0;
}

static long packet_load(const struct packet *packet, __u32 at, void *to, __u32 size)
{
	const struct udphdr udp = {.source = bpf_htons(socket_flow.remote_port),
				   .dest = bpf_htons(socket_flow.remote_port)};

	(void)packet, (void)at;
	memcpy(to, &udp, size);
	return 0;
}

static enum packet_protection packet_egress_sa(const struct packet *packet, __u64 netns,
					       const struct ip_headers *ip,
					       const struct latch_flow *own,
					       struct latch_sa_key *sa)
{
	(void)packet, (void)netns, (void)ip, (void)own, (void)sa;
	return sent_protection;
}

static struct sk_buff *kernel_packet(const struct __sk_buff *skb)
{
	(void)skb;
	return &packet_sent;
}

static enum packet_protection ingress_sa(struct sk_buff *skb, __u64 netns, struct latch_sa_key *sa)
{
	(void)skb, (void)netns, (void)sa;
	return sent_protection;
}

static int was_sent_to(const struct sk_buff *skb, const struct latch_flow *flow)
{
	(void)skb, (void)flow;
	return 0;
}

static struct xfrm_state *sa_behind_nat; /* source NAT gives the packet the route of this SA */

static struct xfrm_state *bundle_state(const struct sk_buff *skb)
{
	(void)skb;
	return sa_behind_nat;
}

static bool state_is_elsewhere;

static int returns_as_esp(struct xfrm_state *x, const struct net *net)
{
	return x && net && !state_is_elsewhere;
}

static enum packet_protection bundle_sa(const struct sk_buff *skb, __u64 netns,
					struct latch_sa_key *sa)
{
	(void)skb, (void)netns, (void)sa;
	return sa_behind_nat ? PACKET_PROTECTED : PACKET_PLAIN;
}

static enum sas_place place_of_sas(const struct net_device *device, const struct net *net)
{
	(void)net;
	return device ? device->sas : SAS_PLACE_NONE;
}

static __u64 kind_of_device(const struct net_device *device)
{
	return device && device->is_tunnel;
}

static int is_tunnel(__u64 kind)
{
	return kind != 0;
}

struct passage;
static int check_and_remember(struct __sk_buff *skb, struct passage *p, struct socket_verdict *v);

#include "gate/udp.h"

#undef __noinline
#define __noinline
#include "gate/drop.bpf.c"

int audit_begin(struct passage *p, int foreign)
{
	(void)p, (void)foreign;
	return 0;
}

int report_elsewhere(const struct passage *p, int which)
{
	(void)p;
	(void)which;
	return 0;
}

static bool has_wish; /* of the peer of each SA: tests/unit/bpf/gate/test_gate_wish.c */

int wish_check(struct __sk_buff *skb, struct passage *p)
{
	(void)skb;
	p->wish = has_wish;
	p->admitted = has_wish && p->protection == PACKET_PROTECTED ? PARAMS : 0;
	return 0;
}

int wish_check_loose(struct passage *p, const struct datagram_socket *socket)
{
	(void)p;
	return socket->wished ? GATE_DROP : GATE_PASS;
}

int wish_check_datagram(struct passage *p)
{
	return p->admitted ? GATE_PASS : GATE_DROP;
}

/* What it does is in test_wish.c. */
int wish_look_again(struct __sk_buff *skb, struct passage *p, struct datagram_socket *socket)
{
	(void)skb;
	cr_assert(p->begins);
	return socket->wished ? GATE_DROP : GATE_PASS;
}

static enum packet_protection checked;
static bool may_start, queued, admitted;
static void (*meanwhile)(void); /* during the check of a packet that begins a flow */

int check_packet(struct passage *p, struct socket_verdict *v)
{
	(void)v;
	p->begins = !!meanwhile;
	if (meanwhile)
		meanwhile();
	checked = p->protection;
	may_start = p->may_start;
	queued = p->queued;
	admitted = !is_unwished(p, PARAMS);
	return verdict_of_check;
}

static int check_and_remember(struct __sk_buff *skb, struct passage *p, struct socket_verdict *v)
{
	(void)skb;
	return check_packet(p, v);
}

/* ---- the test's own */

#define COOKIE 5
#define HASH   0xabcd

static struct net_device tunnel = {.is_tunnel = true}, card;

static struct latch_flow flow_to(__u8 last)
{
	return (struct latch_flow){.remote_addr = {10, 0, 0, last}, .remote_port = 9};
}

static void connect_to(__u8 last)
{
	kernel_udp.sk.sk_txhash++;
	socket_flow = flow_to(last);
}

/* As a datagram that the socket makes now. */
static void make_datagram(void)
{
	packet_sent = (struct sk_buff){.dev = &card,
				       .hash = kernel_udp.sk.sk_txhash,
				       .l4_hash = kernel_udp.sk.sk_txhash != 0};
	sent_protection = PACKET_PROTECTED;
}

static int gate_sees(int egress)
{
	struct bpf_sock sk = {.type = SOCK_DGRAM, .state = BPF_TCP_ESTABLISHED, .dst_port = 9};
	struct passage p = {.egress = !!egress, .socket_cookie = COOKIE};
	struct __sk_buff skb = {.sk = &sk};

	may_start = queued = admitted = false;
	checked = PACKET_MALFORMED;
	return gate_udp(&skb, &sk, &p, egress);
}

static int gate_sees_it(void)
{
	return gate_sees(1);
}

static void send_by_tunnel(void)
{
	make_datagram();
	packet_sent.dev = &tunnel;
	sent_protection = PACKET_PLAIN;
	cr_assert_eq(gate_sees_it(), GATE_PASS);
}

static enum packet_protection counts_as(void)
{
	make_datagram();
	cr_assert_eq(gate_sees_it(), GATE_PASS);
	return checked;
}

static void begin(void)
{
	memset(&stored, 0, sizeof(stored));
	memset(&stored_latch, 0, sizeof(stored_latch));
	is_stored = has_latch = is_named = has_wish = false;
	sa_behind_nat = NULL;
	state_is_elsewhere = false;
	memset(&kernel_udp, 0, sizeof(kernel_udp));
	mode_in_force = 0;
	(void)sas, (void)drops, (void)datagram_sockets;
}

TestSuite(udp_connections, .init = begin);

/* ---- source NAT into IPsec: the packet passes in clear, and its route names the SA */

static void send_behind_nat(bool wish)
{
	static struct xfrm_state x;
	static struct net net;

	begin();
	connect_to(1);
	kernel_udp.sk.__sk_common.skc_net.net = &net;
	has_latch = true;
	latched_flow = socket_flow;
	has_wish = wish;
	make_datagram();
	sent_protection = PACKET_PLAIN;
	sa_behind_nat = &x;
	cr_assert_eq(gate_sees_it(), GATE_PASS);
}

Test(udp_connections, a_wish_is_compared_with_the_sa_that_source_nat_has_chosen)
{
	send_behind_nat(true);
	cr_expect_eq(checked, PACKET_PROTECTED);
	cr_expect(admitted);
	send_behind_nat(false);
	cr_expect_eq(checked, PACKET_PROTECTED);
	cr_expect(admitted);
}

/* ---- the datagram that may start a flow */

Test(udp_connections, a_datagram_of_the_present_connection_starts_its_flow)
{
	connect_to(1);
	make_datagram();
	cr_expect_eq(gate_sees_it(), GATE_PASS);
	cr_expect(may_start);
}

/* The socket had no hash. The queue of a device may have computed one from the headers. */
Test(udp_connections, R_2_4_a_datagram_from_before_the_first_connect_starts_no_flow)
{
	make_datagram();
	connect_to(1);
	cr_expect_eq(gate_sees_it(), GATE_PASS);
	cr_expect_not(may_start);
	packet_sent.hash = kernel_udp.sk.sk_txhash;
	packet_sent.l4_hash = packet_sent.sw_hash = 1;
	cr_expect_eq(gate_sees_it(), GATE_PASS);
	cr_expect_not(may_start);
}

Test(udp_connections, L_5_2_2_a_datagram_of_the_former_connection_starts_no_flow)
{
	connect_to(1);
	make_datagram();
	connect_to(2);
	cr_expect_eq(gate_sees_it(), GATE_PASS);
	cr_expect_not(may_start);
}

/* ---- datagrams that wait to be read */

static bool begins_over_queue(void)
{
	make_datagram();
	cr_assert_eq(gate_sees_it(), GATE_PASS);
	return queued;
}

Test(udp_connections, datagrams_in_either_queue_of_the_socket_are_older_than_its_latch)
{
	connect_to(1);
	cr_expect_not(begins_over_queue());
	kernel_udp.sk.sk_receive_queue.qlen = 1;
	cr_expect(begins_over_queue());
	kernel_udp.sk.sk_receive_queue.qlen = 0;
	kernel_udp.reader_queue.qlen = 1;
	cr_expect(begins_over_queue());
}

Test(udp_connections, a_datagram_in_clear_that_the_socket_has_read_is_older_than_its_latch)
{
	connect_to(1);
	received = (struct remembered_pass){.stamp = 1, .sa_place = NO_SA};
	cr_expect_not(begins_over_queue());
	has_received = true;
	cr_expect(begins_over_queue());
	received.stamp = NO_STAMP;
	cr_expect_not(begins_over_queue(), "of a former connection");
	received = (struct remembered_pass){.stamp = 1, .sa_place = 1};
	cr_expect_not(begins_over_queue(), "under IPsec");
}

/* ---- another CPU, during the check */

static void create_latch(void)
{
	has_latch = true;
	latched_flow = socket_flow;
	stored_latch = (struct latch){.id = 1, .socket_cookie = COOKIE};
}

static void create_latch_and_queue(void)
{
	create_latch();
	kernel_udp.sk.sk_receive_queue.qlen = 1;
}

static void create_latch_and_receive(void)
{
	create_latch();
	received = (struct remembered_pass){.stamp = 1, .sa_place = NO_SA};
	has_received = true;
}

static void create_other_latch_and_queue(void)
{
	create_latch_and_queue();
	stored_latch.socket_cookie = COOKIE + 1;
}

/* How the latch begins that is created while the gate checks this packet. */
static int begins_unproven(int egress, enum packet_protection protection, void (*during)(void))
{
	connect_to(1);
	make_datagram();
	sent_protection = protection;
	meanwhile = during;
	cr_assert_eq(gate_sees(egress), verdict_of_check);
	cr_assert(has_latch);
	return stored_latch.unproven;
}

Test(udp_connections, a_datagram_that_is_queued_while_the_latch_is_created_is_older_than_it)
{
	cr_expect_eq(begins_unproven(1, PACKET_PROTECTED, create_latch_and_queue),
		     LATCH_UNPROVEN_EARLIER);
	cr_expect_not(queued, "not when the check began");
}

Test(udp_connections, a_datagram_in_clear_that_is_read_while_the_latch_is_created_is_older_than_it)
{
	cr_expect_eq(begins_unproven(1, PACKET_PROTECTED, create_latch_and_receive),
		     LATCH_UNPROVEN_EARLIER);
}

Test(udp_connections, a_latch_that_is_created_over_an_empty_queue_stays_proven)
{
	cr_expect_eq(begins_unproven(1, PACKET_PROTECTED, create_latch), 0);
}

Test(udp_connections, a_datagram_that_passes_in_clear_while_the_latch_is_created_is_older_than_it)
{
	cr_expect_eq(begins_unproven(0, PACKET_PLAIN, create_latch), LATCH_UNPROVEN_EARLIER);
}

Test(udp_connections, a_datagram_in_clear_that_is_dropped_says_nothing_about_a_latch)
{
	verdict_of_check = GATE_DROP;
	cr_expect_eq(begins_unproven(0, PACKET_PLAIN, create_latch), 0);
}

Test(udp_connections, the_datagram_that_creates_the_latch_is_not_older_than_it)
{
	cr_expect_eq(begins_unproven(0, PACKET_PROTECTED, create_latch), 0);
}

Test(udp_connections,
     a_datagram_that_leaves_in_clear_while_the_latch_is_created_proves_nothing_about_it)
{
	cr_expect_eq(begins_unproven(1, PACKET_PLAIN, create_latch), 0);
}

Test(udp_connections, the_queue_of_a_socket_says_nothing_about_the_latch_of_another_one)
{
	cr_expect_eq(begins_unproven(1, PACKET_PROTECTED, create_other_latch_and_queue), 0);
}

/* ---- a wish during the check */

static void wish_now(void)
{
	stored.wished = 1;
	create_latch();
}

Test(udp_connections, a_datagram_whose_check_began_before_the_wish_is_lost)
{
	connect_to(1);
	is_stored = true;
	make_datagram();
	meanwhile = create_latch;
	cr_expect_eq(gate_sees_it(), GATE_PASS);
	connect_to(2);
	make_datagram();
	meanwhile = wish_now;
	cr_expect_eq(gate_sees_it(), GATE_DROP);
}

/* ---- without a connection */

static int loose_verdict(enum wished wished, enum packet_protection protection, int egress)
{
	struct bpf_sock sk = {.type = SOCK_DGRAM, .state = BPF_TCP_CLOSE};
	struct passage p = {.egress = !!egress, .socket_cookie = COOKIE};
	struct __sk_buff skb = {.sk = &sk};

	begin();
	is_stored = true;
	stored.wished = wished;
	has_wish = wished != WISHED_NOTHING;
	make_datagram();
	sent_protection = protection;
	return gate_udp(&skb, &sk, &p, egress);
}

Test(udp_connections, only_a_wish_for_each_datagram_passes_one_without_a_connection_by_its_sa)
{
	cr_expect_eq(loose_verdict(WISHED_NOTHING, PACKET_PLAIN, 1), GATE_PASS);
	cr_expect_eq(loose_verdict(WISHED_SILENCE, PACKET_PROTECTED, 1), GATE_DROP);
	cr_expect_eq(loose_verdict(WISHED_DATAGRAMS, PACKET_PLAIN, 1), GATE_DROP);
	cr_expect_eq(loose_verdict(WISHED_DATAGRAMS, PACKET_PROTECTED, 1), GATE_PASS);
	cr_expect_eq(loose_verdict(WISHED_SILENCE, PACKET_PLAIN, 0), GATE_DROP);
	cr_expect_eq(loose_verdict(WISHED_DATAGRAMS, PACKET_PLAIN, 0), GATE_DROP);
}

/* As loose_verdict(), of a datagram in clear that leaves by the device. */
static int loose_verdict_by(enum wished wished, struct net_device *device, struct xfrm_state *x)
{
	struct bpf_sock sk = {.type = SOCK_DGRAM, .state = BPF_TCP_CLOSE};
	struct passage p = {.egress = 1, .socket_cookie = COOKIE};
	struct __sk_buff skb = {.sk = &sk};
	static struct net net;

	is_stored = has_wish = true;
	stored.wished = wished;
	kernel_udp.sk.__sk_common.skc_net.net = &net;
	make_datagram();
	packet_sent.dev = device;
	sent_protection = PACKET_PLAIN;
	sa_behind_nat = x;
	return gate_udp(&skb, &sk, &p, 1);
}

/* The second pass, as ESP, is that of any datagram. */
Test(udp_connections, a_datagram_without_a_connection_goes_to_xfrm_by_an_xfrm_interface)
{
	struct net_device here = {.sas = SAS_PLACE_HERE}, hidden = {.sas = SAS_PLACE_HIDDEN};

	cr_expect_eq(loose_verdict_by(WISHED_DATAGRAMS, &here, NULL), GATE_PASS);
	cr_expect_eq(loose_verdict(WISHED_DATAGRAMS, PACKET_PROTECTED, 1), GATE_PASS);
	cr_expect_eq(loose_verdict_by(WISHED_DATAGRAMS, &hidden, NULL), GATE_DROP);
	cr_expect_eq(loose_verdict_by(WISHED_DATAGRAMS, &tunnel, NULL), GATE_DROP);
	cr_expect_eq(loose_verdict_by(WISHED_DATAGRAMS, &card, NULL), GATE_DROP);
	cr_expect_eq(loose_verdict_by(WISHED_SILENCE, &here, NULL), GATE_DROP);
}

Test(udp_connections, a_datagram_without_a_connection_goes_to_xfrm_by_source_nat)
{
	struct xfrm_state x;

	cr_expect_eq(loose_verdict_by(WISHED_DATAGRAMS, &card, &x), GATE_PASS);
	state_is_elsewhere = true;
	cr_expect_eq(loose_verdict_by(WISHED_DATAGRAMS, &card, &x), GATE_DROP);
}

/* ---- the latch of a former connection */

static void latch_connection(void)
{
	connect_to(1);
	has_latch = true;
	latched_flow = flow_to(1);
	stored_latch.socket_cookie = COOKIE;
	make_datagram();
	cr_assert_eq(gate_sees_it(), GATE_PASS);
	cr_assert(stored.verdict.was_latched);
}

Test(udp_connections, L_5_2_2_a_datagram_of_the_former_latched_connection_is_dropped)
{
	latch_connection();
	make_datagram();
	connect_to(2);
	cr_expect_eq(gate_sees_it(), GATE_DROP);
	cr_expect_not(has_latch);
}

Test(udp_connections, in_audit_mode_a_datagram_of_a_connection_latched_before_it_stays_dropped)
{
	latch_connection();
	make_datagram();
	mode_in_force = 1;
	connect_to(2);
	cr_expect_eq(gate_sees_it(), GATE_DROP);
}

Test(udp_connections, in_audit_mode_a_later_latch_does_not_release_datagrams_of_an_earlier_one)
{
	latch_connection();
	mode_in_force = 1;
	connect_to(2);
	latched_flow = flow_to(2);
	has_latch = true;
	stored_latch.word.state = LATCH_STATE_ESTABLISHED;
	make_datagram();
	cr_assert_eq(gate_sees_it(), GATE_PASS);
	make_datagram();
	connect_to(3);
	cr_expect_eq(gate_sees_it(), GATE_DROP);
}

Test(udp_connections, in_audit_mode_a_datagram_of_a_connection_latched_in_it_passes)
{
	mode_in_force = 1;
	stored_latch.word.state = LATCH_STATE_ESTABLISHED;
	latch_connection();
	make_datagram();
	connect_to(2);
	cr_expect_eq(gate_sees_it(), GATE_PASS);
	mode_in_force = 2;
	cr_expect_eq(gate_sees_it(), GATE_DROP);
}

Test(udp_connections, a_connection_that_was_not_latched_loses_nothing_by_a_connect)
{
	connect_to(1);
	make_datagram();
	cr_assert_eq(gate_sees_it(), GATE_PASS);
	make_datagram();
	datagram_release_latch(&stored, COOKIE);
	connect_to(2);
	cr_expect_eq(gate_sees_it(), GATE_PASS);
}

/* It would serve for the task's next datagram. */
Test(udp_connections, R_2_4_a_datagram_that_is_dropped_takes_its_name_along)
{
	latch_connection();
	stored.sends_elsewhere = 1;
	is_named = true;
	names_stored.ends[0].task = bpf_get_current_task();
	make_datagram();
	connect_to(2);
	cr_expect_eq(gate_sees_it(), GATE_DROP);
	cr_expect_eq(names_stored.ends[0].task, 0);
}

/* ---- tunnel devices */

Test(udp_connections, ESP_of_a_connection_through_a_tunnel_device_counts_as_in_clear)
{
	connect_to(1);
	send_by_tunnel();
	cr_expect_eq(counts_as(), PACKET_PLAIN);
	clock_now += 1000000000ull * 3;
	cr_expect_eq(counts_as(), PACKET_PLAIN);
	clock_now += 1000000000ull * 4;
	cr_expect_eq(counts_as(), PACKET_PROTECTED);
}

Test(udp_connections, R_2_4_the_tunnel_of_a_former_connection_does_not_keep_the_next_one_unlatched)
{
	connect_to(1);
	send_by_tunnel();
	connect_to(2);
	cr_expect_eq(counts_as(), PACKET_PROTECTED);
	cr_expect(may_start);
}

/* Another CPU has noted a later time. */
Test(udp_connections, a_clock_that_is_ahead_does_not_make_a_tunnel_old)
{
	connect_to(1);
	send_by_tunnel();
	clock_now -= 1000000000ull;
	cr_expect_eq(counts_as(), PACKET_PLAIN);
}
