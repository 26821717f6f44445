/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/subscribers/subscriber_file.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/directory.h"
#include "common/text.h"
#include "latchd/net/unread.h"

#define SUBSCRIBER_BACKLOG 128

static int new_socket(void)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	return fd < 0 ? -errno : fd;
}

/* A directory that the administrator made keeps its mode. */
static int prepare_directory(const char *path)
{
	char parent[sizeof(((struct subscriber_file *)0)->path)];
	auto_close int fd = -1;
	struct stat st;
	char *slash;

	strcpy(parent, path);
	slash = strrchr(parent, '/');
	if (!slash || slash == parent)
		return 0;
	*slash = '\0';
	if (!lstat(parent, &st) && S_ISDIR(st.st_mode) && (st.st_mode & 0001))
		return 0;
	fd = directory_make_own(parent);
	if (fd < 0)
		return fd;
	return fchmod(fd, 0755) ? -errno : 0;
}

static int remove_stale(const struct sockaddr_un *address)
{
	auto_close int fd = -1;
	struct stat st;

	if (lstat(address->sun_path, &st))
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EADDRINUSE;
	fd = new_socket();
	if (fd < 0)
		return fd;
	if (!connect(fd, (const struct sockaddr *)address, sizeof(*address)) ||
	    errno != ECONNREFUSED)
		return -EADDRINUSE;
	return unlink(address->sun_path) ? -errno : 0;
}

static int listen_at(struct subscriber_file *file, const struct sockaddr_un *address)
{
	struct stat st;

	unread_refuse_descriptors(file->fd);
	if (bind(file->fd, (const struct sockaddr *)address, sizeof(*address)) ||
	    lstat(file->path, &st))
		return -errno;
	file->device = st.st_dev;
	file->inode = st.st_ino;
	return chmod(file->path, 0666) || listen(file->fd, SUBSCRIBER_BACKLOG) ? -errno : 0;
}

int subscriber_file_open(struct subscriber_file *file, const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int err;

	*file = (struct subscriber_file){.fd = -1};
	if (text_copy(file->path, sizeof(file->path), path) < 0)
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	err = prepare_directory(path);
	if (!err)
		err = remove_stale(&address);
	if (err)
		return err;
	file->fd = new_socket();
	err = file->fd < 0 ? file->fd : listen_at(file, &address);
	if (!err || file->fd < 0)
		return err;
	subscriber_file_stop(file);
	close(file->fd);
	file->fd = -1;
	return err;
}

void subscriber_file_stop(const struct subscriber_file *file)
{
	struct stat st;

	shutdown(file->fd, SHUT_RDWR);
	if (file->inode && !lstat(file->path, &st) && st.st_dev == file->device &&
	    st.st_ino == file->inode)
		unlink(file->path);
}
