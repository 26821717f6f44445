/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * enforce CGROUP LATCHES PENDING-MS [FILE]: starts the enforcement as latchd does,
 * with the rules of that configuration. It prints a line a program, "NAME HOOK on|off",
 * and one for all: "adopted|new CAPACITY on|off". It prints them again for every byte of
 * input, and ends with its input. The pins remain.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "latchd/config/config_load.h"
#include "latchd/enforce/enforcement.h"
#include "latchd/maps/tables.h"

#define PROGRAMS_MAX 64

static void report(const struct enforcement *enforcement)
{
	struct enforcement_program programs[PROGRAMS_MAX];
	size_t count = enforcement_programs(enforcement, programs, PROGRAMS_MAX), i;

	for (i = 0; i < count && i < PROGRAMS_MAX; i++)
		printf("%s %s %s\n", programs[i].name, programs[i].hook,
		       programs[i].attached ? "on" : "off");
	printf("%s %u %s\n", enforcement_adopted(enforcement) ? "adopted" : "new",
	       latches_capacity(enforcement_maps(enforcement)),
	       enforcement_is_on(enforcement) ? "on" : "off");
	fflush(stdout);
}

int main(int argc, char **argv)
{
	struct enforcement *enforcement;
	static struct config config;
	struct failure failure;
	char byte;

	if (argc != 4 && argc != 5) {
		fprintf(stderr, "usage: enforce CGROUP LATCHES PENDING-MS [FILE]\n");
		return 2;
	}
	if (argc == 5 && config_load(argv[4], 1, &config, &failure)) {
		fprintf(stderr, "enforce: %s\n", failure.text);
		return 2;
	}
	config.latch_capacity = (unsigned int)atoi(argv[2]);
	config.pending_ms = (unsigned int)atoi(argv[3]);
	config.cgroup_count = 0;
	if (enforcement_start(&config, argv[1], &enforcement, &failure)) {
		fprintf(stderr, "enforce: %s\n", failure.text);
		return 1;
	}
	do {
		enforcement_check(enforcement);
		report(enforcement);
	} while (read(STDIN_FILENO, &byte, 1) == 1);
	enforcement_free(enforcement);
	return 0;
}
