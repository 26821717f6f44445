/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/directory.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"

int directory_make_own(const char *path)
{
	auto_close int fd = -1;
	struct stat st;

	if (mkdir(path, 0750) && errno != EEXIST)
		return -errno;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st))
		return -errno;
	return st.st_uid == geteuid() || !st.st_uid ? take_fd(&fd) : -EPERM;
}
