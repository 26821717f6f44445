/* SPDX-License-Identifier: BSD-2-Clause */
/* The table of decisions for pairs of addresses: its shares, and the end of decisions. */
#include "pair_fixture.h"

#include <sys/syscall.h>

#include "latchd/sa/child/child_sa.h"
#include "latchd/sa/child/sa_group_changes.h"

static unsigned int searches_from_start;

/* In place of libbpf's, and the same. */
int bpf_map_get_next_key(int fd, const void *key, void *next_key)
{
	union bpf_attr attr = {.map_fd = (uint32_t)fd};

	searches_from_start += !key;
	attr.key = (uintptr_t)key;
	attr.next_key = (uintptr_t)next_key;
	return syscall(SYS_bpf, BPF_MAP_GET_NEXT_KEY, &attr, sizeof(attr)) ? -errno : 0;
}

TestSuite(pair_table, .init = start, .fini = fixture_finish, .timeout = 120);

static struct pair_decisions table;
static struct sa_groups groups;

static void start_table(void)
{
	memset(&groups, 0, sizeof(groups));
	pair_decisions_start(&table, maps.pairs);
	cr_assert_eq(pair_decisions_follow(&table, &groups), 0);
}

static struct latch_flow flow_to(uint32_t number)
{
	struct latch_flow flow = flow_inside(1);

	memcpy(flow.remote_addr, &number, sizeof(number));
	return flow;
}

/* Of a peer that has params of the same number, at a host. */
static int put_at(struct sa_way host, uint32_t number, uint16_t peer)
{
	const struct sa_group group = {.params = peer, .peer = peer, .way = host};
	const struct latch_flow flow = flow_to(number);

	return pair_decisions_put(&table, &flow, &group, false);
}

static int put(uint32_t number, uint16_t peer)
{
	return put_at((struct sa_way){.family = AF_INET}, number, peer);
}

static bool has(uint32_t number, uint16_t peer)
{
	const struct latch_flow flow = flow_to(number);

	return decision_between(&flow, peer) == LATCH_PAIR_ALONE;
}

Test(pair_table, decisions_of_a_latchd_that_was_killed_are_deleted_before_any_bind)
{
	start_table();
	cr_assert_eq(put(1, 3), 0);
	pair_decisions_start(&table, maps.pairs);
	cr_expect_eq(pair_decisions_follow(&table, &groups), 0);
	cr_expect_eq(decisions(), 0);
}

/* From the first bucket on, each search for a key would pass the buckets that are empty now. */
Test(pair_table, all_decisions_are_deleted_in_one_pass_over_the_map)
{
	uint32_t i;

	start_table();
	for (i = 0; i < 100; i++)
		cr_assert_eq(put(i, 3), 0);
	searches_from_start = 0;
	cr_expect_eq(pair_decisions_forget(&table), 0);
	cr_expect_eq(searches_from_start, 1);
	cr_expect_eq(decisions(), 0);
	cr_expect_eq(put(1, 3), 0, "the table is in use again");
	cr_expect(has(1, 3));
}

Test(pair_table, decisions_that_cannot_be_deleted_are_no_success)
{
	pair_decisions_start(&table, -1);
	cr_expect_lt(pair_decisions_follow(&table, &groups), 0);
	cr_expect_lt(pair_decisions_follow(&table, &groups), 0, "nor at the second attempt");
}

Test(pair_table, a_decision_that_cannot_be_deleted_takes_the_others_with_it)
{
	struct choice_change change = {.count = 1, .edits[0].family = AF_INET};

	start_table();
	cr_assert_eq(put(0, 3), 0);
	cr_assert_eq(put(1, 3), 0);
	sa_group_changes_add_choice(&groups, ns.cookie, &change);
	table.map = -1;
	cr_expect_lt(pair_decisions_follow(&table, &groups), 0);
	table.map = maps.pairs;
	cr_expect_eq(pair_decisions_follow(&table, &groups), 0);
	cr_expect_eq(decisions(), 0);
}

/* Hosts behind a peer may be many. Each of its connections to a further one ends its own oldest
 * decision, and no other peer's. */
Test(pair_table, a_full_table_takes_from_the_peer_with_most_decisions)
{
	uint32_t i;

	start_table();
	cr_assert_eq(put(1, 4), 0);
	for (i = 1; i < LATCH_PAIRS_MAX; i++)
		cr_assert_eq(put(i, 3), 0);
	cr_expect_eq(put(1, 3), 0, "a known pair needs no place");
	cr_expect(has(1, 3));
	cr_expect_eq(put(i, 3), 0);
	cr_expect(has(i, 3));
	cr_expect_not(has(1, 3), "the oldest");
	cr_expect(has(2, 3));
	cr_expect_eq(put(2, 4), 0, "another peer needs one");
	cr_expect(has(1, 4) && has(2, 4));
	cr_expect_not(has(2, 3));
	cr_expect_eq(decisions(), LATCH_PAIRS_MAX);
}

static bool is_kept_at(size_t at, uint32_t number)
{
	return !memcmp(table.kept[at].pair.remote_addr, &number, sizeof(number));
}

/* The newest ones are made again first: TCP sends their packets again soon. */
Test(pair_table, a_full_table_gives_up_the_oldest_decisions_first_each_time)
{
	uint32_t i;

	start_table();
	for (i = 0; i < LATCH_PAIRS_MAX; i++)
		cr_assert_eq(put(i, 3), 0);
	for (; i < LATCH_PAIRS_MAX + 3; i++)
		cr_assert_eq(put(i, 3), 0);
	for (i = 0; i < LATCH_PAIRS_MAX + 3; i++)
		cr_expect_eq(has(i, 3), i >= 3, "%u", i);
	cr_expect(is_kept_at(table.count - 1, LATCH_PAIRS_MAX + 2));
	cr_expect(is_kept_at(table.count - 2, LATCH_PAIRS_MAX + 1), "in their order");
	cr_expect(is_kept_at(0, 3));
}

Test(pair_table, peers_share_a_full_table_in_equal_parts)
{
	uint32_t i;

	start_table();
	for (i = 0; i < LATCH_PAIRS_MAX; i++)
		cr_assert_eq(put(i, 3), 0);
	for (i = 0; i < LATCH_PAIRS_MAX; i++)
		cr_assert_eq(put(i, 4), 0);
	cr_expect_geq(table.of_peer[3], LATCH_PAIRS_MAX / 2 - 1);
	cr_expect_geq(table.of_peer[4], LATCH_PAIRS_MAX / 2 - 1);
	cr_expect_eq(decisions(), LATCH_PAIRS_MAX);
}

#define IDENTITIES    3
#define OF_IDENTITY   1500
#define OF_OTHER      2000
#define TABLE_IS_LESS (IDENTITIES * OF_IDENTITY + OF_OTHER > LATCH_PAIRS_MAX)

/* Each identity has fewer decisions than the other peer. */
static void check_identities(struct sa_way (*host_of_identity)(uint32_t number))
{
	const struct sa_way other = {.family = AF_INET6, .remote = {0x20, 1, 0xd, 0xb8}};
	uint32_t i;

	_Static_assert(TABLE_IS_LESS, "the table is full");
	start_table();
	for (i = 0; i < OF_OTHER; i++)
		cr_assert_eq(put_at(other, i, 3), 0);
	for (i = 0; i < IDENTITIES * OF_IDENTITY; i++)
		cr_assert_eq(put_at(host_of_identity(i), i, (uint16_t)(4 + i % IDENTITIES)), 0);
	cr_expect_eq(table.of_peer[3], OF_OTHER);
	cr_expect_eq(decisions(), LATCH_PAIRS_MAX);
	cr_expect_eq(HASH_COUNT(table.hosts), 2);
}

static struct sa_way one_host(uint32_t number)
{
	(void)number;
	return (struct sa_way){.family = AF_INET, .remote = {192, 0, 2, 1}};
}

static struct sa_way address_of_one_network(uint32_t number)
{
	struct sa_way way = {.family = AF_INET6, .remote = {0x20, 1, 0xd, 0xb9}};

	memcpy(&way.remote[12], &number, sizeof(number));
	return way;
}

Test(pair_table, R_2_15_a_host_with_many_identities_takes_nothing_from_another)
{
	check_identities(one_host);
	check_identities(address_of_one_network);
}

Test(pair_table, peers_behind_one_address_share_its_part)
{
	uint32_t i;

	start_table();
	for (i = 0; i < 100; i++)
		cr_assert_eq(put_at(one_host(0), i, 3), 0);
	for (i = 0; i < LATCH_PAIRS_MAX; i++)
		cr_assert_eq(put_at(one_host(0), i, 4), 0);
	cr_expect_eq(table.of_peer[3], 100);
	cr_expect_eq(pair_decisions_forget(&table), 0);
	cr_expect_null(table.hosts);
}

Test(pair_table, more_changes_than_are_known_end_all_decisions)
{
	struct choice_change change = {.count = 1,
				       .edits[0] = {.family = AF_INET, .low = {9}, .high = {9}}};
	unsigned int i;

	start_table();
	cr_assert_eq(put(1, 3), 0);
	for (i = 0; i < SA_GROUPS_CHANGES; i++)
		sa_group_changes_add_choice(&groups, ns.cookie, &change);
	cr_expect_eq(pair_decisions_follow(&table, &groups), 0);
	cr_expect(has(1, 3), "none of these concerns it");
	for (i = 0; i <= SA_GROUPS_CHANGES; i++)
		sa_group_changes_add_choice(&groups, ns.cookie, &change);
	cr_expect_eq(pair_decisions_follow(&table, &groups), 0);
	cr_expect_eq(decisions(), 0);
}

/* Of the addresses, of the family, and of the namespace. */
static bool is_ended_by(uint64_t netns, struct choice_edit edit)
{
	struct choice_change change = {.count = 1, .edits[0] = edit};

	start_table();
	cr_assert_eq(put(htonl(0x0a090909), 3), 0);
	sa_group_changes_add_choice(&groups, netns, &change);
	cr_assert_eq(pair_decisions_follow(&table, &groups), 0);
	return !decisions();
}

Test(pair_table, R_2_3_8_a_change_ends_the_decisions_that_it_concerns)
{
	cr_expect(is_ended_by(ns.cookie, (struct choice_edit){.family = AF_INET,
							      .low = {10, 9, 9, 9},
							      .high = {10, 9, 9, 9}}));
	cr_expect(is_ended_by(ns.cookie, (struct choice_edit){.if_id = 41}), "a device");
	cr_expect_not(is_ended_by(
		ns.cookie,
		(struct choice_edit){.family = AF_INET, .low = {10, 9, 9, 10}, .high = {255}}));
	cr_expect_not(is_ended_by(ns.cookie,
				  (struct choice_edit){.family = AF_INET, .high = {10, 9, 9, 8}}));
	cr_expect_not(is_ended_by(ns.cookie, (struct choice_edit){.family = AF_INET6,
								  .low = {10, 9, 9, 9},
								  .high = {10, 9, 9, 10}}));
	cr_expect_not(is_ended_by(ns.cookie + 1, (struct choice_edit){.if_id = 41}));
}

/* By a group of another peer with these selectors. */
static bool is_ended_by_group(enum sa_groups_cause cause, const char *one, const char *other,
			      bool contested)
{
	struct child_sa member = {.reported.remote_ts = selectors(one)};
	struct sa_group group = {.params = 9, .members = &member};
	const struct sa_group own = {.params = 3, .peer = 3};
	const struct latch_flow flow = flow_to(htonl(0x0a090909));

	traffic_selector_set_add(&member.reported.remote_ts, other, strlen(other));
	cr_assert(sa_span_measure(&group.span[0], &member.reported.remote_ts, ns.cookie, AF_INET));
	group.span[0].group = &group;
	start_table();
	cr_assert_eq(pair_decisions_put(&table, &flow, &own, contested), 0);
	sa_group_changes_add(&groups, &group, cause);
	cr_assert_eq(pair_decisions_follow(&table, &groups), 0);
	sa_group_changes_forget(&groups);
	feed_child_release(&member.reported);
	return !decisions();
}

Test(pair_table, R_2_3_8_a_group_that_begins_ends_no_refusal_and_one_that_ceases_ends_no_permission)
{
	cr_expect(is_ended_by_group(SA_GROUPS_BEGINS, "10.9.0.0/16", "10.10.0.0/16", false));
	cr_expect_not(is_ended_by_group(SA_GROUPS_BEGINS, "10.9.0.0/16", "10.10.0.0/16", true));
	cr_expect_not(is_ended_by_group(SA_GROUPS_CEASES, "10.9.0.0/16", "10.10.0.0/16", false));
	cr_expect(is_ended_by_group(SA_GROUPS_CEASES, "10.9.0.0/16", "10.10.0.0/16", true));
}

Test(pair_table, a_group_with_selectors_on_both_sides_of_an_address_ends_no_decision)
{
	cr_expect_not(is_ended_by_group(SA_GROUPS_BEGINS, "10.8.0.0/16", "10.10.0.0/16", false));
	cr_expect_not(is_ended_by_group(SA_GROUPS_CEASES, "10.8.0.0/16", "10.10.0.0/16", true));
}
