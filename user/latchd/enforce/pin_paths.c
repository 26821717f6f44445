/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/enforce/pin_paths.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const directories[] = {LATCH_PIN_ROOT, LATCH_PIN_DIR, PINS_MAPS, PINS_LINKS,
					  PINS_NETNS};

#define DIRECTORY_COUNT (sizeof(directories) / sizeof(directories[0]))

/*
 * Every user may write to the root of bpffs. A user who created this directory first could
 * remove or replace pins in it.
 */
static int check_directory(const char *path, struct failure *failure)
{
	struct stat st;

	if (lstat(path, &st))
		return failure_set(failure, -errno, "pins: cannot read %s: %m; check its mount",
				   path);
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid())
		return failure_set(
			failure, -EPERM,
			"pins: %s is not a directory of latchd's user, but of uid %u; find "
			"the program that created it, remove it, then start latchd again",
			path, (unsigned int)st.st_uid);
	if ((st.st_mode & 0777) != 0700 && chmod(path, 0700))
		return failure_set(failure, -errno,
				   "pins: cannot set mode 0700 on %s: %m; check its mount", path);
	return 0;
}

static int make_directory(const char *path, struct failure *failure)
{
	if (mkdir(path, 0700) && errno != EEXIST)
		return failure_set(
			failure, -errno,
			"pins: cannot create the directory %s: %m; check that /sys/fs/bpf "
			"is a writable BPF file system",
			path);
	return check_directory(path, failure);
}

int pin_paths_create_directories(struct failure *failure)
{
	int err = 0;
	size_t i;

	for (i = 0; !err && i < DIRECTORY_COUNT; i++)
		err = make_directory(directories[i], failure);
	return err;
}

void pin_paths_remove_directories(void)
{
	size_t i;

	for (i = DIRECTORY_COUNT; i-- > 0;)
		rmdir(directories[i]);
}

int pin_paths_join(char path[PINS_PATH_MAX], const char *directory, const char *name,
		   const char *suffix)
{
	int length = snprintf(path, PINS_PATH_MAX, "%s/%s%s", directory, name, suffix);

	return length < PINS_PATH_MAX ? 0 : -ENAMETOOLONG;
}
