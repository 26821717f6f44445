/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The real programs of the cgroup gate, the socket watch and the maps, without the SA watch: for
 * kernels without ESP. They need root and the kernel's BTF.
 */
#ifndef LATCHD_TESTS_GATES_H
#define LATCHD_TESTS_GATES_H

#include "latchd/maps/kernel_maps.h"

struct gates;
struct bpf_object;

enum gates_part {
	GATES_EGRESS,
	GATES_INGRESS,
	GATES_SOCKET,	/* TCP states and listen() */
	GATES_RELEASE,	/* the end of any socket */
	GATES_CONNECT4, /* this and the next three: connect() and sendmsg() of UDP sockets */
	GATES_CONNECT6,
	GATES_SEND4,
	GATES_SEND6,
	GATES_OPTION, /* getsockopt() of level SOL_LATCH */
	GATES_WISH,   /* setsockopt() of it */
	GATES_CONTROL,
	GATES_PARTS,
};

/* 0 or a negative errno (-EPERM: skip the test). */
int gates_load(struct gates **ret, struct kernel_maps *ret_maps);
/* The same with room for so many latches; 0: as the object has it. */
int gates_load_sized(unsigned int latches, struct gates **ret, struct kernel_maps *ret_maps);
/* Detaches the programs and closes the maps. */
void gates_free(struct gates *gates);

/*
 * Attaches one program to a cgroup v2 directory, until gates_free(). GATES_CONTROL cannot be
 * attached. 0 or a negative errno.
 */
int gates_attach(struct gates *gates, enum gates_part part, int cgroup);

/* The file descriptor and the name of a program. */
int gates_program(const struct gates *gates, enum gates_part part);
const char *gates_program_name(const struct gates *gates, enum gates_part part);
/* The object of these programs. */
const struct bpf_object *gates_object(const struct gates *gates);
/* The file descriptor of a map that latchd does not use, by its name, or a negative errno. */
int gates_map(const struct gates *gates, const char *name);

#endif
