/* SPDX-License-Identifier: BSD-2-Clause */
/* The table of cgroups.h, which the start (cgroups_start.c) and cgroups.c share. */
#ifndef LATCHD_ENFORCE_CGROUPS_CGROUP_TABLE_H
#define LATCHD_ENFORCE_CGROUPS_CGROUP_TABLE_H

#include <bpf/libbpf.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/log_limit.h"
#include "latchd/config/config.h"
#include "latchd/enforce/cgroups/cgroup_state.h"
#include "latchd/enforce/links/links.h"
#include "latchd/maps/kernel_maps.h"

#define LISTED_MAX (CONFIG_MAX_CGROUPS + CGROUPS_FORMER_MAX)

struct cgroup {
	char path[CONFIG_CGROUP_MAX];
	bool configured;
	bool ending;	 /* its programs are about to be detached: they cover no other cgroup */
	bool unreadable; /* the last look at a configured one failed */
	uint64_t id;	 /* 0 = absent */
	enum cgroup_state state;
	int logged; /* the negative errno in the log; 0 = none */
	struct log_limit log;
	struct links
		links;	/* the gates; then what answers questions, whether it is attached or not */
	bool answers;	/* what answers questions is attached, at the last look */
	int unanswered; /* the negative errno in the log; 0 = none */
};

struct cgroups {
	const struct bpf_object *object;
	const struct kernel_maps *maps;
	bool answers; /* the cgroups are to have the program that answers questions */
	size_t count;
	struct cgroup *listed[LISTED_MAX]; /* the configured ones first */
	/* Some that have pins found no place here. They keep their programs, and wait for one. */
	bool unlisted;
	uint64_t searched_ms; /* for them, loop_now_ms(); 0 = never */
};

/* NULL: the table is full, which is noted in unlisted, or out of memory. */
struct cgroup *cgroup_table_add(struct cgroups *cgroups, const char *path, bool configured);
void cgroup_table_forget(struct cgroups *cgroups, size_t at);
struct cgroup *cgroup_table_find(const struct cgroups *cgroups, uint64_t id);

/*
 * For the cgroup's id and path: the gates alone, to be attached, or all, to be detached. 0 or a
 * negative errno.
 */
int cgroup_list_gates(const struct cgroups *cgroups, struct cgroup *cgroup);
int cgroup_list_links(const struct cgroups *cgroups, struct cgroup *cgroup);

bool cgroup_has_programs(const struct cgroup *cgroup);

/* Another cgroup, above this one, that has the programs; or NULL. */
const struct cgroup *cgroup_cover(const struct cgroups *cgroups, const struct cgroup *cgroup,
				  int fd);

/* True: some latch may need its gate. So it is if the table cannot be read. */
bool cgroups_have_connections(const struct cgroups *cgroups);

/* The path, for messages. */
const char *cgroup_name(const struct cgroup *cgroup);

#endif
