/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sim [--verbose] FROM COUNT: runs the seeds FROM to FROM + COUNT - 1. A seed that violates a
 * property is one line: "seed N: reason". With --verbose, each run shows its trace.
 *
 * Exit status: 0, 1 if a seed failed, 2 for a wrong argument.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "doors/doors.h"
#include "sim.h"
#include "world.h"

static unsigned int failed;
static uint64_t hash_of_all;

static struct {
	uint64_t crashes, allocations, calls, events, interleavings, packets;
} sums;

/* The world goes on without latchd until it is started again. */
static bool live(void)
{
	enum sim_end end;

	do {
		end = sim_run_latchd();
		if (end == SIM_VIOLATED || world_is_over())
			break;
	} while (sim_guard(world_pause));
	return end != SIM_VIOLATED && world_is_over();
}

static void add_sums(void)
{
	sums.crashes += sim.crashes;
	sums.allocations += sim.failed_allocations;
	sums.calls += sim.failed_calls;
	sums.events += sim.lost_events;
	sums.interleavings += sim.interleavings;
	sums.packets += sim.packets;
	hash_of_all = (hash_of_all ^ sim.hash) * 0x100000001b3;
}

static void run(uint64_t seed, bool verbose)
{
	parts_empty_folder();
	sim_begin(seed, verbose);
	world_begin();
	if (!live()) {
		printf("seed %" PRIu64 ": %s (at %.3f s)\n", seed, sim_reason(),
		       (double)sim.now_ms / 1000);
		failed++;
	}
	add_sums();
}

static void on_signal(int number)
{
	char line[80];
	int length =
		snprintf(line, sizeof(line), "seed %" PRIu64 ": signal %d\n", sim.seed, number);

	(void)!write(STDOUT_FILENO, line, (size_t)length);
	_exit(1);
}

static bool read_number(const char *text, uint64_t *ret)
{
	char *end;

	*ret = strtoull(text, &end, 10);
	return *text && !*end;
}

int main(int argc, char **argv)
{
	bool verbose = argc > 1 && !strcmp(argv[1], "--verbose");
	uint64_t from, count, i;

	if (argc != 3 + verbose || !read_number(argv[1 + verbose], &from) ||
	    !read_number(argv[2 + verbose], &count)) {
		fprintf(stderr, "usage: sim [--verbose] FROM COUNT\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGSEGV, on_signal);
	signal(SIGABRT, on_signal);
	if (parts_make_folder()) {
		fprintf(stderr, "sim: no folder below /tmp; make it writable\n");
		return 2;
	}
	for (i = 0; i < count; i++)
		run(from + i, verbose);
	parts_remove_folder();
	printf("%" PRIu64 " seeds, %u failed, trace %016" PRIx64 ": %" PRIu64 " packets, %" PRIu64
	       " kills, %" PRIu64 " failed allocations, %" PRIu64 " failed calls, %" PRIu64
	       " lost events, %" PRIu64 " interleavings\n",
	       count, failed, hash_of_all, sums.packets, sums.crashes, sums.allocations, sums.calls,
	       sums.events, sums.interleavings);
	return failed != 0;
}
