/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random CHILD_SAs of one or several remote hosts, IPv4 and IPv6, in two
 * namespaces. The search by host must find the same as a scan of all.
 */
#include <criterion/criterion.h>

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "seed.h"

#include "latchd/sa/child_sas.h"

#define ROUNDS	 3000
#define CHILDREN 24

static struct child_sas child_sas;
static struct feed feed = {.name = "charon"};
static struct random chance = {0x5660};

static void finish(void)
{
	child_sas_clear(&child_sas);
	cr_expect_null(child_sas.hosts);
	cr_expect_null(child_sas.several_hosts);
}

TestSuite(child_sas_search, .fini = finish, .timeout = 60);

static const char *const remotes[] = {
	"10.9.0.2/32",	      "10.9.0.2/32[tcp/80]", "10.9.0.3/32",  "10.9.0.2..10.9.0.2",
	"10.9.0.2..10.9.0.3", "10.9.0.0/24",	     "0.0.0.0/0",    "fd00::2/128",
	"fd00::/64",	      "a09:2::/128",	     "what is this",
};

#define REMOTES (sizeof(remotes) / sizeof(remotes[0]))

static struct child_sa *learn(uint32_t spi, uint64_t netns, const char *one, const char *other)
{
	struct feed_child child = {
		.family = AF_INET,
		.ipsec_protocol = IPPROTO_ESP,
		.spi_in = spi,
		.spi_out = 0x1000 + spi,
	};

	traffic_selector_set_add(&child.local_ts, "0.0.0.0/0", 9);
	traffic_selector_set_add(&child.local_ts, "::/0", 4);
	traffic_selector_set_add(&child.remote_ts, one, strlen(one));
	if (other)
		traffic_selector_set_add(&child.remote_ts, other, strlen(other));
	return child_sas_learn(&child_sas, &feed, netns, &child, "test");
}

static void learn_any(void)
{
	learn(1 + draw(&chance, CHILDREN), 7 + draw(&chance, 2), remotes[draw(&chance, REMOTES)],
	      draw(&chance, 3) ? NULL : remotes[draw(&chance, REMOTES)]);
}

/* ---- a search against a scan of all */

struct found {
	const struct child_sa *overlapping; /* count the CHILD_SAs that overlap with it */
	const struct latch_flow *flow;	    /* count the CHILD_SAs that cover it */
	unsigned int count;
};

static bool count_match(void *context, struct child_sa *child)
{
	struct found *found = context;

	if (found->flow ? child_sas_covers(child, found->flow)
			: child_sas_overlap(child, found->overlapping))
		found->count++;
	return false;
}

static unsigned int count_by_scan(struct found found)
{
	struct child_sa *child;

	for (child = child_sas.first; child; child = child->next)
		count_match(&found, child);
	return found.count;
}

static void compare_overlap(const struct child_sa *child)
{
	struct found found = {.overlapping = child};

	cr_assert_null(child_sas_search_overlap(&child_sas, child, count_match, &found));
	cr_assert_eq(found.count, count_by_scan((struct found){.overlapping = child}));
	cr_assert(found.count, "a CHILD_SA overlaps with itself");
}

static struct latch_flow any_flow(void)
{
	struct latch_flow flow = {
		.netns = 7 + draw(&chance, 2),
		.family = draw(&chance, 2) ? AF_INET : AF_INET6,
		.protocol = IPPROTO_TCP,
		.remote_port = draw(&chance, 2) ? 80 : 81,
	};

	memcpy(flow.remote_addr, flow.family == AF_INET ? "\12\11\0" : "\375\0\0", 3);
	flow.remote_addr[flow.family == AF_INET ? 3 : 15] = (uint8_t)draw(&chance, 5);
	return flow;
}

static void compare_flow(void)
{
	struct latch_flow flow = any_flow();
	struct found found = {.flow = &flow};

	cr_assert_null(child_sas_search_flow(&child_sas, &flow, count_match, &found));
	cr_assert_eq(found.count, count_by_scan((struct found){.flow = &flow}));
}

static bool match_any(void *context, struct child_sa *child)
{
	(void)context;
	(void)child;
	return true;
}

Test(child_sas_search, R_2_3_7_a_search_finds_every_matching_child_sa)
{
	struct child_sa *child;
	unsigned int round;

	for (round = 0; round < ROUNDS; round++) {
		if (draw(&chance, 4) || !child_sas.first)
			learn_any();
		else
			child_sas_remove(&child_sas, child_sas.first);
		for (child = child_sas.first; child; child = child->next)
			compare_overlap(child);
		compare_flow();
	}
}

Test(child_sas_search, a_search_skips_child_sas_of_other_single_hosts)
{
	struct child_sa *one = learn(1, 7, "10.9.0.2/32[tcp/80]", "10.9.0.2/32[udp]"),
			*other = learn(2, 7, "10.9.0.3/32", NULL), *several;
	struct latch_flow flow = {.netns = 7, .family = AF_INET, .remote_addr = {10, 9, 0, 4}};

	cr_expect_neq(one->host, other->host);
	cr_expect_null(child_sas_search_flow(&child_sas, &flow, match_any, NULL));
	cr_expect_eq(child_sas_search_overlap(&child_sas, other, match_any, NULL), other);
	several = learn(3, 7, "10.9.0.2/32", "10.9.0.3/32");
	cr_expect_eq(child_sas_search_flow(&child_sas, &flow, match_any, NULL), several);
}

/* The same SPIs are reported again with other selectors. */
Test(child_sas_search, a_child_sa_with_changed_selectors_is_found_only_under_the_new_ones)
{
	struct child_sa *child = learn(1, 7, "10.9.0.2/32", NULL);
	struct latch_flow flow = {.netns = 7, .family = AF_INET, .remote_addr = {10, 9, 0, 3}};

	cr_expect_null(child_sas_search_flow(&child_sas, &flow, match_any, NULL));
	cr_expect_eq(learn(1, 7, "10.9.0.3/32", NULL), child);
	cr_expect_eq(child_sas_search_flow(&child_sas, &flow, match_any, NULL), child);
	flow.remote_addr[3] = 2;
	cr_expect_null(child_sas_search_flow(&child_sas, &flow, match_any, NULL));
}
