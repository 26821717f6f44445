/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Cgroups below one of the test's own, and a private bpffs. The programs are those that every
 * kernel loads.
 */
#ifndef LATCHD_TESTS_CGROUPS_FIXTURE_H
#define LATCHD_TESTS_CGROUPS_FIXTURE_H

#include "cgroup.h"
#include "loaded_gates.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>

#include "latch_abi.h"
#include "latchd/enforce/cgroups/cgroup_paths.h"
#include "latchd/enforce/cgroups/cgroups.h"
#include "latchd/enforce/pins/pin_paths.h"

#define LIMIT_MS 30000

static struct failure failure;
static struct config config;
static struct cgroups *cgroups;
static const char *const names[] = {"a", "a/b", "b", "c", "a/b/c"};
static char paths[5][340];

enum {
	A,
	A_B,
	B,
	C,
	A_B_C
};

static inline void start(void)
{
	size_t i;

	cgroup_enter();
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("bpf", "/sys/fs/bpf", "bpf", 0, NULL))
		cr_skip_test("a private BPF file system needs root");
	cr_assert_eq(pin_paths_create_directories(&failure), 0, "%s", failure.text);
	gates_set_up();
	for (i = 0; i < 5; i++)
		snprintf(paths[i], sizeof(paths[i]), "%s/%s", cgroup_path, names[i]);
}

static inline void finish(void)
{
	cgroups_free(cgroups);
	gates_tear_down();
	umount2("/sys/fs/bpf", MNT_DETACH);
	rmdir(paths[A_B_C]);
	rmdir(paths[A_B]);
	rmdir(paths[A]);
	rmdir(paths[B]);
	rmdir(paths[C]);
	cgroup_leave();
}

static inline void make(int which)
{
	cr_assert_eq(mkdir(paths[which], 0755), 0, "%s: %s", paths[which], strerror(errno));
}

static inline void configure(int which)
{
	strcpy(config.cgroups[config.cgroup_count++], paths[which]);
}

static inline int try_attach(void)
{
	struct links functions;

	cr_assert_eq(links_list(gates_object(gates), LINKS_OF_FUNCTIONS, 0, NULL, &functions), 0);
	cgroups = cgroups_new(gates_object(gates), &maps, &config, cgroup_path);
	cr_assert_not_null(cgroups);
	return cgroups_attach(cgroups, &functions, &failure);
}

static inline void attach(void)
{
	cr_assert_eq(try_attach(), 0, "%s", failure.text);
}

/* As a restart with another configuration. */
static inline void restart_with(int which)
{
	cgroups_free(cgroups);
	config.cgroup_count = 0;
	configure(which);
	attach();
}

static inline struct cgroup_entry entry_of(const char *path)
{
	struct cgroup_entry entries[128];
	size_t count = cgroups_list(cgroups, entries, 128), i;

	for (i = 0; i < count; i++)
		if (!strcmp(entries[i].path, path))
			return entries[i];
	return (struct cgroup_entry){.id = UINT64_MAX};
}

static inline void expect_state(int which, enum cgroup_state state)
{
	struct cgroup_entry entry = entry_of(paths[which]);

	cr_assert_neq(entry.id, UINT64_MAX, "%s is not listed", names[which]);
	cr_expect_eq(entry.state, state, "%s is %s, not %s", names[which],
		     cgroup_state_name(entry.state), cgroup_state_name(state));
}

static inline bool is_listed(int which)
{
	return entry_of(paths[which]).id != UINT64_MAX;
}

/* How many programs run for the egress of this cgroup's sockets: its own and those above it. */
static inline unsigned int programs_of(int which)
{
	uint32_t ids[64], count = 64;
	uint64_t id;
	int fd = cgroup_open(paths[which], &id);

	cr_assert_geq(fd, 0);
	cr_assert_eq(bpf_prog_query(fd, BPF_CGROUP_INET_EGRESS, BPF_F_QUERY_EFFECTIVE, NULL, ids,
				    &count),
		     0);
	close(fd);
	return count;
}

static inline struct latch_flow put_latch(enum latch_state state)
{
	struct latch_flow flow = {.local_port = 80, .family = AF_INET};
	struct latch latch = {.id = 7, .word = {.state = state}};

	cr_assert_eq(bpf_map_update_elem(maps.latches, &flow, &latch, BPF_ANY), 0);
	return flow;
}

static inline void remove_latch(const struct latch_flow *flow)
{
	cr_assert_eq(bpf_map_delete_elem(maps.latches, flow), 0);
}

static inline unsigned int pins(void)
{
	unsigned int count = 0;
	struct dirent *entry;
	DIR *directory = opendir(PINS_LINKS);

	cr_assert_not_null(directory);
	while ((entry = readdir(directory)))
		count += entry->d_name[0] != '.';
	closedir(directory);
	return count;
}

static unsigned int before;

/* The kernel detaches the link of a removed pin later. */
static inline void expect_programs(int which, unsigned int count)
{
	unsigned int waited;

	for (waited = 0; programs_of(which) != count && waited < LIMIT_MS; waited += 10)
		poll(NULL, 0, 10);
	cr_expect_eq(programs_of(which), count, "%u programs at %s, not %u", programs_of(which),
		     names[which], count);
}

static inline void expect_once(int which)
{
	expect_programs(which, before + 1);
}

static inline void expect_none(int which)
{
	expect_programs(which, before);
}

#endif
