/* SPDX-License-Identifier: BSD-2-Clause */
/* The control socket as a file, its permissions, and the credentials of its peers. */
#ifndef LATCHD_CONTROL_CONTROL_SOCKET_H
#define LATCHD_CONTROL_CONTROL_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "common/failure.h"

#define CONTROL_DEFAULT_DIRECTORY "/run/latchd"

struct control_socket {
	int fd; /* listening, non-blocking; -1 = closed */
	char path[108];
	bool has_group;
	gid_t group;
	dev_t device; /* with inode: a later latchd's file at path must not be removed */
	ino_t inode;
};

/*
 * Listens at path, for root and the members of group ("" = root only). A
 * missing directory is made; that one and the default one become 0750
 * root:group. A default directory that is a symbolic link or another user's is refused. A socket
 * file without a listening program is replaced. 0, or a negative errno and a failure.
 */
int control_socket_open(struct control_socket *socket, const char *path, const char *group,
			struct failure *failure);
void control_socket_close(struct control_socket *socket);

/*
 * Checks path and group for control_socket_open() without a change. A program that listens at path
 * is no fault. 0, or a negative errno and a failure; -EAGAIN: there is no such group, which a
 * name service may still bring.
 */
int control_socket_check(const char *path, const char *group, struct failure *failure);

enum control_peer {
	CONTROL_PEER_OTHER,  /* no access */
	CONTROL_PEER_MEMBER, /* of the group: may read */
	CONTROL_PEER_ROOT,   /* or the uid of latchd */
};

/* Decides by the peer's credentials at connect(): the file's mode may have been changed since. */
enum control_peer control_socket_peer(const struct control_socket *socket, int peer_fd);

#endif
