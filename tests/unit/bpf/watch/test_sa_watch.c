/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The SA watch and the gate's verdict, compiled for this machine as in tests/sim/: the test is the
 * kernel that installs, migrates and deletes SAs. No event is lost.
 */
#include "sa_watch_fixture.h"

TestSuite(sa_watch, .init = start, .timeout = 60);

/* ---- SAs */

Test(sa_watch, a_migrated_sa_is_a_new_one_and_keeps_one_place_in_the_share_of_its_addresses)
{
	int sa = install_bound(), copy = traffic_migrate(sa);

	cr_assert_neq(copy, sa);
	expect_new(copy);
	traffic_delete(copy);
	cr_expect_null(entry());
	cr_expect_eq(places(), 0);
}

Test(sa_watch, an_sa_with_a_copy_that_the_kernel_refuses_is_gone_and_the_next_inherits_nothing)
{
	traffic_migrate_refused(install_bound());
	cr_expect_null(entry());
	cr_expect_eq(places(), 0);
	expect_new(traffic_install(&inbound));
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

Test(sa_watch, an_entry_that_cannot_be_deleted_is_of_no_decided_peer)
{
	int sa = traffic_install(&inbound);

	cr_assert_eq(control(LATCH_CONTROL_SA_UNPROVEN), LATCH_CONTROL_DONE);
	deletions_fail = true;
	traffic_delete(sa);
	deletions_fail = false;
	cr_expect_eq(entry()->word.flags, LATCH_SA_GONE);
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

/* ---- updates of the port of the encapsulation */

static void expect_ports(uint16_t port, uint16_t other)
{
	cr_assert_not_null(entry());
	cr_expect_eq(entry()->encap_ports.port, port);
	cr_expect_eq(entry()->encap_ports.other, other);
	cr_expect_eq(entry()->word.flags, 0);
}

Test(sa_watch, an_update_that_the_kernel_accepts_changes_the_port_and_keeps_the_former_one)
{
	int sa = install_bound();

	expect_ports(4500, 0);
	traffic_update(sa, 4501, true);
	expect_ports(4501, 4500);
	cr_expect_eq(entry()->word.state, LATCH_SA_BOUND);
	traffic_update(sa, 4501, true);
	expect_ports(4501, 4500);
}

Test(sa_watch, updates_that_the_kernel_refuses_leave_the_port_as_it_is)
{
	int sa = install_bound();

	traffic_update(sa, 4501, false);
	traffic_update(sa, 4502, false);
	expect_ports(4500, 4502);
	traffic_update(sa, 4503, true);
	expect_ports(4503, 4500);
}

/* ---- which SA was installed before another one */

Test(sa_watch, an_sa_names_the_one_that_was_installed_before_it_between_its_addresses)
{
	struct traffic_sa outbound = inbound, other = inbound;
	uint32_t serial;

	memcpy(outbound.key.daddr, inbound.source, sizeof(outbound.source));
	memcpy(outbound.source, inbound.key.daddr, sizeof(outbound.source));
	other.source[3] = 9;
	other.key.spi++;
	traffic_install(&inbound);
	serial = entry()->word.serial;
	cr_expect_eq(entry()->previous, 0);
	traffic_install(&other);
	traffic_install(&outbound);
	cr_expect_eq(((const struct latch_sa *)table_find(TABLE_SAS, &outbound.key))->previous,
		     serial);
}

Test(sa_watch, an_sa_without_an_entry_comes_between_two_others)
{
	struct traffic_sa outbound = inbound;
	int sa = traffic_install(&inbound);

	cr_assert_geq(sa, 0);
	memcpy(outbound.key.daddr, inbound.source, sizeof(outbound.source));
	memcpy(outbound.source, inbound.key.daddr, sizeof(outbound.source));
	fill_share();
	outbound.key.spi++;
	traffic_install(&outbound);
	cr_assert_null(table_find(TABLE_SAS, &outbound.key));
	empty_share();
	outbound.key.spi--;
	traffic_install(&outbound);
	cr_expect_eq(((const struct latch_sa *)table_find(TABLE_SAS, &outbound.key))->previous, 0);
}
