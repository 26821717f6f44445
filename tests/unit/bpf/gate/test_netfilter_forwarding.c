/* SPDX-License-Identifier: BSD-2-Clause */
/* The netfilter gate on a router: two tun devices, and what goes from one to the other. */
#include "netfilter_fixture.h"

#include <arpa/inet.h>
#include <linux/if_tun.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <poll.h>

#include "latchd/maps/tables.h"
#include "common/loop.h"

#define LIMIT_MS 20000
#define TAIL	 8 /* bytes: less than any header of TCP or SCTP */

struct link {
	const char *name, *address;
	int fd;
};

static struct netfilter b;
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

static void configure(const struct link *link, unsigned long what, struct ifreq request)
{
	int fd = namespace_socket(&ns, AF_INET, SOCK_DGRAM);

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", link->name);
	cr_assert_eq(ioctl(fd, what, &request), 0, "%s: %s", link->name, strerror(errno));
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

static int let_forward(void *context)
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
	netfilter_load(&b);
	namespace_start(&ns);
	link_up(&left);
	link_up(&right);
	cr_assert_eq(netns_call(ns.fd, let_forward, NULL), 0);
	netfilter_attach(&b, &ns);
}

static void finish(void)
{
	close(left.fd);
	close(right.fd);
	namespace_end(&ns);
	object_release(&b.object);
}

TestSuite(netfilter_forwarding, .init = start, .fini = finish, .timeout = 60);

struct fragment {
	struct iphdr ip;
	uint8_t tail[TAIL];
};

static uint16_t sum_of(const struct iphdr *ip)
{
	const uint16_t *words = (const uint16_t *)ip;
	uint32_t sum = 0;
	size_t i;

	for (i = 0; i < sizeof(*ip) / sizeof(*words); i++)
		sum += words[i];
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t) ~(sum + (sum >> 16));
}

/* The last of a datagram: it has no ports. */
static struct fragment last_fragment(uint8_t protocol)
{
	struct fragment f = {
		.ip = {.version = 4,
		       .ihl = 5,
		       .ttl = 64,
		       .id = htons(protocol),
		       .frag_off = htons(185), /* of eight bytes each */
		       .tot_len = htons(sizeof(f)),
		       .protocol = protocol},
		.tail = {1}, /* as if it were an INIT that is cut short */
	};

	inet_pton(AF_INET, "10.1.0.9", &f.ip.saddr);
	inet_pton(AF_INET, "10.2.0.9", &f.ip.daddr);
	f.ip.check = sum_of(&f.ip);
	return f;
}

/* A whole one, as long; its ports are the first four bytes. */
static struct fragment datagram(void)
{
	struct fragment f = last_fragment(IPPROTO_UDP);

	f.ip.frag_off = 0;
	f.ip.check = 0;
	f.ip.check = sum_of(&f.ip);
	return f;
}

/* The kernel has things of its own to say there. */
static bool comes_out(uint8_t protocol)
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

Test(netfilter_forwarding, a_short_fragment_that_is_passed_on_is_nothing_to_judge)
{
	const uint8_t protocols[] = {IPPROTO_TCP, IPPROTO_SCTP, IPPROTO_UDP};
	struct latch_drop_count drops[LATCH_DROP_COUNT];
	size_t i;

	for (i = 0; i < sizeof(protocols); i++) {
		struct fragment f = last_fragment(protocols[i]);

		cr_assert_eq(write(left.fd, &f, sizeof(f)), sizeof(f), "%s", strerror(errno));
		cr_assert(comes_out(protocols[i]), "protocol %u", protocols[i]);
	}
	cr_assert_eq(drops_read(&b.maps, drops), 0);
	cr_expect_eq(drops[LATCH_DROP_MALFORMED].egress, 0);
}

Test(netfilter_forwarding, nor_is_a_whole_one)
{
	struct fragment f = datagram();

	cr_assert_eq(write(left.fd, &f, sizeof(f)), sizeof(f), "%s", strerror(errno));
	cr_expect(comes_out(IPPROTO_UDP));
}
