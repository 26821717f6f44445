/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SCTP packets of a raw socket, each with another destination, under the tag of an association.
 * Each destination becomes a mark, also if the packet is dropped.
 *
 *	raw socket in a namespace --- netfilter gate ---> 127.X.Y.Z: marks of (127.X.Y.Z)
 */
#include "netfilter_fixture.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/ip.h>

#include "latchd/maps/tables.h"

#define REMOTE_TAG 0x20202020
#define MARKS	   65536
#define SHARE	   (MARKS / 4)

static struct netfilter netfilter;

static void set_up(void)
{
	netfilter_private_pins();
	netfilter_load(&netfilter);
}

TestSuite(sctp_quota, .init = set_up, .timeout = 180);

struct sctp_packet {
	struct iphdr ip;
	uint16_t ports[2];
	uint32_t tag, checksum;
	uint8_t chunk[20];
};

static void put_association(const struct namespace *ns)
{
	struct latch_flow key = {
		.netns = ns->cookie,
		.local_port = 6002,
		.remote_port = 7002,
		.protocol = IPPROTO_SCTP,
		.pad = LATCH_MARK_REMOTE_TAG,
	};
	struct latch_association association = {.id = 77, .params = 7};
	uint32_t tag = htonl(REMOTE_TAG);

	memcpy(key.remote_addr, &tag, sizeof(tag));
	cr_assert_eq(bpf_map_update_elem(netfilter.maps.associations, &key, &association, BPF_ANY),
		     0);
}

static void send_to_many(const struct namespace *ns, uint32_t count)
{
	struct sctp_packet packet = {
		.ip = {.version = 4,
		       .ihl = 5,
		       .ttl = 64,
		       .protocol = IPPROTO_SCTP,
		       .saddr = htonl(INADDR_LOOPBACK),
		       .tot_len = htons(sizeof(packet))},
		.ports = {htons(6002), htons(7002)},
		.tag = htonl(REMOTE_TAG),
		.chunk = {[3] = 20},
	};
	struct sockaddr_in to = {.sin_family = AF_INET};
	int fd = netns_socket(ns->fd, AF_INET, SOCK_RAW, IPPROTO_RAW);
	uint32_t i;

	cr_assert_geq(fd, 0, "%s", strerror(-fd));
	for (i = 0; i < count; i++) {
		to.sin_addr.s_addr = htonl(0x7f010000 + i);
		packet.ip.daddr = to.sin_addr.s_addr;
		/* The gate drops it, which the raw socket reports. */
		cr_assert(sendto(fd, &packet, sizeof(packet), 0, (struct sockaddr *)&to,
				 sizeof(to)) < 0 &&
				  errno == EPERM,
			  "packet %u", i);
	}
	close(fd);
}

struct mark_count {
	uint64_t netns;
	uint32_t marks, foreign;
};

static int count_mark(void *context, const struct latch_flow *key,
		      const struct latch_association *association)
{
	struct mark_count *counted = context;

	if (key->netns != counted->netns || key->pad != LATCH_MARK_ADDRESS)
		return 0;
	counted->marks++;
	counted->foreign += association->foreign;
	return 0;
}

static struct mark_count marks_of(const struct namespace *ns)
{
	struct mark_count counted = {.netns = ns->cookie};

	cr_assert_eq(associations_walk(&netfilter.maps, count_mark, &counted), 0);
	return counted;
}

Test(sctp_quota, namespaces_of_local_users_have_a_quarter_of_the_marks_and_the_host_the_rest)
{
	struct namespace foreign, own;

	namespace_start_foreign(&foreign);
	namespace_start(&own);
	namespace_loopback_up(&foreign);
	namespace_loopback_up(&own);
	netfilter_attach(&netfilter, &foreign);
	netfilter_attach(&netfilter, &own);
	put_association(&foreign);
	put_association(&own);
	send_to_many(&foreign, SHARE + 500);
	cr_expect_eq(marks_of(&foreign).marks, SHARE);
	cr_expect_eq(marks_of(&foreign).foreign, SHARE);
	send_to_many(&foreign, 10);
	cr_expect_eq(marks_of(&foreign).marks, SHARE, "a known mark needs no new place");
	send_to_many(&own, SHARE + 500);
	cr_expect_eq(marks_of(&own).marks, SHARE + 500);
	cr_expect_eq(marks_of(&own).foreign, 0);
	namespace_end(&foreign);
	namespace_end(&own);
}

Test(sctp_quota, a_destination_with_a_mark_takes_no_second_place)
{
	struct namespace own;

	namespace_start(&own);
	namespace_loopback_up(&own);
	netfilter_attach(&netfilter, &own);
	put_association(&own);
	send_to_many(&own, 20);
	send_to_many(&own, 20);
	cr_expect_eq(marks_of(&own).marks, 20);
	namespace_end(&own);
}
