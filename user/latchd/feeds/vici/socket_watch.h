/* SPDX-License-Identifier: BSD-2-Clause */
/* Tells when a file of a given path appears, so that a daemon just started is found at once. */
#ifndef LATCHD_FEEDS_VICI_SOCKET_WATCH_H
#define LATCHD_FEEDS_VICI_SOCKET_WATCH_H

struct loop;

struct socket_watch {
	struct loop *loop;
	const char *path; /* the caller's, kept */
	int fd;		  /* -1: no watch, a plain retry has to do */
	void (*appeared)(void *context);
	void *context;
};

/* 0 or a negative errno; the watch is usable (and idle) either way. */
int socket_watch_start(struct socket_watch *watch, struct loop *loop, const char *path,
		       void (*appeared)(void *context), void *context);

/* The directory may have come (back) into being: call before each attempt to connect. */
void socket_watch_renew(struct socket_watch *watch);
void socket_watch_stop(struct socket_watch *watch);

#endif
