/* SPDX-License-Identifier: BSD-2-Clause */
/* Reports when a file appears at a path, so that a daemon is found as soon as it has started. */
#ifndef LATCHD_FEEDS_VICI_PATH_WATCH_H
#define LATCHD_FEEDS_VICI_PATH_WATCH_H

struct loop;

struct path_watch {
	struct loop *loop;
	const char *path; /* the caller's; must outlive the watch */
	int fd;		  /* -1: no watch; the caller retries on a timer */
	void (*appeared)(void *context);
	void *context;
};

/* 0 or a negative errno. After an error the watch is usable and reports nothing. */
int path_watch_start(struct path_watch *watch, struct loop *loop, const char *path,
		     void (*appeared)(void *context), void *context);

/* Call before each attempt to connect: the directory may have been created or replaced. */
void path_watch_renew(struct path_watch *watch);
void path_watch_stop(struct path_watch *watch);

#endif
