/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Loads and attaches the BPF programs as a whole; a start that fails restores settings and rules.
 * Maps and links are pinned below LATCH_PIN_DIR, in maps/ and links/, and enforce without latchd. A
 * later latchd adopts the maps with their entries and replaces the programs without a gap, but does
 * not start beside programs of another ABI.
 */
#ifndef LATCHD_ENFORCE_ENFORCEMENT_H
#define LATCHD_ENFORCE_ENFORCEMENT_H

#include <stdbool.h>
#include <stddef.h>

#include "common/failure.h"
#include "latchd/config/config.h"
#include "common/loop.h"
#include "latchd/enforce/cgroups/cgroups.h"
#include "latchd/maps/kernel_maps.h"
#include "latchd/enforce/netfilter/netfilter_gate.h"

struct enforcement;

/*
 * Loads the programs, and creates or adopts the maps. Nothing is in force yet. Does not repeat the
 * checks of preflight.h. 0 and an enforcement for enforcement_free(), or a negative errno and a
 * failure. After an error all earlier pins are as they were.
 */
int enforcement_load(const struct config *config, struct enforcement **ret,
		     struct failure *failure);

/*
 * Puts settings and rules in force and attaches the programs to the kernel and to the cgroups of
 * config that exist, see cgroups.h. Without any in config: to cgroup, the root that preflight
 * found. After an error settings, rules and links are as they were.
 */
int enforcement_attach(struct enforcement *enforcement, const struct config *config,
		       const char *cgroup, struct failure *failure);

/*
 * After a later step of the start has failed: restores settings and rules from before
 * enforcement_attach(). The gates stay attached. The programs that answer applications are
 * detached first, unless an earlier latchd had them.
 */
void enforcement_undo(struct enforcement *enforcement);

/* Reports cgroups that come and go to enforcement_check(), until enforcement_free(). */
void enforcement_watch(struct enforcement *enforcement, struct loop *loop);

/* Attaches the programs to new cgroups. Call it about every second. */
void enforcement_check(struct enforcement *enforcement);

/* Fills at most max entries. Returns the number of cgroups, which may be larger. */
size_t enforcement_cgroups(const struct enforcement *enforcement, struct cgroup_entry *entries,
			   size_t max);

/* False: no cgroup that the programs could run at exists. */
bool enforcement_has_cgroup(const struct enforcement *enforcement);

/* True: a cgroup of the configuration is the root, so that the programs see all sockets. */
bool enforcement_sees_all(const struct enforcement *enforcement);

/* True: /sys/fs/bpf is read-only, so that pins can be neither opened nor made. */
bool enforcement_pins_are_fixed(void);

/*
 * Puts rules, pending-limit, mode and [api] of another configuration in force. A packet sees
 * all of the old rules or all of the new ones. After an error nothing has changed. A cgroup
 * that cannot get the program of [api] is no error, see cgroups_set_answers().
 */
int enforcement_change(struct enforcement *enforcement, const struct config *config,
		       struct failure *failure);

/* enforcement_load() and enforcement_attach(). */
int enforcement_start(const struct config *config, const char *cgroup, struct enforcement **ret,
		      struct failure *failure);

/* Closes the descriptors. Attached programs stay attached. If none were attached, the pins of
 * enforcement_load() are removed. */
void enforcement_free(struct enforcement *enforcement);

/* Pins maps without a pin again. Returns the number of maps that still have none. */
unsigned int enforcement_keep_pins(const struct enforcement *enforcement);

const struct kernel_maps *enforcement_maps(const struct enforcement *enforcement);

/* The netfilter gate, for netfilter_gate_attach(). Owned by the enforcement. */
const struct netfilter_gate *enforcement_netfilter_gate(const struct enforcement *enforcement);

/* True: the maps are those of an earlier latchd, with its state. */
bool enforcement_adopted(const struct enforcement *enforcement);

/* False: there was no mode before this start. */
bool enforcement_mode_was(const struct enforcement *enforcement, bool *ret_audit);

#define ENFORCEMENT_FUNCTIONS_MAX 32

/* The kernel functions that the programs attach to, each once, for preflight_functions(). */
struct enforcement_functions {
	size_t count;
	const char *names[ENFORCEMENT_FUNCTIONS_MAX]; /* into text: do not copy the struct */
	char text[ENFORCEMENT_FUNCTIONS_MAX][64];
};

/* Loads nothing. 0 or a negative errno. */
int enforcement_functions(struct enforcement_functions *ret);

/* The texts are valid as long as the enforcement. */
struct enforcement_program {
	const char *name; /* as in the object */
	const char *hook; /* its section: "cgroup_skb/egress", "fentry/xfrm_state_add" */
	bool attached;	  /* the kernel reports each pinned link with its target */
};

/* Fills at most max entries. Returns the number of programs, which may be larger. */
size_t enforcement_programs(const struct enforcement *enforcement,
			    struct enforcement_program *programs, size_t max);

/*
 * True: each of these programs is attached. "enforcement is on" means this and nothing else. It
 * includes neither the netfilter gate (netfilter_netns.h) nor the programs that answer
 * applications.
 */
bool enforcement_is_on(const struct enforcement *enforcement);

/* False: [api] is on, and the program that keeps the answers of reset UDP sockets is not
 * attached. */
bool enforcement_keeps_answers(const struct enforcement *enforcement);

#endif
