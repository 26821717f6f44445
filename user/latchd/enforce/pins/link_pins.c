/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/enforce/pins/link_pins.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "latchd/enforce/pins/pin_paths.h"

int link_pin_name(char pin[LINK_PIN_MAX], const char *program, uint64_t cgroup_id)
{
	int length = snprintf(pin, LINK_PIN_MAX, "%s@%" PRIx64, program, cgroup_id);

	return length < LINK_PIN_MAX ? 0 : -ENAMETOOLONG;
}

bool link_pin_cgroup(const char *pin, size_t *ret_length, uint64_t *ret_cgroup_id)
{
	const char *at = strchr(pin, '@');
	char *end;

	if (!at || !at[1] || strspn(at + 1, "0123456789abcdef") != strlen(at + 1))
		return false;
	errno = 0;
	*ret_cgroup_id = strtoull(at + 1, &end, 16);
	*ret_length = (size_t)(at - pin);
	return !errno;
}

int link_pin_open(const char *pin, const char *suffix)
{
	char path[PINS_PATH_MAX];
	int err = pin_paths_join(path, PINS_LINKS, pin, suffix);

	return err ? err : bpf_obj_get(path);
}

int link_pin_rename(const char *pin, const char *from, const char *to)
{
	char source[PINS_PATH_MAX], target[PINS_PATH_MAX];
	int err = pin_paths_join(source, PINS_LINKS, pin, from);

	if (!err)
		err = pin_paths_join(target, PINS_LINKS, pin, to);
	if (!err)
		err = rename(source, target) ? -errno : 0;
	return err;
}

int link_pin_remove(const char *pin, const char *suffix)
{
	char path[PINS_PATH_MAX];
	int err = pin_paths_join(path, PINS_LINKS, pin, suffix);

	if (!err && unlink(path) && errno != ENOENT)
		err = -errno;
	return err;
}

int link_pin_info(int fd, struct bpf_link_info *ret)
{
	__u32 length = sizeof(*ret);

	memset(ret, 0, sizeof(*ret));
	return bpf_link_get_info_by_fd(fd, ret, &length);
}

/* ---- all of them: a removal disturbs a walk, so the names come first */

struct names {
	char (*name)[NAME_MAX + 1];
	size_t count, capacity;
};

static int add_name(struct names *names, const char *name)
{
	if (names->count == names->capacity) {
		size_t capacity = names->capacity ? 2 * names->capacity : 64;
		void *grown = reallocarray(names->name, capacity, sizeof(*names->name));

		if (!grown)
			return -ENOMEM;
		names->name = grown;
		names->capacity = capacity;
	}
	strcpy(names->name[names->count++], name);
	return 0;
}

static int read_names(struct names *names)
{
	DIR *directory = opendir(PINS_LINKS);
	struct dirent *entry;
	int err = 0;

	if (!directory)
		return errno == ENOENT ? 0 : -errno;
	while (!err && (entry = readdir(directory)))
		if (entry->d_name[0] != '.')
			err = add_name(names, entry->d_name);
	closedir(directory);
	return err;
}

int link_pins_walk(link_pin_fn visit, void *context)
{
	struct names names = {0};
	int result = read_names(&names);
	size_t i;

	for (i = 0; !result && i < names.count; i++)
		result = visit(context, names.name[i]);
	free(names.name);
	return result;
}
