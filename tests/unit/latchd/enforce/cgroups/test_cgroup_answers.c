/* SPDX-License-Identifier: BSD-2-Clause */
/* The program that answers questions: [api] of latchd.conf, as cgroups come and go, and at a
 * reload. */
#include "cgroups_fixture.h"

#include "common/log.h"
#include "latchctl/purge_answers.h"

TestSuite(cgroup_answers, .init = start, .fini = finish, .timeout = 120);

#define ANSWER_PINS 2 /* of a cgroup: option_get, option_set */

static unsigned int programs_at(int which, enum bpf_attach_type type, uint32_t *ret_id)
{
	uint32_t ids[64] = {0}, count = 64;
	uint64_t id;
	int fd = cgroup_open(paths[which], &id);

	cr_assert_geq(fd, 0);
	cr_assert_eq(bpf_prog_query(fd, type, BPF_F_QUERY_EFFECTIVE, NULL, ids, &count), 0);
	close(fd);
	if (ret_id)
		*ret_id = ids[0];
	return count;
}

/* Of the cgroup itself: ids of the programs at getsockopt(). */
static unsigned int answers_of(int which, uint32_t *ret_id)
{
	return programs_at(which, BPF_CGROUP_GETSOCKOPT, ret_id);
}

static unsigned int takers_of(int which)
{
	return programs_at(which, BPF_CGROUP_SETSOCKOPT, NULL);
}

static unsigned int answers_before, takers_before;

static void expect_answers(int which, unsigned int count)
{
	unsigned int waited;

	for (waited = 0; answers_of(which, NULL) != answers_before + count && waited < LIMIT_MS;
	     waited += 10)
		poll(NULL, 0, 10);
	cr_expect_eq(answers_of(which, NULL), answers_before + count, "%u programs at %s",
		     answers_of(which, NULL), names[which]);
}

/* The program that takes wishes, behind expect_answers(). */
static void expect_takers(int which, unsigned int count)
{
	unsigned int waited;

	for (waited = 0; takers_of(which) != takers_before + count && waited < LIMIT_MS;
	     waited += 10)
		poll(NULL, 0, 10);
	cr_expect_eq(takers_of(which), takers_before + count, "%u programs at %s", takers_of(which),
		     names[which]);
}

static void note_before(int which)
{
	before = programs_of(which);
	answers_before = answers_of(which, NULL);
	takers_before = takers_of(which);
}

static void set_answers(bool on)
{
	cgroups_set_answers(cgroups, on);
}

Test(cgroup_answers, without_the_interface_no_program_is_at_getsockopt)
{
	make(A);
	note_before(A);
	configure(A);
	attach();
	expect_once(A);
	expect_answers(A, 0);
	expect_takers(A, 0);
	cr_expect_not(cgroups_answer(cgroups));
	cr_expect_not(cgroups_have_program(cgroups, LATCH_ANSWER_PROGRAM));
}

Test(cgroup_answers, each_configured_cgroup_gets_the_program_when_it_comes)
{
	make(A);
	note_before(A);
	configure(A);
	configure(B);
	config.answers = true;
	attach();
	expect_answers(A, 1);
	make(B);
	cgroups_check(cgroups);
	expect_answers(B, 1);
	expect_takers(A, 1);
	expect_takers(B, 1);
	expect_once(B);
	cr_expect(cgroups_have_program(cgroups, LATCH_ANSWER_PROGRAM));
}

Test(cgroup_answers, a_cgroup_below_does_not_answer_twice)
{
	make(A);
	make(A_B);
	note_before(A);
	configure(A);
	config.answers = true;
	attach();
	expect_answers(A_B, 1);
}

Test(cgroup_answers, a_reload_attaches_and_detaches_them_and_leaves_the_gates)
{
	unsigned int without;

	make(A);
	note_before(A);
	configure(A);
	attach();
	without = pins();
	set_answers(true);
	expect_answers(A, 1);
	cr_expect_eq(pins(), without + ANSWER_PINS);
	cr_expect(cgroups_have_program(cgroups, LATCH_ANSWER_PROGRAM));
	set_answers(true);
	expect_answers(A, 1);
	set_answers(false);
	cr_expect_eq(answers_of(A, NULL), answers_before, "detached at once");
	cr_expect_eq(takers_of(A), takers_before, "detached at once");
	cr_expect_eq(pins(), without);
	expect_once(A);
	cgroups_check(cgroups);
	expect_answers(A, 0);
	cr_expect(cgroups_have_program(cgroups, "gate_egress"));
}

Test(cgroup_answers, the_next_latchd_takes_the_program_over_without_a_second_one)
{
	uint32_t first = 0, second = 0;

	make(A);
	note_before(A);
	configure(A);
	config.answers = true;
	attach();
	expect_answers(A, 1);
	answers_of(A, &first);
	restart_with(A);
	cr_expect_eq(answers_of(A, &second), answers_before + 1);
	cr_expect_eq(first, second, "the same object: the link stays");
}

Test(cgroup_answers, the_next_latchd_without_the_interface_detaches_the_program)
{
	make(A);
	note_before(A);
	configure(A);
	config.answers = true;
	attach();
	expect_answers(A, 1);
	config.answers = false;
	restart_with(A);
	expect_answers(A, 1); /* the start may still be undone */
	cgroups_end_needless_answers(cgroups);
	expect_answers(A, 0);
	expect_once(A);
}

Test(cgroup_answers, the_end_of_a_start_leaves_what_is_wanted)
{
	make(A);
	note_before(A);
	configure(A);
	config.answers = true;
	attach();
	cgroups_end_needless_answers(cgroups);
	expect_answers(A, 1);
	cr_expect_not(entry_of(paths[A]).unanswered);
}

Test(cgroup_answers, a_former_cgroup_with_a_latch_keeps_its_answers_and_loses_them_with_its_gates)
{
	struct latch_flow flow;

	make(A);
	make(B);
	note_before(A);
	configure(A);
	config.answers = true;
	attach();
	flow = put_latch(LATCH_STATE_ESTABLISHED);
	restart_with(B);
	expect_state(A, CGROUP_FORMER);
	expect_answers(A, 1);
	expect_answers(B, 1);
	remove_latch(&flow);
	cgroups_check(cgroups);
	expect_answers(A, 0);
	expect_none(A);
	expect_answers(B, 1);
}

/* A program that lets no other one be attached beside it. */
static void exclude_others(int which)
{
	const struct bpf_program *program =
		bpf_object__find_program_by_name(gates_object(gates), LATCH_ANSWER_PROGRAM);
	uint64_t id;
	int fd = cgroup_open(paths[which], &id);

	cr_assert_geq(fd, 0);
	cr_assert_eq(bpf_prog_attach(bpf_program__fd(program), fd, BPF_CGROUP_GETSOCKOPT, 0), 0);
	close(fd);
}

static void exclude_no_more(int which)
{
	const struct bpf_program *program =
		bpf_object__find_program_by_name(gates_object(gates), LATCH_ANSWER_PROGRAM);
	uint64_t id;
	int fd = cgroup_open(paths[which], &id);

	cr_assert_eq(bpf_prog_detach2(bpf_program__fd(program), fd, BPF_CGROUP_GETSOCKOPT), 0);
	close(fd);
}

static unsigned int warnings;
static char last_warning[1024];

static void on_log(enum log_level level, const char *subsystem, const char *text)
{
	if (level != LOG_LEVEL_WARN || strcmp(subsystem, "enforce"))
		return;
	warnings++;
	snprintf(last_warning, sizeof(last_warning), "%s", text);
}

/* The cgroup has its gates, and one warning says that its sockets do not answer. */
static void expect_unanswered(int which)
{
	cr_expect(entry_of(paths[which]).unanswered);
	cr_expect_eq(warnings, 1, "%u", warnings);
	cr_expect(strstr(last_warning, paths[which]) && strstr(last_warning, LATCH_ANSWER_PROGRAM),
		  "%s", last_warning);
	expect_once(which);
}

Test(cgroup_answers, a_reload_leaves_a_cgroup_that_cannot_answer_its_gates)
{
	make(A);
	make(B);
	note_before(A);
	configure(A);
	configure(B);
	attach();
	exclude_others(B);
	log_set_sink(on_log);
	set_answers(true);
	expect_unanswered(B);
	expect_answers(A, 1);
	expect_answers(B, 1); /* the other program */
	cr_expect_not(entry_of(paths[A]).unanswered);
	cr_expect_not(cgroups_have_program(cgroups, LATCH_ANSWER_PROGRAM));
	set_answers(false);
	cr_expect_not(entry_of(paths[B]).unanswered);
	expect_answers(A, 0);
	expect_once(A);
}

Test(cgroup_answers, a_start_attaches_all_gates_where_one_cgroup_cannot_answer)
{
	make(A);
	make(B);
	note_before(A);
	configure(A);
	configure(B);
	config.answers = true;
	exclude_others(B);
	log_set_sink(on_log);
	attach();
	expect_unanswered(B);
	expect_once(A);
	expect_answers(A, 1);
	cgroups_check(cgroups);
	cr_expect_eq(warnings, 1, "a second try is not logged");
	exclude_no_more(B);
	cgroups_check(cgroups);
	cr_expect_not(entry_of(paths[B]).unanswered);
	expect_answers(B, 1);
	cr_expect(cgroups_have_program(cgroups, LATCH_ANSWER_PROGRAM));
}

Test(cgroup_answers, a_cgroup_that_comes_gets_its_gates_where_it_cannot_answer)
{
	make(A);
	make(B);
	note_before(A);
	configure(A);
	configure(B);
	config.answers = true;
	rmdir(paths[B]);
	attach();
	make(B);
	exclude_others(B);
	log_set_sink(on_log);
	cgroups_check(cgroups);
	expect_unanswered(B);
	expect_answers(A, 1);
}

/* ---- what goes without latchd */

/* As another tool does: the pin stays. */
static void detach_answers(int which)
{
	struct links links;
	uint64_t id;
	int fd = cgroup_open(paths[which], &id);

	close(fd);
	cr_assert_eq(links_list(gates_object(gates), LINKS_OF_ANSWERS, id, paths[which], &links),
		     0);
	cr_assert_eq(links.count, ANSWER_PINS);
	fd = link_pin_open(links.link[0].pin, "");
	cr_assert_geq(fd, 0);
	cr_assert_eq(bpf_link_detach(fd), 0);
	close(fd);
	cr_assert_eq(answers_of(which, NULL), answers_before);
}

Test(cgroup_answers, a_program_that_was_detached_is_attached_again)
{
	make(A);
	note_before(A);
	configure(A);
	config.answers = true;
	attach();
	detach_answers(A);
	cgroups_check(cgroups);
	expect_answers(A, 1);
	cr_expect_not(entry_of(paths[A]).unanswered);
	expect_once(A);
}

Test(cgroup_answers, a_program_that_was_detached_and_cannot_return_is_reported)
{
	make(A);
	note_before(A);
	configure(A);
	config.answers = true;
	attach();
	detach_answers(A);
	exclude_others(A);
	log_set_sink(on_log);
	cgroups_check(cgroups);
	expect_unanswered(A);
	exclude_no_more(A);
	cgroups_check(cgroups);
	cr_expect_not(entry_of(paths[A]).unanswered);
	expect_answers(A, 1);
}

Test(cgroup_answers, a_cgroup_that_is_made_again_answers_again)
{
	make(A);
	note_before(A);
	configure(A);
	config.answers = true;
	attach();
	rmdir(paths[A]);
	cgroups_check(cgroups);
	make(A);
	cgroups_check(cgroups);
	expect_answers(A, 1);
	expect_once(A);
	cr_expect_not(entry_of(paths[A]).unanswered);
}

static void exclude_from_egress(int which)
{
	const struct bpf_program *program =
		bpf_object__find_program_by_name(gates_object(gates), "gate_egress");
	uint64_t id;
	int fd = cgroup_open(paths[which], &id);

	cr_assert_geq(fd, 0);
	cr_assert_eq(bpf_prog_attach(bpf_program__fd(program), fd, BPF_CGROUP_INET_EGRESS, 0), 0);
	close(fd);
}

Test(cgroup_answers, a_start_that_cannot_attach_a_gate_attaches_no_answers)
{
	make(A);
	make(B);
	note_before(A);
	configure(A);
	configure(B);
	config.answers = true;
	exclude_from_egress(B);
	cr_expect_lt(try_attach(), 0);
	expect_none(A);
	expect_answers(A, 0);
	expect_answers(B, 0);
	cr_expect_eq(pins(), 0);
}

Test(cgroup_answers, an_end_of_the_gates_ends_the_answers_of_a_cgroup)
{
	struct latch_flow flow;
	struct links links;

	make(A);
	make(B);
	note_before(A);
	configure(A);
	config.answers = true;
	attach();
	flow = put_latch(LATCH_STATE_ESTABLISHED);
	restart_with(B);
	remove_latch(&flow);
	cgroups_check(cgroups);
	expect_none(A);
	expect_answers(A, 0);
	cr_assert_eq(links_list(gates_object(gates), LINKS_OF_CGROUP, 1, "a", &links), 0);
	cr_expect_eq(pins(), links.count + ANSWER_PINS, "those of b alone");
}

Test(cgroup_answers, purge_detaches_them_at_once_before_the_gates)
{
	unsigned int before_purge;

	make(A);
	make(B);
	note_before(A);
	configure(A);
	configure(B);
	config.answers = true;
	attach();
	before_purge = pins();
	purge_answers(LATCH_PIN_ROOT);
	cr_expect_eq(answers_of(A, NULL), answers_before);
	cr_expect_eq(answers_of(B, NULL), answers_before);
	cr_expect_eq(takers_of(A), takers_before);
	cr_expect_eq(takers_of(B), takers_before);
	expect_once(A);
	expect_once(B);
	cr_expect_eq(pins(), before_purge, "the pins go with the others");
	purge_answers(LATCH_PIN_ROOT);
	purge_answers("/nonexistent");
}

/* So an answer comes, and a wish is taken, only where the gates are. */
Test(cgroup_answers, the_programs_are_the_last_of_a_set)
{
	struct links links;

	cr_assert_eq(links_list(gates_object(gates), LINKS_OF_CGROUP, 1, "a", &links), 0);
	cr_assert_eq(links_add_answers(gates_object(gates), &links), 0);
	cr_assert_gt(links.count, 4);
	cr_expect_str_eq(links.link[links.count - 1].name, LATCH_WISH_PROGRAM);
	cr_expect_str_eq(links.link[links.count - 2].name, LATCH_ANSWER_PROGRAM);
	cr_expect_str_neq(links.link[links.count - 3].name, LATCH_ANSWER_PROGRAM);
}
