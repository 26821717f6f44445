/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Starts that fail before anything is attached: the machine's cgroups stay as they are, and bpffs
 * is a private one. tests/vm/pins has the starts that succeed.
 */
#include <criterion/criterion.h>

#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"
#include "latch_abi.h"
#include "latchd/enforce/enforcement.h"
#include "latchd/enforce/pins/pin_paths.h"

/* No cgroup, so that the attach fails on a kernel where every program loads. */
#define NO_CGROUP "/proc/self"

static const struct config config = {.pending_ms = 5000, .latch_capacity = 64};
static struct enforcement *enforcement;
static struct failure failure;
static unsigned int warnings;

static void on_log(enum log_level level, const char *subsystem, const char *text)
{
	(void)text;
	warnings += level == LOG_LEVEL_WARN && !strcmp(subsystem, "enforce");
}

static void mount_private(void)
{
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("bpf", "/sys/fs/bpf", "bpf", 0, NULL))
		cr_skip_test("a private BPF file system needs root");
	log_set_sink(on_log);
}

TestSuite(enforcement, .init = mount_private, .timeout = 60);

static int start(void)
{
	int err = enforcement_start(&config, NO_CGROUP, &enforcement, &failure);

	cr_assert_lt(err, 0);
	cr_expect_null(strchr(failure.text, '\n'));
	cr_expect_not_null(strchr(failure.text, ';'), "no next step: %s", failure.text);
	return err;
}

static bool exists(const char *path)
{
	struct stat st;

	return !lstat(path, &st);
}

static unsigned int entries(const char *path)
{
	DIR *directory = opendir(path);
	unsigned int count = 0;
	struct dirent *entry;

	cr_assert_not_null(directory, "%s", path);
	while ((entry = readdir(directory)))
		count += entry->d_name[0] != '.';
	closedir(directory);
	return count;
}

static void make_directories(void)
{
	cr_assert_eq(pin_paths_create_directories(&failure), 0, "%s", failure.text);
}

static void pin_latches(unsigned int value_size, unsigned int capacity)
{
	struct latch_flow flow = {.local_port = 80};
	struct latch latch[2] = {{.id = 5}};
	int fd = bpf_map_create(BPF_MAP_TYPE_HASH, "latches", sizeof(flow), value_size, capacity,
				NULL);

	cr_assert_geq(fd, 0);
	cr_assert_leq(value_size, sizeof(latch));
	cr_assert_eq(bpf_map_update_elem(fd, &flow, latch, BPF_ANY), 0);
	cr_assert_eq(bpf_obj_pin(fd, PINS_MAPS "/latches"), 0);
	close(fd);
}

Test(enforcement, a_first_start_that_fails_leaves_no_pins)
{
	start();
	cr_expect(strstr(failure.text, "program ") || strstr(failure.text, NO_CGROUP), "%s",
		  failure.text);
	cr_expect_not(exists(LATCH_PIN_ROOT));
	cr_expect_null(enforcement);
}

Test(enforcement, a_later_start_that_fails_leaves_the_earlier_pins)
{
	struct latch_flow flow = {.local_port = 80};
	struct latch latch = {0};
	int fd;

	make_directories();
	pin_latches(sizeof(struct latch), 64);
	start();
	cr_expect_eq(entries(PINS_MAPS), 1);
	fd = bpf_obj_get(PINS_MAPS "/latches");
	cr_assert_eq(bpf_map_lookup_elem(fd, &flow, &latch), 0);
	cr_expect_eq(latch.id, 5);
	close(fd);
}

Test(enforcement, the_capacity_of_a_pinned_map_is_kept_with_a_warning)
{
	unsigned int same;

	make_directories();
	pin_latches(sizeof(struct latch), 64);
	start();
	same = warnings;
	cr_assert_eq(unlink(PINS_MAPS "/latches"), 0);
	pin_latches(sizeof(struct latch), 65);
	start();
	cr_expect_eq(warnings - same, same + 1, "%u after %u", warnings, same);
	cr_expect_null(strstr(failure.text, "purge"), "%s", failure.text);
}

Test(enforcement, a_map_of_another_shape_is_refused)
{
	make_directories();
	pin_latches(sizeof(struct latch) + 8, 64);
	cr_expect_eq(start(), -EEXIST);
	cr_expect(strstr(failure.text, "map latches") && strstr(failure.text, "latchctl purge"),
		  "%s", failure.text);
	cr_expect_eq(entries(PINS_MAPS), 1);
}

Test(enforcement, existing_and_new_pin_directories_get_mode_0700)
{
	struct stat st;

	umask(0);
	cr_assert_eq(mkdir(LATCH_PIN_ROOT, 0777), 0);
	make_directories();
	cr_assert_eq(stat(LATCH_PIN_ROOT, &st), 0);
	cr_expect_eq(st.st_mode & 07777, 0700);
	cr_assert_eq(stat(PINS_LINKS, &st), 0);
	cr_expect_eq(st.st_mode & 07777, 0700);
}

Test(enforcement, a_pin_directory_of_another_user_is_refused)
{
	cr_assert_eq(mkdir(LATCH_PIN_ROOT, 0755), 0);
	cr_assert_eq(chown(LATCH_PIN_ROOT, 1000, 1000), 0);
	cr_expect_eq(start(), -EPERM);
	cr_expect(strstr(failure.text, LATCH_PIN_ROOT) && strstr(failure.text, "uid 1000"), "%s",
		  failure.text);
}

Test(enforcement, a_symlink_in_place_of_the_pin_directory_is_refused)
{
	cr_assert_eq(symlink("/tmp", LATCH_PIN_ROOT), 0);
	cr_expect_eq(start(), -EPERM);
	cr_expect(exists(LATCH_PIN_ROOT));
	cr_expect_not(exists("/tmp/v1"));
}

Test(enforcement, the_pins_of_another_abi_are_named_and_stay)
{
	make_directories();
	pin_latches(sizeof(struct latch), 64);
	cr_assert_eq(rename(LATCH_PIN_DIR, LATCH_PIN_ROOT "/v0"), 0);
	cr_expect_eq(start(), -EEXIST);
	cr_expect(strstr(failure.text, LATCH_PIN_ROOT "/v0") &&
			  strstr(failure.text, "latchctl purge"),
		  "%s", failure.text);
	cr_expect(exists(LATCH_PIN_ROOT "/v0/maps/latches"));
	cr_expect_not(exists(LATCH_PIN_DIR));
}

Test(enforcement, empty_directories_of_another_abi_are_no_fault)
{
	make_directories();
	cr_assert_eq(rename(LATCH_PIN_DIR, LATCH_PIN_ROOT "/v0"), 0);
	start();
	cr_expect_null(strstr(failure.text, "ABI"), "%s", failure.text);
}

Test(enforcement_functions, each_kernel_function_is_named_once)
{
	struct enforcement_functions functions;
	unsigned int adds = 0, deletes = 0;
	size_t i;

	cr_assert_eq(enforcement_functions(&functions), 0);
	for (i = 0; i < functions.count; i++) {
		adds += !strcmp(functions.names[i], "xfrm_state_add");
		deletes += !strcmp(functions.names[i], "__xfrm_state_delete");
		cr_expect_null(strpbrk(functions.names[i], "/ "), "%s", functions.names[i]);
	}
	cr_expect_eq(adds, 1);
	cr_expect_eq(deletes, 1);
}
