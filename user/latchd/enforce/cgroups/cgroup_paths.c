/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/enforce/cgroups/cgroup_paths.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "common/cleanup.h"

#define DEPTH_MAX	128
#define DIRECTORIES_MAX 20000
#define ROOT_ID		1 /* of the root of the hierarchy: cgroup_setup_root() */

static bool is_cgroup2(int fd)
{
	struct statfs fs;

	return !fstatfs(fd, &fs) && fs.f_type == CGROUP2_SUPER_MAGIC;
}

static int handle_of(int fd, const char *path, int flags, uint64_t *ret_id, int *ret_mount)
{
	char buffer[sizeof(struct file_handle) + sizeof(*ret_id)]
		__attribute__((aligned(__alignof__(struct file_handle))));
	struct file_handle *handle = (struct file_handle *)buffer;

	handle->handle_bytes = sizeof(*ret_id);
	if (name_to_handle_at(fd, path, handle, ret_mount, flags))
		return -errno;
	if (handle->handle_bytes != sizeof(*ret_id))
		return -EOPNOTSUPP;
	memcpy(ret_id, handle->f_handle, sizeof(*ret_id));
	return 0;
}

static int handle_id(int fd, const char *path, int flags, uint64_t *ret_id)
{
	int mount_id;

	return handle_of(fd, path, flags, ret_id, &mount_id);
}

int cgroup_open(const char *path, uint64_t *ret_id)
{
	auto_close int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int err = fd < 0 ? -errno : 0;

	if (!err && !is_cgroup2(fd))
		err = -ENOTDIR;
	if (!err)
		err = handle_id(fd, "", AT_EMPTY_PATH, ret_id);
	return err ? err : take_fd(&fd);
}

static int open_parent(int fd)
{
	int parent = openat(fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return parent < 0 ? -errno : parent;
}

int cgroup_is_within(int cgroup_fd, uint64_t id)
{
	auto_close int fd = fcntl(cgroup_fd, F_DUPFD_CLOEXEC, 0);
	uint64_t its;
	int err = fd < 0 ? -errno : 0, depth;

	for (depth = 0; !err && depth < DEPTH_MAX && is_cgroup2(fd); depth++) {
		int parent;

		err = handle_id(fd, "", AT_EMPTY_PATH, &its);
		if (!err && its == id)
			return 1;
		parent = err ? err : open_parent(fd);
		close(take_fd(&fd));
		fd = parent;
		err = parent < 0 ? parent : 0;
	}
	return err;
}

/* The parent of a bind mount's root is where it is mounted. */
int cgroup_level(int cgroup_fd)
{
	auto_close int fd = fcntl(cgroup_fd, F_DUPFD_CLOEXEC, 0);
	int err = fd < 0 ? -errno : 0, level, mount_id, first = 0;
	uint64_t id;

	for (level = 0; !err && level < DEPTH_MAX && is_cgroup2(fd); level++) {
		err = handle_of(fd, "", AT_EMPTY_PATH, &id, &mount_id);
		first = level ? first : mount_id;
		if (!err && mount_id != first)
			break;
		if (!err && id == ROOT_ID)
			return level;
		if (!err) {
			int parent = open_parent(fd);

			close(take_fd(&fd));
			fd = parent;
			err = parent < 0 ? parent : 0;
		}
	}
	return err ? err : -EXDEV;
}

/* The root of the mounted hierarchy, by the path of a directory in it. */
static int root_path(int cgroup_fd, char *ret_path, size_t size)
{
	auto_close int fd = fcntl(cgroup_fd, F_DUPFD_CLOEXEC, 0);
	char link[64];
	ssize_t length;
	int depth;

	for (depth = 0; fd >= 0 && depth < DEPTH_MAX; depth++) {
		auto_close int parent = open_parent(fd);

		if (parent < 0 || !is_cgroup2(parent))
			break;
		close(fd);
		fd = take_fd(&parent);
	}
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	length = fd < 0 ? -1 : readlink(link, ret_path, size - 1);
	if (length < 0)
		return -errno;
	ret_path[length] = '\0';
	return 0;
}

struct walk {
	cgroup_visit_fn visit;
	void *context;
	char path[4096];
	unsigned int seen, depth;
};

static int walk_directory(struct walk *walk, size_t length);

static int walk_entry(struct walk *walk, size_t length, const struct dirent *entry)
{
	int end = 0;

	/* Control files are many, and no file system says less than this of a cgroup. */
	if (entry->d_type != DT_DIR || !strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
		return 0;
	end = snprintf(walk->path + length, sizeof(walk->path) - length, "/%s", entry->d_name);
	if ((size_t)end >= sizeof(walk->path) - length)
		return 0;
	return walk_directory(walk, length + (size_t)end);
}

/* A directory that cannot be read is visited, but not the directories below it. */
static int walk_directory(struct walk *walk, size_t length)
{
	int result = walk->seen++ == DIRECTORIES_MAX ? -E2BIG : 0;
	struct dirent *entry;
	DIR *directory;
	uint64_t id;

	if (!result && !handle_id(AT_FDCWD, walk->path, 0, &id))
		result = walk->visit(walk->context, walk->path, id);
	if (result || walk->depth == DEPTH_MAX)
		return result;
	directory = opendir(walk->path);
	walk->depth++;
	while (directory && !result && (entry = readdir(directory)))
		result = walk_entry(walk, length, entry);
	walk->depth--;
	if (directory)
		closedir(directory);
	return result;
}

int cgroup_walk(int cgroup_fd, cgroup_visit_fn visit, void *context)
{
	struct walk walk = {.visit = visit, .context = context};
	int err = root_path(cgroup_fd, walk.path, sizeof(walk.path));

	return err ? err : walk_directory(&walk, strlen(walk.path));
}
