/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The identity table was damaged and is empty, every SA is PENDING and no latch is left (R-2.6-1).
 * Attribution binds what the key manager has reported, without a further report. C and D are two
 * peers at one address, E is another:
 *
 *   W 10.9.0.1 --- 10.9.0.2  c.example (SPI 1), d.example (SPI 2)
 *            \--- 10.9.0.3  e.example (SPI 3)
 */
#include "attribution_fixture.h"

TestSuite(rebind, .init = fixture_start_synced, .fini = fixture_finish, .timeout = 60);

static int unbind(void *context, const struct latch_sa_key *key, const struct latch_sa *sa)
{
	(void)context;
	cr_expect_geq(sa_set(&maps, key, sa->word.serial, LATCH_SA_PENDING, 0, false), 0);
	return 0;
}

/* As recovery_check_identities() leaves it. */
static void lose_identities(void)
{
	cr_assert_eq(sas_walk(&maps, unbind, NULL), 0);
	cr_assert_eq(identities_reset(identities), 0);
}

static const char *peer_of(const struct feed_child *child)
{
	const struct latch_params *params = identities_get_params(identities, in_params(child));
	const struct latch_identity *peer =
		params ? identities_get(identities, params->peer_id) : NULL;

	return peer ? peer->id : "unknown";
}

static struct feed_child child_of_e(void)
{
	struct feed_child e = child_of("e.example", 3);

	e.remote_host[3] = 3;
	e.remote_ts = selectors("10.9.0.3/32");
	return e;
}

Test(rebind, R_2_6_1_each_sa_is_bound_to_its_peer_again)
{
	struct feed_child c = child_of("c.example", 1), e = child_of_e();

	install_and_report(&charon, &e);
	install_and_report(&charon, &c);
	lose_identities();
	expect_states(&c, LATCH_SA_PENDING);
	attribution_rebind(attribution);
	expect_states(&c, LATCH_SA_BOUND);
	expect_states(&e, LATCH_SA_BOUND);
	cr_expect_str_eq(peer_of(&c), "c.example");
	cr_expect_str_eq(peer_of(&e), "e.example");
	cr_expect_neq(in_params(&c), in_params(&e));
	cr_expect_not(is_contested(&c));
	cr_expect_not(is_contested(&e));
}

Test(rebind, R_2_6_1_sas_in_conflict_are_contested_again)
{
	struct feed_child c = child_of("c.example", 1), d = child_of("d.example", 2);

	install_and_report(&charon, &c);
	install_and_report(&charon, &d);
	lose_identities();
	attribution_rebind(attribution);
	expect_states(&c, LATCH_SA_BOUND);
	expect_states(&d, LATCH_SA_BOUND);
	cr_expect(is_contested(&c));
	cr_expect(is_contested(&d));
}

Test(rebind, two_child_sas_of_one_peer_have_one_index_and_do_not_contest)
{
	struct feed_child c = child_of("c.example", 1), again = child_of("c.example", 2);
	struct latch_flow flow;

	install_and_report(&charon, &c);
	install_and_report(&charon, &again);
	lose_identities();
	attribution_rebind(attribution);
	cr_expect_eq(in_params(&c), in_params(&again));
	cr_expect_not(is_contested(&c));
	cr_expect_not(is_contested(&again));
	flow = latch_at(1000, ns.cookie, in_params(&c));
	attribution_reconcile(attribution);
	cr_expect_eq(latch_state_of(&flow), LATCH_STATE_ESTABLISHED);
	cr_expect_eq(seen.broken, 0);
}

Test(rebind, a_deleted_child_sa_is_bound_as_dying)
{
	struct feed_child c = child_of("c.example", 1);

	install_and_report(&charon, &c);
	down(&charon, &c);
	expect_states(&c, LATCH_SA_DYING);
	lose_identities();
	attribution_rebind(attribution);
	expect_states(&c, LATCH_SA_DYING);
	cr_expect_str_eq(peer_of(&c), "c.example");
}

/* The class of authentication is fixed when the SA is installed. */
Test(rebind, a_child_sa_keeps_its_authentication_class)
{
	struct feed_child c = child_of("c.example", 1), again = c;
	const struct latch_params *params;

	install_and_report(&charon, &c);
	lose_identities();
	attribution_rebind(attribution);
	again.peer_auth = FEED_AUTH_PSK;
	up(&charon, &again);
	params = identities_get_params(identities, in_params(&c));
	cr_assert_not_null(params);
	cr_expect_eq(identities_get(identities, params->peer_id)->auth, FEED_AUTH_PUBKEY);
}

/* Also when a latchd without its decisions reads another key from what charon has loaded. */
Test(rebind, a_child_sa_keeps_the_key_of_its_peer)
{
	struct feed_child c = child_of("c.example", 1), again;
	const struct latch_identity *peer;

	c.peer_key.known = true;
	c.peer_key.sha256[0] = 0xc9;
	again = c;
	again.peer_key.sha256[0] = 0x01;
	install_and_report(&charon, &c);
	lose_identities();
	attribution_rebind(attribution);
	up(&charon, &again);
	peer = identities_get(identities,
			      identities_get_params(identities, in_params(&c))->peer_id);
	cr_expect_eq(peer->key_kind, LATCH_KEY_SPKI);
	cr_expect_eq(peer->key[0], 0xc9);
}

/* What a lost key manager has reported may be out of date: its SAs wait for its next snapshot. */
Test(rebind, sas_of_a_lost_key_manager_stay_pending_until_its_next_snapshot)
{
	struct feed_child c = child_of("c.example", 1);

	install_and_report(&charon, &c);
	set_feed_state(&charon, FEED_STATE_LOST);
	lose_identities();
	attribution_rebind(attribution);
	expect_states(&c, LATCH_SA_PENDING);
	/* An index of the old table is never written again. */
	set_feed_state(&charon, FEED_STATE_ABSENT);
	expect_states(&c, LATCH_SA_PENDING);
	cr_expect_eq(in_params(&c), 0);
	attach(&charon, &ns);
	snapshot(&charon, &c, NULL);
	expect_states(&c, LATCH_SA_BOUND);
	cr_expect_str_eq(peer_of(&c), "c.example");
}

static int count_child(void *context, const struct attribution_child *child)
{
	(void)child;
	++*(unsigned int *)context;
	return 0;
}

/* The index that it had would be another peer's in the new table. */
Test(rebind, an_sa_of_a_lost_key_manager_is_no_candidate_for_a_flow)
{
	struct feed_child c = child_of("c.example", 1);
	struct latch_flow flow = flow_at(1000, ns.cookie);
	unsigned int before = 0, after = 0;

	install_and_report(&charon, &c);
	cr_assert_eq(attribution_children_of(attribution, &flow, count_child, &before), 0);
	cr_expect_eq(before, 1);
	set_feed_state(&charon, FEED_STATE_LOST);
	lose_identities();
	attribution_rebind(attribution);
	cr_assert_eq(attribution_children_of(attribution, &flow, count_child, &after), 0);
	cr_expect_eq(after, 0);
}
