/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/control/control_socket.h"

#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/directory.h"
#include "common/text.h"
#include "latchd/net/unread.h"

#define CONTROL_BACKLOG 128

/* glibc has any of these for a name that no database has. */
static bool is_absent(int error)
{
	return !error || error == ENOENT || error == ESRCH || error == EPERM || error == EBADF;
}

static int find_group(struct control_socket *socket, const char *name, struct failure *failure)
{
	struct group *group;

	socket->has_group = name[0];
	socket->group = getegid();
	if (!socket->has_group)
		return 0;
	errno = 0;
	group = getgrnam(name);
	if (!group && !is_absent(errno))
		return failure_set(
			failure, -EAGAIN,
			"control socket: cannot look up group \"%s\": %m; check the name "
			"service, see nsswitch.conf(5)",
			name);
	if (!group)
		return failure_set(
			failure, -EAGAIN,
			"control socket: no group \"%s\"; run: groupadd --system %s, or correct "
			"group = in [control]",
			name, name);
	socket->group = group->gr_gid;
	return 0;
}

/* An existing directory that the administrator chose keeps its mode and owner: it may be shared. */
static int prepare_directory(const struct control_socket *socket)
{
	char parent[sizeof(socket->path)];
	auto_close int fd = -1;
	struct stat st;
	char *slash;

	strcpy(parent, socket->path);
	slash = strrchr(parent, '/');
	if (!slash || slash == parent)
		return 0;
	*slash = '\0';
	if (strcmp(parent, CONTROL_DEFAULT_DIRECTORY) && !stat(parent, &st))
		return 0;
	fd = directory_make_own(parent);
	if (fd < 0)
		return fd;
	return fchown(fd, (uid_t)-1, socket->group) || fchmod(fd, 0750) ? -errno : 0;
}

/* -EADDRINUSE: another program listens there, or the file is no socket. */
static int remove_stale(const struct sockaddr_un *address)
{
	auto_close int fd = -1;
	struct stat st;

	if (lstat(address->sun_path, &st))
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EADDRINUSE;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (!connect(fd, (const struct sockaddr *)address, sizeof(*address)) ||
	    errno != ECONNREFUSED)
		return -EADDRINUSE;
	return unlink(address->sun_path) ? -errno : 0;
}

/* No other user can open the socket before it has its final mode. */
static int bind_closed(int fd, const struct sockaddr_un *address)
{
	mode_t before = umask(0177);
	int err = bind(fd, (const struct sockaddr *)address, sizeof(*address)) ? -errno : 0;

	umask(before);
	return err;
}

static int listen_at(struct control_socket *control)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct stat st;
	int err;

	strcpy(address.sun_path, control->path);
	err = remove_stale(&address);
	if (err)
		return err;
	control->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (control->fd < 0)
		return -errno;
	unread_refuse_descriptors(control->fd);
	err = bind_closed(control->fd, &address);
	if (err)
		return err;
	if (lstat(control->path, &st))
		return -errno;
	control->device = st.st_dev;
	control->inode = st.st_ino;
	if (control->has_group &&
	    (lchown(control->path, (uid_t)-1, control->group) || chmod(control->path, 0660)))
		return -errno;
	return listen(control->fd, CONTROL_BACKLOG) ? -errno : 0;
}

int control_socket_open(struct control_socket *control, const char *path, const char *group,
			struct failure *failure)
{
	int err;

	*control = (struct control_socket){.fd = -1};
	err = find_group(control, group, failure);
	if (err)
		return err;
	err = text_copy(control->path, sizeof(control->path), path) < 0 ? -ENAMETOOLONG : 0;
	if (!err)
		err = prepare_directory(control);
	if (!err)
		err = listen_at(control);
	if (!err)
		return 0;
	if (err == -EPERM || err == -ENOTDIR)
		failure_set(failure, err,
			    "control socket %s: its directory is a symbolic link or belongs to "
			    "another user; remove the directory, then start latchd again",
			    control->path);
	else if (err == -EADDRINUSE)
		failure_set(failure, err,
			    "control socket %s: another program answers there, or it is no socket; "
			    "stop that program, or choose another path in [control]",
			    control->path);
	else
		failure_set(failure, err, "control socket %s: %s; check the path in [control]",
			    control->path, strerror(-err));
	control_socket_close(control);
	return err;
}

void control_socket_close(struct control_socket *control)
{
	struct stat st;

	if (control->fd < 0)
		return;
	close(control->fd);
	control->fd = -1;
	if (control->inode && !lstat(control->path, &st) && st.st_dev == control->device &&
	    st.st_ino == control->inode)
		unlink(control->path);
}

/* ---- the check */

static int fail_check(struct failure *failure, int err, const char *path, const char *cause)
{
	return failure_set(failure, err, "control socket %s: %s; correct socket = in [control]",
			   path, cause);
}

/* latchd creates the last directory only. A user without access cannot check the directories. */
static int check_parent(const char *path, struct failure *failure)
{
	char parent[sizeof(((struct control_socket *)0)->path)];
	struct stat st;
	int depth;

	text_copy(parent, sizeof(parent), path);
	for (depth = 0; depth < 2; depth++) {
		char *slash = strrchr(parent, '/');

		if (!slash || slash == parent)
			return 0;
		*slash = '\0';
		if (!stat(parent, &st))
			return S_ISDIR(st.st_mode) ? 0
						   : fail_check(failure, -ENOTDIR, path,
								"its directory is no directory");
		if (errno != ENOENT && errno != EACCES)
			return fail_check(failure, -errno, path, strerror(errno));
	}
	return errno == ENOENT
		       ? fail_check(failure, -ENOENT, path, "its directory cannot be made there")
		       : 0;
}

int control_socket_check(const char *path, const char *group, struct failure *failure)
{
	struct control_socket unused = {.fd = -1};
	struct stat st;
	int err = find_group(&unused, group, failure);

	if (!err)
		err = check_parent(path, failure);
	if (!err && !lstat(path, &st) && !S_ISSOCK(st.st_mode))
		err = fail_check(failure, -EADDRINUSE, path, "it exists and is no socket");
	return err;
}

static bool peer_in_group(int fd, gid_t group)
{
	auto_free gid_t *groups = NULL;
	socklen_t length = 0, i;

	/* The first call returns the size. */
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &length) && errno != ERANGE)
		return false;
	groups = malloc(length ? length : 1);
	if (!groups || getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &length))
		return false;
	for (i = 0; i < length / sizeof(*groups); i++)
		if (groups[i] == group)
			return true;
	return false;
}

enum control_peer control_socket_peer(const struct control_socket *control, int peer_fd)
{
	struct ucred peer;
	socklen_t length = sizeof(peer);

	if (getsockopt(peer_fd, SOL_SOCKET, SO_PEERCRED, &peer, &length))
		return CONTROL_PEER_OTHER;
	if (peer.uid == 0 || peer.uid == geteuid())
		return CONTROL_PEER_ROOT;
	return control->has_group && (peer.gid == control->group ||
				      peer_in_group(peer_fd, control->group))
		       ? CONTROL_PEER_MEMBER
		       : CONTROL_PEER_OTHER;
}
