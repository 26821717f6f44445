/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/lockfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/directory.h"

static int make_parent(const char *path)
{
	auto_free char *parent = strdup(path);
	char *slash = parent ? strrchr(parent, '/') : NULL;
	auto_close int fd = -1;

	if (!slash || slash == parent)
		return 0;
	*slash = '\0';
	fd = directory_make_own(parent);
	return fd < 0 ? fd : 0;
}

/* A cleanup of /run may remove the file meanwhile. No other process would then find this lock. */
static bool is_still_at(int fd, const char *path)
{
	struct stat opened, named;

	return !fstat(fd, &opened) && !stat(path, &named) && opened.st_dev == named.st_dev &&
	       opened.st_ino == named.st_ino;
}

static pid_t read_holder(int fd)
{
	char text[16] = "";

	return pread(fd, text, sizeof(text) - 1, 0) > 0 ? (pid_t)strtol(text, NULL, 10) : 0;
}

int lockfile_take(const char *path, pid_t *ret_holder)
{
	int parent = make_parent(path);

	if (parent == -EPERM || parent == -ENOTDIR)
		return parent;
	for (;;) {
		auto_close int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);

		/* The error of mkdir() explains more than ENOENT of open(). */
		if (fd < 0)
			return errno == ENOENT && parent ? parent : -errno;
		if (flock(fd, LOCK_EX | LOCK_NB)) {
			int err = -errno;

			*ret_holder = read_holder(fd);
			return err;
		}
		if (!is_still_at(fd, path))
			continue;
		/* The pid is for another process's error only: a full /run prevents no start. */
		if (ftruncate(fd, 0) || (dprintf(fd, "%d\n", (int)getpid()) < 0 && errno != ENOSPC))
			return -errno;
		return take_fd(&fd);
	}
}
