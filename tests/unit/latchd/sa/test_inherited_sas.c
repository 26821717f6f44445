/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SAs that an earlier latchd has bound, of a key manager that has sent this latchd no list yet.
 * charon has sent one, pluto has not. Both serve one namespace, and C and D are peers at one
 * address with the same selectors.
 */
#include "attribution_fixture.h"

TestSuite(inherited_sas, .init = fixture_start, .fini = fixture_finish, .timeout = 60);

/* The latch to C is established beside D's SA, whose selectors this latchd does not know yet. */
static struct latch_flow latch_beside(const struct feed_child *c, const struct feed_child *d)
{
	struct latch_flow flow;

	attach(&charon, &ns);
	attach(&pluto, &ns);
	snapshot(&charon, NULL, NULL);
	snapshot(&pluto, NULL, NULL);
	install_both(d);
	up(&pluto, d);
	restart_latchd();
	attach(&charon, &ns);
	attach(&pluto, &ns);
	install_both(c);
	snapshot(&charon, c, NULL);
	expect_states(c, LATCH_SA_BOUND);
	expect_states(d, LATCH_SA_BOUND);
	flow = latch_at(1000, ns.cookie, in_params(c));
	attribution_latch_created(attribution, &flow);
	return flow;
}

Test(inherited_sas, R_2_3_7_a_latch_beside_an_inherited_sa_breaks_at_the_list_of_its_key_manager)
{
	struct feed_child c = child_of("c.example", 1), d = child_of("d.example", 2);
	struct latch_flow flow = latch_beside(&c, &d);

	cr_expect_eq(latch_state_of(&flow), LATCH_STATE_ESTABLISHED);
	/* No state before the end of the list decides. */
	up(&pluto, &d);
	cr_expect_eq(latch_of(&flow).word.state, LATCH_STATE_ESTABLISHED);
	snapshot(&pluto, &d, NULL);
	cr_expect_eq(latch_of(&flow).word.state, LATCH_STATE_BROKEN);
	cr_expect(is_contested(&c));
	cr_expect(is_contested(&d));
}

Test(inherited_sas, a_latch_beside_an_inherited_sa_without_a_report_stays_established)
{
	struct feed_child c = child_of("c.example", 1), d = child_of("d.example", 2);
	struct latch_flow flow = latch_beside(&c, &d);

	snapshot(&pluto, NULL, NULL);
	cr_expect_eq(latch_state_of(&flow), LATCH_STATE_ESTABLISHED);
	expect_states(&d, LATCH_SA_ORPHAN);
	cr_expect_not(is_contested(&c));
}

Test(inherited_sas, a_latch_that_an_inherited_sa_does_not_cover_stays_established)
{
	struct feed_child c = child_of("c.example", 1), d = child_of("d.example", 2);
	struct latch_flow flow;

	d.local_ts = selectors("10.9.0.1/32[tcp/1001]");
	flow = latch_beside(&c, &d);
	snapshot(&pluto, &d, NULL);
	cr_expect_eq(latch_state_of(&flow), LATCH_STATE_ESTABLISHED);
}

/* ---- the list of the key manager reports the SA otherwise than the kernel has it */

static struct feed_child reported_otherwise(const struct feed_child *child)
{
	struct feed_child otherwise = *child;

	otherwise.mode = FEED_MODE_TUNNEL;
	return otherwise;
}

static void bind_and_restart(const struct feed_child *one, const struct feed_child *other)
{
	attach(&charon, &ns);
	snapshot(&charon, NULL, NULL);
	install_and_report(&charon, one);
	if (other)
		install_and_report(&charon, other);
	restart_latchd();
	attach(&charon, &ns);
}

Test(inherited_sas, R_2_3_7_an_inherited_sa_with_a_wrong_report_is_not_bound_beside_a_latch)
{
	struct feed_child c = child_of("c.example", 1), d = child_of("d.example", 2);
	struct feed_child otherwise = reported_otherwise(&d);
	struct latch_flow flow;

	bind_and_restart(&d, NULL);
	install_both(&c);
	snapshot(&charon, &c, &otherwise);
	expect_states(&d, LATCH_SA_ORPHAN);
	expect_states(&c, LATCH_SA_BOUND);
	flow = latch_at(1000, ns.cookie, in_params(&c));
	attribution_latch_created(attribution, &flow);
	cr_expect_eq(latch_state_of(&flow), LATCH_STATE_ESTABLISHED);
	snapshot(&charon, &c, &d);
	cr_expect_eq(latch_of(&flow).word.state, LATCH_STATE_BROKEN);
	expect_states(&d, LATCH_SA_BOUND);
}

Test(inherited_sas, a_latch_under_an_inherited_sa_with_a_wrong_report_stays_established)
{
	struct feed_child d = child_of("d.example", 2), otherwise = reported_otherwise(&d);
	struct latch_flow flow;
	uint16_t params;

	bind_and_restart(&d, NULL);
	params = in_params(&d);
	flow = latch_at(1000, ns.cookie, params);
	snapshot(&charon, &otherwise, NULL);
	cr_expect_eq(latch_state_of(&flow), LATCH_STATE_ESTABLISHED);
	cr_expect_eq(in_params(&d), params);
	snapshot(&charon, &d, NULL);
	expect_states(&d, LATCH_SA_BOUND);
	cr_expect_eq(in_params(&d), params);
	cr_expect_eq(latch_state_of(&flow), LATCH_STATE_ESTABLISHED);
}

/* The peer chooses the outbound SPI that its key manager reports. */
Test(inherited_sas, a_wrong_report_with_the_outbound_sa_of_another_peer_leaves_that_sa_bound)
{
	struct feed_child c = child_of("c.example", 1), d = child_of("d.example", 2);
	struct feed_child otherwise = reported_otherwise(&d);

	c.local_ts = selectors("10.9.0.1/32[tcp/1001]");
	d.local_ts = selectors("10.9.0.1/32[tcp/1000]");
	bind_and_restart(&c, &d);
	otherwise.spi_out = c.spi_out;
	snapshot(&charon, &otherwise, NULL);
	cr_expect_eq(in_state(&d), LATCH_SA_ORPHAN);
	cr_expect_eq(out_state(&c), LATCH_SA_BOUND);
}
