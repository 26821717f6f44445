/* SPDX-License-Identifier: BSD-2-Clause */
/* Texts of traffic selectors as strongSwan prints them, and sets of them; no set-up. */
#include "latchd/feeds/traffic_selector_set.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

static int parse(const char *text, struct traffic_selector *selector)
{
	return traffic_selector_parse(text, strlen(text), selector);
}

struct accepted {
	const char *text, *low, *high;
	uint8_t protocol;
	uint16_t port_low, port_high;
};

static const struct accepted accepted[] = {
	{"10.1.0.0/16", "10.1.0.0", "10.1.255.255", 0, 0, 65535},
	{"10.9.1.3/32", "10.9.1.3", "10.9.1.3", 0, 0, 65535},
	{"0.0.0.0/0", "0.0.0.0", "255.255.255.255", 0, 0, 65535},
	{"10.1.2.3/15", "10.0.0.0", "10.1.255.255", 0, 0, 65535},
	{"10.1.0.5..10.1.0.9", "10.1.0.5", "10.1.0.9", 0, 0, 65535},
	{"10.1.0.1/32[6/8081]", "10.1.0.1", "10.1.0.1", 6, 8081, 8081},
	{"10.1.0.1/32[tcp/8081]", "10.1.0.1", "10.1.0.1", 6, 8081, 8081},
	{"10.1.0.1/32[udp/1000-2000]", "10.1.0.1", "10.1.0.1", 17, 1000, 2000},
	{"10.1.0.1/32[sctp]", "10.1.0.1", "10.1.0.1", 132, 0, 65535},
	{"10.1.0.1/32[253]", "10.1.0.1", "10.1.0.1", 253, 0, 65535},
	{"10.1.0.1/32[0/80]", "10.1.0.1", "10.1.0.1", 0, 80, 80},
	{"10.1.0.1/32[tcp/OPAQUE]", "10.1.0.1", "10.1.0.1", 6, 0, 65535},
	{"10.1.0.1/32[icmp/8]", "10.1.0.1", "10.1.0.1", 1, 0x0800, 0x0800},
	{"10.1.0.1/32[icmp/3(4)]", "10.1.0.1", "10.1.0.1", 1, 0x0304, 0x0304},
	{"10.1.0.1/32[icmp/3-3(255)]", "10.1.0.1", "10.1.0.1", 1, 0x0300, 0x03ff},
	{"fd00::/64", "fd00::", "fd00::ffff:ffff:ffff:ffff", 0, 0, 65535},
	{"::/0", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 0, 0, 65535},
	{"fd00::1/128[ipv6-icmp/128(0)-129(255)]", "fd00::1", "fd00::1", 58, 0x8000, 0x81ff},
	{"fd00::5..fd00::1:0[17/1000-2000]", "fd00::5", "fd00::1:0", 17, 1000, 2000},
	{"10.1.2.0/23", "10.1.2.0", "10.1.3.255", 0, 0, 65535},
};

Test(traffic_selector, selectors_as_strongswan_prints_them_are_parsed)
{
	struct traffic_selector selector;
	uint8_t low[16], high[16];
	size_t i;

	for (i = 0; i < sizeof(accepted) / sizeof(accepted[0]); i++) {
		const struct accepted *row = &accepted[i];
		int family = strchr(row->low, ':') ? AF_INET6 : AF_INET;

		memset(low, 0, 16);
		memset(high, 0, 16);
		cr_assert_eq(inet_pton(family, row->low, low), 1);
		cr_assert_eq(inet_pton(family, row->high, high), 1);
		cr_assert_eq(parse(row->text, &selector), 0, "%s", row->text);
		cr_expect_eq(selector.family, family, "%s", row->text);
		cr_expect_eq(selector.protocol, row->protocol, "%s", row->text);
		cr_expect_eq(selector.port_low, row->port_low, "%s", row->text);
		cr_expect_eq(selector.port_high, row->port_high, "%s", row->text);
		cr_expect(!memcmp(selector.low, low, 16), "%s", row->text);
		cr_expect(!memcmp(selector.high, high, 16), "%s", row->text);
	}
}

static const char *const refused[] = {
	"",
	"dynamic",
	"dynamic[tcp/80]",
	"[6/80]",
	"10.1.0.0",
	"10.1.0.0/",
	"10.1.0.0/33",
	"10.1.0.0/016",
	"10.1.0.0/-1",
	"10.1.0.0/ 8",
	"10.1.0.0/8 ",
	" 10.1.0.0/8",
	"10.1.0/8",
	"10.1.0.256/8",
	"010.1.0.0/8",
	"10.1.0.0/8/8",
	"10.1.0.9..10.1.0.5",
	"10.1.0.5..fd00::1",
	"10.1.0.5..",
	"..10.1.0.5",
	"10.1.0.5..10.1.0.9/32",
	"fd00::/129",
	"fd00::1%eth0/128",
	"fd00:::/64",
	"10.1.0.0/8[",
	"10.1.0.0/8[]",
	"10.1.0.0/8]",
	"10.1.0.0/8[tcp",
	"10.1.0.0/8[tcp/]",
	"10.1.0.0/8[tcp/80]x",
	"10.1.0.0/8[tcp/80][udp/80]",
	"10.1.0.0/8[tcp/65536]",
	"10.1.0.0/8[tcp/99999999999999999999]",
	"10.1.0.0/8[256/80]",
	"10.1.0.0/8[-6/80]",
	"10.1.0.0/8[tcp/80-]",
	"10.1.0.0/8[tcp/90-80]",
	"10.1.0.0/8[tcp/80-90-100]",
	"10.1.0.0/8[tcp/+80]",
	"10.1.0.0/8[tcp/opaque]",
	"10.1.0.0/8[no-such-protocol/80]",
	"10.1.0.0/8[tcp/no-such-service]",
	"10.1.0.0/8[icmp/256]",
	"10.1.0.0/8[icmp/8(]",
	"10.1.0.0/8[icmp/8()]",
	"10.1.0.0/8[icmp/8(256)]",
	"10.1.0.0/8[icmp/8(0)x]",
	"10.1.0.0/8[tcp/8(0)]",
	"(null)",
	"%s%s%s%n",
};

Test(traffic_selector, any_other_text_is_refused)
{
	struct traffic_selector selector;
	size_t i;

	for (i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		cr_expect_eq(parse(refused[i], &selector), -EINVAL, "\"%s\"", refused[i]);
}

/* charon prints the service's name when the system's table has one. */
Test(traffic_selector, service_names_as_charon_prints_them_are_resolved)
{
	struct servent *service = getservbyport(htons(5432), "tcp");
	struct traffic_selector selector;
	char text[128];

	cr_assert_not_null(service, "no /etc/services: install netbase");
	snprintf(text, sizeof(text), "10.1.0.1/32[tcp/%s]", service->s_name);
	cr_assert_eq(parse(text, &selector), 0, "%s", text);
	cr_expect_eq(selector.port_low, 5432);
	cr_expect_eq(selector.port_high, 5432);
	cr_expect_eq(parse("10.1.0.1/32[tcp/www]", &selector), -EINVAL, "an alias is not printed");
}

Test(traffic_selector, a_text_is_read_by_its_length_and_must_not_hold_a_nul)
{
	static const char long_text[1024] = "10.1.0.0/16";
	struct traffic_selector selector;
	char spaces[4096];

	cr_expect_eq(traffic_selector_parse("10.1.0.0/16[tcp/80]", 11, &selector), 0);
	cr_expect_eq(selector.protocol, 0);
	cr_expect_eq(traffic_selector_parse("10.1.0.0/160", 11, &selector), 0);
	cr_expect_eq(traffic_selector_parse(long_text, 12, &selector), -EINVAL);
	cr_expect_eq(traffic_selector_parse(long_text, sizeof(long_text), &selector), -EINVAL);
	memset(spaces, '1', sizeof(spaces));
	cr_expect_eq(traffic_selector_parse(spaces, sizeof(spaces), &selector), -EINVAL);
}

static void add(struct traffic_selector_set *set, const char *text)
{
	traffic_selector_set_add(set, text, strlen(text));
}

static bool covers(const struct traffic_selector_set *set, const char *address, uint8_t protocol,
		   uint16_t port)
{
	int family = strchr(address, ':') ? AF_INET6 : AF_INET;
	uint8_t bytes[16] = {0};

	cr_assert_eq(inet_pton(family, address, bytes), 1);
	return traffic_selector_set_covers(set, (uint8_t)family, protocol, bytes, port);
}

Test(traffic_selector, a_set_covers_a_flow_that_one_selector_covers)
{
	struct traffic_selector_set set = {0};

	cr_expect(!covers(&set, "10.1.0.1", IPPROTO_TCP, 80), "the empty set covers nothing");
	add(&set, "10.1.0.5..10.1.0.9[tcp/80-90]");
	add(&set, "fd00::/16[udp]");
	cr_expect_eq(set.count, 2);
	cr_expect(!set.covers_all);
	cr_expect(covers(&set, "10.1.0.5", IPPROTO_TCP, 80));
	cr_expect(covers(&set, "10.1.0.9", IPPROTO_TCP, 90));
	cr_expect(!covers(&set, "10.1.0.4", IPPROTO_TCP, 80));
	cr_expect(!covers(&set, "10.1.0.10", IPPROTO_TCP, 80));
	cr_expect(!covers(&set, "10.1.0.5", IPPROTO_TCP, 79));
	cr_expect(!covers(&set, "10.1.0.5", IPPROTO_TCP, 91));
	cr_expect(!covers(&set, "10.1.0.5", IPPROTO_UDP, 80));
	cr_expect(covers(&set, "fd00::1", IPPROTO_UDP, 1));
	cr_expect(!covers(&set, "fd01::1", IPPROTO_UDP, 1));
	cr_expect(!covers(&set, "fd00::1", IPPROTO_TCP, 1));
}

Test(traffic_selector, a_selector_never_covers_the_other_address_family)
{
	struct traffic_selector_set set = {0};
	uint8_t mapped[16] = {0xfd, 0, 0, 0};

	add(&set, "::/0");
	cr_expect(!covers(&set, "10.1.0.5", IPPROTO_TCP, 80));
	cr_expect(covers(&set, "::", IPPROTO_TCP, 80));
	set = (struct traffic_selector_set){0};
	add(&set, "0.0.0.0/0");
	cr_expect(!traffic_selector_set_covers(&set, AF_INET6, IPPROTO_TCP, mapped, 80));
	cr_expect(traffic_selector_set_covers(&set, AF_INET, IPPROTO_TCP, mapped, 80));
}

/* An IPv4 address has four of the sixteen bytes. */
Test(traffic_selector, bytes_after_an_ipv4_address_are_ignored)
{
	struct traffic_selector_set set = {0};
	uint8_t address[16] = {10, 1, 0, 5, 0xff, 0xff};

	add(&set, "10.1.0.5/32");
	cr_expect(traffic_selector_set_covers(&set, AF_INET, IPPROTO_TCP, address, 80));
}

Test(traffic_selector, an_unreadable_selector_makes_the_set_cover_all)
{
	struct traffic_selector_set set = {0};

	add(&set, "10.1.0.5/32");
	add(&set, "something new");
	cr_expect(set.covers_all);
	cr_expect(covers(&set, "fd00::1", IPPROTO_TCP, 80));
}

/* A peer chooses the number of selectors: that may widen coverage only within its own addresses. */
Test(traffic_selector, a_selector_beyond_the_maximum_widens_an_existing_selector)
{
	struct traffic_selector_set set = {0};
	char text[64];
	int i;

	for (i = 0; i <= TRAFFIC_SELECTOR_MAX; i++) {
		snprintf(text, sizeof(text), "10.1.0.5/32[tcp/%d]", 1000 + 2 * i);
		add(&set, text);
	}
	cr_expect_eq(set.count, TRAFFIC_SELECTOR_MAX);
	for (i = 0; i <= TRAFFIC_SELECTOR_MAX; i++)
		cr_expect(covers(&set, "10.1.0.5", IPPROTO_TCP, (uint16_t)(1000 + 2 * i)));
	cr_expect(!covers(&set, "10.1.0.5", IPPROTO_TCP, 999));
	cr_expect(!covers(&set, "10.1.0.6", IPPROTO_TCP, 1000));
	cr_expect(!covers(&set, "fd00::1", IPPROTO_TCP, 1000));
	add(&set, "10.1.0.7/32[udp]");
	cr_expect(covers(&set, "10.1.0.7", IPPROTO_UDP, 1));
	cr_expect(!covers(&set, "10.1.0.4", IPPROTO_UDP, 1));
	cr_expect(!covers(&set, "10.1.0.8", IPPROTO_UDP, 1));
}

Test(traffic_selector, a_full_set_accepts_selectors_of_the_other_family)
{
	struct traffic_selector_set set = {0};
	char text[64];
	int i;

	for (i = 1; i <= TRAFFIC_SELECTOR_MAX; i++) {
		snprintf(text, sizeof(text), "10.1.%d.%d/32", i / 256, i % 256);
		add(&set, text);
	}
	add(&set, "fd00::1/128");
	add(&set, "fd00::2/128");
	for (i = 1; i <= TRAFFIC_SELECTOR_MAX; i++) {
		snprintf(text, sizeof(text), "10.1.%d.%d", i / 256, i % 256);
		cr_expect(covers(&set, text, IPPROTO_TCP, 80));
	}
	cr_expect(covers(&set, "fd00::1", IPPROTO_TCP, 80));
	cr_expect(covers(&set, "fd00::2", IPPROTO_TCP, 80));
	cr_expect(!covers(&set, "fd00::3", IPPROTO_TCP, 80));
	cr_expect(!covers(&set, "10.1.0.0", IPPROTO_TCP, 80));
	cr_expect(!covers(&set, "10.1.17.0", IPPROTO_TCP, 80));
	traffic_selector_set_release(&set);
}

/* Every second network of 1000: those between are another site's. */
static void add_networks(struct traffic_selector_set *set)
{
	char text[64];
	int i;

	for (i = 0; i < 1000; i++) {
		snprintf(text, sizeof(text), "10.%d.%d.0/24", i * 2 / 256, i * 2 % 256);
		add(set, text);
	}
}

Test(traffic_selector, a_set_of_a_thousand_selectors_covers_these_and_nothing_between)
{
	struct traffic_selector_set set = {0}, other = {0};
	char text[64];
	int i, round;

	add_networks(&set);
	for (round = 0; round < 2; round++) {
		cr_assert_eq(set.count, 1000);
		for (i = 0; i < 2000; i++) {
			snprintf(text, sizeof(text), "10.%d.%d.77", i / 256, i % 256);
			cr_expect_eq(covers(&set, text, IPPROTO_TCP, 80), i % 2 == 0, "%s", text);
		}
		traffic_selector_set_seal(&set);
	}
	add(&other, "10.3.41.0/24");
	cr_expect(!traffic_selector_sets_overlap(&set, &other, NULL));
	cr_expect(!traffic_selector_sets_overlap(&other, &set, NULL));
	add(&other, "10.3.42.128/25");
	cr_expect(traffic_selector_sets_overlap(&set, &other, NULL));
	cr_expect(traffic_selector_sets_overlap(&other, &set, NULL));
	traffic_selector_set_release(&set);
}

Test(traffic_selector, a_sealed_set_finds_a_selector_below_wide_and_nested_ones)
{
	struct traffic_selector_set set = {0};

	add_networks(&set);
	add(&set, "10.0.0.0/8[udp/53]");
	add(&set, "192.0.2.0/24");
	add(&set, "fd00::/64");
	traffic_selector_set_seal(&set);
	cr_expect(covers(&set, "10.200.1.1", IPPROTO_UDP, 53));
	cr_expect(!covers(&set, "10.200.1.1", IPPROTO_TCP, 53));
	cr_expect(covers(&set, "192.0.2.7", IPPROTO_TCP, 1));
	cr_expect(covers(&set, "fd00::7", IPPROTO_TCP, 1));
	cr_expect(!covers(&set, "fd01::7", IPPROTO_TCP, 1));
	traffic_selector_set_release(&set);
}

static int note_common(void *context, const struct traffic_selector *common)
{
	struct traffic_selector *last = context;

	*last = *common;
	return 0;
}

Test(traffic_selector, the_common_part_of_two_selectors_is_what_both_cover)
{
	struct traffic_selector_set wide = {0}, narrow = {0};
	struct traffic_selector common = {0}, wanted;

	add(&wide, "10.0.0.0..10.1.0.9[0/80-90]");
	add(&narrow, "10.1.0.0/16[tcp/85-99]");
	cr_expect_eq(traffic_selector_sets_common(&wide, &narrow, note_common, &common), 0);
	parse("10.1.0.0..10.1.0.9[tcp/85-90]", &wanted);
	cr_expect_eq(memcmp(&common, &wanted, sizeof(wanted)), 0);
}

Test(traffic_selector, a_selector_is_shown_as_it_can_be_read_again)
{
	static const char *const texts[] = {"10.2.0.0/16",
					    "10.1.0.5..10.1.0.9",
					    "fd00::/64",
					    "0.0.0.0/0",
					    "10.1.0.0/24[6]",
					    "10.1.0.0/24[6/80]",
					    "10.1.0.5..10.1.0.9[17/80-90]"};
	struct traffic_selector selector;
	char text[TRAFFIC_SELECTOR_TEXT];
	size_t i;

	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		cr_assert_eq(parse(texts[i], &selector), 0);
		traffic_selector_text(&selector, text);
		cr_expect_str_eq(text, texts[i]);
	}
	parse("10.1.0.5/32", &selector);
	traffic_selector_text(&selector, text);
	cr_expect_str_eq(text, "10.1.0.5");
}

Test(traffic_selector, the_last_holder_frees_a_list)
{
	struct traffic_selector_set set = {0}, copy;

	add_networks(&set);
	copy = set;
	traffic_selector_set_hold(&copy);
	traffic_selector_set_release(&set);
	cr_expect_eq(set.count, 0);
	cr_expect(covers(&copy, "10.0.2.1", IPPROTO_TCP, 80));
	traffic_selector_set_release(&copy);
}

/* charon's services file may have names that this host's file has not. */
Test(traffic_selector, unknown_names_widen_ports_and_not_addresses)
{
	struct traffic_selector_set set = {0};

	add(&set, "10.1.0.5/32[tcp/3com-tsmux]");
	add(&set, "10.1.0.6/32[no-such-protocol/80]");
	cr_expect(!set.covers_all);
	cr_expect(covers(&set, "10.1.0.5", IPPROTO_TCP, 80));
	cr_expect(covers(&set, "10.1.0.6", IPPROTO_TCP, 80));
	cr_expect(!covers(&set, "10.1.0.7", IPPROTO_TCP, 80));
}

static bool overlap(const char *left, const char *right)
{
	struct traffic_selector_set a = {0}, b = {0};

	add(&a, left);
	add(&b, right);
	cr_expect_eq(traffic_selector_sets_overlap(&a, &b, NULL),
		     traffic_selector_sets_overlap(&b, &a, NULL),
		     "%s and %s: the order changes the result", left, right);
	return traffic_selector_sets_overlap(&a, &b, NULL);
}

Test(traffic_selector, sets_overlap_when_one_address_protocol_and_port_fits_both)
{
	cr_expect(overlap("10.1.0.0/24", "10.1.0.7/32"));
	cr_expect(overlap("10.1.0.0..10.1.0.7", "10.1.0.7..10.1.0.9"));
	cr_expect(!overlap("10.1.0.0..10.1.0.6", "10.1.0.7..10.1.0.9"));
	cr_expect(overlap("10.1.0.7/32[tcp/80-90]", "10.1.0.7/32[tcp/90]"));
	cr_expect(!overlap("10.1.0.7/32[tcp/80-90]", "10.1.0.7/32[tcp/91]"));
	cr_expect(overlap("10.1.0.7/32[tcp]", "10.1.0.7/32"));
	cr_expect(!overlap("10.1.0.7/32[tcp]", "10.1.0.7/32[udp]"));
	cr_expect(!overlap("0.0.0.0/0", "::/0"));
	cr_expect(overlap("what is this", "10.1.0.7/32"), "an unreadable selector overlaps all");
}

Test(traffic_selector, an_empty_set_overlaps_no_set)
{
	struct traffic_selector_set empty = {0}, some = {0};

	add(&some, "0.0.0.0/0");
	cr_expect(!traffic_selector_sets_overlap(&empty, &some, NULL));
	cr_expect(!traffic_selector_sets_overlap(&some, &empty, NULL));
}
