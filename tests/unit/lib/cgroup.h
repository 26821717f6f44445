/* SPDX-License-Identifier: BSD-2-Clause */
/* A cgroup v2 of the test's own. The test's process is in it, and so are its sockets. */
#ifndef LATCHD_TESTS_CGROUP_H
#define LATCHD_TESTS_CGROUP_H

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "latchd/enforce/preflight.h"

#ifndef BPF_FS_MAGIC
#define BPF_FS_MAGIC 0xcafe4a11
#endif

static char cgroup_root[256], cgroup_path[320], cgroup_before[512];
static int cgroup_fd = -1;

/* The tests pin nothing, so they need no bpffs. */
static inline long cgroup_file_system(const char *path)
{
	return strcmp(path, preflight_this_system.bpffs)
		       ? preflight_this_system.filesystem_type(path)
		       : BPF_FS_MAGIC;
}

/* preflight fills in the cgroup also when a later check of it fails. */
static inline void cgroup_need_root(void)
{
	struct preflight_system system = preflight_this_system;
	static struct config config;
	struct preflight_result result;
	struct failure failure = {""};

	system.filesystem_type = cgroup_file_system;
	preflight_run_on(&system, &config, &result, &failure);
	if (!result.cgroup[0])
		cr_skip_test("no cgroup for the gates: %s", failure.text);
	strcpy(cgroup_root, result.cgroup);
}

/* Stores the cgroup of this process: the line "0::PATH" of /proc/self/cgroup. */
static inline void cgroup_remember(void)
{
	FILE *file = fopen("/proc/self/cgroup", "re");
	char line[256];

	cr_assert_not_null(file);
	strcpy(cgroup_before, cgroup_root);
	while (fgets(line, sizeof(line), file))
		if (!strncmp(line, "0::", 3)) {
			line[strcspn(line, "\n")] = '\0';
			snprintf(cgroup_before, sizeof(cgroup_before), "%s%s", cgroup_root,
				 line + 3);
		}
	fclose(file);
}

static inline int cgroup_move_to(const char *path)
{
	char file[600];
	int fd, err = 0;

	snprintf(file, sizeof(file), "%s/cgroup.procs", path);
	fd = open(file, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, "0", 1) != 1)
		err = -errno;
	close(fd);
	return err;
}

/* The directory's name ends with a pid. A live process may be about to enter an empty cgroup. */
static inline bool cgroup_is_left(const char *path)
{
	pid_t pid = atoi(strrchr(path, '-') + 1);

	return kill(pid, 0) && errno == ESRCH;
}

/* Removes the cgroups of tests that were killed. */
static inline void cgroup_sweep(void)
{
	char pattern[320];
	glob_t found;
	size_t i;

	snprintf(pattern, sizeof(pattern), "%s/latchd-test-*", cgroup_root);
	if (!glob(pattern, 0, NULL, &found))
		for (i = 0; i < found.gl_pathc; i++)
			if (cgroup_is_left(found.gl_pathv[i]))
				rmdir(found.gl_pathv[i]);
	globfree(&found);
}

static inline void cgroup_enter(void)
{
	int err;

	cgroup_need_root();
	cgroup_remember();
	cgroup_sweep();
	snprintf(cgroup_path, sizeof(cgroup_path), "%s/latchd-test-%d", cgroup_root, (int)getpid());
	if (mkdir(cgroup_path, 0700))
		cr_skip_test("no cgroup of its own, %s: %s", cgroup_path, strerror(errno));
	cgroup_fd = open(cgroup_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cr_assert_geq(cgroup_fd, 0);
	err = cgroup_move_to(cgroup_path);
	if (err) {
		rmdir(cgroup_path);
		cr_skip_test("cannot enter %s: %s", cgroup_path, strerror(-err));
	}
}

/* Children in the cgroup must have ended. */
static inline void cgroup_leave(void)
{
	int err;

	if (cgroup_fd < 0)
		return;
	err = cgroup_move_to(cgroup_before);
	cr_expect_eq(err, 0, "%s: %s", cgroup_before, strerror(-err));
	close(cgroup_fd);
	cr_expect_eq(rmdir(cgroup_path), 0, "%s: %s", cgroup_path, strerror(errno));
}

#endif
