/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two thousand network namespaces of a local user. The time of a pass over all processes grows with
 * their number and no faster. A round that looks each of them up has a bound, and so has the next
 * one. Time is that of the processor, so nothing else on the machine counts.
 */
#include "namespace.h"

#include <time.h>

#include "latchd/net/netns_index.h"

#define HALF	     1000
#define CROWD	     (2 * HALF)
#define ROUND_CPU_MS 1000
#define ROUNDS	     3
#define READ	     1024 /* of one local user */
#define RATIO	     3	  /* of the times for 2000 and 1000: twice the work, and some noise */

static struct namespace crowd[CROWD];

/* No test may have as many descriptors open. */
static void start_half(size_t first)
{
	size_t i;

	for (i = first; i < first + HALF; i++) {
		namespace_start_foreign(&crowd[i]);
		close(crowd[i].fd);
	}
}

static void end_crowd(void)
{
	size_t i;

	for (i = 0; i < CROWD; i++)
		kill(crowd[i].pid, SIGKILL);
	for (i = 0; i < CROWD; i++)
		waitpid(crowd[i].pid, NULL, 0);
}

static unsigned int cpu_us(void)
{
	struct timespec now;

	cr_assert_eq(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now), 0);
	return (unsigned int)(now.tv_sec * 1000000 + now.tv_nsec / 1000);
}

/* A round as latchd makes it: looks up each namespace. Returns how many it found. */
static size_t look_up_all(unsigned int *ret_us)
{
	size_t i, found = 0;
	int fd;

	*ret_us = cpu_us();
	for (i = 0; i < CROWD; i++) {
		fd = netns_open(crowd[i].cookie);
		found += fd >= 0;
		if (fd >= 0)
			close(fd);
	}
	*ret_us = cpu_us() - *ret_us;
	return found;
}

/* The time of the quickest of three passes that read every namespace. */
static unsigned int pass_us(void)
{
	struct netns_index index = {0};
	unsigned int best = UINT32_MAX, took;
	int i;

	for (i = 0; i < 3; i++) {
		took = cpu_us();
		netns_index_build(&index, 2 * CROWD);
		took = cpu_us() - took;
		best = took < best ? took : best;
	}
	netns_index_release(&index);
	return best;
}

/* Of a local user latchd reads 1024 namespaces. Those beyond are looked up in vain, in each round.
 */
Test(netns_crowd, two_thousand_namespaces_of_a_local_user_cost_a_round_less_than_a_second,
     .init = namespace_need_root, .timeout = 600)
{
	unsigned int half, whole, round, longest = 0, i;
	size_t found;

	namespace_wait_for_crowds();
	start_half(0);
	half = pass_us();
	start_half(HALF);
	whole = pass_us();
	for (i = 0; i < ROUNDS; i++) {
		found = look_up_all(&round);
		cr_expect_geq(found, READ, "round %u found %zu", i, found);
		cr_expect_lt(found, CROWD, "round %u found all", i);
		longest = round > longest ? round : longest;
	}
	end_crowd();
	cr_expect_lt(longest, ROUND_CPU_MS * 1000, "a round took %u us", longest);
	cr_expect_lt(whole, RATIO * half, "%u us for %u, %u us for %u", whole, CROWD, half, HALF);
	fprintf(stderr,
		"pass over %u namespaces: %u us; over %u: %u us; longest round: %u us, %llu passes\n",
		HALF, half, CROWD, whole, longest, (unsigned long long)netns_passes());
}
