/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One peer "c.example" of configuration "x509" sets up its IKE_SA by pre-shared
 * key; then "x509" is reloaded with certificates. charon reports the
 * class by configuration. The peer keeps the class of its IKE_SA's set-up.
 */
#include "attribution_fixture.h"

TestSuite(ike_sas, .init = fixture_start_synced, .fini = fixture_finish, .timeout = 60);

static struct feed_peer peer_by(enum feed_auth auth, uint32_t ike_unique_id)
{
	struct feed_peer peer = {.auth = auth, .ike_unique_id = ike_unique_id};

	strcpy(peer.config_name, "x509");
	strcpy(peer.id, "c.example");
	return peer;
}

static void set_up(enum feed_auth auth, uint32_t ike_unique_id)
{
	struct feed_peer peer = peer_by(auth, ike_unique_id);

	peer.just_authenticated = true;
	sink->peer_up(sink->context, &charon, &peer);
}

static void listed(enum feed_auth auth, uint32_t ike_unique_id)
{
	struct feed_peer peer = peer_by(auth, ike_unique_id);

	sink->peer_up(sink->context, &charon, &peer);
}

static void rekeyed(uint32_t old, enum feed_auth auth, uint32_t new)
{
	struct feed_peer peer = peer_by(auth, new);

	sink->peer_rekeyed(sink->context, &charon, old, &peer);
}

static struct feed_child child_by(enum feed_auth auth, uint32_t ike_unique_id, uint32_t spi)
{
	struct feed_child child = child_of("c.example", spi);

	child.peer_auth = auth;
	child.ike_unique_id = ike_unique_id;
	return child;
}

static enum feed_auth auth_of(const struct feed_child *child)
{
	const struct latch_params *params = identities_get_params(identities, in_params(child));

	cr_assert_not_null(params);
	return identities_get(identities, params->peer_id)->auth;
}

/* A CHILD_SA under IKE_SA 1, which was set up by pre-shared key. */
static struct feed_child old;

static void one_by_psk(void)
{
	old = child_by(FEED_AUTH_PSK, 1, 1);
	set_up(FEED_AUTH_PSK, 1);
	install_and_report(&charon, &old);
	cr_assert_eq(auth_of(&old), FEED_AUTH_PSK);
}

Test(ike_sas, R_2_14_a_snapshot_after_a_reload_keeps_the_authentication_class)
{
	struct feed_child now;
	struct latch_flow flow;

	one_by_psk();
	flow = latch_at(1000, ns.cookie, in_params(&old));
	now = child_by(FEED_AUTH_PUBKEY, 1, 1);
	sink->snapshot_begin(sink->context, &charon);
	listed(FEED_AUTH_PUBKEY, 1);
	up(&charon, &now);
	sink->snapshot_end(sink->context, &charon);
	cr_expect_eq(auth_of(&old), FEED_AUTH_PSK);
	cr_expect_eq(latch_state_of(&flow), LATCH_STATE_ESTABLISHED);
}

/* A peer that proved "c.example" by pre-shared key does not get the latch of the certificate's
 * owner. */
Test(ike_sas, R_2_5_a_child_sa_rekeyed_after_a_reload_keeps_the_authentication_class)
{
	struct feed_child c = child_by(FEED_AUTH_PUBKEY, 2, 2), next;
	struct latch_flow flow;

	one_by_psk();
	delete_both(&old);
	set_up(FEED_AUTH_PUBKEY, 2);
	install_and_report(&charon, &c);
	flow = latch_at(1000, ns.cookie, in_params(&c));
	next = child_by(FEED_AUTH_PUBKEY, 1, 3);
	install_and_report(&charon, &next);
	cr_expect_eq(auth_of(&next), FEED_AUTH_PSK);
	cr_expect_neq(in_params(&next), in_params(&c));
	cr_expect_eq(latch_state_of(&flow), LATCH_STATE_BROKEN);
}

/* Of three IKE_SAs only the first one was authenticated. */
Test(ike_sas, R_2_5_an_ike_sa_rekeyed_after_a_reload_keeps_the_authentication_class)
{
	struct feed_child next = child_by(FEED_AUTH_PUBKEY, 6, 3);

	one_by_psk();
	rekeyed(1, FEED_AUTH_PUBKEY, 5);
	listed(FEED_AUTH_PUBKEY, 6); /* a list may arrive before the event */
	rekeyed(5, FEED_AUTH_PUBKEY, 6);
	install_and_report(&charon, &next);
	cr_expect_eq(auth_of(&next), FEED_AUTH_PSK);
}

Test(ike_sas, an_ike_sa_set_up_after_a_reload_has_the_new_authentication_class)
{
	struct feed_child next = child_by(FEED_AUTH_PUBKEY, 2, 2);

	one_by_psk();
	delete_both(&old);
	set_up(FEED_AUTH_PUBKEY, 2);
	install_and_report(&charon, &next);
	cr_expect_eq(auth_of(&next), FEED_AUTH_PUBKEY);
}

/* A restarted charon starts its unique ids again and may have other configurations. */
Test(ike_sas, an_ike_sa_number_reused_by_a_restarted_charon_has_its_own_class)
{
	struct feed_child next = child_by(FEED_AUTH_PUBKEY, 1, 2);

	one_by_psk();
	delete_both(&old);
	set_feed_state(&charon, FEED_STATE_LOST);
	attach(&charon, &ns);
	set_up(FEED_AUTH_PUBKEY, 1);
	snapshot(&charon, NULL, NULL);
	install_and_report(&charon, &next);
	cr_expect_eq(auth_of(&next), FEED_AUTH_PUBKEY);
}

/* The pinned tables hold the class of the SA's peer; charon reports another. */
Test(ike_sas, R_2_16_an_sa_keeps_its_authentication_class_over_a_restart_of_latchd)
{
	struct feed_child now = child_by(FEED_AUTH_PUBKEY, 1, 1),
			  next = child_by(FEED_AUTH_PUBKEY, 1, 2);
	struct latch_flow flow;

	one_by_psk();
	flow = latch_at(1000, ns.cookie, in_params(&old));
	restart_latchd();
	attach(&charon, &ns);
	sink->snapshot_begin(sink->context, &charon);
	listed(FEED_AUTH_PUBKEY, 1);
	up(&charon, &now);
	sink->snapshot_end(sink->context, &charon);
	cr_expect_eq(auth_of(&old), FEED_AUTH_PSK);
	install_and_report(&charon, &next);
	cr_expect_eq(auth_of(&next), FEED_AUTH_PSK, "the IKE_SA is still the same");
	cr_expect_eq(latch_state_of(&flow), LATCH_STATE_ESTABLISHED);
}

/* As the class: a latchd without its decisions reads the key that is loaded now. */
Test(ike_sas, R_2_16_an_ike_sa_keeps_the_key_of_its_peer_over_a_restart_of_latchd)
{
	struct feed_child next = child_by(FEED_AUTH_PUBKEY, 1, 2), now;
	struct feed_peer peer = peer_by(FEED_AUTH_PUBKEY, 1);
	struct latch_flow flow;

	old = child_by(FEED_AUTH_PUBKEY, 1, 1);
	old.peer_key = peer.key = (struct feed_key){.known = true, .sha256 = {1}};
	peer.just_authenticated = true;
	sink->peer_up(sink->context, &charon, &peer);
	install_and_report(&charon, &old);
	flow = latch_at(1000, ns.cookie, in_params(&old));
	restart_latchd();
	attach(&charon, &ns);
	peer.just_authenticated = false;
	peer.key.sha256[0] = 2;
	now = old;
	now.peer_key = next.peer_key = peer.key;
	sink->snapshot_begin(sink->context, &charon);
	sink->peer_up(sink->context, &charon, &peer);
	up(&charon, &now);
	sink->snapshot_end(sink->context, &charon);
	install_and_report(&charon, &next);
	cr_expect_eq(in_params(&next), in_params(&old));
	cr_expect_eq(latch_state_of(&flow), LATCH_STATE_ESTABLISHED);
	seen.reasons = LATCH_REASONS_STICKY;
	sink->peer_down(sink->context, &charon, &peer, FEED_DOWN_PEER_DEAD);
	settle();
	cr_expect_eq(latch_state_of(&flow), LATCH_STATE_BROKEN, "its peer is dead");
}

/* A pinned SA does not change an IKE_SA with a known set-up: the IKE_SA may have adopted the child.
 */
Test(ike_sas, an_adopted_child_sa_does_not_change_the_class_of_the_adopting_ike_sa)
{
	struct feed_child adopted = child_by(FEED_AUTH_PUBKEY, 2, 1),
			  next = child_by(FEED_AUTH_PUBKEY, 2, 2);

	one_by_psk();
	restart_latchd();
	attach(&charon, &ns);
	snapshot(&charon, NULL, NULL);
	set_up(FEED_AUTH_PUBKEY, 2);
	up(&charon, &adopted);
	delete_both(&old);
	install_and_report(&charon, &next);
	cr_expect_eq(auth_of(&next), FEED_AUTH_PUBKEY);
}

/* The event of the IKE_SA's end, too, has the present class of the configuration. */
Test(ike_sas, R_2_19_a_dead_peer_report_after_a_reload_breaks_the_latches_of_the_peer)
{
	struct feed_peer now = peer_by(FEED_AUTH_PUBKEY, 1);
	struct latch_flow flow;

	one_by_psk();
	flow = latch_at(1000, ns.cookie, in_params(&old));
	seen.reasons = LATCH_REASON_PEER_DEAD;
	sink->peer_down(sink->context, &charon, &now, FEED_DOWN_PEER_DEAD);
	cr_expect_eq(latch_state_of(&flow), LATCH_STATE_BROKEN);
	cr_expect_eq(latch_of(&flow).word.reasons, LATCH_REASON_PEER_DEAD);
}
