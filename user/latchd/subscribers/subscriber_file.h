/* SPDX-License-Identifier: BSD-2-Clause */
/* The socket to which applications connect for news, as a file: open to each user. */
#ifndef LATCHD_SUBSCRIBERS_SUBSCRIBER_FILE_H
#define LATCHD_SUBSCRIBERS_SUBSCRIBER_FILE_H

#include <sys/types.h>

struct subscriber_file {
	int fd; /* listening, non-blocking; -1 = closed */
	char path[108];
	dev_t device; /* with inode: a later latchd's file at path must not be removed */
	ino_t inode;
};

/*
 * Listens at path. A missing directory is made (0755). A file of an earlier latchd is replaced. 0,
 * or a negative errno: -EADDRINUSE if another program answers there, or it is no socket; -EPERM and
 * -ENOTDIR as of directory_make_own().
 */
int subscriber_file_open(struct subscriber_file *file, const char *path);

/* Refuses new connections: accept() gives the waiting ones, then EINVAL. The file is removed. */
void subscriber_file_stop(const struct subscriber_file *file);

#endif
