/* SPDX-License-Identifier: BSD-2-Clause */
/* The real gates and maps without the SA watch, for kernels that have no ESP. Needs root and BTF.
 */
#ifndef LATCHD_TESTS_GATES_H
#define LATCHD_TESTS_GATES_H

#include "latchd/maps/kernel_maps.h"

struct gates;

enum gates_part {
	GATES_EGRESS,
	GATES_INGRESS,
	GATES_SOCKET,	/* the life cycle */
	GATES_RELEASE,	/* any socket's end */
	GATES_CONNECT4, /* and what else is done with UDP sockets */
	GATES_CONNECT6,
	GATES_SEND4,
	GATES_SEND6,
	GATES_CONTROL,
	GATES_PARTS,
};

/* 0, or a negative errno (-EPERM: skip the test). */
int gates_load(struct gates **ret, struct kernel_maps *ret_maps);
/* Detaches; with it go the maps. */
void gates_free(struct gates *gates);

/* To a cgroup v2 directory, for as long as gates lives. Not GATES_CONTROL. 0 or a negative errno.
 */
int gates_attach(struct gates *gates, enum gates_part part, int cgroup);

/* The program's descriptor and name. */
int gates_program(const struct gates *gates, enum gates_part part);
const char *gates_program_name(const struct gates *gates, enum gates_part part);

#endif
