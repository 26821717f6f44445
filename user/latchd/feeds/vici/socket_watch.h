/* SPDX-License-Identifier: BSD-2-Clause */
/* Reports when a file appears at a path, so that a daemon is found as soon as it has started. */
#ifndef LATCHD_FEEDS_VICI_SOCKET_WATCH_H
#define LATCHD_FEEDS_VICI_SOCKET_WATCH_H

struct loop;

struct socket_watch {
	struct loop *loop;
	const char *path; /* the caller's; must outlive the watch */
	int fd;		  /* -1: no watch; the caller retries on a timer */
	void (*appeared)(void *context);
	void *context;
};

/* 0 or a negative errno. After an error the watch is usable and reports nothing. */
int socket_watch_start(struct socket_watch *watch, struct loop *loop, const char *path,
		       void (*appeared)(void *context), void *context);

/* Call before each attempt to connect: the directory may have been created or replaced. */
void socket_watch_renew(struct socket_watch *watch);
void socket_watch_stop(struct socket_watch *watch);

#endif
