/* SPDX-License-Identifier: BSD-2-Clause */
/* The control program and its maps, loaded for each test. LATCHES_ROOM: capacity for latches. */
#ifndef LATCHD_TESTS_LOADED_CONTROL_H
#define LATCHD_TESTS_LOADED_CONTROL_H

#include "namespace.h"

#include "fake/control_program.h"

#ifndef LATCHES_ROOM
#define LATCHES_ROOM 64
#endif

static struct control_program *program;
static struct kernel_maps maps;

static inline void control_set_up(void)
{
	int err;

	namespace_need_root();
	err = control_program_load(LATCHES_ROOM, &program, &maps);
	if (err == -EPERM)
		cr_skip_test("BPF programs need root");
	cr_assert_eq(err, 0, "%s", strerror(-err));
}

static inline void control_tear_down(void)
{
	control_program_free(program);
}

#endif
