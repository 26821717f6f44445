/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Datagrams of connected UDP sockets under a header with other ends than the socket. Causes: NAT of
 * the host itself, a source route, a routing header, inline SRv6, ESP in UDP. All packets are in
 * clear.
 *
 *	client (connected to server) --> gate_egress --> lo --> server
 *	        header: another destination or source     `--> other
 */
#include "gate_fixture.h"
#include "udp_loss.h"

#include <linux/ipv6.h>
#include <linux/seg6.h>

#define SEGMENT	    "fd00::1"
#define NEAR_IT	    "fd00::2"
#define BEHIND_IT   "fd05::5" /* a route through SEGMENT leads there */
#define PORT_OF_ESP 4500
#define SPI	    0xc0a81234u
#define PARAMS	    5
#define LSRR	    131 /* loose source and record route, RFC 791 */

static void set_up(void)
{
	gate_set_up();
	attach_gates();
	attach(GATES_SEND4);
	attach(GATES_SEND6);
}

TestSuite(gate_udp_rewritten, .init = set_up, .fini = gate_tear_down, .timeout = 180);

static void run(const char *command)
{
	cr_assert(run_in_namespace(command), "%s", command);
}

/* chain: of a table for NAT; rule: of what leaves. */
static void rewrite(const char *chain, const char *rule)
{
	char command[200];

	run("nft add table ip t");
	snprintf(command, sizeof(command), "nft 'add chain ip t c { type nat hook %s; }'", chain);
	run(command);
	snprintf(command, sizeof(command), "nft 'add rule ip t c %s'", rule);
	run(command);
}

static void rewrite_destination(uint16_t from, uint16_t to)
{
	char rule[80];

	snprintf(rule, sizeof(rule), "udp dport %u dnat to " IPV4 ":%u", from, to);
	rewrite("output priority -100", rule);
}

static void rewrite_source(uint16_t from, uint16_t to)
{
	char rule[80];

	snprintf(rule, sizeof(rule), "udp sport %u snat to " IPV4 ":%u", from, to);
	rewrite("postrouting priority 100", rule);
}

static void latch(int fd)
{
	struct latch_flow flow = udp_flow(fd);

	put_latch_of(&flow, fd);
}

static struct address name(int fd)
{
	return name_of(fd, getsockname);
}

static void read_one(int fd, char *ret)
{
	wait_for(is_readable(fd));
	cr_assert_eq(recv(fd, ret, 1, MSG_DONTWAIT), 1);
}

/* ---- another destination */

Test(gate_udp_rewritten, R_2_4_nothing_of_a_latched_socket_leaves_in_clear_for_a_dnat_target)
{
	struct pair pair = udp_pair(IPV4, IPV4);
	int other = udp_bound(IPV4);

	rewrite_destination(port_of(pair.server), port_of(other));
	latch(pair.client);
	cr_expect(udp_is_lost(pair.client));
	cr_expect_eq(drops_for(LATCH_DROP_PLAINTEXT).egress, 1);
	cr_expect_not(is_readable(other));
	close(other);
	udp_close(&pair);
}

Test(gate_udp_rewritten, a_socket_without_a_latch_sends_to_a_dnat_target)
{
	struct pair pair = udp_pair(IPV4, IPV4);
	int other = udp_bound(IPV4);
	char byte;

	rewrite_destination(port_of(pair.server), port_of(other));
	cr_expect_eq(udp_send(pair.client), 0);
	read_one(other, &byte);
	cr_expect_eq(drops_in_all().egress, 0);
	close(other);
	udp_close(&pair);
}

/* The header then has neither the connected peer nor the address that was named. */
Test(gate_udp_rewritten, a_datagram_for_another_address_passes_if_the_host_rewrites_it)
{
	struct pair pair = udp_pair(IPV4, IPV4);
	int named = udp_bound(IPV4), target = udp_bound(IPV4);
	char byte;

	rewrite_destination(port_of(named), port_of(target));
	latch(pair.client);
	cr_expect_eq(udp_send_to(pair.client, name(named)), 0);
	read_one(target, &byte);
	cr_expect_eq(drops_in_all().egress, 0);
	close(named);
	close(target);
	udp_close(&pair);
}

Test(gate_udp_rewritten, R_2_4_after_a_datagram_for_another_address_the_next_is_the_connections_own)
{
	struct pair pair = udp_pair(IPV4, IPV4);
	int named = udp_bound(IPV4), target = udp_bound(IPV4);
	char byte;

	rewrite_destination(port_of(pair.server), port_of(target));
	latch(pair.client);
	cr_expect_eq(udp_send_to(pair.client, name(named)), 0);
	read_one(named, &byte);
	cr_expect(udp_is_lost(pair.client));
	cr_expect_not(is_readable(target));
	close(named);
	close(target);
	udp_close(&pair);
}

/* The header then has the address that was named last. */
Test(gate_udp_rewritten,
     R_2_4_a_datagram_of_the_connection_that_nat_sends_to_a_named_address_is_its_own)
{
	struct pair pair = udp_pair(IPV4, IPV4);
	int named = udp_bound(IPV4);
	char byte;

	rewrite_destination(port_of(pair.server), port_of(named));
	latch(pair.client);
	cr_expect_eq(udp_send_to(pair.client, name(named)), 0);
	read_one(named, &byte);
	cr_expect(udp_is_lost(pair.client));
	cr_expect_eq(drops_for(LATCH_DROP_PLAINTEXT).egress, 1);
	cr_expect_not(is_readable(named));
	close(named);
	udp_close(&pair);
}

/* No route leads to the address: the name stays behind. */
Test(gate_udp_rewritten, R_2_4_a_name_that_was_lost_does_not_serve_for_the_next_datagram)
{
	struct pair pair = udp_pair(IPV4, IPV4);
	int target = udp_bound(IPV4);

	rewrite_destination(port_of(pair.server), port_of(target));
	latch(pair.client);
	cr_expect_eq(udp_send_to(pair.client, address_of("192.0.2.1", 9)), -ENETUNREACH);
	cr_expect(udp_is_lost(pair.client));
	cr_expect_eq(drops_for(LATCH_DROP_PLAINTEXT).egress, 1);
	cr_expect_not(is_readable(target));
	close(target);
	udp_close(&pair);
}

/* The process that sends it is not the one that named the address. */
Test(gate_udp_rewritten, a_datagram_that_another_process_completes_is_known_by_its_header)
{
	struct pair pair = udp_pair(IPV4, IPV4);
	int named = udp_bound(IPV4), status;
	struct address there = name(named);
	pid_t child;
	char byte;

	latch(pair.client);
	cr_assert_eq(sendto(pair.client, "x", 1, MSG_MORE, &there.any, there.length), 1);
	child = fork();
	if (!child)
		_exit(-udp_send(pair.client));
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_expect_eq(status, 0);
	read_one(named, &byte);
	cr_expect_eq(drops_in_all().egress, 0);
	close(named);
	udp_close(&pair);
}

/* 127.0.0.2 comes first. */
static void set_source_route(int fd)
{
	static const unsigned char route[] = {LSRR, 7, 4, 127, 0, 0, 2, 0};

	cr_assert_eq(setsockopt(fd, IPPROTO_IP, IP_OPTIONS, route, sizeof(route)), 0);
}

/* sendmsg() with a control message and no address. */
Test(gate_udp_rewritten, R_2_4_a_control_message_names_no_other_address)
{
	struct pair pair = udp_pair(IPV4, IPV4);
	char byte = 'x', control[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec part = {&byte, 1};
	struct msghdr message = {.msg_iov = &part,
				 .msg_iovlen = 1,
				 .msg_control = control,
				 .msg_controllen = sizeof(control)};
	struct cmsghdr *option = CMSG_FIRSTHDR(&message);
	int ttl = 7;

	option->cmsg_level = IPPROTO_IP;
	option->cmsg_type = IP_TTL;
	option->cmsg_len = CMSG_LEN(sizeof(ttl));
	memcpy(CMSG_DATA(option), &ttl, sizeof(ttl));
	set_source_route(pair.client);
	latch(pair.client);
	cr_expect_eq(sendmsg(pair.client, &message, MSG_DONTWAIT), 1);
	cr_expect_eq(drops_for(LATCH_DROP_PLAINTEXT).egress, 1);
	udp_close(&pair);
}

Test(gate_udp_rewritten, R_2_4_a_source_route_does_not_take_a_datagram_out_of_its_connection)
{
	struct pair pair = udp_pair(IPV4, IPV4);

	latch(pair.client);
	set_source_route(pair.client);
	cr_expect(udp_is_lost(pair.client));
	cr_expect_eq(drops_for(LATCH_DROP_PLAINTEXT).egress, 1);
	udp_close(&pair);
}

static struct ipv6_sr_hdr *route_through(const char *segment, char buffer[40])
{
	struct ipv6_sr_hdr *header = (struct ipv6_sr_hdr *)buffer;

	memset(buffer, 0, 40);
	header->hdrlen = 4;
	header->type = IPV6_SRCRT_TYPE_4;
	header->segments_left = header->first_segment = 1;
	cr_assert_eq(inet_pton(AF_INET6, segment, &header->segments[1]), 1);
	return header;
}

Test(gate_udp_rewritten, R_2_4_a_routing_header_does_not_take_a_datagram_out_of_its_connection)
{
	struct pair pair = udp_pair(IPV6, IPV6);
	char buffer[40];

	run("ip -6 addr add " SEGMENT "/128 dev lo nodad");
	/* The kernel adds the route of an address later. Until then the datagram has no way. */
	wait_for(run_in_namespace("ip -6 route show table local | grep -q " SEGMENT));
	latch(pair.client);
	cr_assert_eq(setsockopt(pair.client, IPPROTO_IPV6, IPV6_RTHDR,
				route_through(SEGMENT, buffer), sizeof(buffer)),
		     0, "%s", strerror(errno));
	cr_expect(udp_is_lost(pair.client));
	cr_expect_eq(drops_for(LATCH_DROP_PLAINTEXT).egress, 1);
	udp_close(&pair);
}

Test(gate_udp_rewritten, R_2_4_inline_srv6_does_not_take_a_datagram_out_of_its_connection)
{
	int client;

	run("ip link add d0 type veth peer name d1");
	run("ip link set d0 up");
	run("ip -6 addr add " NEAR_IT "/64 dev d0 nodad");
	run("ip -6 route add " BEHIND_IT "/128 encap seg6 mode inline segs " SEGMENT " dev d0");
	client = udp_bound(NEAR_IT);
	udp_connect(client, address_of(BEHIND_IT, 9));
	latch(client);
	cr_expect(udp_is_lost(client));
	cr_expect_eq(drops_for(LATCH_DROP_PLAINTEXT).egress, 1);
	close(client);
}

/* ---- another source */

/* A DNS resolver behind masquerading: the source port may be that of ESP in UDP. */
Test(gate_udp_rewritten, a_socket_behind_source_nat_receives_its_answers)
{
	int client = udp_bound(IPV4), server = udp_bound(IPV4);
	static const char query[] = "query";
	struct address from = {.length = sizeof(from.v6)};
	struct latch_flow flow;
	char byte;

	rewrite_source(port_of(client), PORT_OF_ESP);
	udp_connect(client, name(server));
	cr_expect_eq(send(client, query, sizeof(query), MSG_DONTWAIT), sizeof(query));
	wait_for(is_readable(server));
	cr_assert_eq(recvfrom(server, &byte, 1, 0, &from.any, &from.length), 1);
	cr_expect_eq(ntohs(from.v4.sin_port), PORT_OF_ESP);
	cr_expect_eq(udp_send_to(server, from), 0);
	read_one(client, &byte);
	flow = udp_flow(client);
	cr_expect_not(has_latch(&flow));
	cr_expect_eq(drops_in_all().egress + drops_in_all().ingress, 0);
	close(client);
	close(server);
}

Test(gate_udp_rewritten, R_2_4_source_nat_does_not_make_a_datagram_in_clear_a_protected_one)
{
	struct pair pair = udp_pair(IPV4, IPV4);

	rewrite_source(port_of(pair.client), PORT_OF_ESP);
	latch(pair.client);
	cr_expect(udp_is_lost(pair.client));
	cr_expect_eq(drops_for(LATCH_DROP_PLAINTEXT).egress, 1);
	udp_close(&pair);
}

/* Of ESP in UDP these would be the source port and the SPI. Returns 0 or a negative errno. */
static int send_like_esp(int fd)
{
	struct latch_sa sa = {.encap = 1,
			      .word = {.serial = 1, .params = PARAMS, .state = LATCH_SA_BOUND}};
	struct latch_sa_key key = {.spi = SPI, .protocol = IPPROTO_ESP, .family = AF_INET};
	struct latch_flow flow = udp_flow(fd);
	__u32 payload[2] = {htonl(SPI)};

	key.netns = flow.netns;
	memcpy(key.daddr, flow.remote_addr, sizeof(key.daddr));
	cr_assert_eq(bpf_map_update_elem(maps.sas, &key, &sa, BPF_ANY), 0);
	forget_passes();
	rewrite_source(port_of(fd), PORT_OF_ESP);
	return send(fd, payload, sizeof(payload), MSG_DONTWAIT) == sizeof(payload) ? 0 : -errno;
}

Test(gate_udp_rewritten, R_2_4_a_datagram_in_clear_does_not_pass_for_its_first_bytes)
{
	struct pair pair = udp_pair(IPV4, IPV4);

	latch(pair.client);
	cr_expect_eq(send_like_esp(pair.client), 0);
	cr_expect_eq(drops_for(LATCH_DROP_PLAINTEXT).egress, 1);
	udp_close(&pair);
}

Test(gate_udp_rewritten, a_datagram_in_clear_creates_no_latch_by_its_first_bytes)
{
	struct pair pair = udp_pair(IPV4, IPV4);
	struct latch_flow flow = udp_flow(pair.client);

	cr_expect_eq(send_like_esp(pair.client), 0);
	cr_expect_not(has_latch(&flow));
	udp_close(&pair);
}

/* ---- before connect() */

/* No program sees the queue of a socket: docs/limitations.md. */
Test(gate_udp_rewritten, a_datagram_from_before_connect_stays_in_the_queue_of_a_latched_socket)
{
	int client = udp_bound(IPV4), peer = udp_bound(IPV4), foreign = udp_bound(IPV4);
	char byte;

	cr_expect_eq(udp_send_to(foreign, name(client)), 0);
	wait_for(is_readable(client));
	udp_connect(client, name(peer));
	latch(client);
	cr_expect(udp_is_lost(client));
	read_one(client, &byte);
	close(client);
	close(peer);
	close(foreign);
}

/* What the documents advise. */
Test(gate_udp_rewritten, a_queue_that_is_emptied_after_connect_has_no_foreign_datagrams_later)
{
	int client = udp_bound(IPV4), peer = udp_bound(IPV4), foreign = udp_bound(IPV4);
	char byte;

	cr_expect_eq(udp_send_to(foreign, name(client)), 0);
	wait_for(is_readable(client));
	udp_connect(client, name(peer));
	while (recv(client, &byte, 1, MSG_DONTWAIT) == 1)
		continue;
	cr_expect_eq(errno, EAGAIN);
	cr_expect_eq(udp_send_to(foreign, name(client)), 0);
	cr_expect_eq(udp_send_to(peer, name(client)), 0);
	read_one(client, &byte);
	cr_expect_not(is_readable(client));
	close(client);
	close(peer);
	close(foreign);
}
