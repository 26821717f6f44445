/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/enforce/pins/pin_paths.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const directories[] = {LATCH_PIN_ROOT, LATCH_PIN_DIR, PINS_MAPS, PINS_LINKS,
					  PINS_NETNS};

#define DIRECTORY_COUNT (sizeof(directories) / sizeof(directories[0]))

/*
 * Every user may write to the root of bpffs. A user that creates this directory first could
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

bool pin_paths_has_entries(const char *path)
{
	DIR *directory = opendir(path);
	struct dirent *entry;
	bool found = false;

	while (directory && !found && (entry = readdir(directory)))
		found = entry->d_name[0] != '.';
	if (directory)
		closedir(directory);
	return found;
}

static bool is_in_use(const char *version)
{
	char path[NAME_MAX + sizeof(LATCH_PIN_ROOT) + sizeof("//links")];

	snprintf(path, sizeof(path), "%s/%s/links", LATCH_PIN_ROOT, version);
	if (pin_paths_has_entries(path))
		return true;
	snprintf(path, sizeof(path), "%s/%s/maps", LATCH_PIN_ROOT, version);
	return pin_paths_has_entries(path);
}

int pin_paths_check_versions(struct failure *failure)
{
	const char *own = strrchr(LATCH_PIN_DIR, '/') + 1;
	DIR *directory = opendir(LATCH_PIN_ROOT);
	struct dirent *entry;
	int err = 0;

	while (directory && !err && (entry = readdir(directory)))
		if (entry->d_name[0] == 'v' && strcmp(entry->d_name, own) &&
		    is_in_use(entry->d_name))
			err = failure_set(
				failure, -EEXIST,
				"pins: %s/%s has programs and latches of a latchd of another ABI, "
				"which cannot be taken over and are still enforced; to keep them "
				"install and start that latchd again; to end them run latchctl "
				"purge, then start latchd",
				LATCH_PIN_ROOT, entry->d_name);
	if (directory)
		closedir(directory);
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
