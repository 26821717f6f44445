/* SPDX-License-Identifier: BSD-2-Clause */
/* The tables and calls of tests/sim/ without its world: the test is the kernel. No event is lost.
 */
#ifndef LATCHD_TESTS_SIMULATED_KERNEL_H
#define LATCHD_TESTS_SIMULATED_KERNEL_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/kernel/helpers.h"
#include "sim/kernel/table.h"
#include "sim/kernel/traffic.h"
#include "sim/sim.h"

struct sim sim = {.now_ms = 1000};
static bool deletions_fail;

uint32_t sim_draw(uint32_t below)
{
	(void)below;
	return 0;
}

bool sim_chance(uint32_t one_in)
{
	return one_in && deletions_fail;
}

void sim_trace(const char *format, ...)
{
	(void)format;
}

void sim_fail(const char *format, ...)
{
	fprintf(stderr, "%s\n", format);
	abort();
}

void helpers_wake(void)
{
}

#endif
