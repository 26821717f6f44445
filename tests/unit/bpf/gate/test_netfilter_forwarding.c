/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The netfilter gate on a router. The test writes IPv4 packets to one tun device and reads the
 * forwarded packets from the other.
 *
 *	          the test's network namespace, ip_forward = 1
 *	+----------------------------------------------------------------+
 *	| tun left 10.1.0.1/24 ----> FORWARD ----> tun right 10.2.0.1/24 |
 *	|      ^                 nf_gate_egress          |               |
 *	+------|-----------------------------------------|---------------+
 *	     write()                                   read()
 *	  10.1.0.9 -> 10.2.0.9
 */
#include "checksum.h"
#include "netfilter_fixture.h"

#include <arpa/inet.h>
#include <linux/if_tun.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <poll.h>

#include "latchd/maps/tables.h"
#include "common/loop.h"

#define LIMIT_MS 20000
#define TAIL	 8 /* bytes: fewer than a TCP or an SCTP header has */

struct link {
	const char *name, *address;
	int fd;
};

static struct netfilter netfilter;
static struct namespace ns;
static struct link left = {"left", "10.1.0.1", -1}, right = {"right", "10.2.0.1", -1};

static int open_tun(void *context)
{
	const struct link *link = context;
	struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", link->name);
	return ioctl(fd, TUNSETIFF, &request) ? -errno : fd;
}

static void configure(const struct link *link, unsigned long command, struct ifreq request)
{
	int fd = namespace_socket(&ns, AF_INET, SOCK_DGRAM);

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", link->name);
	cr_assert_eq(ioctl(fd, command, &request), 0, "%s: %s", link->name, strerror(errno));
	close(fd);
}

static struct ifreq with_address(const char *text)
{
	struct ifreq request = {0};
	struct sockaddr_in *address = (struct sockaddr_in *)&request.ifr_addr;

	address->sin_family = AF_INET;
	inet_pton(AF_INET, text, &address->sin_addr);
	return request;
}

static void link_up(struct link *link)
{
	link->fd = netns_call(ns.fd, open_tun, link);
	if (link->fd == -ENOENT)
		cr_skip_test("no /dev/net/tun");
	cr_assert_geq(link->fd, 0, "%s", strerror(-link->fd));
	configure(link, SIOCSIFADDR, with_address(link->address));
	configure(link, SIOCSIFNETMASK, with_address("255.255.255.0"));
	configure(link, SIOCSIFFLAGS, (struct ifreq){.ifr_flags = IFF_UP});
}

static int enable_forwarding(void *context)
{
	int fd = open("/proc/sys/net/ipv4/ip_forward", O_WRONLY | O_CLOEXEC);
	int err = fd >= 0 && write(fd, "1", 1) == 1 ? 0 : -errno;

	(void)context;
	if (fd >= 0)
		close(fd);
	return err;
}

static void start(void)
{
	netfilter_private_pins();
	netfilter_load(&netfilter);
	namespace_start(&ns);
	link_up(&left);
	link_up(&right);
	cr_assert_eq(netns_call(ns.fd, enable_forwarding, NULL), 0);
	netfilter_attach(&netfilter, &ns);
}

static void finish(void)
{
	close(left.fd);
	close(right.fd);
	namespace_end(&ns);
	object_release(&netfilter.object);
}

TestSuite(netfilter_forwarding, .init = start, .fini = finish, .timeout = 60);

struct fragment {
	struct iphdr ip;
	uint8_t tail[TAIL];
};

static uint16_t header_checksum(const struct iphdr *ip)
{
	return checksum_finish(checksum_add(0, ip, sizeof(*ip)));
}

/* The last fragment of a datagram: it carries no ports. */
static struct fragment last_fragment(uint8_t protocol)
{
	struct fragment f = {
		.ip = {.version = 4,
		       .ihl = 5,
		       .ttl = 64,
		       .id = htons(protocol),
		       .frag_off = htons(185), /* in units of eight bytes */
		       .tot_len = htons(sizeof(f)),
		       .protocol = protocol},
		.tail = {1}, /* as in a truncated INIT of SCTP */
	};

	inet_pton(AF_INET, "10.1.0.9", &f.ip.saddr);
	inet_pton(AF_INET, "10.2.0.9", &f.ip.daddr);
	f.ip.check = header_checksum(&f.ip);
	return f;
}

/* A datagram of the same length. Its ports are the first four bytes of the tail. */
static struct fragment datagram(void)
{
	struct fragment f = last_fragment(IPPROTO_UDP);

	f.ip.frag_off = 0;
	f.ip.check = 0;
	f.ip.check = header_checksum(&f.ip);
	return f;
}

/* The kernel sends packets of its own on that device: the test skips them. */
static bool is_forwarded(uint8_t protocol)
{
	uint64_t limit = loop_now_ms() + LIMIT_MS;
	struct pollfd readable = {.fd = right.fd, .events = POLLIN};
	struct fragment f = {0};

	while (loop_now_ms() < limit && poll(&readable, 1, 100) >= 0)
		if (readable.revents && read(right.fd, &f, sizeof(f)) == sizeof(f) &&
		    f.ip.version == 4 && f.ip.protocol == protocol)
			return true;
	return false;
}

Test(netfilter_forwarding, a_forwarded_last_fragment_shorter_than_a_header_passes)
{
	const uint8_t protocols[] = {IPPROTO_TCP, IPPROTO_SCTP, IPPROTO_UDP};
	struct latch_drop_count drops[LATCH_DROP_COUNT];
	size_t i;

	for (i = 0; i < sizeof(protocols); i++) {
		struct fragment f = last_fragment(protocols[i]);

		cr_assert_eq(write(left.fd, &f, sizeof(f)), sizeof(f), "%s", strerror(errno));
		cr_assert(is_forwarded(protocols[i]), "protocol %u", protocols[i]);
	}
	cr_assert_eq(drops_read(&netfilter.maps, drops), 0);
	cr_expect_eq(drops[LATCH_DROP_MALFORMED].egress, 0);
}

Test(netfilter_forwarding, a_forwarded_short_datagram_passes)
{
	struct fragment f = datagram();

	cr_assert_eq(write(left.fd, &f, sizeof(f)), sizeof(f), "%s", strerror(errno));
	cr_expect(is_forwarded(IPPROTO_UDP));
}
