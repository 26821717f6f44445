/* SPDX-License-Identifier: BSD-2-Clause */
/* The cgroups of a configuration as they come and go, and as the configuration changes. */
#include "cgroups_fixture.h"

#include "common/loop.h"
#include "latchd/enforce/cgroups/cgroup_watch.h"

TestSuite(cgroups, .init = start, .fini = finish, .timeout = 120);

/* ---- cgroups that come and go */

Test(cgroups, an_absent_cgroup_gets_the_programs_when_it_comes)
{
	make(A);
	before = programs_of(A);
	configure(A);
	configure(B);
	attach();
	expect_state(A, CGROUP_ATTACHED);
	expect_state(B, CGROUP_ABSENT);
	expect_once(A);
	make(B);
	expect_none(B);
	cgroups_check(cgroups);
	expect_state(B, CGROUP_ATTACHED);
	expect_once(B);
	cr_expect(cgroups_have_program(cgroups, "gate_egress"));
}

Test(cgroups, a_cgroup_that_is_removed_and_returns_gets_the_programs_again)
{
	uint64_t first;

	make(A);
	before = programs_of(A);
	configure(A);
	attach();
	first = entry_of(paths[A]).id;
	cr_assert_eq(rmdir(paths[A]), 0);
	cgroups_check(cgroups);
	expect_state(A, CGROUP_ABSENT);
	cr_expect_not(cgroups_have_program(cgroups, "gate_egress"));
	make(A);
	cgroups_check(cgroups);
	expect_state(A, CGROUP_ATTACHED);
	cr_expect_neq(entry_of(paths[A]).id, first);
	expect_once(A);
	cr_expect(cgroups_have_program(cgroups, "gate_egress"));
}

Test(cgroups, a_cgroup_that_was_replaced_between_two_checks_gets_the_programs)
{
	make(A);
	before = programs_of(A);
	configure(A);
	attach();
	cr_assert_eq(rmdir(paths[A]), 0);
	make(A);
	expect_none(A);
	cgroups_check(cgroups);
	expect_once(A);
}

Test(cgroups, pins_of_removed_cgroups_do_not_accumulate)
{
	unsigned int count, i;

	make(A);
	configure(A);
	attach();
	count = pins();
	for (i = 0; i < 5; i++) {
		cr_assert_eq(rmdir(paths[A]), 0);
		make(A);
		cgroups_check(cgroups);
	}
	for (i = 0; pins() != count && i < 3000; i++) {
		poll(NULL, 0, 10);
		cgroups_check(cgroups);
	}
	cr_expect_eq(pins(), count);
}

Test(cgroups, without_any_cgroup_the_programs_are_not_on)
{
	configure(A);
	attach();
	expect_state(A, CGROUP_ABSENT);
	cr_expect_not(cgroups_have_program(cgroups, "gate_egress"));
	cr_expect_not(cgroups_have_program(cgroups, "no_such_program"));
}

Test(cgroups, a_file_system_that_is_not_cgroup2_fails_the_start_and_changes_nothing)
{
	make(A);
	before = programs_of(A);
	configure(A);
	strcpy(config.cgroups[config.cgroup_count++], "/proc/self");
	cr_expect_eq(try_attach(), -ENOTDIR);
	cr_expect_not_null(strstr(failure.text, "/proc/self"), "%s", failure.text);
	expect_none(A);
	cr_expect_eq(pins(), 0);
}

/* ---- a changed configuration */

Test(cgroups, a_former_cgroup_keeps_its_programs_while_a_connection_is_latched)
{
	struct latch_flow flow;

	make(A);
	make(B);
	before = programs_of(A);
	configure(A);
	attach();
	flow = put_latch(LATCH_STATE_ESTABLISHED);
	restart_with(B);
	expect_state(A, CGROUP_FORMER);
	expect_state(B, CGROUP_ATTACHED);
	expect_once(A);
	expect_once(B);
	cgroups_check(cgroups);
	expect_once(A);
	remove_latch(&flow);
	cgroups_check(cgroups);
	cr_expect_not(is_listed(A));
	expect_none(A);
	expect_once(B);
}

Test(cgroups, a_former_cgroup_without_connections_loses_its_programs_at_the_start)
{
	make(A);
	make(B);
	before = programs_of(A);
	configure(A);
	attach();
	put_latch(LATCH_STATE_LISTENER);
	restart_with(B);
	cr_expect_not(is_listed(A));
	expect_none(A);
	expect_once(B);
}

Test(cgroups, a_cgroup_below_a_former_one_is_covered_until_that_one_ends)
{
	struct latch_flow flow;

	make(A);
	make(A_B);
	before = programs_of(A);
	configure(A);
	attach();
	flow = put_latch(LATCH_STATE_BROKEN);
	restart_with(A_B);
	expect_state(A, CGROUP_FORMER);
	expect_state(A_B, CGROUP_COVERED);
	expect_once(A_B);
	cr_expect(cgroups_have_program(cgroups, "gate_egress"));
	remove_latch(&flow);
	cgroups_check(cgroups);
	expect_state(A_B, CGROUP_ATTACHED);
	expect_none(A);
	expect_once(A_B);
}

Test(cgroups, a_former_cgroup_below_the_new_one_is_covered_by_it)
{
	make(A);
	make(A_B);
	before = programs_of(A);
	configure(A_B);
	attach();
	put_latch(LATCH_STATE_ESTABLISHED);
	restart_with(A);
	expect_state(A, CGROUP_ATTACHED);
	cr_expect_not(is_listed(A_B));
	expect_once(A_B);
	expect_once(A);
}

Test(cgroups, a_symbolic_link_to_a_cgroup_below_another_does_not_run_the_programs_twice)
{
	char link[] = "/tmp/latchd-test-cgroup-XXXXXX";

	make(A);
	make(A_B);
	before = programs_of(A);
	cr_assert_not_null(mkdtemp(link));
	strcat(strcpy(config.cgroups[1], link), "/link");
	cr_assert_eq(symlink(paths[A_B], config.cgroups[1]), 0);
	configure(A);
	config.cgroup_count = 2;
	attach();
	expect_once(A_B);
	cr_expect_eq(entry_of(config.cgroups[1]).state, CGROUP_COVERED);
	unlink(config.cgroups[1]);
	rmdir(link);
}

Test(cgroups, links_that_an_earlier_latchd_pinned_without_a_cgroup_stay_attached)
{
	struct bpf_link_info old = {0}, now = {0};
	char pin[LINK_PIN_MAX], path[PINS_PATH_MAX];
	int fd;

	make(A);
	before = programs_of(A);
	configure(A);
	attach();
	cr_assert_eq(link_pin_name(pin, "gate_egress", entry_of(paths[A]).id), 0);
	cr_assert_eq(pin_paths_join(path, PINS_LINKS, pin, ""), 0);
	cr_assert_eq(rename(path, PINS_LINKS "/gate_egress"), 0);
	fd = link_pin_open("gate_egress", "");
	cr_assert_eq(link_pin_info(fd, &old), 0);
	close(fd);
	restart_with(A);
	fd = link_pin_open(pin, "");
	cr_assert_geq(fd, 0);
	cr_assert_eq(link_pin_info(fd, &now), 0);
	close(fd);
	cr_expect_eq(now.id, old.id, "the link was replaced");
	expect_once(A);
}

/* ---- the watch */

static struct loop *loop;
static struct cgroup_watch watch;
static struct loop_timer limit;
static unsigned int changes;

static void on_change(void *context)
{
	(void)context;
	changes++;
	cgroup_watch_path(&watch, paths[A_B_C]);
	loop_stop(loop);
}

static void on_limit(void *context)
{
	(void)context;
	loop_stop(loop);
}

/* A timer that ends the wait would hide a watch that reports nothing: changes shows it. */
static void expect_change(const char *what)
{
	unsigned int seen = changes;

	loop_timer_arm(&limit, LIMIT_MS);
	cr_assert_eq(loop_run(loop), 0);
	cr_assert_gt(changes, seen, "no report: %s", what);
}

Test(cgroups, each_directory_above_a_cgroup_is_watched_as_it_comes)
{
	loop = loop_new();
	cr_assert_not_null(loop);
	loop_timer_init(loop, &limit, on_limit, NULL);
	cr_assert_eq(cgroup_watch_start(&watch, loop, on_change, NULL), 0);
	cgroup_watch_path(&watch, paths[A_B_C]);
	make(A);
	expect_change("the first directory");
	make(A_B);
	expect_change("the second directory");
	make(A_B_C);
	expect_change("the cgroup");
	cr_assert_eq(rmdir(paths[A_B_C]), 0);
	expect_change("its removal");
	cgroup_watch_stop(&watch);
	loop_free(loop);
}

/* ---- a read-only bpffs */

static void remount(unsigned long flags)
{
	cr_assert_eq(mount(NULL, "/sys/fs/bpf", NULL, MS_REMOUNT | flags, NULL), 0, "%s",
		     strerror(errno));
}

Test(cgroups, pins_on_a_read_only_file_system_are_no_reason_to_report_programs_as_detached)
{
	char pin[LINK_PIN_MAX];

	make(A);
	configure(A);
	attach();
	remount(MS_RDONLY);
	cr_expect(cgroups_have_program(cgroups, "gate_egress"));
	remount(0);
	cr_assert_eq(link_pin_name(pin, "gate_egress", entry_of(paths[A]).id), 0);
	link_pin_remove(pin, "");
	remount(MS_RDONLY);
	cr_expect_not(cgroups_have_program(cgroups, "gate_egress"), "its pin is gone");
	remount(0);
}

Test(cgroups, a_start_with_a_read_only_file_system_reports_it)
{
	make(A);
	before = programs_of(A);
	configure(A);
	remount(MS_RDONLY);
	cr_expect_eq(try_attach(), -EROFS);
	cr_expect(strstr(failure.text, "read-only") && strstr(failure.text, "remount,rw"), "%s",
		  failure.text);
	expect_none(A);
	remount(0);
}
