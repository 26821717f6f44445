/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The table of cgroups.h, which the start (cgroups_start.c) and cgroups.c share. Decides which
 * cgroup is within another one with programs, and whether a latch still needs a former one.
 */
#ifndef LATCHD_ENFORCE_CGROUPS_CGROUP_TABLE_H
#define LATCHD_ENFORCE_CGROUPS_CGROUP_TABLE_H

#include <bpf/libbpf.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/log_limit.h"
#include "common/walk_pace.h"
#include "latchd/config/config.h"
#include "latchd/enforce/cgroups/cgroup_state.h"
#include "latchd/enforce/links/links.h"
#include "latchd/maps/kernel_maps.h"

#define LISTED_MAX (CONFIG_MAX_CGROUPS + CGROUPS_FORMER_MAX)

struct cgroup {
	char path[CONFIG_CGROUP_MAX];
	bool configured;
	bool ending;	 /* its programs are about to be detached: they cover no other cgroup */
	bool unreadable; /* the last attempt to open a configured cgroup failed */
	uint64_t id;	 /* 0 = absent */
	enum cgroup_state state;
	int logged; /* the negative errno in the log; 0 = none */
	struct log_limit log;
	struct links
		links;	/* the gates, then the program that answers applications, attached or not */
	bool answers;	/* the program that answers applications was attached at the last check */
	int unanswered; /* the negative errno in the log; 0 = none */
	uint64_t turn;	/* of a former one that waits for a search; 0 = none */
};

struct cgroups {
	const struct bpf_object *object;
	const struct kernel_maps *maps;
	bool answers; /* the cgroups are to have the program that answers applications */
	size_t count;
	struct cgroup *listed[LISTED_MAX]; /* the configured ones first */
	/* Some cgroups with pins are not listed, for lack of a place. They keep their programs. */
	bool unlisted;
	uint64_t searched_ms;	   /* last search for unlisted ones, loop_now_ms(); 0 = never */
	struct walk_pace searches; /* for wishes that need former ones */
	uint64_t turns;
};

/* NULL: the table is full, which is noted in unlisted, or out of memory. */
struct cgroup *cgroup_table_add(struct cgroups *cgroups, const char *path, bool configured);
void cgroup_table_forget(struct cgroups *cgroups, size_t at);
struct cgroup *cgroup_table_find(const struct cgroups *cgroups, uint64_t id);

/*
 * Fills links for the cgroup's id and path: the gates only, to attach them, or all programs, to
 * detach them. 0 or a negative errno.
 */
int cgroup_list_gates(const struct cgroups *cgroups, struct cgroup *cgroup);
int cgroup_list_links(const struct cgroups *cgroups, struct cgroup *cgroup);

bool cgroup_has_programs(const struct cgroup *cgroup);

/* Another cgroup, above this one, that has the programs; or NULL. */
const struct cgroup *cgroup_cover(const struct cgroups *cgroups, const struct cgroup *cgroup,
				  int fd);

/*
 * True: some latch may need the programs of this cgroup, or the wish of a socket in it does, or the
 * tables cannot be read.
 */
bool cgroup_is_needed(struct cgroups *cgroups, const struct cgroup *cgroup);

/* The path, for messages. */
const char *cgroup_name(const struct cgroup *cgroup);

#endif
