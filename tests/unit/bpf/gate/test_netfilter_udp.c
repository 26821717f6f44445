/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * UDP datagrams that arrive, at the netfilter gate alone. The kernel hands a datagram for a tunnel
 * socket (L2TP) over before the cgroup gate runs.
 *
 *	sender --> lo, MTU 1280 --> LOCAL_IN: nf_gate_ingress --x  receiver (latched flow)
 *	                                                      --> receiver (another flow)
 *
 * netfilter_loopback.h has the rest.
 */
#include "netfilter_loopback.h"
#include "udp.h"

#define SMALL 64
#define LARGE 4000 /* several fragments of the smallest MTU of IPv6 (RFC 8200) */
#define MTU   1280

static const char *const loopbacks[] = {IPV4, IPV6};
#define LOOPBACKS (sizeof(loopbacks) / sizeof(loopbacks[0]))

static void set_mtu(void)
{
	struct ifreq loopback = {.ifr_name = "lo", .ifr_mtu = MTU};
	int fd = namespace_socket(&ns, AF_INET, SOCK_DGRAM);

	cr_assert_eq(ioctl(fd, SIOCSIFMTU, &loopback), 0, "%s", strerror(errno));
	close(fd);
}

static void start(void)
{
	netfilter_start();
	set_mtu();
}

TestSuite(netfilter_udp, .init = start, .fini = netfilter_finish, .timeout = 120);

/* Two sockets that are not connected; the flow is the receiver's. */
struct ends {
	int receiver, sender;
	struct latch_flow flow;
};

static struct ends open_ends(const char *text)
{
	struct ends ends = {
		.receiver = udp_socket(address_of(text, 0), false),
		.sender = udp_socket(address_of(text, 0), false),
	};

	ends.flow = flow_between(name_of(ends.receiver, getsockname),
				 name_of(ends.sender, getsockname));
	ends.flow.protocol = IPPROTO_UDP;
	return ends;
}

static void close_ends(const struct ends *ends)
{
	close(ends->receiver);
	close(ends->sender);
}

static uint64_t count_drops(void)
{
	return drops_for(LATCH_DROP_PLAINTEXT).ingress;
}

static void send_datagram(const struct ends *ends, size_t length)
{
	static const char text[LARGE];
	struct address there = name_of(ends->receiver, getsockname);

	cr_assert_eq(sendto(ends->sender, text, length, 0, &there.any, there.length), length, "%s",
		     strerror(errno));
}

static bool is_readable(int fd)
{
	struct pollfd readable = {.fd = fd, .events = POLLIN};

	return poll(&readable, 1, 0) == 1;
}

/* On some kernels the loopback delivers after sendto() returns. */
static bool arrives(const struct ends *ends, uint64_t drops_before)
{
	uint64_t limit = loop_now_ms() + LIMIT_MS;

	while (!is_readable(ends->receiver) && count_drops() == drops_before &&
	       loop_now_ms() < limit)
		sched_yield();
	return is_readable(ends->receiver);
}

static void check_dropped(size_t length)
{
	size_t i;

	for (i = 0; i < LOOPBACKS; i++) {
		struct ends ends = open_ends(loopbacks[i]);
		uint64_t before = count_drops();

		put_latch(&ends.flow, LATCH_OWNER_SOCKET);
		send_datagram(&ends, length);
		cr_expect_not(arrives(&ends, before), "%s", loopbacks[i]);
		cr_expect_eq(count_drops(), before + 1, "%s", loopbacks[i]);
		close_ends(&ends);
	}
}

Test(netfilter_udp, R_2_4_a_datagram_in_clear_of_a_latched_flow_is_dropped_before_any_socket)
{
	check_dropped(SMALL);
}

/* IPv6 reassembles behind LOCAL_IN, unless the hook asks for defragmented packets. */
Test(netfilter_udp, R_2_4_a_fragmented_datagram_in_clear_of_a_latched_flow_is_dropped)
{
	check_dropped(LARGE);
}

static void check_passes(size_t length)
{
	size_t i;

	for (i = 0; i < LOOPBACKS; i++) {
		struct ends ends = open_ends(loopbacks[i]);

		ends.flow.remote_port ^= 1;
		put_latch(&ends.flow, LATCH_OWNER_SOCKET);
		send_datagram(&ends, length);
		cr_expect(arrives(&ends, 0), "%s, %zu bytes", loopbacks[i], length);
		close_ends(&ends);
	}
	cr_expect_eq(count_drops(), 0);
}

Test(netfilter_udp, a_datagram_in_clear_of_another_flow_passes)
{
	check_passes(SMALL);
	check_passes(LARGE);
}
