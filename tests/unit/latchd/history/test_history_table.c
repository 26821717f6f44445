/* SPDX-License-Identifier: BSD-2-Clause */
/* Which record gives its place to a new one: bounds, shares, groups and their order. */
#include <criterion/criterion.h>
#include <string.h>

#include "latchd/history/history_table.h"

#define HOST (HISTORY_RECORDS - HISTORY_FOREIGN)

static struct history_table *table;
static uint64_t time_ns;

static void set_up(void)
{
	table = history_table_new();
	cr_assert_not_null(table);
}

static void tear_down(void)
{
	history_table_free(table);
}

TestSuite(history_table, .init = set_up, .fini = tear_down);

static struct latch_flow flow_of(uint64_t id)
{
	return (struct latch_flow){
		.netns = 1, .local_port = (uint16_t)id, .remote_port = 1, .family = 2};
}

static void add(uint64_t id, uint8_t group, bool foreign)
{
	struct latch_flow flow = flow_of(id);
	struct history_record *record =
		history_table_add(table, HISTORY_ENDED, id, &flow, group, foreign);

	cr_assert_not_null(record);
	record->last_ns = ++time_ns;
	history_table_touch(table, record);
}

static void add_many(uint64_t first, size_t count, uint8_t group, bool foreign)
{
	size_t i;

	for (i = 0; i < count; i++)
		add(first + i, group, foreign);
}

static bool has(uint64_t id)
{
	return history_table_find_id(table, HISTORY_ENDED, id) != NULL;
}

Test(history_table, the_number_of_records_is_bounded_and_the_oldest_goes)
{
	add_many(1000, HOST, 1, false);
	cr_expect(has(1000));
	cr_expect_eq(history_table_replaced(table, HISTORY_ENDED, false), 0);
	add(1, 1, false);
	cr_expect_not(has(1000));
	cr_expect(has(1001));
	cr_expect(has(1));
	cr_expect_eq(history_table_replaced(table, HISTORY_ENDED, false), 1);
}

Test(history_table, churn_of_other_user_namespaces_replaces_no_record_of_the_host)
{
	add(7, 1, false);
	add_many(1000, 10 * HISTORY_RECORDS, 2, true);
	cr_expect(has(7));
	cr_expect(has(1000 + 10 * HISTORY_RECORDS - 1));
	cr_expect_not(has(1000));
	cr_expect_eq(history_table_replaced(table, HISTORY_ENDED, true),
		     10 * HISTORY_RECORDS - HISTORY_FOREIGN);
	cr_expect_eq(history_table_replaced(table, HISTORY_ENDED, false), 0);
}

Test(history_table, churn_of_the_host_leaves_other_user_namespaces_their_share)
{
	add(7, 1, true);
	add_many(1000, 10 * HISTORY_RECORDS, 2, false);
	cr_expect(has(7));
}

Test(history_table, churn_of_one_peer_replaces_its_own_records_only)
{
	add_many(10, 5, 1, false);
	add_many(1000, 10 * HISTORY_RECORDS, 2, false);
	cr_expect(has(10));
	cr_expect(has(14));
	cr_expect(has(1000 + 10 * HISTORY_RECORDS - 1));
}

Test(history_table, flows_of_other_hosts_replace_none_that_this_host_has_opened)
{
	add_many(10, 3, history_table_group(table, "10.0.0.2", 8), false);
	add_many(1000, 10 * HISTORY_RECORDS, HISTORY_GROUP_OUTSIDE, false);
	cr_expect(has(10));
	cr_expect(has(12));
}

Test(history_table, no_text_has_the_group_of_other_hosts)
{
	uint32_t i;

	for (i = 0; i < 10000; i++)
		cr_assert_neq(history_table_group(table, &i, sizeof(i)), HISTORY_GROUP_OUTSIDE);
}

Test(history_table, a_group_of_one_record_keeps_it_against_all_others_together)
{
	size_t i;

	add(7, 1, false);
	for (i = 0; i < 20 * HOST; i++)
		add(1000 + i, (uint8_t)(2 + i % (HISTORY_GROUPS - 2)), false);
	cr_expect(has(7));
	cr_expect(has(1000 + 20 * HOST - 1));
}

Test(history_table, a_record_that_changed_its_group_has_the_share_of_the_new_one)
{
	add(7, 2, false);
	history_table_regroup(table, history_table_find_id(table, HISTORY_ENDED, 7), 1);
	add_many(1000, 10 * HISTORY_RECORDS, 2, false);
	cr_expect(has(7));
	add_many(100000, 10 * HISTORY_RECORDS, 1, false);
	cr_expect_not(has(7));
}

Test(history_table, a_removed_record_gives_its_place_back)
{
	add_many(1000, HOST, 1, false);
	history_table_remove(table, history_table_find_id(table, HISTORY_ENDED, 1005));
	cr_expect_not(has(1005));
	add(1, 1, false);
	cr_expect(has(1000));
	cr_expect_eq(history_table_replaced(table, HISTORY_ENDED, false), 0);
}

Test(history_table, the_newest_record_of_a_flow_is_found)
{
	struct latch_flow flow = flow_of(5), any = flow_of(5);
	const struct history_record *found;

	add(5, 1, false);
	add(5 + 65536, 1, false);
	found = history_table_find_flow(table, HISTORY_ENDED, &flow);
	cr_assert_not_null(found);
	cr_expect_eq(found->latch_id, 5 + 65536);
	add(6, 1, false);
	any.local_port = 0;
	found = history_table_find_flow(table, HISTORY_ENDED, &any);
	cr_assert_not_null(found);
	cr_expect_eq(found->latch_id, 6);
	cr_expect_null(history_table_find_flow(table, HISTORY_LIVE, &flow));
}
