/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The real maps with the real programs latch_control and timeout_broken, without the gates. They
 * need root and the kernel's BTF.
 */
#ifndef LATCHD_TESTS_CONTROL_PROGRAM_H
#define LATCHD_TESTS_CONTROL_PROGRAM_H

#include "latchd/maps/kernel_maps.h"

struct control_program;

/* latches: the capacity of the map. 0 or a negative errno (-EPERM: skip the test). */
int control_program_load(unsigned int latches, struct control_program **ret,
			 struct kernel_maps *ret_maps);
/* Closes the maps, too. */
void control_program_free(struct control_program *program);

#endif
