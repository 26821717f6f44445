/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Key managers that attach and are lost, restarts of latchd, and unattributed SAs.
 * charon and pluto serve one namespace, or one namespace each. C and D are peers at
 * one address with the same selectors.
 */
#include "attribution_fixture.h"

#include "common/log_limit.h"

#include <bpf/libbpf.h>

#include "common/cleanup.h"
#include "latchd/net/netns.h"
#include "latchd/sa/attribution_parts.h"

TestSuite(key_managers, .init = fixture_start, .fini = fixture_finish, .timeout = 60);

/* ---- the first snapshot */

Test(key_managers, no_sa_is_bound_before_the_first_snapshot_is_complete)
{
	struct feed_child c = child_of("c.example", 1), d = child_of("d.example", 2);
	struct latch_sa_key key = in_key(&c, ns.cookie);

	attach(&charon, &ns);
	install_both(&c);
	install_both(&d);
	sink->snapshot_begin(sink->context, &charon);
	up(&charon, &c);
	attribution_sa_pending(attribution, &key);
	cr_expect_eq(seen.bound, 0);
	up(&charon, &d);
	cr_expect_eq(seen.bound, 0);
	sink->snapshot_end(sink->context, &charon);
	expect_states(&c, LATCH_SA_BOUND);
	expect_states(&d, LATCH_SA_BOUND);
	cr_expect(is_contested(&c));
	cr_expect(is_contested(&d));
}

/* Local users may have filled the index: then no pass would find the key manager's namespace. */
Test(key_managers, the_namespace_of_a_key_manager_is_found_without_a_pass_over_all_processes)
{
	uint64_t passes = netns_passes();

	attach(&charon, &ns);
	cr_expect_eq(netns_passes(), passes);
	snapshot(&charon, NULL, NULL);
	cr_expect_eq(seen.served, 1);
}

static uint16_t latch_to(const struct feed_child *child, struct latch_flow *ret_flow)
{
	attach(&charon, &ns);
	snapshot(&charon, NULL, NULL);
	install_and_report(&charon, child);
	*ret_flow = latch_at(1000, ns.cookie, in_params(child));
	return in_params(child);
}

static void install_and_report_each(const struct feed_child *of_charon,
				    const struct feed_child *of_pluto)
{
	attach(&charon, &ns);
	attach(&pluto, &ns);
	snapshot(&charon, NULL, NULL);
	snapshot(&pluto, NULL, NULL);
	install_and_report(&charon, of_charon);
	install_and_report(&pluto, of_pluto);
}

Test(key_managers, reports_of_a_key_manager_that_is_not_attached_are_ignored)
{
	struct feed_child c = child_of("c.example", 1);

	install_both(&c);
	snapshot(&charon, &c, NULL);
	down(&charon, &c);
	expect_states(&c, LATCH_SA_PENDING);
}

Test(key_managers, attaching_a_process_that_has_exited_fails)
{
	struct namespace other;

	namespace_start(&other);
	namespace_leave(&other);
	cr_expect_eq(sink->attached(sink->context, &charon, other.pid), -ENOENT);
	close(other.fd);
}

/* ---- loss of a feed */

Test(key_managers, sas_of_a_lost_feed_are_orphans_until_its_next_snapshot)
{
	struct feed_child c = child_of("c.example", 1);
	struct latch_flow flow;
	uint16_t params;

	params = latch_to(&c, &flow);
	set_feed_state(&charon, FEED_STATE_LOST);
	expect_states(&c, LATCH_SA_ORPHAN);
	cr_expect_eq(in_params(&c), params);
	attach(&charon, &ns);
	expect_states(&c, LATCH_SA_ORPHAN);
	snapshot(&charon, &c, NULL);
	expect_states(&c, LATCH_SA_BOUND);
	cr_expect_eq(in_params(&c), params);
	cr_expect_eq(latch_state_of(&flow), LATCH_STATE_ESTABLISHED);
}

/* A restarted key manager does not report the SAs that it left in the kernel. */
Test(key_managers, an_orphan_missing_from_the_new_snapshot_stays_an_orphan)
{
	struct feed_child c = child_of("c.example", 1), d = child_of("d.example", 2);
	struct latch_flow flow;

	attach(&charon, &ns);
	snapshot(&charon, NULL, NULL);
	install_and_report(&charon, &c);
	set_feed_state(&charon, FEED_STATE_LOST);
	attach(&charon, &ns);
	snapshot(&charon, NULL, NULL);
	expect_states(&c, LATCH_SA_ORPHAN);
	install_and_report(&charon, &d);
	cr_expect(is_contested(&c));
	flow = latch_at(1000, ns.cookie, in_params(&d));
	attribution_latch_created(attribution, &flow);
	cr_expect_eq(latch_state_of(&flow), LATCH_STATE_BROKEN);
	delete_both(&c);
	cr_expect_eq(latch_state_of(&flow), LATCH_STATE_ESTABLISHED);
	cr_expect_not(is_contested(&d));
}

Test(key_managers, only_sas_of_the_lost_feed_become_orphans)
{
	struct feed_child c = child_of("c.example", 1), d = child_of("d.example", 2);

	install_and_report_each(&c, &d);
	set_feed_state(&pluto, FEED_STATE_LOST);
	expect_states(&c, LATCH_SA_BOUND);
	expect_states(&d, LATCH_SA_ORPHAN);
	cr_expect(is_contested(&d));
}

/* ---- restarts of latchd */

Test(key_managers, the_first_snapshot_after_a_restart_binds_the_sas_to_the_same_params)
{
	struct feed_child c = child_of("c.example", 1);
	struct latch_flow flow;
	uint16_t params;

	params = latch_to(&c, &flow);
	restart_latchd();
	attach(&charon, &ns);
	snapshot(&charon, &c, NULL);
	expect_states(&c, LATCH_SA_BOUND);
	cr_expect_eq(in_params(&c), params);
	cr_expect_eq(latch_state_of(&flow), LATCH_STATE_ESTABLISHED);
	cr_expect_eq(seen.broken, 0);
}

Test(key_managers, an_absent_feed_after_a_restart_leaves_orphans)
{
	struct feed_child c = child_of("c.example", 1), d = child_of("d.example", 2);

	install_and_report_each(&c, &d);
	restart_latchd();
	set_feed_state(&charon, FEED_STATE_ABSENT);
	expect_states(&c, LATCH_SA_ORPHAN);
	expect_states(&d, LATCH_SA_BOUND);
	cr_expect(is_contested(&c));
	attach(&charon, &ns);
	snapshot(&charon, &c, NULL);
	expect_states(&c, LATCH_SA_BOUND);
}

Test(key_managers, an_sa_missing_from_the_first_snapshot_after_a_restart_is_an_orphan)
{
	struct feed_child c = child_of("c.example", 1), d = child_of("d.example", 2);

	attach(&charon, &ns);
	snapshot(&charon, NULL, NULL);
	install_and_report(&charon, &c);
	install_and_report(&charon, &d);
	restart_latchd();
	attach(&charon, &ns);
	snapshot(&charon, &d, NULL);
	expect_states(&c, LATCH_SA_ORPHAN);
	expect_states(&d, LATCH_SA_BOUND);
}

/* D took C's address while no latchd ran. */
Test(key_managers, R_2_16_an_sa_of_another_peer_installed_during_a_restart_breaks_the_latch)
{
	struct feed_child c = child_of("c.example", 1), d = child_of("d.example", 2);
	struct latch_sa_key key = in_key(&d, ns.cookie);
	struct latch_flow flow;

	latch_to(&c, &flow);
	restart_latchd();
	install_both(&d);
	attach(&charon, &ns);
	expect_states(&d, LATCH_SA_PENDING);
	seen.watched = &key;
	snapshot(&charon, &c, &d);
	cr_expect_eq(seen.broken, 1);
	cr_expect_eq(seen.watched_state, LATCH_SA_PENDING);
	cr_expect_eq(latch_state_of(&flow), LATCH_STATE_BROKEN);
	expect_states(&d, LATCH_SA_BOUND);
}

/* ---- adopted SAs */

Test(key_managers, attaching_deletes_only_adopted_sas_of_the_namespace_that_left_the_kernel)
{
	struct feed_child c = child_of("c.example", 1), d = child_of("d.example", 2);
	struct latch_sa_key ours = in_key(&c, ns.cookie), elsewhere = in_key(&c, ns.cookie + 1);
	struct latch_sa sa = sa_from(c.remote_host, true);

	cr_assert_eq(sa_adopt(&maps, &ours, &sa, false), LATCH_CONTROL_DONE);
	cr_assert_eq(sa_adopt(&maps, &elsewhere, &sa, false), LATCH_CONTROL_DONE);
	install_in(&d, ns.cookie);
	attach(&charon, &ns);
	cr_expect_eq(state_of(&ours), LATCH_SA_NONE);
	cr_expect_eq(state_of(&elsewhere), LATCH_SA_PENDING);
	cr_expect_eq(in_state(&d), LATCH_SA_PENDING);
}

/* Counts as the SA watch does. */
static void count_refused_sa(void)
{
	auto_free uint64_t *counts = calloc((size_t)libbpf_num_possible_cpus(), sizeof(*counts));
	uint32_t which = LATCH_COUNTER_SAS_FULL;

	cr_assert_eq(bpf_map_lookup_elem(maps.counters, &which, counts), 0);
	counts[0]++;
	cr_assert_eq(bpf_map_update_elem(maps.counters, &which, counts, BPF_ANY), 0);
}

static struct latch_sa_key found;

static bool found_is_deleted(void)
{
	return state_of(&found) == LATCH_SA_NONE;
}

/* A new dump also deletes adopted SAs that left the kernel. */
static void expect_new_dump(const struct feed_child *child)
{
	struct latch_sa sa = sa_from(child->remote_host, true);

	found = in_key(child, ns.cookie);
	cr_assert_eq(sa_adopt(&maps, &found, &sa, false), LATCH_CONTROL_DONE);
	count_refused_sa();
	up(&charon, child);
	wait_until(found_is_deleted);
}

/* The refused SA has no event; its key manager reports SAs that the table does not have. */
Test(key_managers, an_sa_refused_by_a_full_table_causes_a_new_dump)
{
	struct feed_child c = child_of("c.example", 1), d = child_of("d.example", 2);

	attach(&charon, &ns);
	snapshot(&charon, NULL, NULL);
	c.mode = d.mode = FEED_MODE_TUNNEL; /* the reports match no SA: no SA is bound */
	expect_new_dump(&c);
	expect_new_dump(&d);
}

/* The programs did not see its installation. */
Test(key_managers, a_reported_sa_that_is_not_in_the_table_causes_a_new_dump)
{
	struct feed_child c = child_of("c.example", 1), d = child_of("d.example", 2);
	struct latch_sa sa = sa_from(c.remote_host, true);

	attach(&charon, &ns);
	snapshot(&charon, NULL, NULL);
	found = in_key(&d, ns.cookie);
	cr_assert_eq(sa_adopt(&maps, &found, &sa, false), LATCH_CONTROL_DONE);
	up(&charon, &c);
	wait_until(found_is_deleted);
}

static bool unreported_is_orphan(void)
{
	struct feed_child c = child_of("c.example", 1);

	return in_state(&c) == LATCH_SA_ORPHAN;
}

Test(key_managers, unreported_sas_of_a_lost_feed_become_orphans_by_a_retry)
{
	struct feed_child c = child_of("c.example", 1);
	int sas = maps.sas;

	attach(&charon, &ns);
	snapshot(&charon, NULL, NULL);
	install_and_report(&charon, &c);
	restart_latchd();
	maps.sas = -1;
	logged.wanted = "not all marked as orphans";
	set_feed_state(&charon, FEED_STATE_ABSENT);
	maps.sas = sas;
	cr_expect_eq(logged.count, 1);
	cr_expect_eq(in_state(&c), LATCH_SA_BOUND);
	wait_until(unreported_is_orphan);
}

/* ---- unattributed SAs */

static unsigned int wanted_resyncs;

static bool snapshots_were_requested(void)
{
	return charon.resyncs >= wanted_resyncs;
}

static struct latch_sa_key install_old(const struct feed_child *child)
{
	struct latch_sa_key key = in_key(child, ns.cookie);
	struct latch_sa sa = sa_from(child->remote_host, true);

	sa.installed -= OLD_NS;
	install(&key, sa);
	return key;
}

Test(key_managers, an_old_unattributed_sa_requests_snapshots_and_is_logged_once)
{
	struct feed_child c = child_of("c.example", 1);
	struct latch_sa_key key;

	attach(&charon, &ns);
	snapshot(&charon, NULL, NULL);
	logged.wanted = "no key manager reports it";
	key = install_old(&c);
	attribution_sa_pending(attribution, &key);
	wanted_resyncs = 3;
	wait_until(snapshots_were_requested);
	cr_expect_eq(logged.count, 1);
	cr_expect_eq(in_state(&c), LATCH_SA_PENDING);
	c.spi_in = 5;
	key = install_old(&c);
	attribution_sa_pending(attribution, &key);
	wanted_resyncs = charon.resyncs + 3;
	wait_until(snapshots_were_requested);
	cr_expect_eq(logged.count, 2);
}

Test(key_managers, the_lines_of_unattributed_sas_are_bounded)
{
	struct feed_child c = child_of("c.example", 1);
	struct latch_sa_key key;
	unsigned int i;

	attach(&charon, &ns);
	snapshot(&charon, NULL, NULL);
	logged.wanted = "no key manager reports it";
	for (i = 0; i < LOG_LIMIT_LINES + 5; i++) {
		c.spi_in = 5 + i;
		key = install_old(&c);
	}
	attribution_sa_pending(attribution, &key);
	wanted_resyncs = charon.resyncs + 1;
	wait_until(snapshots_were_requested);
	cr_expect_eq(logged.count, LOG_LIMIT_LINES);
}

static uint64_t rounds_end_ms;

/* Checks of pending SAs come after 50 ms, 100 ms and so on. */
static bool rounds_have_passed(void)
{
	return loop_now_ms() >= rounds_end_ms;
}

Test(key_managers, before_the_first_list_no_sa_is_logged_as_unattributed)
{
	struct feed_child c = child_of("c.example", 1);
	struct latch_sa_key key;

	attach(&charon, &ns);
	logged.wanted = "no key manager reports it";
	key = install_old(&c);
	attribution_sa_pending(attribution, &key);
	rounds_end_ms = loop_now_ms() + 300;
	wait_until(rounds_have_passed);
	cr_expect_eq(logged.count, 0);
}

static void on_late(void *context)
{
	*(bool *)context = true;
}

/* An SA that stays unattributed does not delay the others. */
Test(key_managers, a_new_unattributed_sa_requests_a_snapshot_without_back_off)
{
	struct feed_child c = child_of("c.example", 1), d = child_of("d.example", 2);
	struct latch_sa_key key;
	struct loop_timer timer;
	bool late = false;

	attach(&charon, &ns);
	snapshot(&charon, NULL, NULL);
	key = install_old(&c);
	attribution_sa_pending(attribution, &key);
	wanted_resyncs = 6; /* the next check would be 3 s later */
	wait_until(snapshots_were_requested);
	install_in(&d, ns.cookie);
	key = in_key(&d, ns.cookie);
	attribution_sa_pending(attribution, &key);
	loop_timer_init(loop, &timer, on_late, &late);
	loop_timer_arm(&timer, 1000);
	wanted_resyncs = charon.resyncs + 1;
	wait_until(snapshots_were_requested);
	cr_expect_not(late);
	loop_timer_cancel(&timer);
}

Test(key_managers, a_young_unattributed_sa_requests_snapshots_and_is_not_logged)
{
	struct feed_child c = child_of("c.example", 1);
	struct latch_sa_key key = in_key(&c, ns.cookie);

	attach(&charon, &ns);
	snapshot(&charon, NULL, NULL);
	logged.wanted = "no key manager reports it";
	install_in(&c, ns.cookie);
	attribution_sa_pending(attribution, &key);
	wanted_resyncs = 2;
	wait_until(snapshots_were_requested);
	/* The key manager's first list was older than the SA; this list is not. */
	snapshot(&charon, &c, NULL);
	cr_expect_eq(in_state(&c), LATCH_SA_BOUND);
	cr_expect_eq(logged.count, 0);
}

/* An SA from before latchd has no event. */
Test(key_managers, an_unattributed_sa_from_before_latchd_is_logged)
{
	struct feed_child c = child_of("c.example", 1);

	logged.wanted = "no key manager reports it";
	install_old(&c);
	attach(&charon, &ns);
	snapshot(&charon, NULL, NULL);
	wanted_resyncs = 2;
	wait_until(snapshots_were_requested);
	cr_expect_eq(logged.count, 1);
}

static bool pluto_got_requests(void)
{
	return pluto.resyncs >= 2;
}

/* charon does not serve pluto's namespace, and no key manager serves namespace 1. */
Test(key_managers, an_unattributed_sa_requests_snapshots_only_in_its_namespace)
{
	struct feed_child c = child_of("c.example", 1);
	struct latch_sa_key key;
	struct namespace other;

	namespace_start(&other);
	attach(&charon, &ns);
	attach(&pluto, &other);
	snapshot(&charon, NULL, NULL);
	snapshot(&pluto, NULL, NULL);
	install_in(&c, other.cookie);
	install_in(&c, 1);
	key = in_key(&c, other.cookie);
	attribution_sa_pending(attribution, &key);
	wait_until(pluto_got_requests);
	cr_expect_eq(charon.resyncs, 0);
	namespace_end(&other);
}

/* ---- lost events */

static struct feed_child without_event;

static bool sa_without_event_is_bound(void)
{
	return in_state(&without_event) == LATCH_SA_BOUND &&
	       out_state(&without_event) == LATCH_SA_BOUND;
}

Test(key_managers, reconcile_binds_and_removes_sas_whose_events_were_lost)
{
	struct feed_child c = child_of("c.example", 1), d = child_of("d.example", 2);
	struct latch_sa_key in = in_key(&d, ns.cookie), out = out_key(&d, ns.cookie);
	struct latch_flow flow;

	latch_to(&c, &flow);
	install_and_report(&charon, &d);
	delete_without_event(&in);
	delete_without_event(&out);
	without_event = child_of("c.example", 3);
	up(&charon, &without_event);
	install_both(&without_event);
	attribution_reconcile(attribution);
	cr_expect_eq(latch_state_of(&flow), LATCH_STATE_ESTABLISHED);
	cr_expect_not(is_contested(&c));
	wait_until(sa_without_event_is_bound);
}

/* ---- feeds that are no longer configured */

/* Of an earlier latchd's configuration: no list will ever name the SA. */
Test(key_managers, an_sa_of_a_feed_that_is_not_configured_starts_no_latch_and_keeps_its_own)
{
	struct feed_child c = child_of("c.example", 1), d = child_of("d.example", 2);
	struct feed *configured[] = {&pluto};
	struct latch_flow flow;

	latch_to(&c, &flow);
	attach(&pluto, &ns);
	snapshot(&pluto, NULL, NULL);
	d.remote_host[3] = 3;
	d.remote_ts = selectors("10.9.0.3/32");
	install_and_report(&pluto, &d);
	restart_latchd();
	attribution_feeds_configured(attribution, configured, 1);
	expect_states(&c, LATCH_SA_BOUND);
	settle();
	expect_states(&c, LATCH_SA_ORPHAN);
	expect_states(&d, LATCH_SA_BOUND);
	cr_expect_eq(latch_of(&flow).word.state, LATCH_STATE_ESTABLISHED);
	cr_expect_neq(in_params(&c), 0, "its latched flow goes on");
}

Test(key_managers, an_sa_of_a_feed_that_is_renamed_over_a_restart_is_bound_by_the_new_name)
{
	struct feed_child c = child_of("c.example", 1);
	struct feed *configured[] = {&pluto};
	struct latch_flow flow;

	latch_to(&c, &flow);
	restart_latchd();
	attribution_feeds_configured(attribution, configured, 1);
	settle();
	attach(&pluto, &ns);
	snapshot(&pluto, &c, NULL);
	expect_states(&c, LATCH_SA_BOUND);
	cr_expect_eq(seen.broken, 1, "its latch was to an identity of the other feed");
}

Test(key_managers, a_feed_that_is_removed_leaves_no_record_without_an_sa)
{
	struct feed_child c = child_of("c.example", 1), d = child_of("d.example", 2);
	struct latch_flow flow;

	latch_to(&c, &flow);
	up(&charon, &d);
	attribution_feed_removed(attribution, &charon);
	settle();
	expect_states(&c, LATCH_SA_ORPHAN);
	cr_expect_not_null(attribution->child_sas.first);
	delete_both(&c);
	cr_expect_null(attribution->child_sas.first);
}
