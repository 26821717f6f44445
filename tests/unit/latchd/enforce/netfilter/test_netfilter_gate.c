/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One network namespace with a loopback and without IPsec. Every packet of a latched flow is
 * plaintext there, so that the netfilter gate must drop it. tests/vm/no-full-socket has SAs.
 *
 *   client 127.0.0.1:any ----lo---- 127.0.0.1:7000 listener or closed port
 */
#include "netfilter_fixture.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>

#include "latchd/maps/tables.h"

#define LIMIT_MS 30000
#define PORT	 7000

static struct netfilter b;
static struct namespace ns;

static void start(void)
{
	netfilter_private_pins();
	netfilter_load(&b);
	namespace_start(&ns);
	namespace_loopback_up(&ns);
}

static void finish(void)
{
	namespace_end(&ns);
	object_release(&b.object);
}

TestSuite(netfilter_gate, .init = start, .fini = finish, .timeout = 120);

/* ---- sockets on the loopback */

struct address {
	struct sockaddr_storage any;
	socklen_t length;
};

static struct address loopback(int family, uint16_t port)
{
	struct address address = {0};
	struct sockaddr_in *in = (struct sockaddr_in *)&address.any;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&address.any;

	if (family == AF_INET) {
		*in = (struct sockaddr_in){AF_INET, htons(port), {htonl(INADDR_LOOPBACK)}, {0}};
		address.length = sizeof(*in);
	} else {
		*in6 = (struct sockaddr_in6){.sin6_family = AF_INET6,
					     .sin6_port = htons(port),
					     .sin6_addr = in6addr_loopback};
		address.length = sizeof(*in6);
	}
	return address;
}

static int bound(const struct namespace *where, int family, uint16_t port)
{
	struct address own = loopback(family, port);
	int fd = namespace_socket(where, family, SOCK_STREAM | SOCK_NONBLOCK), one = 1;

	cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)), 0);
	cr_assert_eq(bind(fd, (struct sockaddr *)&own.any, own.length), 0, "bind: %s",
		     strerror(errno));
	return fd;
}

static int listener(int family)
{
	int fd = bound(&ns, family, PORT);

	cr_assert_eq(listen(fd, 8), 0);
	return fd;
}

static uint16_t port_of(int fd)
{
	struct address own = {.length = sizeof(own.any)};

	cr_assert_eq(getsockname(fd, (struct sockaddr *)&own.any, &own.length), 0);
	return ntohs(
		((struct sockaddr_in *)&own.any)->sin_port); /* sin6_port has the same offset */
}

static void connect_to(int fd, int family)
{
	struct address peer = loopback(family, PORT);

	cr_assert_lt(connect(fd, (struct sockaddr *)&peer.any, peer.length), 0);
	cr_assert(errno == EINPROGRESS || errno == ECONNREFUSED, "%s", strerror(errno));
}

/* 0 when it is connected, else its errno. */
static int outcome(int fd)
{
	struct pollfd ready = {.fd = fd, .events = POLLOUT};
	socklen_t length = sizeof(int);
	int error = 0;

	cr_assert_eq(poll(&ready, 1, LIMIT_MS), 1, "no outcome");
	cr_assert_eq(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length), 0);
	return error;
}

/* ---- latches */

/* The flow of the server's end, to a client with this port. */
static struct latch_flow flow_to(int family, uint16_t client)
{
	struct latch_flow flow = {
		.netns = ns.cookie,
		.local_port = PORT,
		.remote_port = client,
		.family = (uint8_t)family,
		.protocol = IPPROTO_TCP,
	};
	struct in_addr own = {htonl(INADDR_LOOPBACK)};

	if (family == AF_INET) {
		memcpy(flow.local_addr, &own, 4);
		memcpy(flow.remote_addr, &own, 4);
	} else {
		memcpy(flow.local_addr, &in6addr_loopback, 16);
		memcpy(flow.remote_addr, &in6addr_loopback, 16);
	}
	return flow;
}

static void latch(const struct latch_flow *flow, enum latch_owner owner)
{
	struct latch latch = {
		.word = {.state = LATCH_STATE_ESTABLISHED, .params = 7, .generation = 1},
		.id = 5,
		.owner = owner,
	};

	cr_assert_eq(bpf_map_update_elem(b.maps.latches, flow, &latch, BPF_ANY), 0);
}

static void unlatch(const struct latch_flow *flow)
{
	cr_assert_eq(bpf_map_delete_elem(b.maps.latches, flow), 0);
}

static struct latch_drop_count plaintext_drops(void)
{
	struct latch_drop_count drops[LATCH_DROP_COUNT];

	cr_assert_eq(drops_read(&b.maps, drops), 0);
	return drops[LATCH_DROP_PLAINTEXT];
}

static void await_drops(bool egress, uint64_t count)
{
	int tries;

	for (tries = 0; tries < LIMIT_MS / 10; tries++) {
		struct latch_drop_count drops = plaintext_drops();

		if ((egress ? drops.egress : drops.ingress) >= count)
			return;
		poll(NULL, 0, 10);
	}
	cr_assert_fail("no %s packet was dropped", egress ? "outgoing" : "incoming");
}

/* ---- verdicts */

static void drops_a_reset(int family)
{
	int fd = bound(&ns, family, 0);
	struct latch_flow flow = flow_to(family, port_of(fd));

	latch(&flow, LATCH_OWNER_TIME_WAIT);
	connect_to(fd, family);
	await_drops(true, 1);
	unlatch(&flow);
	cr_expect_eq(outcome(fd), ECONNREFUSED);
	close(fd);
}

Test(netfilter_gate, the_gate_drops_a_plaintext_reset_of_the_kernels_control_socket)
{
	netfilter_attach(&b, &ns);
	drops_a_reset(AF_INET);
	drops_a_reset(AF_INET6);
}

static void drops_a_syn_ack(int family)
{
	int fd = bound(&ns, family, 0), server = listener(family);
	struct latch_flow flow = flow_to(family, port_of(fd));
	uint64_t before = plaintext_drops().egress;

	latch(&flow, LATCH_OWNER_SOCKET);
	connect_to(fd, family);
	await_drops(true, before + 2);
	unlatch(&flow);
	cr_expect_eq(outcome(fd), 0);
	close(fd);
	close(server);
}

Test(netfilter_gate, the_gate_drops_a_plaintext_syn_ack_and_its_retransmission)
{
	netfilter_attach(&b, &ns);
	drops_a_syn_ack(AF_INET);
	drops_a_syn_ack(AF_INET6);
	cr_expect_eq(plaintext_drops().ingress, 0);
}

static void drops_what_arrives(int family)
{
	int fd = bound(&ns, family, 0), server = listener(family);
	struct latch_flow flow = flow_to(family, port_of(fd));
	uint64_t before = plaintext_drops().ingress;

	latch(&flow, LATCH_OWNER_HANDSHAKE);
	connect_to(fd, family);
	await_drops(false, before + 1);
	unlatch(&flow);
	cr_expect_eq(outcome(fd), 0);
	close(fd);
	close(server);
}

Test(netfilter_gate, the_gate_drops_plaintext_that_arrives_for_a_handshake)
{
	netfilter_attach(&b, &ns);
	drops_what_arrives(AF_INET);
	drops_what_arrives(AF_INET6);
	cr_expect_eq(plaintext_drops().egress, 0);
}

Test(netfilter_gate, the_gate_passes_packets_of_full_sockets)
{
	int client = bound(&ns, AF_INET, 0), server = listener(AF_INET), peer;
	struct latch_flow flow = flow_to(AF_INET, port_of(client));
	char text[8] = "";

	netfilter_attach(&b, &ns);
	connect_to(client, AF_INET);
	cr_assert_eq(outcome(client), 0);
	peer = accept(server, NULL, NULL);
	cr_assert_geq(peer, 0);
	latch(&flow, LATCH_OWNER_SOCKET);
	cr_assert_eq(send(peer, "out", 3, 0), 3);
	cr_assert_eq(recv(client, text, sizeof(text), MSG_WAITALL), 3);
	cr_assert_eq(send(client, "in", 2, 0), 2);
	cr_assert_eq(poll(&(struct pollfd){.fd = peer, .events = POLLIN}, 1, LIMIT_MS), 1);
	cr_expect_eq(recv(peer, text, sizeof(text), 0), 2);
	cr_expect_eq(plaintext_drops().egress + plaintext_drops().ingress, 0);
	close(client);
	close(server);
	close(peer);
}

Test(netfilter_gate, the_gate_drops_nothing_in_another_namespace)
{
	struct namespace other;
	struct latch_flow flow;
	int fd;

	netfilter_attach(&b, &ns);
	namespace_start(&other);
	namespace_loopback_up(&other);
	fd = bound(&other, AF_INET, 0);
	flow = flow_to(AF_INET, port_of(fd));
	latch(&flow, LATCH_OWNER_HANDSHAKE);
	connect_to(fd, AF_INET);
	cr_expect_eq(outcome(fd), ECONNREFUSED);
	close(fd);
	namespace_end(&other);
}

/* ---- links */

Test(netfilter_gate, attaching_twice_leaves_one_link_a_hook_and_detaching_none)
{
	cr_expect_not(netfilter_gate_is_attached(&b.gate, ns.cookie));
	netfilter_attach(&b, &ns);
	cr_expect(netfilter_gate_is_attached(&b.gate, ns.cookie));
	netfilter_attach(&b, &ns);
	cr_expect_eq(netfilter_pins(), 4);
	cr_expect_not(netfilter_gate_is_attached(&b.gate, ns.cookie + 1));
	netfilter_gate_detach(ns.cookie);
	cr_expect_not(netfilter_gate_is_attached(&b.gate, ns.cookie));
	cr_expect_eq(netfilter_pins(), 0);
}

Test(netfilter_gate, a_gate_replaces_the_links_of_an_earlier_gate)
{
	struct netfilter earlier;
	int i;

	netfilter_load(&earlier);
	netfilter_attach(&earlier, &ns);
	for (i = 0; i < 4; i++) {
		netfilter_attach(&b, &ns);
		cr_expect(netfilter_gate_is_attached(&b.gate, ns.cookie));
		cr_expect_not(netfilter_gate_is_attached(&earlier.gate, ns.cookie));
		cr_expect_eq(netfilter_pins(), 4);
		netfilter_attach(&earlier, &ns);
	}
	object_release(&earlier.object);
}

static void pin_of(char path[PINS_PATH_MAX], const char *name, const char *suffix)
{
	snprintf(path, PINS_PATH_MAX, PINS_NETNS "/%lx_%s%s", (unsigned long)ns.cookie, name,
		 suffix);
}

Test(netfilter_gate, attaching_repairs_an_interrupted_replacement)
{
	char path[PINS_PATH_MAX], leftover[PINS_PATH_MAX];
	int link;

	netfilter_attach(&b, &ns);
	pin_of(path, "egress4", "");
	pin_of(leftover, "egress4", PINS_NEW);
	cr_assert_eq(rename(path, leftover), 0);
	pin_of(path, "ingress6", "");
	pin_of(leftover, "ingress6", PINS_NEW);
	link = bpf_obj_get(path);
	cr_assert_eq(bpf_obj_pin(link, leftover), 0);
	close(link);
	pin_of(path, "ingress4", "");
	cr_assert_eq(unlink(path), 0);
	cr_expect_not(netfilter_gate_is_attached(&b.gate, ns.cookie));
	netfilter_attach(&b, &ns);
	cr_expect(netfilter_gate_is_attached(&b.gate, ns.cookie));
	cr_expect_eq(netfilter_pins(), 4);
}

static int collect(void *context, uint64_t cookie)
{
	*(uint64_t *)context ^= cookie * 31;
	return 0;
}

static int stop_at_once(void *context, uint64_t cookie)
{
	(void)context;
	(void)cookie;
	return 9;
}

Test(netfilter_gate, the_walk_visits_every_namespace_with_pins)
{
	char path[PINS_PATH_MAX];
	struct namespace other;
	uint64_t all = 0;

	namespace_start(&other);
	cr_assert_eq(netfilter_gate_walk(collect, &all), 0);
	cr_expect_eq(all, 0);
	netfilter_attach(&b, &ns);
	netfilter_attach(&b, &other);
	pin_of(path, "egress6", "");
	cr_assert_eq(unlink(path), 0);
	cr_assert_eq(netfilter_gate_walk(collect, &all), 0);
	cr_expect_eq(all, ns.cookie * 31, "three pins of one, four of the other");
	cr_expect_eq(netfilter_gate_walk(stop_at_once, NULL), 9);
	namespace_end(&other);
}

static void remount(unsigned long flags)
{
	cr_assert_eq(mount(NULL, "/sys/fs/bpf", NULL, MS_REMOUNT | flags, NULL), 0, "%s",
		     strerror(errno));
}

Test(netfilter_gate, a_gate_with_pins_on_a_read_only_file_system_is_attached)
{
	netfilter_attach(&b, &ns);
	remount(MS_RDONLY);
	cr_expect(netfilter_gate_is_attached(&b.gate, ns.cookie));
	remount(0);
	netfilter_gate_detach(ns.cookie);
	remount(MS_RDONLY);
	cr_expect_not(netfilter_gate_is_attached(&b.gate, ns.cookie));
	remount(0);
}
