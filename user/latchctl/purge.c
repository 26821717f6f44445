/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchctl/purge.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/json_writer.h"
#include "common/lockfile.h"
#include "common/text.h"
#include "latch_abi.h"
#include "latchctl/purge_answers.h"
#include "latchctl/purge_wishes.h"

#ifndef BPF_FS_MAGIC
#define BPF_FS_MAGIC 0xcafe4a11
#endif

#define PURGE_DEPTH_MAX 8
#define PURGE_PATH_MAX	4096

struct purge {
	const struct ctl_options *options;
	dev_t device; /* of root; no other file system is touched */
	struct json_writer removed;
	unsigned int count;
	int wishes; /* sockets that had one; or a negative errno */
};

static void print_removed(struct purge *purge, const char *path)
{
	char safe[PURGE_PATH_MAX];

	purge->count++;
	if (purge->options->json) {
		json_string(&purge->removed, path);
		return;
	}
	text_escape(safe, sizeof(safe), path);
	printf("removed %s\n", safe);
}

static enum ctl_exit fail_at(const char *path, int error)
{
	enum ctl_exit code =
		error == EACCES || error == EPERM ? CTL_EXIT_NOT_PERMITTED : CTL_EXIT_FAILED;

	return ctl_fail(code, "purge: %s: cannot remove: %s; %s", path, strerror(error),
			code == CTL_EXIT_NOT_PERMITTED ? "run as root"
						       : "check what it is, then purge again");
}

static enum ctl_exit empty_directory(struct purge *purge, int fd, const char *path,
				     unsigned int depth);

static enum ctl_exit remove_directory(struct purge *purge, int parent, const char *name,
				      const char *path, unsigned int depth)
{
	auto_close int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	enum ctl_exit code;
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		return fail_at(path, errno);
	if (st.st_dev != purge->device)
		return ctl_fail(CTL_EXIT_FAILED,
				"purge: %s: cannot remove: another file system is mounted there; "
				"unmount it, then purge again",
				path);
	if (depth == PURGE_DEPTH_MAX)
		return fail_at(path, ELOOP);
	code = empty_directory(purge, fd, path, depth + 1);
	if (code == CTL_EXIT_OK && unlinkat(parent, name, AT_REMOVEDIR))
		code = fail_at(path, errno);
	return code;
}

static enum ctl_exit remove_entry(struct purge *purge, int parent, const char *name,
				  const char *path, unsigned int depth)
{
	struct stat st;

	if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW))
		return fail_at(path, errno);
	if (S_ISDIR(st.st_mode))
		return remove_directory(purge, parent, name, path, depth);
	if (unlinkat(parent, name, 0))
		return fail_at(path, errno);
	print_removed(purge, path);
	return CTL_EXIT_OK;
}

/* The first remaining entry. Each call opens the directory anew: POSIX leaves readdir() unspecified
 * after entries were removed. */
static bool first_entry(int fd, char *name, size_t size)
{
	int again = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *directory = again >= 0 ? fdopendir(again) : NULL;
	struct dirent *entry = NULL;

	if (!directory) {
		if (again >= 0)
			close(again);
		return false;
	}
	do
		entry = readdir(directory);
	while (entry && (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")));
	if (entry)
		text_copy(name, size, entry->d_name);
	closedir(directory);
	return entry;
}

static enum ctl_exit empty_directory(struct purge *purge, int fd, const char *path,
				     unsigned int depth)
{
	enum ctl_exit code = CTL_EXIT_OK;
	char name[NAME_MAX + 1], entry_path[PURGE_PATH_MAX];

	while (code == CTL_EXIT_OK && first_entry(fd, name, sizeof(name))) {
		if (snprintf(entry_path, sizeof(entry_path), "%s/%s", path, name) >=
		    (int)sizeof(entry_path))
			return fail_at(path, ENAMETOOLONG);
		code = remove_entry(purge, fd, name, entry_path, depth);
	}
	return code;
}

static void ask(const struct purge_paths *paths)
{
	int wishes = purge_count_wishes(paths->root);

	fprintf(stderr, "End all enforcement and remove every latch? Latched connections continue "
			"unlatched, and in clear if the IPsec policies allow. Sockets that wish "
			"for their peer connect to any peer");
	if (wishes >= 0)
		fprintf(stderr, "; there %s %d", wishes == 1 ? "is" : "are", wishes);
	fprintf(stderr, ". [y/N] ");
}

static bool confirmed(const struct ctl_options *options, const struct purge_paths *paths)
{
	char answer[8] = "";

	if (options->yes || !isatty(STDIN_FILENO))
		return true;
	ask(paths);
	return fgets(answer, sizeof(answer), stdin) && (answer[0] == 'y' || answer[0] == 'Y');
}

static enum ctl_exit fail_lock(const char *path, int error, pid_t holder)
{
	if (error == EWOULDBLOCK)
		return ctl_fail(CTL_EXIT_FAILED,
				"purge: lock file %s: latchd is running (pid %d); stop it first: "
				"systemctl stop latchd",
				path, (int)holder);
	if (error == EACCES || error == EPERM)
		return ctl_fail(CTL_EXIT_NOT_PERMITTED,
				"purge: lock file %s: cannot lock: %s; run as root", path,
				strerror(error));
	return ctl_fail(CTL_EXIT_FAILED,
			"purge: lock file %s: cannot lock: %s; check its directory", path,
			strerror(error));
}

static enum ctl_exit purge_root(struct purge *purge, const struct purge_paths *paths)
{
	auto_close int fd = open(paths->root, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	enum ctl_exit code;
	struct statfs fs;
	struct stat st;

	if (fd < 0 && errno == ENOENT)
		return CTL_EXIT_OK;
	if (fd < 0 || fstatfs(fd, &fs) || fstat(fd, &st))
		return fail_at(paths->root, errno);
	if (fs.f_type != paths->filesystem)
		return ctl_fail(CTL_EXIT_FAILED,
				"purge: %s: cannot remove: not on a BPF file system, so not a "
				"directory of latchd; check what created it",
				paths->root);
	purge->device = st.st_dev;
	purge_answers(paths->root);
	purge->wishes = purge_count_wishes(paths->root);
	code = empty_directory(purge, fd, paths->root, 0);
	if (code == CTL_EXIT_OK && rmdir(paths->root))
		code = fail_at(paths->root, errno);
	return code;
}

static void print_text(const struct purge *purge)
{
	if (!purge->count) {
		printf("nothing to remove\n");
		return;
	}
	printf("removed %u pins: enforcement has ended, and with it what applications wish for "
	       "their sockets\n",
	       purge->count);
	if (purge->wishes < 0)
		printf("sockets with a wish not counted: %s; they connect to any peer now\n",
		       strerror(-purge->wishes));
	else if (purge->wishes)
		printf("%d socket%s had a wish, and connect%s to any peer now\n", purge->wishes,
		       purge->wishes == 1 ? "" : "s", purge->wishes == 1 ? "s" : "");
}

static enum ctl_exit print_result(struct purge *purge, enum ctl_exit code)
{
	if (!purge->options->json) {
		if (code == CTL_EXIT_OK)
			print_text(purge);
		return code;
	}
	json_array_end(&purge->removed);
	json_key(&purge->removed, "wishes");
	if (purge->wishes < 0)
		json_null(&purge->removed);
	else
		json_uint(&purge->removed, (uint64_t)purge->wishes);
	json_object_end(&purge->removed);
	if (json_finish(&purge->removed))
		return ctl_fail(
			CTL_EXIT_FAILED,
			"purge: cannot print the removed paths: out of memory; check what is "
			"left in %s",
			LATCH_PIN_ROOT);
	fputs(purge->removed.text, stdout);
	return code;
}

enum ctl_exit purge_at(const struct ctl_options *options, const struct purge_paths *paths)
{
	struct purge purge = {.options = options};
	auto_close int lock = -1;
	enum ctl_exit code;
	pid_t holder = 0;

	if (!confirmed(options, paths))
		return ctl_fail(CTL_EXIT_FAILED, "purge: not confirmed, nothing removed; "
						 "answer y, or use --yes");
	lock = lockfile_take(paths->lock, &holder);
	if (lock < 0)
		return fail_lock(paths->lock, -lock, holder);
	json_init(&purge.removed);
	json_object_begin(&purge.removed);
	json_member_uint(&purge.removed, "schema", CTL_SCHEMA);
	json_key(&purge.removed, "removed");
	json_array_begin(&purge.removed);
	code = print_result(&purge, purge_root(&purge, paths));
	json_release(&purge.removed);
	return code;
}

enum ctl_exit ctl_purge(const struct ctl_options *options)
{
	static const struct purge_paths paths = {
		.root = LATCH_PIN_ROOT,
		.lock = LOCKFILE_DEFAULT_PATH,
		.filesystem = BPF_FS_MAGIC,
	};

	return purge_at(options, &paths);
}
