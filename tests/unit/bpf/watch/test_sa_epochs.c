/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the gates remember of SAs and latches is invalid after each change. The programs are
 * compiled for this machine, on the tables of the simulation.
 */
#include "sa_watch_fixture.h"

TestSuite(sa_epochs, .init = start, .timeout = 60);

/* ---- what the gates remember of the SA */

#define FIRST_EPOCH 8 /* in struct epochs of bpf/db/maps.h */

/* Of all epochs: no other SA is there. */
static uint64_t changes(void)
{
	const uint64_t *epoch = table_value(TABLE_SA_EPOCHS, 0);
	uint64_t sum = 0;
	size_t i;

	for (i = FIRST_EPOCH; i < tables[TABLE_SA_EPOCHS].value_size / sizeof(*epoch); i++)
		sum += epoch[i];
	return sum;
}

static uint32_t watched_serial;
static uint64_t changes_while_there;

static void note_changes(void)
{
	if (entry() && entry()->word.serial == watched_serial)
		changes_while_there = changes();
}

/* after: the step takes the entry away, and its memory may be another SA's from then on. */
#define EXPECT_CHANGE(step, after)                                                                 \
	do {                                                                                       \
		uint64_t before = changes();                                                       \
		watched_serial = entry()->word.serial;                                             \
		helpers_preempted = note_changes;                                                  \
		step;                                                                              \
		helpers_preempted = NULL;                                                          \
		cr_expect_gt(changes(), before, #step);                                            \
		cr_expect(!(after) || changes() > changes_while_there, #step);                     \
	} while (0)

Test(sa_epochs, R_2_4_a_deleted_sa_invalidates_what_has_passed_under_it)
{
	int sa = install_bound();

	EXPECT_CHANGE(traffic_delete(sa), true);
}

Test(sa_epochs, R_2_4_an_sa_whose_entry_cannot_be_deleted_invalidates_what_has_passed_under_it)
{
	int sa = install_bound();

	deletions_fail = true;
	EXPECT_CHANGE(traffic_delete(sa), false);
	deletions_fail = false;
}

Test(sa_epochs, R_2_4_a_migrated_sa_invalidates_what_has_passed_under_it)
{
	int sa = install_bound();

	EXPECT_CHANGE(traffic_migrate(sa), true);
}

Test(sa_epochs, R_2_4_a_second_sa_with_the_same_key_invalidates_what_has_passed_under_it)
{
	struct traffic_sa second = inbound;

	install_bound();
	second.mark = 7;
	EXPECT_CHANGE(traffic_install(&second), false);
	cr_expect(entry()->word.flags & LATCH_SA_AMBIGUOUS);
}

Test(sa_epochs, R_2_4_a_write_of_the_controller_invalidates_what_has_passed_under_the_sa)
{
	install_bound();
	EXPECT_CHANGE(control(LATCH_CONTROL_SA_FORGET), true);
	cr_assert_eq(control(LATCH_CONTROL_SA_ADOPT), LATCH_CONTROL_DONE);
	EXPECT_CHANGE(control(LATCH_CONTROL_SA_SET), false);
}

Test(sa_epochs, a_mark_as_unproven_invalidates_what_has_passed_under_the_sa)
{
	traffic_install(&inbound);
	EXPECT_CHANGE(control(LATCH_CONTROL_SA_UNPROVEN), false);
	cr_expect_eq(entry()->word.flags, LATCH_SA_UNPROVEN);
}

Test(sa_epochs, a_port_of_an_sa_that_moves_invalidates_what_has_passed_under_it)
{
	struct traffic_sa encapsulated = inbound;
	int sa;

	encapsulated.encap_port = 4500;
	sa = traffic_install(&encapsulated);
	cr_assert_eq(control(LATCH_CONTROL_SA_SET), LATCH_CONTROL_DONE);
	EXPECT_CHANGE(traffic_update(sa, 4711, true), false);
	cr_expect_eq(entry()->encap_ports.port, 4711);
}

/* ---- a remembered pass under an ESTABLISHED latch */

#define LATCH_ID 7

static const struct latch_flow steady_flow = {
	.netns = 1,
	.local_addr = {10, 9, 0, 1},
	.remote_addr = {10, 9, 0, 2},
	.local_port = 1000,
	.remote_port = 4000,
	.family = AF_INET,
	.protocol = IPPROTO_TCP,
};

static bool steady_passes(void)
{
	const struct traffic_packet packet = {.flow = steady_flow, .cookie = 5, .sa = &inbound.key};

	return traffic_packet(&packet);
}

static enum latch_control_result control_steady(enum latch_control_op op)
{
	struct latch_control c = {
		.op = op,
		.flow = steady_flow,
		.latch_id = LATCH_ID,
		.reasons = LATCH_REASON_SA_CONFLICT,
	};

	traffic_control(&c);
	return c.result;
}

/* Its packets pass as the one before. */
static void start_steady(void)
{
	const struct latch latch = {
		.id = LATCH_ID,
		.owner = LATCH_OWNER_SOCKET,
		.socket_cookie = 5,
		.word = {.generation = 1, .params = 3, .state = LATCH_STATE_ESTABLISHED}};
	const uint64_t *checks = table_value(TABLE_COUNTERS, LATCH_COUNTER_SLOW_PATH);

	install_bound();
	cr_assert_eq(table_set(TABLE_LATCHES, &steady_flow, &latch, 0), 0);
	traffic_connect(0);
	cr_assert(steady_passes());
	cr_assert_eq(*checks, 1);
}

static uint64_t flow_changes(void)
{
	const uint64_t *epoch = table_value(TABLE_FLOW_EPOCHS, 0);
	uint64_t sum = 0;
	size_t i;

	for (i = FIRST_EPOCH; i < tables[TABLE_FLOW_EPOCHS].value_size / sizeof(*epoch); i++)
		sum += epoch[i];
	return sum;
}

static void note_flow_changes(void)
{
	if (table_find(TABLE_LATCHES, &steady_flow))
		changes_while_there = flow_changes();
}

Test(sa_epochs, R_2_3_24_a_latch_that_is_gone_invalidates_what_a_check_has_found)
{
	start_steady();
	helpers_preempted = note_flow_changes;
	cr_assert_eq(control_steady(LATCH_CONTROL_CLOSE), LATCH_CONTROL_DONE);
	helpers_preempted = NULL;
	cr_expect_gt(flow_changes(), changes_while_there);
	cr_expect_not(steady_passes());
}

static void make_anew(enum table_id id)
{
	memset(table_value(id, 0), 0, tables[id].value_size);
	sim.now_ms++;
}

static void expect_no_sum_again(void)
{
	int i;

	for (i = 0; i < 20; i++) {
		cr_assert_eq(control_steady(LATCH_CONTROL_BREAK), LATCH_CONTROL_DONE);
		cr_expect_not(steady_passes());
		cr_expect_not(steady_passes(), "after a check in full");
		cr_assert_eq(control_steady(LATCH_CONTROL_HEAL), LATCH_CONTROL_DONE);
	}
}

/* Its pin was lost, and the sockets have what they remember. */
Test(sa_epochs, a_table_of_epochs_that_is_made_anew_repeats_no_sum)
{
	static const enum table_id ids[] = {TABLE_FLOW_EPOCHS, TABLE_SA_EPOCHS};
	int changes, id;

	for (id = 0; id < 2; id++)
		for (changes = 0; changes < 2; changes++) {
			start();
			start_steady();
			if (changes)
				cr_assert_eq(control_steady(LATCH_CONTROL_RESTAMP),
					     LATCH_CONTROL_DONE);
			cr_expect(steady_passes());
			make_anew(ids[id]);
			expect_no_sum_again();
		}
}
