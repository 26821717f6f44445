/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random CHILD_SAs of one or several remote hosts, IPv4 and IPv6, in two
 * namespaces, with few params. Their groups must say the same as a comparison of all.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "seed.h"

#include "latchd/sa/child/child_sas.h"
#include "latchd/sa/child/sa_group_rivals.h"

#define ROUNDS	 3000
#define CHILDREN 24

static struct child_sas child_sas;
static struct feed feed = {.name = "charon"};
static struct random chance = {0x5660};

static void finish(void)
{
	child_sas_clear(&child_sas);
	cr_expect_null(child_sas.groups.shares);
	cr_expect_null(child_sas.groups.spans[0].top);
	cr_expect_null(child_sas.groups.spans[1].top);
	cr_expect_null(child_sas.groups.stale);
	cr_expect_null(child_sas.groups.uncontested);
}

TestSuite(child_sas_search, .fini = finish, .timeout = 60);

static const char *const remotes[] = {
	"10.9.0.2/32",	      "10.9.0.2/32[tcp/80]", "10.9.0.3/32",  "10.9.0.2..10.9.0.2",
	"10.9.0.2..10.9.0.3", "10.9.0.0/24",	     "0.0.0.0/0",    "fd00::2/128",
	"fd00::/64",	      "a09:2::/128",	     "what is this",
};

#define REMOTES (sizeof(remotes) / sizeof(remotes[0]))

static struct child_sa *report(uint32_t spi, uint64_t netns, const char *one, const char *other)
{
	struct feed_child child = {
		.family = AF_INET,
		.ipsec_protocol = IPPROTO_ESP,
		.spi_in = spi,
		.spi_out = 0x80000000 | spi,
	};

	traffic_selector_set_add(&child.local_ts, "0.0.0.0/0", 9);
	traffic_selector_set_add(&child.local_ts, "::/0", 4);
	traffic_selector_set_add(&child.remote_ts, one, strlen(one));
	if (other)
		traffic_selector_set_add(&child.remote_ts, other, strlen(other));
	return child_sas_learn(&child_sas, &feed, netns, &child, "test");
}

/* params 0: it does not count. */
static int count(struct child_sa *child, uint16_t params)
{
	child->params = params;
	child->in.in_kernel = true;
	return sa_groups_update(&child_sas.groups, child, false);
}

static void report_any(void)
{
	struct child_sa *child = report(1 + draw(&chance, CHILDREN), 7 + draw(&chance, 2),
					remotes[draw(&chance, REMOTES)],
					draw(&chance, 3) ? NULL : remotes[draw(&chance, REMOTES)]);

	cr_assert_not_null(child);
	cr_assert_eq(count(child, (uint16_t)draw(&chance, 4)), 0);
}

/* ---- against a comparison of all */

static bool rivals(const struct child_sa *one, const struct child_sa *other)
{
	return one->group && other->group && one->params != other->params &&
	       child_sas_overlap(one, other, NULL);
}

static void compare_contested(const struct child_sa *child)
{
	const struct child_sa *other = child_sas.first;

	while (other && !rivals(child, other))
		other = other->next;
	cr_assert_eq(!!child->group, child->params != 0);
	if (child->group)
		cr_assert_eq(sa_group_rivals_contested(child->group), other != NULL);
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

static const struct sa_group *find(const struct latch_flow *flow, uint16_t params)
{
	return sa_groups_find_conflicting(&child_sas.groups, flow, params);
}

static void compare_flow(void)
{
	struct latch_flow flow = any_flow();
	uint16_t params = (uint16_t)(1 + draw(&chance, 4));
	const struct child_sa *child = child_sas.first;

	while (child &&
	       (!child->group || child->params == params || !child_sas_covers(child, &flow)))
		child = child->next;
	cr_assert_eq(find(&flow, params) != NULL, child != NULL);
}

/* Marks are written for the groups that have become contested, or no longer are. */
static void compare_stale(void)
{
	struct child_sa *child;
	struct sa_group *group;

	while ((group = sa_groups_take_stale(&child_sas.groups, false)) ||
	       (group = sa_groups_take_stale(&child_sas.groups, true)))
		for (child = group->members; child; child = child->member_next)
			child->contested = sa_group_rivals_contested(group);
	for (child = child_sas.first; child; child = child->next)
		if (child->group && child == child->group->members)
			cr_assert_eq(child->contested, sa_group_rivals_contested(child->group));
}

Test(child_sas_search, R_2_3_7_groups_find_every_conflict)
{
	struct child_sa *child;
	unsigned int round;

	for (round = 0; round < ROUNDS; round++) {
		if (draw(&chance, 4) || !child_sas.first)
			report_any();
		else
			child_sas_remove(&child_sas, child_sas.first);
		for (child = child_sas.first; child; child = child->next)
			compare_contested(child);
		compare_flow();
	}
}

Test(child_sas_search, a_group_whose_marks_change_is_stale)
{
	struct child_sa *one = report(1, 7, "10.9.0.2/32", NULL),
			*alike = report(2, 7, "10.9.0.2/32", NULL),
			*rival = report(3, 7, "10.9.0.0/24", NULL);

	cr_assert_eq(count(one, 1) + count(alike, 1), 0);
	cr_expect_eq(one->group, alike->group);
	cr_expect_null(child_sas.groups.stale);
	cr_assert_eq(count(rival, 2), 0);
	compare_stale();
	cr_expect(one->contested && alike->contested && rival->contested);
	child_sas_remove(&child_sas, rival);
	compare_stale();
	cr_expect_not(one->contested || alike->contested);
}

Test(child_sas_search, a_search_skips_child_sas_of_other_single_hosts)
{
	struct child_sa *one = report(1, 7, "10.9.0.2/32[tcp/80]", "10.9.0.2/32[udp]"),
			*other = report(2, 7, "10.9.0.3/32", NULL), *several;
	struct latch_flow flow = {.netns = 7, .family = AF_INET, .remote_addr = {10, 9, 0, 4}};

	cr_assert_eq(count(one, 1) + count(other, 2), 0);
	cr_expect_eq(child_sas.groups.comparisons, 0);
	cr_expect_null(find(&flow, 3));
	several = report(3, 7, "10.9.0.2/32", "10.9.0.3/32");
	cr_assert_eq(count(several, 3), 0);
	cr_expect(sa_group_rivals_contested(several->group));
	cr_expect(sa_group_rivals_contested(one->group) && sa_group_rivals_contested(other->group));
}

/* The same SPIs are reported again with other selectors. */
Test(child_sas_search, a_child_sa_with_changed_selectors_is_found_only_under_the_new_ones)
{
	struct child_sa *child = report(1, 7, "10.9.0.2/32", NULL);
	struct latch_flow flow = {.netns = 7, .family = AF_INET, .remote_addr = {10, 9, 0, 3}};

	cr_assert_eq(count(child, 1), 0);
	cr_expect_null(find(&flow, 2));
	cr_expect_eq(report(1, 7, "10.9.0.3/32", NULL), child);
	cr_assert_eq(count(child, 1), 0);
	cr_expect_eq(find(&flow, 2), child->group);
	flow.remote_addr[3] = 2;
	cr_expect_null(find(&flow, 2));
}

/* ---- the peer chooses the number of its CHILD_SAs and their selectors */

static struct child_sa *report_port(uint32_t spi, unsigned int port, uint16_t params)
{
	struct child_sa *child;
	char text[32];

	snprintf(text, sizeof(text), "10.9.0.2/32[tcp/%u]", port);
	child = report(spi, 7, text, NULL);
	cr_assert_not_null(child);
	child->params = params;
	child->in.in_kernel = true;
	return child;
}

Test(child_sas_search, four_thousand_equal_child_sas_need_no_comparison)
{
	uint32_t spi;

	for (spi = 1; spi <= 4000; spi++)
		cr_assert_eq(count(report(2 * spi, 7, "10.9.0.2/32", NULL), 1), 0);
	cr_expect_eq(child_sas.groups.comparisons, 0);
	cr_assert_eq(count(report(1, 7, "10.9.0.2/32", NULL), 2), 0);
	cr_expect_eq(child_sas.groups.comparisons, 1);
}

static void fill_share(uint16_t params)
{
	uint32_t i;

	for (i = 1; i <= SA_GROUPS_PARAMS_MAX; i++)
		cr_assert_eq(sa_groups_update(&child_sas.groups,
					      report_port(i + 10000u * params, i, params), false),
			     0);
}

Test(child_sas_search, a_peer_has_a_limit_of_selectors_and_others_have_theirs)
{
	struct child_sa *child, *other;
	uint32_t i = SA_GROUPS_PARAMS_MAX + 1;

	fill_share(1);
	child = report_port(i, i, 1);
	cr_expect_eq(sa_groups_update(&child_sas.groups, child, false), -EDQUOT);
	cr_expect_null(child->group);
	cr_expect_eq(sa_groups_update(&child_sas.groups, report_port(i + 1, 1, 1), false), 0);
	other = report_port(i + 2, 7000, 2);
	other->peer = 2;
	cr_expect_eq(sa_groups_update(&child_sas.groups, other, false), 0);
	cr_expect_eq(sa_groups_update(&child_sas.groups, child, true), 0);
}

/* The peer chooses among the proposals, so it has several params. */
Test(child_sas_search, the_params_of_a_peer_share_twice_its_limit_of_selectors)
{
	uint32_t i = SA_GROUPS_SHARE_MAX + 1;

	fill_share(1);
	fill_share(2);
	cr_expect_eq(sa_groups_update(&child_sas.groups, report_port(i, i, 3), false), -EDQUOT);
	cr_expect_eq(sa_groups_update(&child_sas.groups, report_port(i + 1, 1, 3), false), -EDQUOT);
	cr_expect_eq(count(report(i + 2, 7, "10.9.0.3/32", NULL), 3), 0, "another host");
}

static void end_params(uint16_t params)
{
	struct child_sa *child, *next;

	for (child = child_sas.first; child; child = next) {
		next = child->next;
		if (child->params == params)
			child_sas_remove(&child_sas, child);
	}
}

/* Each rekey ends the former CHILD_SA after the new one is there. */
Test(child_sas_search, a_peer_with_all_its_selectors_changes_its_proposal_and_changes_it_again)
{
	fill_share(1);
	fill_share(2);
	end_params(1);
	fill_share(3);
	end_params(2);
	cr_expect_eq(sa_groups_update(&child_sas.groups, report_port(1, 7000, 3), false), -EDQUOT);
}

static void fill_peer(struct child_sa *(*next)(uint32_t spi))
{
	uint32_t spi;

	for (spi = 1; spi <= SA_GROUPS_PEER_MAX; spi++)
		cr_assert_eq(count(next(spi), 1), 0);
}

static struct child_sa *report_equal(uint32_t spi)
{
	return report(spi, 7, "10.9.0.2/32", NULL);
}

Test(child_sas_search, a_peer_has_a_limit_of_child_sas_and_its_neighbour_has_another)
{
	struct child_sa *child, *other;

	fill_peer(report_equal);
	child = report_equal(SA_GROUPS_PEER_MAX + 1);
	cr_expect_eq(count(child, 1), -EDQUOT);
	other = report_equal(SA_GROUPS_PEER_MAX + 2);
	other->peer = 2;
	cr_expect_eq(count(other, 2), 0);
}

/* Each has selectors of its own. */
static struct child_sa *report_host(uint32_t spi)
{
	uint32_t host = (spi - 1) % SA_GROUPS_PEER_NEW_MAX;
	char text[32];

	snprintf(text, sizeof(text), "10.8.%u.%u/32", host >> 8, host & 0xff);
	return report(spi, 7, text, NULL);
}

Test(child_sas_search, a_peer_with_all_its_child_sas_rekeys_them_all_before_the_first_one_ends)
{
	const uint32_t half = SA_GROUPS_PEER_NEW_MAX;
	uint32_t spi;

	for (spi = 1; spi <= 2 * half; spi++)
		cr_assert_eq(count(report_host(spi), 1 + (spi > half && spi % 2)), 0, "%u", spi);
	cr_expect_eq(count(report_host(spi), 1), -EDQUOT);
}

Test(child_sas_search, half_of_the_child_sas_of_a_peer_are_kept_for_its_rekeys)
{
	uint32_t spi;

	for (spi = 1; spi <= SA_GROUPS_PEER_NEW_MAX; spi++)
		cr_assert_eq(count(report_host(spi), 1), 0);
	cr_expect_eq(count(report(spi, 7, "10.9.0.2/32", NULL), 1), -EDQUOT);
	cr_expect_eq(count(report_host(spi + 1), 1), 0);
}

/* ---- many subnets */

static struct child_sa *report_subnet(uint32_t spi, uint32_t i, uint16_t params)
{
	struct child_sa *child;
	char text[32];

	snprintf(text, sizeof(text), "10.%u.%u.0/24", i >> 8, i & 0xff);
	child = report(spi, 7, text, NULL);
	cr_assert_not_null(child);
	child->peer = params;
	return child;
}

static uint64_t comparisons_of_subnets(uint32_t subnets)
{
	struct latch_flow flow = {.netns = 7, .family = AF_INET, .remote_addr = {10, 0, 3, 4}};
	uint32_t i;

	for (i = 0; i < subnets; i++)
		cr_assert_eq(count(report_subnet(i + 1, i * 7919 % subnets, (uint16_t)(i + 1)),
				   (uint16_t)(i + 1)),
			     0);
	for (i = 0; i < subnets; i++) {
		flow.remote_addr[1] = (uint8_t)(i >> 8);
		flow.remote_addr[2] = (uint8_t)i;
		cr_expect_not_null(find(&flow, 60000));
	}
	return child_sas.groups.comparisons;
}

Test(child_sas_search, a_flow_is_compared_only_with_the_subnets_that_have_its_address)
{
	cr_expect_eq(comparisons_of_subnets(10000), 10000);
}

/* ---- comparisons in turns */

static void decide_all(void)
{
	while (!sa_group_rivals_are_decided(&child_sas.groups))
		sa_group_rivals_decide(&child_sas.groups);
}

/* Two distant hosts each: all ranges overlap, and no selectors do. peer 0: each has its own. */
static void report_pairs(uint32_t peers, uint16_t peer)
{
	char low[32], high[32];
	struct child_sa *child;
	uint32_t i;

	for (i = 0; i < peers; i++) {
		snprintf(low, sizeof(low), "10.0.%u.%u/32", i >> 8, i & 0xff);
		snprintf(high, sizeof(high), "10.200.%u.%u/32", i >> 8, i & 0xff);
		child = report(i + 1, 7, low, high);
		cr_assert_not_null(child);
		child->peer = peer ? peer : (uint16_t)(i + 1);
		cr_assert_eq(count(child, (uint16_t)(i + 1)), 0);
	}
	decide_all();
}

static unsigned int contested_groups(void)
{
	const struct sa_group *group;
	unsigned int contested = 0;

	for (group = child_sas.groups.first; group; group = group->next) {
		contested += sa_group_rivals_contested(group);
		cr_assert(sa_group_rivals_contested(group) || !group->rivals.undecided);
	}
	return contested;
}

#define LAST_COMPARISON 16 /* selectors: a turn ends behind it */

/* Work of all turns after a change of the SPD. */
static uint64_t work_of_a_recount(uint32_t peers)
{
	static const struct choice_change change = {.everything = true};
	struct sa_groups *groups = &child_sas.groups;
	uint64_t before = groups->work, turn;

	sa_group_rivals_recount(groups, 7, &change);
	cr_expect_leq(groups->work - before, SA_GROUP_RIVALS_TURN + LAST_COMPARISON);
	while (!sa_group_rivals_are_decided(groups)) {
		cr_expect_gt(contested_groups(), 0);
		turn = groups->work;
		sa_group_rivals_decide(groups);
		cr_expect_leq(groups->work - turn, SA_GROUP_RIVALS_TURN + LAST_COMPARISON);
	}
	cr_expect_eq(contested_groups(), 0);
	cr_expect_leq(groups->work - before, 12 * (uint64_t)peers * peers);
	return groups->work - before;
}

Test(child_sas_search, R_2_3_8_a_recount_is_made_in_turns_and_what_is_not_compared_is_contested)
{
	uint64_t work;

	report_pairs(700, 0);
	work = work_of_a_recount(700);
	while (child_sas.first)
		child_sas_remove(&child_sas, child_sas.first);
	report_pairs(1400, 0);
	cr_expect_leq(work_of_a_recount(1400), 5 * work);
}

/* Each peer has its turn, whatever the number of its groups is. */
Test(child_sas_search, R_2_3_8_a_peer_with_many_groups_does_not_keep_another_undecided)
{
	static const struct choice_change change = {.everything = true};
	struct child_sa *other;

	report_pairs(700, 1);
	other = report(2000, 7, "10.0.100.1/32", "10.200.100.1/32");
	other->peer = 2;
	cr_assert_eq(count(other, 2000), 0);
	decide_all();
	sa_group_rivals_recount(&child_sas.groups, 7, &change);
	sa_group_rivals_decide(&child_sas.groups);
	cr_expect_not(sa_group_rivals_are_decided(&child_sas.groups));
	cr_expect_not(other->group->rivals.undecided);
	cr_expect_not(sa_group_rivals_contested(other->group));
	decide_all();
	cr_expect_eq(contested_groups(), 0);
}

static struct child_sa *report_many(uint32_t spi, uint8_t network)
{
	struct child_sa *child = report(spi, 7, "192.0.2.1/32", NULL);
	struct feed_child reported = child->reported;
	char text[32];
	unsigned int i;

	reported.remote_ts = (struct traffic_selector_set){0};
	for (i = 0; i < 255; i++) {
		snprintf(text, sizeof(text), "10.%u.%u.0/24[tcp/%u]", i & 1 ? 0 : 200, i, network);
		traffic_selector_set_add(&reported.remote_ts, text, strlen(text));
	}
	traffic_selector_set_seal(&reported.remote_ts);
	child = child_sas_learn(&child_sas, &feed, 7, &reported, "test");
	traffic_selector_set_release(&reported.remote_ts);
	return child;
}

/* The kernel could use neither for the flows of the other one. */
Test(child_sas_search, selectors_that_are_looked_at_are_work)
{
	struct sa_groups *groups = &child_sas.groups;
	uint64_t before;

	cr_assert_eq(count(report_many(1, 80), 1), 0);
	before = groups->work;
	cr_assert_eq(count(report_many(2, 81), 2), 0);
	decide_all();
	cr_expect_eq(groups->comparisons, 1);
	cr_expect_geq(groups->work - before, 255);
	cr_expect_eq(contested_groups(), 0);
}

Test(child_sas_search, a_recount_compares_only_those_that_the_change_concerns)
{
	struct choice_change change = {.count = 1, .edits = {{.family = AF_INET}}};
	struct sa_groups *groups = &child_sas.groups;
	uint64_t before;
	uint32_t i;

	for (i = 0; i < 1000; i++)
		cr_assert_eq(count(report_subnet(i + 1, i, (uint16_t)(i + 1)), (uint16_t)(i + 1)),
			     0);
	memcpy(change.edits[0].low, "\12\0\3", 3);
	memcpy(change.edits[0].high, "\12\0\3\377", 4);
	before = groups->work;
	sa_group_rivals_recount(groups, 7, &change);
	cr_expect(sa_group_rivals_are_decided(groups));
	/* The search, and what it finds: itself. */
	cr_expect_eq(groups->work - before, 2);
}

/* The rival of many goes: each of them looks for another one. */
Test(child_sas_search, R_2_3_8_a_group_stays_contested_while_any_rival_is_left)
{
	struct child_sa *one = report(1, 7, "10.9.0.2/32", NULL),
			*rival = report(2, 7, "10.9.0.0/24", NULL),
			*other = report(3, 7, "10.9.0.2/32[tcp/80]", NULL);

	cr_assert_eq(count(one, 1) + count(rival, 2) + count(other, 3), 0);
	child_sas_remove(&child_sas, rival);
	compare_stale();
	cr_expect(one->contested && other->contested);
	child_sas_remove(&child_sas, one);
	compare_stale();
	cr_expect_not(other->contested);
}

/* Depth of a balanced tree: some 2 log2(n); one in order of addresses would have n. */
static unsigned int depth(const struct sa_span *span)
{
	unsigned int left, right;

	if (!span)
		return 0;
	left = depth(span->left);
	right = depth(span->right);
	return 1 + (left > right ? left : right);
}

Test(child_sas_search, subnets_in_order_of_addresses_make_a_flat_tree)
{
	uint32_t i;

	for (i = 0; i < 4096; i++)
		cr_assert_eq(count(report_subnet(i + 1, i, (uint16_t)(i + 1)), (uint16_t)(i + 1)),
			     0);
	cr_expect_lt(depth(child_sas.groups.spans[0].top), 60);
	for (i = 0; i < 4000; i++)
		child_sas_remove(&child_sas, child_sas.first);
	cr_expect_lt(depth(child_sas.groups.spans[0].top), 40);
}
