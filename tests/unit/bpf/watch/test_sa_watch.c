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

/* ---- counters of the host's namespaces and of those where any local user may be root */

static uint64_t counted(enum latch_counter which)
{
	return *(uint64_t *)table_value(TABLE_COUNTERS, which);
}

static bool syn_passes(uint16_t port)
{
	struct traffic_packet packet = {
		.flow = {.netns = 1,
			 .local_addr = {10, 9, 0, 1},
			 .remote_addr = {10, 9, 0, 2},
			 .local_port = port,
			 .remote_port = 4000,
			 .family = AF_INET,
			 .protocol = IPPROTO_TCP},
		.cookie = 5,
		.socket = -1,
		.syn = true,
		.sa = &inbound.key,
	};

	return traffic_packet(&packet);
}

/* The SA is not in the table: then these flows have a share, which the first ones use up. */
static void start_unlatched_flows(void)
{
	uint16_t port;

	for (port = 1000; port < 1008; port++)
		cr_expect(syn_passes(port));
}

Test(sa_watch, unlatched_flows_of_the_host_and_of_local_users_have_counters_of_their_own)
{
	start_unlatched_flows();
	cr_expect_eq(counted(LATCH_COUNTER_UNLATCHED_OTHER), 8);
	cr_expect_eq(counted(LATCH_COUNTER_LATCHES_FULL), 4);
	cr_expect_eq(counted(LATCH_COUNTER_FOREIGN_UNLATCHED_OTHER), 0);
	cr_expect_eq(counted(LATCH_COUNTER_FOREIGN_LATCHES_FULL), 0);
	tables_reset();
	traffic_set_foreign(true);
	start_unlatched_flows();
	cr_expect_eq(counted(LATCH_COUNTER_UNLATCHED_OTHER), 0);
	cr_expect_eq(counted(LATCH_COUNTER_LATCHES_FULL), 0);
	cr_expect_eq(counted(LATCH_COUNTER_FOREIGN_UNLATCHED_OTHER), 8);
	cr_expect_eq(counted(LATCH_COUNTER_FOREIGN_LATCHES_FULL), 4);
}

/* The tables of the simulation have room for 64 SAs. */
static void install_many(uint32_t count)
{
	struct traffic_sa sa = inbound;
	uint32_t i;

	for (i = 0; i < count; i++) {
		sa.key.spi = 0x2000 + i;
		traffic_install(&sa);
	}
}

Test(sa_watch, sas_without_room_of_the_host_and_of_local_users_have_counters_of_their_own)
{
	traffic_set_foreign(true);
	install_many(40);
	cr_expect_eq(counted(LATCH_COUNTER_FOREIGN_SAS_OVER_QUOTA), 8, "half of 64 have room");
	cr_expect_eq(counted(LATCH_COUNTER_SAS_OVER_QUOTA), 0);
	traffic_set_foreign(false);
	cr_assert_geq(traffic_install(&inbound), 0);
	cr_expect_eq(control(LATCH_CONTROL_SA_REFUSE), LATCH_CONTROL_DONE);
	cr_expect_eq(counted(LATCH_COUNTER_SAS_OVER_QUOTA), 1);
	cr_expect_eq(counted(LATCH_COUNTER_FOREIGN_SAS_OVER_QUOTA), 8);
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
