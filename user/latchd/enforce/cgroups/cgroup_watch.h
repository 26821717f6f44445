/* SPDX-License-Identifier: BSD-2-Clause */
/* Reports that a configured cgroup may have come or gone, by inotify on the directories above it.
 */
#ifndef LATCHD_ENFORCE_CGROUPS_CGROUP_WATCH_H
#define LATCHD_ENFORCE_CGROUPS_CGROUP_WATCH_H

#include <stdbool.h>

#include "common/loop.h"

struct cgroup_watch { /* zeroed before first use */
	struct loop *loop;
	int fd;
	bool started;
	void (*changed)(void *context);
	void *context;
	struct loop_timer timer;
};

/* 0 or a negative errno. The watch calls changed() from the loop, at most every 20 ms. */
int cgroup_watch_start(struct cgroup_watch *watch, struct loop *loop,
		       void (*changed)(void *context), void *context);
void cgroup_watch_stop(struct cgroup_watch *watch);

/*
 * Watches every cgroup v2 directory above path that exists. Call it before each look at path: a
 * directory that comes later is then reported.
 */
void cgroup_watch_path(const struct cgroup_watch *watch, const char *path);

#endif
