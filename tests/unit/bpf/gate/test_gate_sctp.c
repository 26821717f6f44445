/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SCTP packets in clear at the netfilter gate, with one latched association in the maps.
 * BPF_PROG_RUN has no SAs: tests/vm/sctp has the packets with ESP.
 *
 *	test --- packet ---> BPF_PROG_RUN: nf_gate_egress, nf_gate_ingress ---> verdict, drops
 *
 *	association 77, local tag 0x10101010, remote tag 0x20202020:
 *	  10.9.0.1:6002 <--- latched path ---> 10.9.0.2:7002
 *	  10.9.0.1:6002 <--- known address --> 10.9.1.2:7002    (no latch)
 *	other peer:                            10.9.2.2:7002
 */
#include "netfilter_fixture.h"

#include <bpf/bpf.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>

#include "latchd/maps/tables.h"

#define LOCAL_PORT   6002
#define REMOTE_PORT  7002
#define LOCAL_TAG    0x10101010
#define REMOTE_TAG   0x20202020
#define OTHER_TAG    0x30303030
#define ASSOCIATION  77
#define PARAMS	     7
#define HERE	     0x0a090001 /* 10.9.0.1 */
#define LATCHED_PEER 0x0a090002
#define KNOWN_PEER   0x0a090102 /* an address of the association without a latch */
#define OTHER_PEER   0x0a090202

enum chunk {
	DATA = 0,
	INIT = 1,
	INIT_ACK = 2,
	HEARTBEAT = 4,
	ABORT = 6,
	SHUTDOWN_COMPLETE = 14,
	COOKIE_ECHO = 10,
	AUTH = 15,
};

struct segment {
	bool egress;
	uint32_t peer;
	uint32_t tag;
	uint32_t initiate_tag;
	enum chunk chunk;
	uint8_t flags;
	bool behind_auth;
	size_t extensions; /* of the IPv6 header */
	size_t cut;	   /* missing bytes at the end */
};

static struct netfilter netfilter;
static int family = AF_INET; /* of all addresses and packets */

/* ---- latches and marks */

#define NETNS_OF_RUNS 0 /* BPF_PROG_RUN gives the program no namespace */

/* IPv4, or the last four bytes of 2001:db8::/96. */
static void put_address(uint8_t at[16], uint32_t number)
{
	static const uint8_t prefix[4] = {0x20, 0x01, 0x0d, 0xb8};
	uint32_t bytes = htonl(number);

	if (family == AF_INET6)
		memcpy(at, prefix, sizeof(prefix));
	memcpy(family == AF_INET ? at : at + 12, &bytes, sizeof(bytes));
}

static struct latch_flow flow_to(uint32_t peer)
{
	struct latch_flow flow = {
		.netns = NETNS_OF_RUNS,
		.local_port = LOCAL_PORT,
		.remote_port = REMOTE_PORT,
		.family = (uint8_t)family,
		.protocol = IPPROTO_SCTP,
	};

	put_address(flow.local_addr, HERE);
	put_address(flow.remote_addr, peer);
	return flow;
}

static struct latch_flow mark_key(enum latch_association_mark mark, uint32_t value)
{
	struct latch_flow key = flow_to(value);
	uint32_t tag = htonl(value);

	memset(key.local_addr, 0, sizeof(key.local_addr));
	key.pad = mark;
	if (mark == LATCH_MARK_ADDRESS)
		return key;
	key.family = 0;
	memset(key.remote_addr, 0, sizeof(key.remote_addr));
	memcpy(key.remote_addr, &tag, sizeof(tag));
	return key;
}

static void put_mark(enum latch_association_mark mark, uint32_t value)
{
	struct latch_flow key = mark_key(mark, value);
	struct latch_association association = {.id = ASSOCIATION, .params = PARAMS};

	cr_assert_eq(bpf_map_update_elem(netfilter.maps.associations, &key, &association, BPF_ANY),
		     0);
}

static void put_latch_of(enum latch_state state)
{
	struct latch_flow flow = flow_to(LATCHED_PEER);
	struct latch latch = {
		.word = {.params = PARAMS, .state = state, .generation = 1},
		.id = ASSOCIATION,
		.owner = LATCH_OWNER_SOCKET,
		.association = ASSOCIATION,
	};

	cr_assert_eq(bpf_map_update_elem(netfilter.maps.latches, &flow, &latch, BPF_ANY), 0);
}

static void put_association(void)
{
	put_latch_of(LATCH_STATE_ESTABLISHED);
	put_mark(LATCH_MARK_LOCAL_TAG, LOCAL_TAG);
	put_mark(LATCH_MARK_REMOTE_TAG, REMOTE_TAG);
	put_mark(LATCH_MARK_ADDRESS, LATCHED_PEER);
	put_mark(LATCH_MARK_ADDRESS, KNOWN_PEER);
}

static void set_up(void)
{
	netfilter_private_pins();
	netfilter_load(&netfilter);
}

TestSuite(gate_sctp, .init = set_up, .timeout = 60);

/* Over IPv4 and IPv6: the netfilter gate parses both headers itself. */
#define TEST_BOTH(name)                                                                            \
	static void name(void);                                                                    \
	Test(gate_sctp, name##_ipv4)                                                               \
	{                                                                                          \
		put_association();                                                                 \
		name();                                                                            \
	}                                                                                          \
	Test(gate_sctp, name##_ipv6)                                                               \
	{                                                                                          \
		family = AF_INET6;                                                                 \
		put_association();                                                                 \
		name();                                                                            \
	}                                                                                          \
	static void name(void)

/* ---- packets */

struct bytes {
	uint8_t at[256];
	size_t length;
};

static void add(struct bytes *bytes, const void *more, size_t length)
{
	memcpy(bytes->at + bytes->length, more, length);
	bytes->length += length;
}

static void add_chunk(struct bytes *bytes, enum chunk type, uint8_t flags, uint32_t initiate_tag)
{
	const uint8_t header[4] = {(uint8_t)type, flags, 0, 20};
	uint8_t body[16] = {0};
	uint32_t tag = htonl(initiate_tag);

	memcpy(body, &tag, sizeof(tag));
	add(bytes, header, sizeof(header));
	add(bytes, body, sizeof(body));
}

static void add_ipv4(struct bytes *bytes, const struct segment *s)
{
	const struct iphdr ip = {
		.version = 4,
		.ihl = 5,
		.ttl = 64,
		.protocol = IPPROTO_SCTP,
		.saddr = htonl(s->egress ? HERE : s->peer),
		.daddr = htonl(s->egress ? s->peer : HERE),
	};

	add(bytes, &ip, sizeof(ip));
}

static void add_ipv6(struct bytes *bytes, const struct segment *s)
{
	struct ip6_hdr ip = {.ip6_vfc = 6 << 4};
	uint8_t extension[8] = {IPPROTO_DSTOPTS, 0, 1, 4}; /* padded with one option */
	size_t i;

	ip.ip6_nxt = s->extensions ? IPPROTO_DSTOPTS : IPPROTO_SCTP;
	put_address(ip.ip6_src.s6_addr, s->egress ? HERE : s->peer);
	put_address(ip.ip6_dst.s6_addr, s->egress ? s->peer : HERE);
	add(bytes, &ip, sizeof(ip));
	for (i = 1; i <= s->extensions; i++) {
		extension[0] = i == s->extensions ? IPPROTO_SCTP : IPPROTO_DSTOPTS;
		add(bytes, extension, sizeof(extension));
	}
}

static struct bytes packet_of(const struct segment *s)
{
	const uint16_t ports[2] = {htons(s->egress ? LOCAL_PORT : REMOTE_PORT),
				   htons(s->egress ? REMOTE_PORT : LOCAL_PORT)};
	const uint32_t tag_and_checksum[2] = {htonl(s->tag), 0};
	struct bytes bytes = {.length = 0};

	if (family == AF_INET)
		add_ipv4(&bytes, s);
	else
		add_ipv6(&bytes, s);
	add(&bytes, ports, sizeof(ports));
	add(&bytes, tag_and_checksum, sizeof(tag_and_checksum));
	if (s->behind_auth)
		add_chunk(&bytes, AUTH, 0, 0);
	add_chunk(&bytes, s->chunk, s->flags, s->initiate_tag);
	bytes.length -= s->cut;
	return bytes;
}

#define HOOK_LOCAL_OUT 3 /* for this hook the kernel sets no loopback device as input */

/* The kernel's struct nf_hook_state, without device, socket and namespace. */
struct hook_state {
	uint8_t hook, family;
	uint64_t none[5];
};

static bool passes(const struct segment *s)
{
	struct hook_state state = {.hook = HOOK_LOCAL_OUT, .family = (uint8_t)family};
	struct bytes bytes = packet_of(s);
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = bytes.at,
		    .data_size_in = (__u32)bytes.length, .repeat = 1, .ctx_in = &state,
		    .ctx_size_in = sizeof(state));
	int err = bpf_prog_test_run_opts(s->egress ? netfilter.gate.egress : netfilter.gate.ingress,
					 &run);

	if (err == -EOPNOTSUPP || err == -524)
		cr_skip_test("this kernel has no BPF_PROG_RUN for netfilter programs");
	cr_assert_eq(err, 0, "%s", strerror(-err));
	return run.retval == 1;
}

static uint64_t drops_for(enum latch_drop reason)
{
	struct latch_drop_count drops[LATCH_DROP_COUNT];

	cr_assert_eq(drops_read(&netfilter.maps, drops), 0);
	return drops[reason].egress + drops[reason].ingress;
}

static void expect_dropped(const struct segment *s, enum latch_drop reason, const char *text)
{
	uint64_t before = drops_for(reason);

	cr_expect_not(passes(s), "%s", text);
	cr_expect_eq(drops_for(reason), before + 1, "%s", text);
}

#define DROPPED(reason, ...) expect_dropped(&(struct segment){__VA_ARGS__}, reason, #__VA_ARGS__)
#define PASSES(...)	     cr_expect(passes(&(struct segment){__VA_ARGS__}), "%s", #__VA_ARGS__)

/* ---- audit mode: odd */

static void set_mode(uint32_t mode)
{
	struct latch_settings settings = {.mode = mode};
	uint32_t key = 0;

	cr_assert_eq(bpf_map_update_elem(netfilter.maps.settings, &key, &settings, BPF_ANY), 0);
}

static void put_mark_of_mode(enum latch_association_mark mark, uint32_t value, uint32_t mode)
{
	struct latch_flow key = mark_key(mark, value);
	struct latch_association association = {.id = ASSOCIATION, .params = PARAMS, .mode = mode};

	cr_assert_eq(bpf_map_update_elem(netfilter.maps.associations, &key, &association, BPF_ANY),
		     0);
}

TEST_BOTH(in_audit_mode_a_path_in_clear_joins_an_association_that_began_in_it)
{
	put_mark_of_mode(LATCH_MARK_REMOTE_TAG, REMOTE_TAG, 3);
	set_mode(3);
	PASSES(.egress = true, .peer = OTHER_PEER, .tag = REMOTE_TAG);
	cr_expect_eq(drops_for(LATCH_DROP_PLAINTEXT), 0);
	set_mode(4);
	DROPPED(LATCH_DROP_PLAINTEXT, .egress = true, .peer = OTHER_PEER, .tag = REMOTE_TAG);
}

/* Enforcement may have broken another path of it. */
TEST_BOTH(in_audit_mode_no_path_in_clear_joins_an_association_from_before_it)
{
	put_mark_of_mode(LATCH_MARK_REMOTE_TAG, REMOTE_TAG, 2);
	set_mode(3);
	DROPPED(LATCH_DROP_PLAINTEXT, .egress = true, .peer = OTHER_PEER, .tag = REMOTE_TAG);
	DROPPED(LATCH_DROP_PLAINTEXT, .peer = OTHER_PEER, .chunk = INIT);
}

/* Any host can send it: the tag serves for the ABORT when enforcement begins. */
TEST_BOTH(in_audit_mode_a_packet_in_clear_passes_and_changes_no_latch_that_stands)
{
	struct latch_flow flow = flow_to(LATCHED_PEER);
	struct latch latch;

	set_mode(3);
	PASSES(.peer = LATCHED_PEER, .tag = OTHER_TAG, .chunk = DATA);
	cr_assert_eq(latch_get(&netfilter.maps, &flow, &latch), 0);
	cr_expect_eq(latch.tag_seen, 0);
	cr_expect_eq(latch.word.state, LATCH_STATE_ESTABLISHED);
}

/* Without its marks a second path would be unknown when enforcement begins. */
TEST_BOTH(in_audit_mode_what_the_kernel_sends_in_clear_proves_the_association)
{
	struct latch_flow key = mark_key(LATCH_MARK_REMOTE_TAG, OTHER_TAG);
	struct latch_association association;

	set_mode(3);
	PASSES(.egress = true, .peer = LATCHED_PEER, .tag = OTHER_TAG, .chunk = DATA);
	cr_expect_eq(bpf_map_lookup_elem(netfilter.maps.associations, &key, &association), 0);
}

static void put_refused(enum latch_owner owner)
{
	struct latch_flow flow = flow_to(OTHER_PEER);
	struct latch latch = {
		.word = {.reasons = LATCH_REASON_REFUSED, .state = LATCH_STATE_BROKEN},
		.id = 99,
		.owner = owner,
		.association = ASSOCIATION + 1,
		.decided = 3,
	};

	cr_assert_eq(bpf_map_update_elem(netfilter.maps.latches, &flow, &latch, BPF_ANY), 0);
}

static bool is_marked(void)
{
	struct latch_flow flow = flow_to(OTHER_PEER);
	struct latch latch;

	return !latch_get(&netfilter.maps, &flow, &latch);
}

/* The rules allow it now, and so does its SA in tests/vm. */
TEST_BOTH(in_audit_mode_an_init_of_a_refused_association_is_checked_anew)
{
	set_mode(3);
	put_refused(LATCH_OWNER_HANDSHAKE);
	PASSES(.egress = true, .peer = OTHER_PEER, .chunk = INIT, .initiate_tag = OTHER_TAG);
	cr_expect_not(is_marked());
}

TEST_BOTH(in_audit_mode_an_init_does_not_end_the_mark_of_an_association_that_is_up)
{
	set_mode(3);
	put_refused(LATCH_OWNER_SOCKET);
	PASSES(.egress = true, .peer = OTHER_PEER, .chunk = INIT, .initiate_tag = OTHER_TAG);
	cr_expect(is_marked());
}

static void require_latches_in_audit(void)
{
	struct latch_settings settings = {.mode = 3, .rule_count = 1};
	struct latch_rule rule = {
		.action = LATCH_ACTION_REQUIRE,
		.local_port_last = 65535,
		.remote_port_last = 65535,
	};
	uint32_t key = 0;

	cr_assert_eq(bpf_map_update_elem(netfilter.maps.rules, &key, &rule, BPF_ANY), 0);
	cr_assert_eq(bpf_map_update_elem(netfilter.maps.settings, &key, &settings, BPF_ANY), 0);
}

/* Any host can send an INIT in the address of another one. The kernel refuses it later. */
TEST_BOTH(in_audit_mode_the_answer_to_an_init_marks_a_refused_association)
{
	require_latches_in_audit();
	PASSES(.peer = OTHER_PEER, .chunk = INIT, .initiate_tag = OTHER_TAG);
	PASSES(.peer = OTHER_PEER, .chunk = COOKIE_ECHO, .tag = OTHER_TAG);
	cr_expect_not(is_marked());
	PASSES(.egress = true, .peer = OTHER_PEER, .tag = OTHER_TAG, .chunk = INIT_ACK);
	cr_expect(is_marked());
	set_mode(3);
	PASSES(.peer = OTHER_PEER, .chunk = INIT, .initiate_tag = OTHER_TAG);
	cr_expect(is_marked(), "no rule requires a latch any more, but the INIT may be forged");
	PASSES(.egress = true, .peer = OTHER_PEER, .tag = OTHER_TAG, .chunk = INIT_ACK);
	cr_expect_not(is_marked());
}

/* Its flow is not known, and may be one that enforcement has broken. */
Test(gate_sctp, in_audit_mode_a_packet_that_cannot_be_read_is_dropped)
{
	family = AF_INET6;
	set_mode(3);
	DROPPED(LATCH_DROP_MALFORMED, .peer = LATCHED_PEER, .tag = LOCAL_TAG, .extensions = 9);
}

/* ---- verdicts */

TEST_BOTH(a_latched_path_carries_nothing_in_clear)
{
	DROPPED(LATCH_DROP_PLAINTEXT, .peer = LATCHED_PEER, .tag = LOCAL_TAG, .chunk = DATA);
	DROPPED(LATCH_DROP_PLAINTEXT, .peer = LATCHED_PEER, .tag = OTHER_TAG, .chunk = DATA);
	DROPPED(LATCH_DROP_PLAINTEXT, .peer = LATCHED_PEER, .chunk = INIT);
	DROPPED(LATCH_DROP_PLAINTEXT, .egress = true, .peer = LATCHED_PEER, .tag = REMOTE_TAG);
	DROPPED(LATCH_DROP_PLAINTEXT, .egress = true, .peer = LATCHED_PEER, .chunk = INIT);
}

TEST_BOTH(an_unlatched_path_carries_nothing_in_clear_with_a_tag_of_the_association)
{
	DROPPED(LATCH_DROP_PLAINTEXT, .peer = OTHER_PEER, .tag = LOCAL_TAG, .chunk = DATA);
	DROPPED(LATCH_DROP_PLAINTEXT, .peer = OTHER_PEER, .tag = LOCAL_TAG, .chunk = HEARTBEAT);
	DROPPED(LATCH_DROP_PLAINTEXT, .peer = OTHER_PEER, .tag = LOCAL_TAG, .chunk = INIT_ACK);
	DROPPED(LATCH_DROP_PLAINTEXT, .peer = OTHER_PEER, .tag = LOCAL_TAG, .chunk = COOKIE_ECHO);
	DROPPED(LATCH_DROP_PLAINTEXT, .peer = OTHER_PEER, .tag = LOCAL_TAG, .chunk = DATA,
		.behind_auth = true);
	DROPPED(LATCH_DROP_PLAINTEXT, .egress = true, .peer = OTHER_PEER, .tag = REMOTE_TAG);
}

/*
 * RFC 9260 section 8.5.1: with the T bit an ABORT or SHUTDOWN COMPLETE carries the remote tag. The
 * sender needs no local tag to end the association.
 */
TEST_BOTH(an_abort_with_the_t_bit_and_the_remote_tag_is_dropped_in_clear)
{
	DROPPED(LATCH_DROP_PLAINTEXT, .peer = OTHER_PEER, .tag = REMOTE_TAG, .chunk = ABORT,
		.flags = 1);
	DROPPED(LATCH_DROP_PLAINTEXT, .peer = OTHER_PEER, .tag = REMOTE_TAG,
		.chunk = SHUTDOWN_COMPLETE, .flags = 1);
	PASSES(.peer = OTHER_PEER, .tag = REMOTE_TAG, .chunk = ABORT);
	PASSES(.peer = OTHER_PEER, .tag = REMOTE_TAG, .chunk = DATA, .flags = 1);
}

/* INIT carries no tag: from an address of the peer, SCTP takes it for a restart. */
TEST_BOTH(a_restart_in_clear_from_an_address_of_the_peer_is_dropped)
{
	DROPPED(LATCH_DROP_PLAINTEXT, .peer = KNOWN_PEER, .chunk = INIT);
	DROPPED(LATCH_DROP_PLAINTEXT, .peer = KNOWN_PEER, .tag = OTHER_TAG, .chunk = COOKIE_ECHO);
	DROPPED(LATCH_DROP_PLAINTEXT, .peer = KNOWN_PEER, .chunk = INIT, .behind_auth = true);
}

/* SCTP repeats an INIT without an answer, to any address that the application named. */
TEST_BOTH(an_outgoing_init_with_the_local_tag_is_dropped_in_clear)
{
	DROPPED(LATCH_DROP_PLAINTEXT, .egress = true, .peer = OTHER_PEER, .chunk = INIT,
		.initiate_tag = LOCAL_TAG);
	PASSES(.egress = true, .peer = OTHER_PEER, .chunk = INIT, .initiate_tag = OTHER_TAG);
}

/*
 * The kernel sends with the remote tag to addresses of the association only. The address is marked
 * also if the packet is dropped.
 */
TEST_BOTH(an_outgoing_packet_with_the_remote_tag_marks_its_destination_address)
{
	PASSES(.peer = OTHER_PEER, .chunk = INIT, .initiate_tag = OTHER_TAG);
	DROPPED(LATCH_DROP_PLAINTEXT, .egress = true, .peer = OTHER_PEER, .tag = REMOTE_TAG,
		.chunk = HEARTBEAT);
	DROPPED(LATCH_DROP_PLAINTEXT, .peer = OTHER_PEER, .chunk = INIT, .initiate_tag = OTHER_TAG);
}

TEST_BOTH(packets_of_other_associations_pass_in_clear)
{
	PASSES(.peer = OTHER_PEER, .chunk = INIT, .initiate_tag = OTHER_TAG);
	PASSES(.peer = OTHER_PEER, .tag = OTHER_TAG, .chunk = COOKIE_ECHO);
	PASSES(.peer = OTHER_PEER, .tag = OTHER_TAG, .chunk = DATA);
	PASSES(.egress = true, .peer = OTHER_PEER, .tag = OTHER_TAG, .chunk = INIT_ACK,
	       .initiate_tag = LOCAL_TAG);
	PASSES(.egress = true, .peer = OTHER_PEER, .tag = OTHER_TAG, .chunk = DATA);
	PASSES(.egress = true, .peer = OTHER_PEER, .tag = LOCAL_TAG, .chunk = DATA);
}

/* An ABORT of latchd comes over the loopback device. These packets do not. */
TEST_BOTH(a_broken_path_carries_no_packet_not_even_an_abort)
{
	put_latch_of(LATCH_STATE_BROKEN);
	DROPPED(LATCH_DROP_BROKEN, .peer = LATCHED_PEER, .tag = LOCAL_TAG, .chunk = DATA);
	DROPPED(LATCH_DROP_BROKEN, .peer = LATCHED_PEER, .tag = LOCAL_TAG, .chunk = ABORT);
	DROPPED(LATCH_DROP_BROKEN, .egress = true, .peer = LATCHED_PEER, .tag = REMOTE_TAG);
	DROPPED(LATCH_DROP_BROKEN, .egress = true, .peer = LATCHED_PEER, .tag = REMOTE_TAG,
		.chunk = ABORT);
}

TEST_BOTH(a_truncated_packet_is_dropped)
{
	DROPPED(LATCH_DROP_MALFORMED, .peer = OTHER_PEER, .tag = OTHER_TAG, .cut = 20);
	DROPPED(LATCH_DROP_MALFORMED, .peer = OTHER_PEER, .tag = OTHER_TAG, .cut = 30);
	DROPPED(LATCH_DROP_MALFORMED, .peer = OTHER_PEER, .chunk = INIT, .cut = 8);
	DROPPED(LATCH_DROP_MALFORMED, .peer = OTHER_PEER, .tag = OTHER_TAG, .behind_auth = true,
		.cut = 20);
}

Test(gate_sctp, R_2_4_ipv6_extension_headers_do_not_hide_a_latched_path)
{
	size_t i;

	family = AF_INET6;
	put_association();
	for (i = 1; i < 6; i++) {
		DROPPED(LATCH_DROP_PLAINTEXT, .peer = LATCHED_PEER, .tag = LOCAL_TAG,
			.extensions = i);
		DROPPED(LATCH_DROP_PLAINTEXT, .egress = true, .peer = LATCHED_PEER,
			.tag = REMOTE_TAG, .extensions = i);
		PASSES(.peer = OTHER_PEER, .tag = OTHER_TAG, .extensions = i);
	}
	DROPPED(LATCH_DROP_MALFORMED, .peer = LATCHED_PEER, .tag = LOCAL_TAG, .extensions = 9);
}

/* Any host can send such a packet with the peer's address: the mark would never expire. */
TEST_BOTH(L_2_2_3_a_dropped_packet_does_not_refresh_an_address_mark)
{
	struct latch_flow key = mark_key(LATCH_MARK_ADDRESS, KNOWN_PEER);
	struct latch_association mark = {0};

	DROPPED(LATCH_DROP_PLAINTEXT, .peer = KNOWN_PEER, .chunk = INIT);
	DROPPED(LATCH_DROP_PLAINTEXT, .peer = KNOWN_PEER, .tag = OTHER_TAG, .chunk = COOKIE_ECHO);
	cr_assert_eq(bpf_map_lookup_elem(netfilter.maps.associations, &key, &mark), 0);
	cr_expect_eq(mark.changed, 0);
}
