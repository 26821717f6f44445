/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The BPF object: loads its programs, and creates or adopts its pinned maps. Leaves optional
 * programs out that the kernel refuses.
 */
#ifndef LATCHD_ENFORCE_OBJECT_H
#define LATCHD_ENFORCE_OBJECT_H

#include <stdbool.h>
#include <stdint.h>

#include "latchd/config/config.h"
#include "common/failure.h"
#include "latchd/maps/kernel_maps.h"
#include "latchd/enforce/netfilter/netfilter_gate.h"

/* File with the verifier's whole log of the program that it refused last. */
#define OBJECT_VERIFIER_LOG "/run/latchd/verifier.log"

struct latchd_bpf;

struct object {
	struct latchd_bpf *skeleton;
	bool adopted;	   /* the map of latches is of an earlier latchd */
	uint64_t created;  /* bit set of the maps that this load pins, in the object's order */
	uint32_t left_out; /* bit set of the optional programs that this kernel refuses */
};

/* Leaves out programs that this kernel does not need or cannot load. 0 or a negative errno. */
int object_choose_programs(struct latchd_bpf *skeleton);

/*
 * 0 and an object for object_release(), or a negative errno and a failure. After an error no new
 * pin is left.
 */
int object_load(const struct config *config, struct object *object, struct failure *failure);

/* Removes the pins that object_load() created. */
void object_unpin(const struct object *object);

/* Closes all descriptors. */
void object_release(struct object *object);

/* Descriptors that the object owns. */
void object_maps(const struct object *object, struct kernel_maps *ret);

/* True: no earlier latchd has left settings. */
bool object_created_settings(const struct object *object);

void object_netfilter_gate(const struct object *object, struct netfilter_gate *ret);

#endif
