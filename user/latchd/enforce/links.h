/* SPDX-License-Identifier: BSD-2-Clause */
/* Where the loaded programs hang: one pinned link each, in place of an earlier latchd's. */
#ifndef LATCHD_ENFORCE_LINKS_H
#define LATCHD_ENFORCE_LINKS_H

#include <bpf/libbpf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/failure.h"

#define LINKS_MAX 32

struct link {
	const char *name;    /* of the program; the object owns both */
	const char *section; /* "cgroup_skb/egress", "fentry/xfrm_state_add" */
	int program;	     /* the object's descriptor */
	uint32_t program_id;
	enum bpf_attach_type attach_type;
	bool on_cgroup;
	/* Only while they are changed; -1 = none. */
	int before;	    /* the link that was pinned */
	int program_before; /* its program, where the link stays and only the program changes */
	int staged;	    /* the new link */
	bool changed;	    /* now under its own name, or with its new program */
};

struct links {
	uint64_t cgroup_id;
	size_t count;
	struct link link[LINKS_MAX];
};

/* The object's programs that want to be attached. -E2BIG: more than LINKS_MAX. */
int links_of(const struct bpf_object *object, struct links *ret);

/*
 * Attaches and pins every program of a loaded object. At every moment the old
 * one, the new one, or both are attached. 0, or a negative errno, a failure, and
 * the links as they were.
 */
int links_attach(struct links *links, const struct bpf_object *object, const char *cgroup,
		 struct failure *failure);

/* Asks the kernel: is this very program pinned and does it have a target? */
bool link_is_attached(const struct links *links, const struct link *link);

#endif
