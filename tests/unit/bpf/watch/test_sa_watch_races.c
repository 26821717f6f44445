/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The SA watch against latchd's requests, as in test_sa_watch.c: another processor acts at each
 * helper call in turn. No event is lost.
 */
#include "sa_watch_fixture.h"

#include "other_cpu.h"

TestSuite(sa_watch_races, .init = start, .timeout = 60);

static int first_sa, second_sa;
static uint32_t first_serial;
#define SECOND_INSTALLED_MS 2000

/* A request of latchd about the first SA. */
static enum latch_control_result ask(enum latch_control_op op, enum latch_sa_state state)
{
	struct latch_control c = {
		.op = op,
		.sa = inbound.key,
		.serial = first_serial,
		.sa_state = state,
		.params = state == LATCH_SA_PENDING ? 0 : 3,
	};

	traffic_control(&c);
	return c.result;
}

static void replace_sa(void)
{
	traffic_delete(first_sa);
	sim.now_ms = SECOND_INSTALLED_MS;
	second_sa = traffic_install(&inbound);
	sim.now_ms = 3000;
}

static void delete_sa(void)
{
	traffic_delete(first_sa);
}

static void ask_to_forget(void)
{
	ask(LATCH_CONTROL_SA_FORGET, LATCH_SA_NONE);
}

static void ask_to_bind(void)
{
	ask(LATCH_CONTROL_SA_SET, LATCH_SA_DYING);
}

static void ask_to_unbind(void)
{
	ask(LATCH_CONTROL_SA_SET, LATCH_SA_PENDING);
}

static void ask_to_mark(void)
{
	ask(LATCH_CONTROL_SA_UNPROVEN, LATCH_SA_PENDING);
}

static uint64_t missed(void)
{
	return *(uint64_t *)table_value(TABLE_COUNTERS, LATCH_COUNTER_SAS_FULL);
}

static void expect_no_entry(unsigned int at)
{
	cr_assert_null(entry(), "point %u", at);
	cr_expect_eq(places(), 0, "point %u", at);
}

/* The entry is that of the later SA alone, or a counter makes latchd search for it. */
static void expect_second(unsigned int at)
{
	if (!entry()) {
		expect_no_entry(at);
		cr_expect_eq(missed(), 1, "point %u", at);
		return;
	}
	expect_new(second_sa);
	cr_expect_eq(missed(), 0, "point %u", at);
	cr_expect_eq(entry()->installed, SECOND_INSTALLED_MS * 1000000ull, "point %u", at);
}

static int (*install_first)(void) = install_bound;

static int install_pending(void)
{
	return traffic_install(&inbound);
}

/*
 * One more point each time, until the first processor has no such point. It had more than these
 * before.
 */
static void interleave_past(unsigned int points, void (*first)(void), void (*second)(void),
			    void (*expect)(unsigned int))
{
	unsigned int at = 0;
	bool acted = true;

	while (acted) {
		start();
		first_sa = install_first();
		first_serial = entry()->word.serial;
		begin_turn(second, ++at);
		first();
		acted = end_turn();
		if (acted)
			expect(at);
	}
	cr_expect_gt(at, points);
}

static void interleave(void (*first)(void), void (*second)(void), void (*expect)(unsigned int))
{
	interleave_past(3, first, second, expect);
}

Test(sa_watch_races, a_request_about_a_deleted_sa_leaves_the_next_sa_with_its_key_alone)
{
	interleave(ask_to_forget, replace_sa, expect_second);
	interleave(ask_to_bind, replace_sa, expect_second);
	interleave(ask_to_unbind, replace_sa, expect_second);
}

static void migrate_sa(void)
{
	second_sa = traffic_migrate(first_sa);
}

static void expect_copy(unsigned int at)
{
	if (!entry()) {
		expect_no_entry(at);
		cr_expect_eq(missed(), 1, "point %u", at);
	} else {
		expect_new(second_sa);
	}
}

Test(sa_watch_races, a_late_mark_as_unproven_leaves_the_next_sa_with_the_key_alone)
{
	install_first = install_pending;
	/* A mark reads the word, then swaps it. */
	interleave_past(2, ask_to_mark, replace_sa, expect_second);
	interleave(replace_sa, ask_to_mark, expect_second);
	interleave(migrate_sa, ask_to_mark, expect_copy);
	interleave(delete_sa, ask_to_mark, expect_no_entry);
}

Test(sa_watch_races, an_sa_that_is_deleted_during_a_request_leaves_no_entry_and_no_place)
{
	interleave(ask_to_forget, delete_sa, expect_no_entry);
	interleave(ask_to_bind, delete_sa, expect_no_entry);
	interleave(ask_to_unbind, delete_sa, expect_no_entry);
}

Test(sa_watch_races, a_request_during_the_deletion_of_an_sa_leaves_no_entry_and_no_place)
{
	interleave(delete_sa, ask_to_forget, expect_no_entry);
	interleave(delete_sa, ask_to_bind, expect_no_entry);
	interleave(delete_sa, ask_to_unbind, expect_no_entry);
}

Test(sa_watch_races, a_request_during_a_migration_does_not_bind_the_copy)
{
	interleave(migrate_sa, ask_to_forget, expect_copy);
	interleave(migrate_sa, ask_to_bind, expect_copy);
	interleave(migrate_sa, ask_to_unbind, expect_copy);
	interleave(ask_to_unbind, migrate_sa, expect_copy);
}

/* ---- updates of the port of the encapsulation */

static void update_sa(void)
{
	traffic_update(first_sa, 4501, true);
}

static void expect_second_with_its_port(unsigned int at)
{
	expect_second(at);
	if (entry())
		cr_expect(entry()->encap_ports.port == 4500 || entry()->encap_ports.other == 4500,
			  "point %u", at);
}

static void expect_moved_or_searched_for(unsigned int at)
{
	if (entry())
		cr_expect_eq(entry()->encap_ports.port, 4501, "point %u", at);
	else
		cr_expect_eq(missed(), 1, "point %u", at);
}

Test(sa_watch_races, an_update_writes_no_port_to_the_next_sa_with_the_key)
{
	interleave(update_sa, replace_sa, expect_second_with_its_port);
	interleave(update_sa, delete_sa, expect_no_entry);
	interleave(delete_sa, update_sa, expect_no_entry);
}

Test(sa_watch_races, an_update_during_a_request_is_written_or_its_sa_is_searched_for)
{
	interleave(update_sa, ask_to_bind, expect_moved_or_searched_for);
	interleave(update_sa, ask_to_unbind, expect_moved_or_searched_for);
	interleave(update_sa, ask_to_forget, expect_no_entry);
	interleave(ask_to_bind, update_sa, expect_moved_or_searched_for);
	interleave(ask_to_unbind, update_sa, expect_moved_or_searched_for);
}

/* ---- a second SA with the same key and another mark */

static void install_marked(void)
{
	struct traffic_sa marked = inbound;

	marked.mark = 7;
	second_sa = traffic_install(&marked);
}

/* The first SA is deleted. */
static void expect_marked_or_searched_for(unsigned int at)
{
	if (entry())
		cr_expect_eq(entry()->instance, traffic_instance(second_sa), "point %u", at);
	else
		cr_expect_geq(missed(), 1, "point %u", at);
}

Test(sa_watch_races, an_sa_that_has_met_a_deleted_one_under_its_key_is_searched_for)
{
	interleave(install_marked, delete_sa, expect_marked_or_searched_for);
	interleave(delete_sa, install_marked, expect_marked_or_searched_for);
}

Test(sa_watch_races, an_sa_that_stays_under_the_key_of_a_deleted_one_is_searched_for)
{
	int sa = install_bound();

	install_marked();
	cr_expect_eq(entry()->word.flags, LATCH_SA_AMBIGUOUS);
	cr_expect_eq(missed(), 0);
	traffic_delete(sa);
	expect_marked_or_searched_for(0);
}

static enum latch_control_result adopt_with_mark(uint32_t mark)
{
	struct latch_control c = {
		.op = LATCH_CONTROL_SA_ADOPT,
		.sa = inbound.key,
		.sa_value = {.mark = mark, .mark_mask = mark},
	};

	traffic_control(&c);
	return c.result;
}

Test(sa_watch_races, a_dump_that_shows_another_sa_under_the_key_makes_the_entry_ambiguous)
{
	install_bound();
	cr_expect_eq(adopt_with_mark(0), LATCH_CONTROL_UNCHANGED);
	cr_expect_eq(entry()->word.flags, 0);
	cr_expect_eq(adopt_with_mark(7), LATCH_CONTROL_UNCHANGED);
	cr_expect_eq(entry()->word.flags, LATCH_SA_AMBIGUOUS);
	cr_expect_eq(entry()->word.state, LATCH_SA_BOUND);
}

static bool met_gone;
static enum latch_control_result adopted;

static void adopt_found(void)
{
	met_gone = entry() && entry()->word.flags & LATCH_SA_GONE;
	adopted = adopt_with_mark(0);
}

static unsigned int times_gone;

static void expect_asked_again(unsigned int at)
{
	times_gone += met_gone;
	if (met_gone)
		cr_expect_eq(adopted, LATCH_CONTROL_AGAIN, "point %u", at);
}

Test(sa_watch_races, a_dump_that_meets_an_entry_that_is_being_deleted_is_asked_again)
{
	times_gone = 0;
	interleave(delete_sa, adopt_found, expect_asked_again);
	cr_expect_gt(times_gone, 0);
}

/* ---- latches */

#define OWNER 5

static const struct latch_flow flow = {
	.netns = 1,
	.local_addr = {10, 9, 0, 1},
	.remote_addr = {10, 9, 0, 2},
	.local_port = 1000,
	.remote_port = 4000,
	.family = AF_INET,
	.protocol = IPPROTO_TCP,
};

static bool add_latch(uint64_t id)
{
	struct latch latch = {
		.word = {.generation = (uint32_t)id, .params = 3, .state = LATCH_STATE_ESTABLISHED},
		.id = id,
		.owner = LATCH_OWNER_SOCKET,
		.socket_cookie = OWNER,
	};

	return !table_set(TABLE_LATCHES, &flow, &latch, 1 /* BPF_NOEXIST */);
}

static void end_latch(enum latch_control_op op)
{
	struct latch_control c = {.op = op, .flow = flow, .latch_id = 7};

	traffic_control(&c);
}

static void reap(void)
{
	end_latch(LATCH_CONTROL_REAP);
}

static void close_latch(void)
{
	end_latch(LATCH_CONTROL_CLOSE);
}

static void socket_closes(void)
{
	traffic_closed(&flow, OWNER, false);
}

static void (*another_end)(void);
static bool has_begun;

/* The next connection of the same flow begins if the first latch is gone. */
static void end_and_begin(void)
{
	another_end();
	has_begun = add_latch(8);
}

static void expect_later_latch(unsigned int at)
{
	const struct latch *latch = table_find(TABLE_LATCHES, &flow);

	cr_assert_eq(latch != NULL, has_begun, "point %u", at);
	if (!latch)
		return;
	cr_expect_eq(latch->id, 8, "point %u", at);
	cr_expect_eq(latch->word.state, LATCH_STATE_ESTABLISHED, "point %u", at);
}

static void race_for_a_latch(void (*first)(void), void (*second)(void))
{
	unsigned int at = 0, begun = 0;
	bool acted = true;

	another_end = second;
	while (acted) {
		start();
		has_begun = false;
		add_latch(7);
		begin_turn(end_and_begin, ++at);
		first();
		acted = end_turn();
		expect_later_latch(at);
		begun += has_begun;
	}
	cr_expect_gt(begun, 3);
}

Test(sa_watch_races, a_latch_that_two_processors_end_takes_no_later_latch_of_its_flow_along)
{
	race_for_a_latch(reap, socket_closes);
	race_for_a_latch(close_latch, socket_closes);
	race_for_a_latch(close_latch, reap);
	race_for_a_latch(reap, close_latch);
}
