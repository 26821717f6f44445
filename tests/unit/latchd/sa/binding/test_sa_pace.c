/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Work of an amount and at a rate that peers choose: marks, walks and memory. The pace is given: as
 * if a walk had just taken long.
 */
#include "peer_fixture.h"

#include "latchd/sa/attribution_parts.h"

#define WAIT_MS 300

static struct feed_child known, rival;
static struct latch_flow flow;
static uint64_t walked; /* so far */

static void start(void)
{
	fixture_start_synced();
	known = child_of("c.example", 1);
	rival = child_of("d.example", 2);
}

TestSuite(sa_pace, .init = start, .fini = fixture_finish, .timeout = 60);

static void let_wait(struct walk_pace *pace)
{
	pace->due_ms = loop_now_ms() + WAIT_MS;
}

/* ---- marks */

static int map_of_control(const char *name)
{
	__u32 ids[32], length = sizeof(struct bpf_prog_info), map_length, i;
	struct bpf_prog_info info = {.nr_map_ids = 32, .map_ids = (uintptr_t)ids};
	struct bpf_map_info map;
	int fd;

	cr_assert_eq(bpf_prog_get_info_by_fd(maps.control, &info, &length), 0);
	for (i = 0; i < info.nr_map_ids; i++) {
		memset(&map, 0, sizeof(map));
		map_length = sizeof(map);
		fd = bpf_map_get_fd_by_id(ids[i]);
		cr_assert_eq(bpf_map_get_info_by_fd(fd, &map, &map_length), 0);
		if (!strcmp(map.name, name))
			return fd;
		close(fd);
	}
	cr_assert_fail("no map %s", name);
	return -1;
}

/* Each write of an SA advances one epoch: bpf/db/epochs.h. */
static uint64_t writes(void)
{
	static uint64_t epochs[8192];
	int fd = map_of_control("sa_epochs");
	uint64_t sum = 0;
	__u32 key = 0;
	size_t i;

	cr_assert_eq(bpf_map_lookup_elem(fd, &key, epochs), 0);
	close(fd);
	for (i = 0; i < sizeof(epochs) / sizeof(epochs[0]); i++)
		sum += epochs[i];
	return sum;
}

static bool is_uncontested(void)
{
	return !is_contested(&known);
}

static void toggle(void)
{
	install_and_report(&charon, &rival);
	cr_expect(is_contested(&known));
	delete_both(&rival);
}

Test(sa_pace, R_2_3_8_a_mark_is_set_at_once_and_cleared_at_a_pace)
{
	install_and_report(&charon, &known);
	let_wait(&attribution->marking);
	toggle();
	cr_expect(is_contested(&known));
	wait_until(is_uncontested);
}

static bool has_tried_to_clear(void)
{
	return attribution->marking.count > walked;
}

Test(sa_pace, R_2_3_8_a_mark_that_cannot_be_cleared_is_cleared_later)
{
	int control = maps.control;

	install_and_report(&charon, &known);
	let_wait(&attribution->marking);
	toggle();
	walked = attribution->marking.count;
	maps.control = -1;
	wait_until(has_tried_to_clear);
	maps.control = control;
	cr_expect(is_contested(&known));
	wait_until(is_uncontested);
}

Test(sa_pace, a_mark_is_cleared_at_once_after_a_quiet_time)
{
	install_and_report(&charon, &known);
	toggle();
	cr_expect_not(is_contested(&known));
}

/* A peer lets a conflict with its thousands of SAs come and go. */
Test(sa_pace, a_conflict_that_comes_back_before_the_marks_are_cleared_writes_none_of_them)
{
	uint64_t before;

	install_and_report(&charon, &known);
	let_wait(&attribution->marking);
	toggle();
	before = writes();
	toggle();
	cr_expect_eq(writes() - before, 2, "those of the rival's own SAs: %lu",
		     (unsigned long)(writes() - before));
	cr_expect(is_contested(&known));
}

/* The SA of a known peer loses its mark even if the last rival goes in the meantime. */
Test(sa_pace, a_new_sa_of_an_uncontested_group_is_not_marked)
{
	struct feed_child next = child_of("c.example", 3);

	install_and_report(&charon, &known);
	let_wait(&attribution->marking);
	toggle();
	install_and_report(&charon, &next);
	cr_expect_not(is_contested(&next));
	cr_expect(is_contested(&known));
	install_and_report(&charon, &rival);
	cr_expect(is_contested(&next));
}

/* It is reported with other selectors. Another CHILD_SA settles its new group while it waits. */
Test(sa_pace, a_mark_of_former_selectors_is_cleared_though_the_group_was_settled_meanwhile)
{
	struct feed_child next = child_of("c.example", 3);

	install_and_report(&charon, &known);
	install_and_report(&charon, &rival);
	cr_expect(is_contested(&known));
	known.remote_ts = next.remote_ts = selectors("10.9.0.3/32");
	let_wait(&attribution->walks);
	up(&charon, &known);
	attribution->walks.due_ms = 0;
	install_and_report(&charon, &next);
	cr_expect_not(is_contested(&next));
	wait_until(is_uncontested);
}

#define GROUPS 300

static struct feed_child of_many(uint32_t i)
{
	struct feed_child child = child_of("c.example", 100 + i);
	char text[40];

	snprintf(text, sizeof(text), "10.9.0.1/32[tcp/%u]", 1000 + i);
	child.local_ts = selectors(text);
	return child;
}

static unsigned int contested_groups(void)
{
	unsigned int count = 0;
	uint32_t i;

	for (i = 0; i < GROUPS; i++) {
		struct feed_child child = of_many(i);

		count += is_contested(&child);
	}
	return count;
}

static bool none_is_contested(void)
{
	return !contested_groups();
}

/* Each alone takes no time that counts. */
Test(sa_pace, R_2_3_8_marks_of_many_groups_are_cleared_in_turns_of_the_loop)
{
	uint32_t i;

	for (i = 0; i < GROUPS; i++) {
		struct feed_child child = of_many(i);

		install_and_report(&charon, &child);
	}
	install_and_report(&charon, &rival);
	cr_expect_eq(contested_groups(), GROUPS);
	delete_both(&rival);
	cr_expect_gt(contested_groups(), 0);
	wait_until(none_is_contested);
}

Test(sa_pace, a_short_walk_does_not_end_the_wait_after_a_long_one)
{
	struct walk_pace pace = {0};

	let_wait(&pace);
	walk_pace_begin(&pace);
	walk_pace_end(&pace);
	cr_expect_gt(walk_pace_wait_ms(&pace), 0);
}

/* ---- walks */

static bool has_walked(void)
{
	return attribution->walks.count > walked;
}

Test(sa_pace, lost_events_start_no_walk_before_its_time)
{
	let_wait(&attribution->walks);
	walked = attribution->walks.count;
	attribution_reconcile(attribution);
	attribution_reconcile(attribution);
	cr_expect_not(has_walked());
	wait_until(has_walked);
	cr_expect_eq(attribution->walks.count, walked + 1);
}

static struct feed_child listed;

static bool listed_is_bound(void)
{
	return in_state(&listed) == LATCH_SA_BOUND && out_state(&listed) == LATCH_SA_BOUND;
}

Test(sa_pace, a_list_with_a_new_conflict_waits_for_the_next_walk_and_is_bound_after_it)
{
	install_and_report(&charon, &known);
	flow = latch_at(1000, ns.cookie, in_params(&known));
	listed = rival;
	install_both(&listed);
	let_wait(&attribution->walks);
	snapshot(&charon, &known, &listed);
	expect_states(&listed, LATCH_SA_PENDING);
	expect_states(&known, LATCH_SA_BOUND);
	wait_until(listed_is_bound);
	cr_expect_eq(latch_of(&flow).word.state, LATCH_STATE_BROKEN);
}

static bool has_walked_for_peers(void)
{
	return attribution->peer_death.walks.count > walked;
}

Test(sa_pace, one_walk_at_its_time_breaks_the_latches_of_all_dead_peers)
{
	two_peers();
	let_wait(&attribution->peer_death.walks);
	walked = attribution->peer_death.walks.count;
	peer_dead("c.example", 1);
	peer_dead("d.example", 2);
	settle();
	cr_expect_not(has_walked_for_peers());
	wait_until(has_walked_for_peers);
	cr_expect_eq(attribution->peer_death.walks.count, walked + 1);
	expect_reasons(&to_c, LATCH_REASON_PEER_DEAD);
	expect_reasons(&to_d, LATCH_REASON_PEER_DEAD);
}

/* Its mode is another one. While any SA is unattributed, a list comes every five seconds. */
Test(sa_pace, a_list_with_a_report_that_does_not_match_starts_no_walk)
{
	install_and_report(&charon, &known);
	install_both(&rival);
	rival.mode = FEED_MODE_TUNNEL;
	settle();
	walked = attribution->walks.count;
	snapshot(&charon, &known, &rival);
	cr_expect_not(loop_timer_armed(&attribution->settle));
	cr_expect_not(has_walked());
	expect_states(&rival, LATCH_SA_PENDING);
}

static bool has_walked_over_sas(void)
{
	return attribution->pending_sas.walks.count > walked;
}

Test(sa_pace, unattributed_sas_are_searched_for_at_a_pace)
{
	struct latch_sa_key key = in_key(&known, ns.cookie);

	wait_until(has_walked_over_sas);
	let_wait(&attribution->pending_sas.walks);
	walked = attribution->pending_sas.walks.count;
	install_in(&known, ns.cookie);
	attribution_sa_pending(attribution, &key);
	cr_expect_geq(attribution->pending_sas.timer.deadline_ms, loop_now_ms() + WAIT_MS / 2);
	wait_until(has_walked_over_sas);
}

static struct latch_sa_key install_elsewhere(uint64_t netns)
{
	struct latch_sa_key key = in_key(&known, netns);

	install_in(&known, netns);
	attribution_sa_pending(attribution, &key);
	return key;
}

/* Any local user installs SAs in a network namespace of its own, at any rate. */
Test(sa_pace, sas_of_a_namespace_that_no_key_manager_serves_start_no_check)
{
	wait_until(has_walked_over_sas);
	settle();
	cr_expect_not(loop_timer_armed(&attribution->pending_sas.timer));
	install_elsewhere(ns.cookie + 1);
	cr_expect_not(loop_timer_armed(&attribution->pending_sas.timer));
	install_elsewhere(ns.cookie);
	cr_expect(loop_timer_armed(&attribution->pending_sas.timer));
}

static bool is_logged(void)
{
	return logged.count;
}

Test(sa_pace, sas_of_an_absent_key_manager_are_checked_and_logged_when_it_is_back)
{
	struct latch_sa_key key = in_key(&known, ns.cookie);
	struct latch_sa sa = sa_from(known.remote_host, true);

	wait_until(has_walked_over_sas);
	settle();
	set_feed_state(&charon, FEED_STATE_LOST);
	sa.installed -= OLD_NS;
	install(&key, sa);
	attribution_sa_pending(attribution, &key);
	cr_expect(loop_timer_armed(&attribution->pending_sas.timer));
	logged.wanted = "no key manager reports it";
	attach(&charon, &ns);
	snapshot(&charon, &rival, NULL);
	wait_until(is_logged);
	install_out(&known, ns.cookie);
	up(&charon, &known);
	expect_states(&known, LATCH_SA_BOUND);
}

/* ---- memory */

static bool is_known(const struct feed_child *child)
{
	struct latch_sa_key in = in_key(child, ns.cookie);

	return child_sas_find(&attribution->child_sas, &in);
}

static void use_up_share_of(const struct feed_child *of)
{
	struct latch_sa_key in = in_key(of, ns.cookie);
	const struct child_sa *child = child_sas_find(&attribution->child_sas, &in)->child;

	attribution->child_sas.groups.of_peer[child->peer] = SA_GROUPS_PEER_MAX;
}

Test(sa_pace, a_child_sa_beyond_the_share_of_its_peer_is_forgotten_with_its_sas)
{
	struct feed_child next = child_of("c.example", 3), listed_next = child_of("c.example", 4);

	install_and_report(&charon, &known);
	use_up_share_of(&known);
	install_both(&next);
	up(&charon, &next);
	cr_expect_eq(in_state(&next), LATCH_SA_NONE);
	cr_expect_not(is_known(&next));
	install_both(&listed_next);
	snapshot(&charon, &known, &listed_next);
	cr_expect_not(is_known(&listed_next));
	cr_expect(is_known(&known));
	/* Another peer has its own share. */
	install_and_report(&charon, &rival);
}

/* Its configuration has another name since: that is another peer, with a share of its own. */
static struct feed_child report_of_other_peer(void)
{
	struct feed_child moved = known, other = child_of("c.example", 3);

	strcpy(other.config_name, "other");
	other.remote_host[3] = 3;
	other.remote_ts = selectors("10.9.0.3/32");
	install_and_report(&charon, &known);
	install_and_report(&charon, &other);
	strcpy(moved.config_name, "other");
	return moved;
}

Test(sa_pace, the_bound_sas_of_a_child_sa_follow_its_report_to_another_peer)
{
	struct feed_child moved = report_of_other_peer();
	uint16_t former = in_params(&known);

	up(&charon, &moved);
	expect_states(&moved, LATCH_SA_BOUND);
	cr_expect_neq(in_params(&moved), former);
}

Test(sa_pace, no_sa_of_a_child_sa_that_moves_to_a_peer_with_its_share_stays_bound)
{
	struct feed_child moved = report_of_other_peer(), other = child_of("c.example", 3);

	use_up_share_of(&other);
	up(&charon, &moved);
	expect_states(&moved, LATCH_SA_NONE);
	cr_expect_not(is_known(&moved));
}

/* The programs have refused their SAs: only the key manager has them. */
Test(sa_pace, child_sas_without_an_sa_in_the_table_are_kept_up_to_a_limit)
{
	struct feed_child absent = child_of("c.example", 1);
	uint32_t i;

	install_and_report(&charon, &known);
	for (i = 0; i < CHILD_SAS_ABSENT_MAX + 10; i++) {
		absent.spi_in = 1000 + i;
		absent.spi_out = 0x80001000 + i;
		up(&charon, &absent);
	}
	cr_expect_eq(attribution->child_sas.absent, CHILD_SAS_ABSENT_MAX);
	cr_expect_not(is_known(&absent));
	cr_expect(is_known(&known));
	/* There is room in the table again. */
	absent.spi_in = 1000;
	absent.spi_out = 0x80001000;
	cr_expect(is_known(&absent));
	install_and_report(&charon, &absent);
	cr_expect_eq(attribution->child_sas.absent, CHILD_SAS_ABSENT_MAX - 1);
}
