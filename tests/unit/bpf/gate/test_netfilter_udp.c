/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * UDP that arrives, at the netfilter gate alone: what the kernel takes from a tunnel's socket
 * (L2TP) never comes to the cgroup gate. On a loopback without IPsec all of it is in clear.
 */
#include "netfilter_fixture.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>

#include "latchd/maps/tables.h"
#include "common/loop.h"

#define LIMIT_MS 30000
#define SMALL	 64
#define LARGE	 4000 /* several fragments of the smallest MTU that IPv6 allows */
#define MTU	 1280

static const char *const loopbacks[] = {"127.0.0.1", "::1"};

static struct netfilter b;
static struct namespace ns;

static void set_mtu(void)
{
	struct ifreq loopback = {.ifr_name = "lo", .ifr_mtu = MTU};
	int fd = namespace_socket(&ns, AF_INET, SOCK_DGRAM);

	cr_assert_eq(ioctl(fd, SIOCSIFMTU, &loopback), 0, "%s", strerror(errno));
	close(fd);
}

static void start(void)
{
	netfilter_private_pins();
	netfilter_load(&b);
	namespace_start(&ns);
	namespace_loopback_up(&ns);
	set_mtu();
	netfilter_attach(&b, &ns);
}

static void finish(void)
{
	namespace_end(&ns);
	object_release(&b.object);
}

TestSuite(netfilter_udp, .init = start, .fini = finish, .timeout = 120);

struct end {
	int fd;
	struct sockaddr_in6 name;
	socklen_t length;
};

static struct end end_at(const char *text)
{
	struct end end = {.name = {.sin6_family = strchr(text, ':') ? AF_INET6 : AF_INET}};
	struct sockaddr *name = (struct sockaddr *)&end.name;

	if (end.name.sin6_family == AF_INET)
		inet_pton(AF_INET, text, &((struct sockaddr_in *)name)->sin_addr);
	else
		inet_pton(AF_INET6, text, &end.name.sin6_addr);
	end.length = sizeof(end.name);
	end.fd = namespace_socket(&ns, end.name.sin6_family, SOCK_DGRAM);
	cr_assert_eq(bind(end.fd, name, end.length), 0, "%s", strerror(errno));
	cr_assert_eq(getsockname(end.fd, name, &end.length), 0);
	return end;
}

static struct latch_flow flow_between(const struct end *local, const struct end *remote)
{
	struct latch_flow flow = {
		.netns = ns.cookie,
		.local_port = ntohs(local->name.sin6_port), /* IPv4 has it there, too */
		.remote_port = ntohs(remote->name.sin6_port),
		.family = (uint8_t)local->name.sin6_family,
		.protocol = IPPROTO_UDP,
	};
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)&local->name;

	if (flow.family == AF_INET) {
		memcpy(flow.local_addr, &v4->sin_addr, 4);
		memcpy(flow.remote_addr, &v4->sin_addr, 4);
	} else {
		memcpy(flow.local_addr, &local->name.sin6_addr, 16);
		memcpy(flow.remote_addr, &local->name.sin6_addr, 16);
	}
	return flow;
}

static void put_latch(const struct latch_flow *flow)
{
	const struct latch latch = {
		.word = {.state = LATCH_STATE_ESTABLISHED, .params = 7, .generation = 1},
		.id = 5,
		.owner = LATCH_OWNER_SOCKET,
	};

	cr_assert_eq(bpf_map_update_elem(b.maps.latches, flow, &latch, BPF_ANY), 0);
}

static uint64_t dropped(void)
{
	struct latch_drop_count drops[LATCH_DROP_COUNT];

	cr_assert_eq(drops_read(&b.maps, drops), 0);
	return drops[LATCH_DROP_PLAINTEXT].ingress;
}

static void tell(const struct end *from, const struct end *to, size_t length)
{
	static const char text[LARGE];

	cr_assert_eq(
		sendto(from->fd, text, length, 0, (const struct sockaddr *)&to->name, to->length),
		length, "%s", strerror(errno));
}

/* The loopback delivers before sendto() comes back, but not on every kernel and not for ever. */
static bool arrives(const struct end *at, uint64_t drops_before)
{
	uint64_t limit = loop_now_ms() + LIMIT_MS;
	struct pollfd readable = {.fd = at->fd, .events = POLLIN};

	while (!poll(&readable, 1, 0) && dropped() == drops_before && loop_now_ms() < limit)
		sched_yield();
	return poll(&readable, 1, 0) == 1;
}

static void judged(size_t length)
{
	size_t i;

	for (i = 0; i < sizeof(loopbacks) / sizeof(loopbacks[0]); i++) {
		struct end one = end_at(loopbacks[i]), other = end_at(loopbacks[i]);
		struct latch_flow flow = flow_between(&one, &other);
		uint64_t before = dropped();

		put_latch(&flow);
		tell(&other, &one, length);
		cr_expect_not(arrives(&one, before), "%s", loopbacks[i]);
		cr_expect_eq(dropped(), before + 1, "%s", loopbacks[i]);
		close(one.fd);
		close(other.fd);
	}
}

Test(netfilter_udp, R_2_4_what_arrives_for_a_latch_is_judged_before_any_socket)
{
	judged(SMALL);
}

/* IPv6 puts fragments together behind LOCAL_IN, unless they are asked for in one piece. */
Test(netfilter_udp, R_2_4_so_is_what_arrives_in_fragments)
{
	judged(LARGE);
}

Test(netfilter_udp, others_pass)
{
	const size_t lengths[] = {SMALL, LARGE};
	size_t i, j;

	for (i = 0; i < sizeof(loopbacks) / sizeof(loopbacks[0]); i++)
		for (j = 0; j < 2; j++) {
			struct end one = end_at(loopbacks[i]), other = end_at(loopbacks[i]);
			struct latch_flow flow = flow_between(&one, &other);

			flow.remote_port ^= 1;
			put_latch(&flow);
			tell(&other, &one, lengths[j]);
			cr_expect(arrives(&one, 0), "%s, %zu bytes", loopbacks[i], lengths[j]);
			close(one.fd);
			close(other.fd);
		}
	cr_expect_eq(dropped(), 0);
}
