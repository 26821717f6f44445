/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Attribution, identities, conflicts and the control program on real maps, under key managers that
 * contradict themselves (contradictions.h), with ASan and UBSan:
 *
 *	seed ---> bursts of events ---> attribution ---> maps
 *	                                    |             = ?
 *	      consistent snapshots ---------+---> what the kernel's SAs give (expected.h)
 *
 * After each event: no latch is established beside a conflicting SA. After each burst: the tables
 * agree with the last consistent snapshots. After some bursts the world is emptied and latchd is
 * restarted: descriptors, memory and tables are as before.
 *
 *	LATCHD_CHAOS_SEED (1), LATCHD_CHAOS_EVENTS (47000)
 */
#include "expected.h"

#include <dirent.h>
#include <sanitizer/allocator_interface.h>
#include <sanitizer/lsan_interface.h>

#define BURST_MAX	 64
#define BURSTS_IN_LIFE	 12	/* of one latchd in one world */
#define RESTARTS_IN	 400	/* events: latchd loses its memory in the middle */
#define GROWTH_MAX	 262144 /* bytes: for the identities, limited in number here */
#define IDENTITIES_MAX	 (NAMES * 2 * 2 + 2 * 2)
#define PARAMS_MAX	 (NAMES * 2 * 2 * 2)
#define LIVES_TO_WARM_UP 2

static struct {
	size_t without_latchd, with_latchd; /* bytes allocated */
	unsigned int descriptors, lives, bursts;
	unsigned long latches;
} constant;

TestSuite(key_manager, .init = fixture_start, .fini = fixture_finish, .timeout = 3600);

static unsigned int descriptors(void)
{
	DIR *directory = opendir("/proc/self/fd");
	unsigned int count = 0;

	cr_assert_not_null(directory);
	while (readdir(directory))
		count++;
	closedir(directory);
	return count;
}

static void start_life(void)
{
	start_latchd();
	forget_reports();
	attach(&charon, &ns);
	attach(&pluto, &ns);
	constant.with_latchd = __sanitizer_get_current_allocated_bytes();
}

/* The first lives fill buffers of libraries. */
static void end_life(void)
{
	size_t before = constant.without_latchd;
	unsigned int open_before = constant.descriptors;

	event_name = "end";
	empty_world();
	must(__sanitizer_get_current_allocated_bytes() <= constant.with_latchd + GROWTH_MAX,
	     "latchd has kept %zu bytes",
	     __sanitizer_get_current_allocated_bytes() - constant.with_latchd);
	must(entries_of(maps.identities, sizeof(uint32_t)) <= IDENTITIES_MAX, "identities grow");
	must(entries_of(maps.params, sizeof(uint32_t)) <= PARAMS_MAX, "params grow");
	stop_latchd();
	constant.without_latchd = __sanitizer_get_current_allocated_bytes();
	constant.descriptors = descriptors();
	if (++constant.lives <= LIVES_TO_WARM_UP)
		return;
	must(constant.without_latchd == before, "%zu bytes are left of latchd, %zu before",
	     constant.without_latchd, before);
	must(constant.descriptors == open_before, "%u descriptors, %u before", constant.descriptors,
	     open_before);
}

static void maybe_restart(void)
{
	if (draw(&chance, RESTARTS_IN))
		return;
	event_name = "restart";
	restart_latchd();
	attach(&charon, &ns);
	attach(&pluto, &ns);
	forget_reports();
}

static void burst(void)
{
	unsigned int left = 1 + draw(&chance, BURST_MAX);

	create_latches();
	while (left--) {
		enum chaos_event event = any_event();

		event_name = event_table[event].name;
		event_number++;
		event_counts[event]++;
		take(event);
		if (!draw(&chance, 8))
			settle();
		check_invariant();
		maybe_restart();
	}
	converge();
	constant.bursts++;
	constant.latches += entries_of(maps.latches, sizeof(struct latch_flow));
	if (!draw(&chance, 4))
		remove_latches();
}

static void begin(void)
{
	size_t i;

	chaos_seed = env_number("LATCHD_CHAOS_SEED", 1);
	chance.state = chaos_seed;
	seen.reasons =
		LATCH_REASON_SA_CONFLICT | LATCH_REASON_PEER_DEAD | LATCH_REASON_PEER_REBOOTED;
	for (i = 0; i < FLOWS; i++)
		flows[i] = flow_at((uint16_t)(FIRST_PORT + i), ns.cookie);
	stop_latchd();
	start_life();
}

Test(key_manager, the_tables_converge_to_the_last_consistent_snapshots)
{
	unsigned long events = env_number("LATCHD_CHAOS_EVENTS", 47000);
	uint64_t started = loop_now_ms(), took;
	unsigned int i;

	begin();
	while (event_number < events) {
		for (i = 0; i < BURSTS_IN_LIFE; i++)
			burst();
		end_life();
		start_life();
	}
	took = loop_now_ms() - started;
	fprintf(stderr,
		"CHAOS: seed %" PRIu64 ": %" PRIu64 " events (%" PRIu64 " a second), %u bursts, "
		"%u lives, %lu latches, %u broken, %u healed\n",
		chaos_seed, event_number, event_number * 1000 / (took + 1), constant.bursts,
		constant.lives, constant.latches, seen.broken, seen.healed);
	for (i = 0; i < CHAOS_EVENTS && events > 1000; i++)
		cr_expect_gt(event_counts[i], 0, "no event: %s", event_table[i].name);
	if (events > 1000)
		cr_expect(constant.latches && seen.broken && seen.healed,
			  "%lu latches, %u broken, %u healed", constant.latches, seen.broken,
			  seen.healed);
	cr_expect_eq(__lsan_do_recoverable_leak_check(), 0);
}
