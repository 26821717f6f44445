/* SPDX-License-Identifier: BSD-2-Clause */
/* The pins of a test's own bpffs. The gate is attached to a cgroup of the test's own. */
#include "cgroup.h"
#include "loaded_gates.h"

#include <bpf/bpf.h>
#include <sched.h>
#include <sys/mount.h>

#include "common/log.h"
#include "fake/control_program.h"
#include "latch_abi.h"
#include "latchd.skel.h"
#include "latchd/enforce/pins/map_pins.h"
#include "latchd/enforce/pins/pin_paths.h"

static struct failure failure;
static unsigned int warnings;

static void on_log(enum log_level level, const char *subsystem, const char *text)
{
	warnings += level == LOG_LEVEL_WARN && !strcmp(subsystem, "enforce") &&
		    strstr(text, "pinned again");
}

static void start(void)
{
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("bpf", "/sys/fs/bpf", "bpf", 0, NULL))
		cr_skip_test("a private BPF file system needs root");
	cr_assert_eq(pin_paths_create_directories(&failure), 0, "%s", failure.text);
	log_set_sink(on_log);
}

TestSuite(map_pins, .init = start, .timeout = 60);

static uint32_t map_id(int fd)
{
	struct bpf_map_info info = {0};
	__u32 length = sizeof(info);

	cr_assert_eq(bpf_map_get_info_by_fd(fd, &info, &length), 0);
	return info.id;
}

/* As an attached latchd after its pins of maps were removed. */
static void attach_as(enum gates_part part, enum bpf_attach_type type, const char *pin)
{
	int link;

	cgroup_enter();
	gates_set_up();
	link = bpf_link_create(gates_program(gates, part), cgroup_fd, type, NULL);
	cr_assert_geq(link, 0, "%s", strerror(-link));
	cr_assert_eq(bpf_obj_pin(link, pin), 0);
	close(link);
}

static void attach_gate(void)
{
	attach_as(GATES_EGRESS, BPF_CGROUP_INET_EGRESS, PINS_LINKS "/gate_egress");
}

static void detach_gate(void)
{
	unlink(PINS_LINKS "/gate_egress");
	gates_tear_down();
	cgroup_leave();
}

Test(map_pins, a_map_without_a_pin_is_found_by_the_attached_program, .fini = detach_gate)
{
	int latches;

	attach_gate();
	cr_expect(map_pins_have_programs());
	latches = map_pins_find("latches");
	cr_assert_geq(latches, 0);
	cr_expect_eq(map_id(latches), map_id(maps.latches));
	close(latches);
	cr_expect_eq(map_pins_find("no_such_map"), -ENOENT);
}

/* This program reads no identity. */
#define RELEASE_PIN PINS_LINKS "/socket_released"

static void leave_program(void)
{
	unlink(RELEASE_PIN);
	cgroup_leave();
}

/* latchd has ended, and all of its pins of maps were removed. */
Test(map_pins, the_identity_table_lives_as_long_as_an_attached_program, .fini = leave_program)
{
	static const char *const kept[] = {"identities", "associations", "params"};
	struct latch_identity identity = {.id = "c.example"}, found = {0};
	uint32_t key = 1;
	size_t i;
	int map;

	attach_as(GATES_RELEASE, BPF_CGROUP_INET_SOCK_RELEASE, RELEASE_PIN);
	for (i = 0; i < 2; i++)
		cr_expect_eq(map_pins_find(kept[i]), -ENOENT, "%s is in the program", kept[i]);
	cr_assert_eq(map_pins_bind(gates_object(gates), gates_program(gates, GATES_RELEASE)), 0);
	cr_assert_eq(bpf_map_update_elem(maps.identities, &key, &identity, BPF_ANY), 0);
	gates_tear_down();
	for (i = 0; i < 3; i++) {
		map = map_pins_find(kept[i]);
		cr_expect_geq(map, 0, "%s is lost", kept[i]);
		if (!i)
			cr_expect_eq(bpf_map_lookup_elem(map, &key, &found), 0);
		close(map);
	}
	cr_expect_str_eq(found.id, "c.example");
}

Test(map_pins, without_an_attached_program_no_map_is_found)
{
	cr_expect_not(map_pins_have_programs());
	cr_expect_eq(map_pins_find("latches"), -ENOENT);
}

Test(map_pins, removed_pins_are_made_again_with_a_warning_each)
{
	struct control_program *program;
	const struct bpf_object *object;
	struct kernel_maps loaded;
	unsigned int all;
	int latches;

	if (control_program_load(64, &program, &loaded) == -EPERM)
		cr_skip_test("this kernel refuses the program (EPERM)");
	object = ((struct latchd_bpf *)program)->obj;
	cr_expect_eq(map_pins_keep(object), 0);
	all = warnings;
	cr_expect_gt(all, 5);
	cr_expect_eq(map_pins_keep(object), 0);
	cr_expect_eq(warnings, all, "pins that exist need no work");
	cr_assert_eq(unlink(PINS_MAPS "/latches"), 0);
	cr_expect_eq(map_pins_keep(object), 0);
	cr_expect_eq(warnings, all + 1);
	latches = bpf_obj_get(PINS_MAPS "/latches");
	cr_assert_geq(latches, 0);
	cr_expect_eq(map_id(latches), map_id(loaded.latches));
	close(latches);
	cr_assert_eq(umount2("/sys/fs/bpf", MNT_DETACH), 0);
	cr_assert_eq(mount("tmpfs", "/sys/fs/bpf", "tmpfs", 0, NULL), 0);
	cr_expect_gt(map_pins_keep(object), 5, "no bpffs: the pins are missing, and counted");
	control_program_free(program);
}
