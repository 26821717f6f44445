/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Attaches the loaded programs: one pinned link each, in place of an earlier latchd's link. Checks
 * that they are still attached, on a read-only bpffs, too. A set of links has one target: the
 * kernel's functions, or one cgroup.
 */
#ifndef LATCHD_ENFORCE_LINKS_LINKS_H
#define LATCHD_ENFORCE_LINKS_LINKS_H

#include <bpf/libbpf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/failure.h"
#include "latchd/enforce/pins/link_pins.h"

#define LINKS_MAX 32

enum links_target {
	LINKS_OF_FUNCTIONS,
	LINKS_OF_CGROUP,
	/* Optional, in sets of their own: no gate may depend on them. */
	LINKS_OF_ANSWERS,	   /* of a cgroup, too: the program that answers applications */
	LINKS_OF_ANSWER_FUNCTIONS, /* functions, too: the programs that keep answers for later */
};

struct link {
	const char *name;    /* of the program; the object owns name and section */
	const char *section; /* "cgroup_skb/egress", "fentry/xfrm_state_add" */
	char pin[LINK_PIN_MAX];
	int program; /* descriptor, which the object owns; -1 = not loaded */
	uint32_t program_id;
	enum bpf_attach_type attach_type;
	/* Descriptors during links_attach() only; -1 = none. */
	int old_link;	 /* the pinned link of an earlier latchd */
	int old_program; /* its program, if the link stays and only the program changes */
	int new_link;
	bool changed; /* the new link has its final name, or the old link the new program */
};

struct links {
	enum links_target target; /* LINKS_OF_CGROUP or LINKS_OF_FUNCTIONS */
	uint64_t cgroup_id;
	const char *cgroup; /* its path, for messages */
	int cgroup_fd; /* during links_attach() only; -1: existing links change their program */
	size_t count;
	struct link link[LINKS_MAX];
};

/*
 * Lists the object's programs that links attach to this kind of target. cgroup_id and cgroup: of
 * the cgroup. 0, or -E2BIG for more than LINKS_MAX, or another negative errno.
 */
int links_list(const struct bpf_object *object, enum links_target target, uint64_t cgroup_id,
	       const char *cgroup, struct links *ret);

/* Appends the programs that answer applications to a set of a cgroup. */
int links_add_answers(const struct bpf_object *object, struct links *links);

/*
 * Attaches and pins every program of these sets, in their order. At every moment the old program,
 * the new one, or both are attached. 0, or a negative errno and a failure; all links are then as
 * they were.
 */
int links_attach(struct links *const *sets, size_t count, struct failure *failure);

/*
 * Detaches the programs of a cgroup at once, the last one first, and removes the pins. 0, or a
 * negative errno: if a pin cannot be opened, nothing has changed.
 */
int links_detach(const struct links *links);

/*
 * True: the kernel reports the pinned link with this program and its target, or cannot be read.
 * An error is no sign that a link is gone.
 */
bool links_link_is_attached(const struct links *links, const struct link *link);
bool links_are_attached(const struct links *links);
/* False: it is certain that no link of the set has its target. */
bool links_are_alive(const struct links *links);

/* Gives links of cgroups the names of link_pins.h that an earlier latchd pinned by program only. */
int links_adopt_names(const struct bpf_object *object);

/*
 * Visits the id of each cgroup that has links of the object's programs, more than once. 0, or the
 * visitor's first other result.
 */
typedef int (*links_cgroup_fn)(void *context, uint64_t cgroup_id);
int links_walk_cgroups(const struct bpf_object *object, links_cgroup_fn visit, void *context);

/*
 * Removes leftovers, links of programs that this latchd no longer has, and links without target.
 * A link with a living cgroup stays, and so does one that cannot be read.
 */
void links_sweep(const struct bpf_object *object);

/* ---- for the files that implement this header */

/* False: latchd runs the program, or netfilter_gate.c attaches it to each namespace. */
bool links_have_program(const struct bpf_program *program, enum links_target *ret_target);
bool links_has_target(const struct links *links, const struct link *link,
		      const struct bpf_link_info *info);

#endif
