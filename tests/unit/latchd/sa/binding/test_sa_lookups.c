/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Look-ups in the SA table that fail: only -ENOENT shows that an SA is gone. And entries of SAs
 * that the kernel has deleted, which the programs could not delete (LATCH_SA_GONE). C and D are two
 * peers with the same selectors; a latch to C is broken by D.
 */
#include "peer_fixture.h"

#include "latchd/sa/attribution_parts.h"

static struct feed_child first, second;
static struct latch_flow flow;

static void start(void)
{
	fixture_start_synced();
	first = child_of("c.example", 1);
	second = child_of("d.example", 2);
}

TestSuite(sa_lookups, .init = start, .fini = fixture_finish, .timeout = 60);

static void meet(void)
{
	install_and_report(&charon, &first);
	flow = latch_at(1000, ns.cookie, in_params(&first));
	install_and_report(&charon, &second);
	cr_assert_eq(latch_state_of(&flow), LATCH_STATE_BROKEN);
}

static int table;

static void break_table(void)
{
	table = maps.sas;
	maps.sas = -1;
}

static void mend_table(void)
{
	maps.sas = table;
}

static bool is_established(void)
{
	return latch_of(&flow).word.state == LATCH_STATE_ESTABLISHED;
}

static bool is_known(const struct feed_child *child)
{
	struct latch_sa_key in = in_key(child, ns.cookie);

	return child_sas_find(&attribution->child_sas, &in);
}

/* ---- what is not known is not concluded */

Test(sa_lookups, an_sa_that_cannot_be_read_at_its_delete_event_conflicts_until_it_can)
{
	struct latch_sa_key in = in_key(&second, ns.cookie), out = out_key(&second, ns.cookie);

	meet();
	delete_without_event(&in);
	delete_without_event(&out);
	break_table();
	attribution_sa_gone(attribution, &out);
	cr_expect(is_known(&second));
	mend_table();
	cr_expect_eq(latch_of(&flow).word.state, LATCH_STATE_BROKEN);
	/* No further event comes. */
	wait_until(is_established);
	cr_expect_not(is_known(&second));
	cr_expect_not(is_contested(&first));
}

Test(sa_lookups, a_delete_event_of_one_sa_does_not_end_a_child_sa_whose_other_sa_is_unreadable)
{
	meet();
	break_table();
	attribution_sa_gone(attribution, &(struct latch_sa_key){0});
	attribution_reconcile(attribution);
	mend_table();
	settle();
	cr_expect(is_known(&second));
	cr_expect_eq(latch_of(&flow).word.state, LATCH_STATE_BROKEN);
	cr_expect(is_contested(&first));
}

static bool is_dying(void)
{
	return in_state(&second) == LATCH_SA_DYING && out_state(&second) == LATCH_SA_DYING;
}

Test(sa_lookups, a_deleted_child_sa_whose_sas_cannot_be_read_becomes_dying_when_they_can)
{
	meet();
	break_table();
	down(&charon, &second);
	mend_table();
	cr_expect(is_known(&second));
	wait_until(is_dying);
	cr_expect_eq(latch_state_of(&flow), LATCH_STATE_BROKEN);
}

static bool was_asked(void)
{
	return charon.resyncs > 0;
}

/* The configuration was changed while no latchd ran: its class of now is another one. */
Test(sa_lookups, a_report_whose_sa_cannot_be_read_waits_for_the_class_of_its_installation)
{
	uint16_t params;

	install_and_report(&charon, &first);
	params = in_params(&first);
	restart_latchd();
	attach(&charon, &ns);
	first.peer_auth = FEED_AUTH_PSK;
	logged.wanted = "cannot read the SAs of its report";
	break_table();
	snapshot(&charon, &first, NULL);
	mend_table();
	cr_expect_eq(logged.count, 1);
	wait_until(was_asked);
	snapshot(&charon, &first, NULL);
	expect_states(&first, LATCH_SA_BOUND);
	cr_expect_eq(in_params(&first), params);
}

/* Known by the list: it is not missing there. */
Test(sa_lookups, a_known_child_sa_whose_report_waits_is_not_taken_for_deleted)
{
	meet();
	break_table();
	snapshot(&charon, &first, &second);
	mend_table();
	settle();
	expect_states(&first, LATCH_SA_BOUND);
	expect_states(&second, LATCH_SA_BOUND);
	cr_expect_eq(latch_of(&flow).word.state, LATCH_STATE_BROKEN);
}

/* An earlier latchd may have bound SAs of the CHILD_SA that could not be read. */
Test(sa_lookups, R_2_3_11_no_sa_is_bound_and_no_latch_heals_while_it_is_unknown_what_counts)
{
	struct feed_child third = child_of("e.example", 3);
	struct latch_sa_key in = in_key(&second, ns.cookie);
	struct child_sa *child;

	meet();
	child = child_sas_find(&attribution->child_sas, &in)->child;
	sa_groups_leave(&attribution->child_sas.groups, child);
	child_sas_note_uncounted(&attribution->child_sas, child, true);
	attribution_reconcile(attribution);
	cr_expect_eq(latch_of(&flow).word.state, LATCH_STATE_BROKEN);
	cr_expect(is_contested(&first), "its mark may be needed");
	install_both(&third);
	up(&charon, &third);
	expect_states(&third, LATCH_SA_PENDING);
	up(&charon, &second);
	cr_expect_eq(attribution->child_sas.uncounted, 0);
	up(&charon, &third);
	expect_states(&third, LATCH_SA_BOUND);
	cr_expect_eq(latch_state_of(&flow), LATCH_STATE_BROKEN);
}

Test(sa_lookups, a_latch_under_the_successor_stays_although_its_sa_cannot_be_read_at_first)
{
	struct latch_flow again;

	two_peers();
	d = child_at("c.example", 2, 5);
	d.ike_unique_id = 3;
	ike_sa_down(&charon, "c.example", 1, FEED_DOWN_ORDERLY);
	ike_sa_up(&charon, "c.example", 3);
	install_and_report(&charon, &d);
	again = latch_to(2, 1003, in_params(&d), 0);
	logged.wanted = "latches to dead peers not all broken";
	logged.on_wanted = mend_table;
	break_table();
	peer_rebooted("c.example", 1, 3);
	wait_until(to_c_is_broken);
	cr_expect_eq(logged.count, 1);
	cr_expect_eq(latch_of(&again).word.state, LATCH_STATE_ESTABLISHED);
}

/* ---- entries of SAs that the kernel has deleted */

static void leave_entry(const struct latch_sa_key *key)
{
	struct latch_sa sa = sa_at(key);

	sa.word.state = LATCH_SA_PENDING;
	sa.word.params = 0;
	sa.word.flags |= LATCH_SA_GONE;
	sa.word.serial = ++last_serial;
	sa.instance = 0;
	cr_assert_eq(bpf_map_update_elem(maps.sas, key, &sa, BPF_EXIST), 0);
}

static int entry_of(const struct latch_sa_key *key)
{
	struct latch_sa sa;

	return sa_get_entry(&maps, key, &sa);
}

Test(sa_lookups, an_entry_of_a_deleted_sa_is_deleted_at_its_event_and_ends_the_conflict)
{
	struct latch_sa_key in = in_key(&second, ns.cookie), out = out_key(&second, ns.cookie);

	meet();
	leave_entry(&in);
	attribution_sa_gone(attribution, &in);
	cr_expect_eq(entry_of(&in), -ENOENT);
	cr_expect_eq(latch_state_of(&flow), LATCH_STATE_BROKEN);
	leave_entry(&out);
	attribution_sa_gone(attribution, &out);
	cr_expect_eq(entry_of(&out), -ENOENT);
	cr_expect_eq(latch_state_of(&flow), LATCH_STATE_ESTABLISHED);
}

static struct latch_sa_key left;

static bool left_is_deleted(void)
{
	return entry_of(&left) == -ENOENT;
}

Test(sa_lookups, an_entry_of_a_deleted_sa_whose_event_was_lost_is_deleted_and_asks_for_no_list)
{
	install_and_report(&charon, &second);
	left = out_key(&second, ns.cookie);
	leave_entry(&left);
	attribution_reconcile(attribution);
	wait_until(left_is_deleted);
	settle();
	cr_expect_eq(charon.resyncs, 0);
	cr_expect_eq(in_state(&second), LATCH_SA_BOUND);
}

Test(sa_lookups, an_entry_of_a_deleted_sa_is_not_bound_by_a_report)
{
	struct latch_sa_key in = in_key(&first, ns.cookie);
	struct latch_sa sa;

	install_both(&first);
	leave_entry(&in);
	up(&charon, &first);
	cr_assert_eq(sa_get_entry(&maps, &in, &sa), 0);
	cr_expect_eq(sa.word.params, 0);
	cr_expect_eq(seen.bound, 0);
}
