/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The BPF programs in the kernel: loaded, attached and pinned under
 * LATCH_PIN_DIR/maps and LATCH_PIN_DIR/links, so that they outlive latchd. A later
 * latchd takes over the maps with all that is in them and replaces the programs,
 * without a moment in which nothing is attached.
 */
#ifndef LATCHD_ENFORCE_ENFORCEMENT_H
#define LATCHD_ENFORCE_ENFORCEMENT_H

#include <stdbool.h>
#include <stddef.h>

#include "common/failure.h"
#include "latchd/config/config.h"
#include "latchd/maps/kernel_maps.h"
#include "latchd/enforce/netfilter_gate.h"

struct enforcement;

/*
 * Checks nothing that preflight.h checks. 0, or a negative errno with one line
 * in failure (object, operation, cause, next step) and everything as it was:
 * what was pinned before stays pinned and attached. cgroup is the directory
 * that preflight found.
 */
int enforcement_start(const struct config *config, const char *cgroup, struct enforcement **ret,
		      struct failure *failure);

/* Closes descriptors; what is pinned goes on. */
void enforcement_free(struct enforcement *enforcement);

const struct kernel_maps *enforcement_maps(const struct enforcement *enforcement);

/* The netfilter gate, to be attached in each namespace; lives as long as the enforcement. */
const struct netfilter_gate *enforcement_netfilter_gate(const struct enforcement *enforcement);

/* Whether the maps were there before: state of an earlier latchd. */
bool enforcement_adopted(const struct enforcement *enforcement);

#define ENFORCEMENT_FUNCTIONS_MAX 32

/* The kernel's functions that the programs attach to, each once, for preflight_functions(). */
struct enforcement_functions {
	size_t count;
	const char *names[ENFORCEMENT_FUNCTIONS_MAX]; /* point into text: do not copy */
	char text[ENFORCEMENT_FUNCTIONS_MAX][64];
};

/* Loads nothing. 0 or a negative errno. */
int enforcement_functions(struct enforcement_functions *ret);

/* The texts live as long as the enforcement. */
struct enforcement_program {
	const char *name; /* as in the object */
	const char *hook; /* its section: "cgroup_skb/egress", "fentry/xfrm_state_add" */
	bool attached;	  /* asked of the kernel now: its pinned link exists and has a target */
};

/* Fills at most max; returns how many programs there are. */
size_t enforcement_programs(const struct enforcement *enforcement,
			    struct enforcement_program *programs, size_t max);

/* Every one of these attached: the only meaning of "enforcement is on". The netfilter gate is
 * coverage.h's. */
bool enforcement_is_on(const struct enforcement *enforcement);

#endif
