/* SPDX-License-Identifier: BSD-2-Clause */
/* Attaches the loaded programs: one pinned link each, in place of an earlier latchd's link. */
#ifndef LATCHD_ENFORCE_LINKS_H
#define LATCHD_ENFORCE_LINKS_H

#include <bpf/libbpf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/failure.h"

#define LINKS_MAX 32

struct link {
	const char *name;    /* of the program; the object owns name and section */
	const char *section; /* "cgroup_skb/egress", "fentry/xfrm_state_add" */
	int program;	     /* descriptor, which the object owns */
	uint32_t program_id;
	enum bpf_attach_type attach_type;
	bool on_cgroup;
	/* Descriptors during links_attach() only; -1 = none. */
	int old_link;	 /* the pinned link of an earlier latchd */
	int old_program; /* its program, if the link stays and only the program changes */
	int new_link;
	bool changed; /* the new link has its final name, or the old link the new program */
};

struct links {
	uint64_t cgroup_id;
	size_t count;
	struct link link[LINKS_MAX];
};

/* Lists the object's programs that links attach. 0, or -E2BIG for more than LINKS_MAX. */
int links_list(const struct bpf_object *object, struct links *ret);

/*
 * Attaches and pins every program of a loaded object. At every moment the old program, the new
 * one, or both are attached. 0, or a negative errno and a failure; the links are then as they
 * were.
 */
int links_attach(struct links *links, const struct bpf_object *object, const char *cgroup,
		 struct failure *failure);

/* Asks the kernel. True: the pinned link has this very program and a target. */
bool links_link_is_attached(const struct links *links, const struct link *link);

#endif
