/* SPDX-License-Identifier: BSD-2-Clause */
/* The real maps with the real program latch_control, without the gates. Needs root and BTF. */
#ifndef LATCHD_TESTS_CONTROL_PROGRAM_H
#define LATCHD_TESTS_CONTROL_PROGRAM_H

#include "latchd/maps/kernel_maps.h"

struct control_program;

/* latches: the map's capacity. 0, or a negative errno (-EPERM: skip the test). */
int control_program_load(unsigned int latches, struct control_program **ret,
			 struct kernel_maps *ret_maps);
/* With it go the maps. */
void control_program_free(struct control_program *program);

#endif
