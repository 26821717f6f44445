/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/net/netns_mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"

/* The fourth field of a mountinfo line is the root within the mounted file system. */
#define NETNS_MOUNT_FIELDS "%*d %*d %*s net:[%*u] %n"

static int is_octal(const char *at)
{
	return at[0] >= '0' && at[0] <= '3' && at[1] >= '0' && at[1] <= '7' && at[2] >= '0' &&
	       at[2] <= '7';
}

/* mountinfo escapes blanks and backslashes as three octal digits. */
static void decode_octal(char *text)
{
	char *to = text;

	while (*text) {
		if (*text == '\\' && is_octal(text + 1)) {
			*to++ = (char)((text[1] - '0') << 6 | (text[2] - '0') << 3 |
				       (text[3] - '0'));
			text += 4;
		} else {
			*to++ = *text++;
		}
	}
	*to = '\0';
}

/* The mount point, decoded in place; NULL: the line is not of a network namespace. */
static char *mount_point(char *line)
{
	int at = 0;

	sscanf(line, NETNS_MOUNT_FIELDS, &at);
	if (!at)
		return NULL;
	line[at + (int)strcspn(line + at, " \n")] = '\0';
	decode_octal(line + at);
	return line + at;
}

int netns_mounts_open(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	return fd < 0 ? -errno : fd;
}

static int visit_mount(const char *process, const char *point, netns_mount_fn visit, void *context)
{
	char path[PATH_MAX];
	auto_close int fd = -1;

	if (snprintf(path, sizeof(path), "%s/root%s", process, point) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	fd = netns_mounts_open(path);
	return fd < 0 ? fd : visit(context, fd, path);
}

int netns_mounts_walk(const char *process, netns_mount_fn visit, void *context)
{
	char path[64];
	auto_fclose FILE *file = NULL;
	auto_free char *line = NULL;
	int result = -ENOENT, unseen = -ENOENT;
	size_t size = 0;

	snprintf(path, sizeof(path), "%s/mountinfo", process);
	file = fopen(path, "re");
	if (!file)
		return -errno;
	while (result < 0 && getline(&line, &size, file) >= 0) {
		const char *point = mount_point(line);

		if (!point)
			continue;
		result = visit_mount(process, point, visit, context);
		if (result < 0 && result != -ENOENT)
			unseen = result;
	}
	return result >= 0 ? result : unseen;
}
