/* SPDX-License-Identifier: BSD-2-Clause */
/* The BPF object: its programs loaded, its maps pinned, new or from an earlier latchd. */
#ifndef LATCHD_ENFORCE_OBJECT_H
#define LATCHD_ENFORCE_OBJECT_H

#include <stdbool.h>
#include <stdint.h>

#include "latchd/config/config.h"
#include "common/failure.h"
#include "latchd/maps/kernel_maps.h"
#include "latchd/enforce/netfilter_gate.h"

/* The verifier's whole log of the program that it refused last. */
#define OBJECT_VERIFIER_LOG "/run/latchd/verifier.log"

struct latchd_bpf;

struct object {
	struct latchd_bpf *skeleton;
	bool adopted;  /* the latches were there before */
	uint64_t made; /* the maps that this load pinned, bits in the object's order */
};

/* Leaves out what this kernel does not need or cannot load. 0 or a negative errno. */
int object_choose_programs(struct latchd_bpf *skeleton);

/* 0, or a negative errno, a failure, and nothing pinned that was not before. */
int object_load(const struct config *config, struct object *object, struct failure *failure);

/* Removes the pins that object_load() made. */
void object_unpin(const struct object *object);

/* Closes all descriptors. */
void object_release(struct object *object);

void object_maps(const struct object *object, struct kernel_maps *ret);

void object_netfilter_gate(const struct object *object, struct netfilter_gate *ret);

#endif
