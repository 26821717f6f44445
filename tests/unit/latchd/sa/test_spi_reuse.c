/* SPDX-License-Identifier: BSD-2-Clause */
/* An SPI that is used again, and key managers' words that come too late. */
#include "attribution_fixture.h"

TestSuite(spi_reuse, .init = fixture_start_synced, .fini = fixture_finish, .timeout = 60);

/* D chooses the SPI that we send under, and may choose what C had. */
static void check_stolen_spi(bool given_up)
{
	struct feed_child c = child_of("c.example", 1);
	struct latch_sa_key in = in_key(&c, ns.cookie), out = out_key(&c, ns.cookie);

	bring_up(&charon, &c);
	if (given_up)
		down(&charon, &c);
	vanish(&in);
	vanish(&out);
	install_out(&c, ns.cookie);
	attribution_sa_gone(attribution, &in);
	attribution_sa_gone(attribution, &out);
	attribution_sa_pending(attribution, &out);
	cr_expect_eq(out_state(&c), LATCH_SA_PENDING);
	cr_expect_eq(sa_at(&out).word.params, 0);
}

Test(spi_reuse, a_reused_spi_is_not_attributed_to_the_old_peer)
{
	check_stolen_spi(false);
}

Test(spi_reuse, a_reused_spi_of_a_deleted_child_sa_is_not_attributed_to_the_old_peer)
{
	check_stolen_spi(true);
}

/* Nothing told of the change, and the inbound SA is still the old one. */
Test(spi_reuse, a_reused_outbound_spi_stays_pending_when_events_are_lost)
{
	struct feed_child c = child_of("c.example", 1);
	struct latch_sa_key out = out_key(&c, ns.cookie);

	bring_up(&charon, &c);
	vanish(&out);
	install_out(&c, ns.cookie);
	attribution_reconcile(attribution);
	attribution_sa_pending(attribution, &out);
	up(&charon, &c);
	snapshot(&charon, &c, NULL);
	lose(&charon, FEED_STATE_LOST);
	cr_expect_eq(in_state(&c), LATCH_SA_ORPHAN);
	cr_expect_eq(out_state(&c), LATCH_SA_PENDING);
}

/* Its key manager says it again: both SPIs are used for the same peer once more. */
Test(spi_reuse, a_reused_spi_pair_is_bound_only_when_reported_again)
{
	struct feed_child c = child_of("c.example", 1);
	struct latch_sa_key in = in_key(&c, ns.cookie), out = out_key(&c, ns.cookie);

	bring_up(&charon, &c);
	vanish(&in);
	vanish(&out);
	install_both(&c);
	attribution_sa_pending(attribution, &in);
	attribution_sa_pending(attribution, &out);
	expect_states(&c, LATCH_SA_PENDING);
	up(&charon, &c);
	expect_states(&c, LATCH_SA_BOUND);
}

static void replace_inbound(void)
{
	struct feed_child d = child_of("d.example", 2);
	struct latch_sa_key key = in_key(&d, ns.cookie);

	vanish(&key);
	install_in(&d, ns.cookie);
}

/* While the latches break, the SA that the key manager spoke of goes and another one comes. */
Test(spi_reuse, an_sa_replaced_while_latches_break_stays_pending)
{
	struct feed_child c = child_of("c.example", 1), d = child_of("d.example", 2);

	bring_up(&charon, &c);
	latch_at(1000, ns.cookie, in_params(&c));
	install_both(&d);
	seen.then = replace_inbound;
	up(&charon, &d);
	cr_expect_eq(seen.broken, 1);
	cr_expect_eq(in_state(&d), LATCH_SA_PENDING);
}

/* A key that now belongs to another child: the old one is over, with all that it caused. */
Test(spi_reuse, conflicts_of_a_replaced_child_sa_end_with_it)
{
	struct feed_child c = child_of("c.example", 1), d = child_of("d.example", 2);
	struct feed_child other = child_of("e.example", 1);
	struct latch_sa_key in = in_key(&c, ns.cookie), out = out_key(&c, ns.cookie);
	struct latch_flow flow;

	bring_up(&charon, &d);
	flow = latch_at(1000, ns.cookie, in_params(&d));
	bring_up(&charon, &c);
	cr_expect_eq(latch_state_of(&flow), LATCH_STATE_BROKEN);
	cr_expect(is_contested(&d));
	vanish(&in);
	vanish(&out);
	other.spi_out = 0x80000077;
	other.remote_ts = selectors("10.9.0.3/32");
	bring_up(&charon, &other);
	cr_expect_not(is_contested(&d));
	cr_expect_eq(latch_state_of(&flow), LATCH_STATE_ESTABLISHED);
}

Test(spi_reuse, an_unbound_deleted_child_sa_is_removed_with_its_sa)
{
	struct feed_child c = child_of("c.example", 1);
	struct latch_sa_key in = in_key(&c, ns.cookie), out = out_key(&c, ns.cookie);

	install_out(&c, ns.cookie);
	up(&charon, &c);
	down(&charon, &c);
	leave(&out);
	install_both(&c);
	attribution_sa_pending(attribution, &out);
	attribution_sa_pending(attribution, &in);
	expect_states(&c, LATCH_SA_PENDING);
}

static bool was_asked(void)
{
	return charon.resyncs > 0;
}

/* Some child has the key, but not this SA: the key manager is asked. */
Test(spi_reuse, a_new_sa_under_a_known_key_requests_a_snapshot)
{
	struct feed_child c = child_of("c.example", 1);
	struct latch_sa_key out = out_key(&c, ns.cookie);

	bring_up(&charon, &c);
	vanish(&out);
	install_out(&c, ns.cookie);
	attribution_sa_pending(attribution, &out);
	wait_until(was_asked);
}

/* ---- two children that are said to have the same outbound SA */

static struct feed_child thief_of(const struct feed_child *c)
{
	struct feed_child d = child_of("d.example", 2);

	d.spi_out = c->spi_out;
	return d;
}

/* C has rekeyed: its key manager still names the old child, whose outbound SA is gone; D takes its
 * SPI. */
static void check_old_child_named(bool restarted, bool thief_first)
{
	struct feed_child c = child_of("c.example", 1), d = thief_of(&c);
	struct latch_sa_key out = out_key(&c, ns.cookie);

	bring_up(&charon, &c);
	leave(&out);
	install_both(&d);
	if (restarted) {
		restart_latchd();
		attach(&charon, &ns);
	}
	snapshot(&charon, thief_first ? &d : &c, thief_first ? &c : &d);
	snapshot(&charon, thief_first ? &d : &c, thief_first ? &c : &d);
	expect_states(&d, LATCH_SA_BOUND);
	cr_expect_eq(sa_at(&out).word.params, in_params(&d));
	cr_expect_neq(in_params(&d), in_params(&c));
}

Test(spi_reuse, an_old_child_sa_listed_first_does_not_get_the_new_outbound_sa)
{
	check_old_child_named(false, false);
}

Test(spi_reuse, an_old_child_sa_listed_last_does_not_get_the_new_outbound_sa)
{
	check_old_child_named(false, true);
}

Test(spi_reuse, an_old_child_sa_listed_first_after_a_restart_does_not_get_the_new_outbound_sa)
{
	check_old_child_named(true, false);
}

Test(spi_reuse, an_old_child_sa_listed_last_after_a_restart_does_not_get_the_new_outbound_sa)
{
	check_old_child_named(true, true);
}

/* By MOBIKE D comes to C's address with C's SPI: the kernel refuses, charon may say it all the
 * same. */
static void check_claim_on_live_sa(bool restarted)
{
	struct feed_child c = child_of("c.example", 1), d = thief_of(&c);
	struct latch_sa_key out = out_key(&c, ns.cookie);
	struct latch_flow flow;
	uint16_t params;

	bring_up(&charon, &c);
	params = in_params(&c);
	flow = latch_at(1000, ns.cookie, params);
	d.remote_ts = selectors("10.7.0.1/32");
	install_in(&d, ns.cookie);
	if (restarted) {
		restart_latchd();
		attach(&charon, &ns);
	}
	snapshot(&charon, &c, &d);
	cr_expect_eq(sa_at(&out).word.params, params);
	snapshot(&charon, &d, &c);
	cr_expect_eq(sa_at(&out).word.params, params);
	cr_expect_eq(latch_state_of(&flow), LATCH_STATE_ESTABLISHED);
}

Test(spi_reuse, a_newer_child_sa_does_not_get_an_older_outbound_sa)
{
	check_claim_on_live_sa(false);
}

Test(spi_reuse, a_newer_child_sa_does_not_get_an_older_outbound_sa_after_a_restart)
{
	check_claim_on_live_sa(true);
}
