/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/enforce/pins/map_pins.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "latchd/enforce/pins/pin_paths.h"

#define PROGRAM_MAPS_MAX 64

/* ---- the programs of an earlier latchd */

static bool has_name(int map, const char *name)
{
	struct bpf_map_info info = {0};
	__u32 length = sizeof(info);

	/* The kernel cuts names. */
	return !bpf_map_get_info_by_fd(map, &info, &length) &&
	       !strncmp(info.name, name, sizeof(info.name) - 1);
}

static int find_in_program(int program, const char *name)
{
	__u32 ids[PROGRAM_MAPS_MAX], i;
	struct bpf_prog_info info = {.nr_map_ids = PROGRAM_MAPS_MAX, .map_ids = (uintptr_t)ids};
	__u32 length = sizeof(info);
	int err = bpf_prog_get_info_by_fd(program, &info, &length);

	for (i = 0; !err && i < info.nr_map_ids && i < PROGRAM_MAPS_MAX; i++) {
		auto_close int map = bpf_map_get_fd_by_id(ids[i]);

		if (map >= 0 && has_name(map, name))
			return take_fd(&map);
	}
	return err ? err : -ENOENT;
}

static int find_in_link(const char *link_name, const char *name)
{
	char path[PINS_PATH_MAX];
	auto_close int link = -1, program = -1;
	struct bpf_link_info info = {0};
	__u32 length = sizeof(info);
	int err = pin_paths_join(path, PINS_LINKS, link_name, "");

	if (err)
		return err;
	link = bpf_obj_get(path);
	if (link < 0)
		return link;
	err = bpf_link_get_info_by_fd(link, &info, &length);
	if (!err)
		program = bpf_prog_get_fd_by_id(info.prog_id);
	return program < 0 ? -ENOENT : find_in_program(program, name);
}

int map_pins_find(const char *name)
{
	DIR *directory = opendir(PINS_LINKS);
	struct dirent *entry;
	int map = -ENOENT;

	while (directory && map < 0 && (entry = readdir(directory)))
		if (entry->d_name[0] != '.')
			map = find_in_link(entry->d_name, name);
	if (directory)
		closedir(directory);
	return map < 0 ? -ENOENT : map;
}

bool map_pins_have_programs(void)
{
	return pin_paths_has_entries(PINS_LINKS);
}

/* ---- the maps of this latchd */

int map_pins_bind(const struct bpf_object *object, int program)
{
	struct bpf_map *map;
	int err = 0;

	/* A map that the program uses already is no error. */
	bpf_object__for_each_map (map, object)
		if (!err && !bpf_map__is_internal(map))
			err = bpf_prog_bind_map(program, bpf_map__fd(map), NULL);
	return err;
}

static bool keep(const struct bpf_map *map)
{
	const char *name = bpf_map__name(map);
	char path[PINS_PATH_MAX];
	struct failure failure;
	int err = pin_paths_join(path, PINS_MAPS, name, "");

	if (!err && !access(path, F_OK))
		return true;
	if (!err)
		err = pin_paths_create_directories(&failure);
	if (!err)
		err = bpf_obj_pin(bpf_map__fd(map), path);
	if (!err)
		log_warn("enforce", "map %s pinned again (its pin was removed)", name);
	return !err;
}

unsigned int map_pins_keep(const struct bpf_object *object)
{
	unsigned int missing = 0;
	struct bpf_map *map;

	bpf_object__for_each_map (map, object)
		if (!bpf_map__is_internal(map) && !keep(map))
			missing++;
	return missing;
}
