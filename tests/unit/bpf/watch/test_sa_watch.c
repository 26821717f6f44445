/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The SA watch and the gate's verdict, compiled for this machine as in tests/sim/: the test is the
 * kernel that installs, migrates and deletes SAs. No event is lost, and no other processor acts.
 */
#include <criterion/criterion.h>

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/kernel/helpers.h"
#include "sim/kernel/table.h"
#include "sim/kernel/traffic.h"
#include "sim/sim.h"

/* ---- what the tables of the simulation ask for */

struct sim sim = {.now_ms = 1000};
static bool deletions_fail;

uint32_t sim_draw(uint32_t below)
{
	(void)below;
	return 0;
}

bool sim_chance(uint32_t one_in)
{
	return one_in && deletions_fail;
}

void sim_trace(const char *format, ...)
{
	(void)format;
}

void sim_fail(const char *format, ...)
{
	fprintf(stderr, "%s\n", format);
	abort();
}

void helpers_wake(void)
{
}

static void start(void)
{
	deletions_fail = false;
	sim.faults.call = 1;
	tables_reset();
	traffic_reset();
}

TestSuite(sa_watch, .init = start, .timeout = 60);

/* ---- SAs */

static const struct traffic_sa inbound = {
	.key = {.netns = 1,
		.daddr = {10, 9, 0, 1},
		.spi = 0x1234,
		.protocol = IPPROTO_ESP,
		.family = AF_INET},
	.source = {10, 9, 0, 2},
	.cipher = "rfc4106(gcm(aes))",
	.inbound = true,
};

static const struct latch_sa *entry(void)
{
	return table_find(TABLE_SAS, &inbound.key);
}

/* Of all pairs of addresses. */
static uint64_t places(void)
{
	uint64_t sum = 0;
	uint32_t at;

	for (at = 1; at < tables[TABLE_SA_SHARES].max; at++)
		sum += *(uint64_t *)table_value(TABLE_SA_SHARES, at);
	return sum;
}

static enum latch_control_result control(enum latch_control_op op)
{
	struct latch_control c = {
		.op = op,
		.sa = inbound.key,
		.serial = entry() ? entry()->word.serial : 0,
		.sa_state = LATCH_SA_BOUND,
		.params = 3,
	};

	traffic_control(&c);
	return c.result;
}

static int install_bound(void)
{
	int sa = traffic_install(&inbound);

	cr_assert_eq(control(LATCH_CONTROL_SA_SET), LATCH_CONTROL_DONE);
	cr_assert_eq(places(), 1);
	return sa;
}

static void expect_new(int sa)
{
	cr_assert_not_null(entry());
	cr_expect_eq(entry()->word.state, LATCH_SA_PENDING);
	cr_expect_eq(entry()->word.params, 0);
	cr_expect_eq(entry()->word.flags, 0);
	cr_expect_eq(entry()->instance, traffic_instance(sa));
	cr_expect_str_eq(entry()->qop.encryption, inbound.cipher);
	cr_expect_eq(places(), 1);
}

Test(sa_watch, a_migrated_sa_is_a_new_one_and_keeps_one_place_in_the_share_of_its_addresses)
{
	int sa = install_bound(), copy = traffic_migrate(sa);

	cr_assert_neq(copy, sa);
	expect_new(copy);
	traffic_delete(copy);
	cr_expect_null(entry());
	cr_expect_eq(places(), 0);
}

Test(sa_watch, an_sa_whose_entry_cannot_be_deleted_keeps_its_place_until_another_has_its_key)
{
	int sa = install_bound();

	deletions_fail = true;
	traffic_delete(sa);
	deletions_fail = false;
	cr_assert_not_null(entry());
	cr_expect_eq(entry()->word.flags, LATCH_SA_GONE);
	cr_expect_eq(entry()->word.params, 0);
	cr_expect_eq(places(), 1);
	cr_expect_eq(control(LATCH_CONTROL_SA_SET), LATCH_CONTROL_NOT_FOUND);
	expect_new(traffic_install(&inbound));
}

Test(sa_watch, an_entry_that_could_not_be_deleted_is_deleted_later_with_its_place)
{
	int sa = install_bound();

	deletions_fail = true;
	traffic_delete(sa);
	cr_expect_eq(control(LATCH_CONTROL_SA_FORGET), LATCH_CONTROL_AGAIN);
	cr_expect_eq(places(), 1);
	deletions_fail = false;
	cr_expect_eq(control(LATCH_CONTROL_SA_FORGET), LATCH_CONTROL_DONE);
	cr_expect_null(entry());
	cr_expect_eq(places(), 0);
}

/* The kernel has deleted it since the dump. The entry has another cipher than the later SA. */
Test(sa_watch, an_entry_of_a_dump_does_not_stand_for_a_later_sa_with_its_key)
{
	int sa;

	cr_expect_eq(control(LATCH_CONTROL_SA_ADOPT), LATCH_CONTROL_DONE);
	cr_expect_eq(control(LATCH_CONTROL_SA_SET), LATCH_CONTROL_DONE);
	cr_expect_eq(entry()->instance, 0);
	sa = traffic_install(&inbound);
	cr_assert_geq(sa, 0);
	expect_new(sa);
}

Test(sa_watch, an_sa_that_the_kernel_refuses_leaves_the_entry_of_a_dump_as_it_is)
{
	int sa = traffic_install(&inbound);

	cr_assert_eq(control(LATCH_CONTROL_SA_FORGET), LATCH_CONTROL_DONE);
	cr_expect_eq(control(LATCH_CONTROL_SA_ADOPT), LATCH_CONTROL_DONE);
	cr_expect_eq(control(LATCH_CONTROL_SA_SET), LATCH_CONTROL_DONE);
	cr_expect_eq(traffic_install(&inbound), -1);
	cr_expect_eq(entry()->word.state, LATCH_SA_BOUND);
	cr_expect_eq(places(), 1);
	traffic_delete(sa);
}

/* ---- what the gates remember of the SA */

/* Of all epochs: no other SA is there. */
static uint64_t changes(void)
{
	const uint64_t *epoch = table_value(TABLE_EPOCHS, 0);
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i < tables[TABLE_EPOCHS].value_size / sizeof(*epoch); i++)
		sum += epoch[i];
	return sum;
}

#define EXPECT_CHANGE(step)                                                                        \
	do {                                                                                       \
		uint64_t before = changes();                                                       \
		step;                                                                              \
		cr_expect_gt(changes(), before, #step);                                            \
	} while (0)

Test(sa_watch, R_2_4_a_deleted_sa_invalidates_what_has_passed_under_it)
{
	int sa = install_bound();

	EXPECT_CHANGE(traffic_delete(sa));
}

Test(sa_watch, R_2_4_an_sa_whose_entry_cannot_be_deleted_invalidates_what_has_passed_under_it)
{
	int sa = install_bound();

	deletions_fail = true;
	EXPECT_CHANGE(traffic_delete(sa));
	deletions_fail = false;
}

Test(sa_watch, R_2_4_a_migrated_sa_invalidates_what_has_passed_under_it)
{
	int sa = install_bound();

	EXPECT_CHANGE(traffic_migrate(sa));
}

Test(sa_watch, R_2_4_a_second_sa_with_the_same_key_invalidates_what_has_passed_under_it)
{
	struct traffic_sa second = inbound;

	install_bound();
	second.mark = 7;
	EXPECT_CHANGE(traffic_install(&second));
	cr_expect(entry()->word.flags & LATCH_SA_AMBIGUOUS);
}

Test(sa_watch, R_2_4_a_write_of_the_controller_invalidates_what_has_passed_under_the_sa)
{
	install_bound();
	EXPECT_CHANGE(control(LATCH_CONTROL_SA_FORGET));
	cr_assert_eq(control(LATCH_CONTROL_SA_ADOPT), LATCH_CONTROL_DONE);
	EXPECT_CHANGE(control(LATCH_CONTROL_SA_SET));
}

/* ---- a latch that is not ESTABLISHED yet, under an SA that is not in the table */

static bool passes(uint16_t params)
{
	struct latch latch = {
		.id = 7,
		.owner = LATCH_OWNER_SOCKET,
		.word = {.generation = 1, .params = params, .state = LATCH_STATE_LARVAL}};
	struct traffic_packet packet = {
		.flow = {.netns = 1,
			 .local_addr = {10, 9, 0, 1},
			 .remote_addr = {10, 9, 0, 2},
			 .local_port = 1000,
			 .remote_port = 4000,
			 .family = AF_INET,
			 .protocol = IPPROTO_TCP},
		.cookie = 5,
		.sa = &inbound.key,
	};

	latch.socket_cookie = packet.cookie;
	cr_assert_eq(table_set(TABLE_LATCHES, &packet.flow, &latch, 0), 0);
	traffic_connect(0);
	return traffic_packet(&packet);
}

static uint64_t dropped_unknown(void)
{
	const struct latch_drop_count *count = table_value(TABLE_DROPS, LATCH_DROP_SA_UNKNOWN);

	return count->ingress;
}

Test(sa_watch, a_refused_sa_carries_no_latch_of_a_known_peer)
{
	cr_expect_not(passes(3));
	cr_expect_eq(dropped_unknown(), 1);
}

Test(sa_watch, a_latch_whose_peer_is_not_known_yet_is_carried_by_an_sa_that_is_not_in_the_table)
{
	cr_expect(passes(0));
	cr_expect_eq(dropped_unknown(), 0);
}
