/* SPDX-License-Identifier: BSD-2-Clause */
/* The programs of the cgroup gate and their maps, loaded for each test and not attached. */
#ifndef LATCHD_TESTS_LOADED_GATES_H
#define LATCHD_TESTS_LOADED_GATES_H

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "fake/gates.h"

/* Capacity for latches; 0: as the object has it. */
#ifndef LATCHES_ROOM
#define LATCHES_ROOM 0
#endif

static struct gates *gates;
static struct kernel_maps maps;

static inline void gates_set_up(void)
{
	int err;

	if (geteuid())
		cr_skip_test("not root: no BPF programs");
	err = gates_load_sized(LATCHES_ROOM, &gates, &maps);
	if (err == -EPERM)
		cr_skip_test("this kernel refuses the gates (EPERM)");
	cr_assert_eq(err, 0, "%s", strerror(-err));
}

static inline void gates_tear_down(void)
{
	gates_free(gates);
}

#endif
