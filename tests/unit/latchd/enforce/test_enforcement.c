/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Starts that fail before anything is attached: the machine's cgroups stay as they are, and bpffs
 * is a private one. tests/vm/pins has the starts that succeed.
 */
#include <criterion/criterion.h>

#include <bpf/bpf.h>
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/log.h"
#include "latch_abi.h"
#include "latchd.skel.h"
#include "latchd/enforce/enforcement.h"
#include "latchd/enforce/object.h"
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

/* ---- programs that the kernel refuses to load */

static const char *refused[2];
static unsigned int refusals;

static bool is_refused(const union bpf_attr *attr)
{
	size_t i;

	for (i = 0; i < 2; i++)
		if (refused[i] &&
		    !strncmp(attr->prog_name, refused[i], sizeof(attr->prog_name) - 1))
			return true;
	return false;
}

static long (*kernel)(long number, ...);

/* This machine's kernel may refuse a program at a function: not what these tests are about. */
static long load_any(long program, const union bpf_attr *attr)
{
	static const struct bpf_insn nothing[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K},
		{.code = BPF_JMP | BPF_EXIT},
	};
	union bpf_attr other = {
		.prog_type = BPF_PROG_TYPE_SOCKET_FILTER,
		.insns = (uintptr_t)nothing,
		.insn_cnt = 2,
		.license = (uintptr_t) "GPL",
	};

	if (program >= 0 || attr->prog_type != BPF_PROG_TYPE_TRACING)
		return program;
	return kernel(SYS_bpf, BPF_PROG_LOAD, &other, sizeof(other));
}

/* libbpf makes its calls by this function: the linker prefers it to that of libc. */
long syscall(long number, ...)
{
	long words[6], result;
	va_list args;
	size_t i;

	va_start(args, number);
	for (i = 0; i < 6; i++)
		words[i] = va_arg(args, long);
	va_end(args);
	if (number == SYS_bpf && words[0] == BPF_PROG_LOAD && is_refused((void *)words[1])) {
		refusals++;
		errno = EACCES;
		return -1;
	}
	if (!kernel)
		*(void **)&kernel = dlsym(RTLD_NEXT, "syscall");
	result = kernel(number, words[0], words[1], words[2], words[3], words[4], words[5]);
	if (refused[0] && number == SYS_bpf && words[0] == BPF_PROG_LOAD)
		result = load_any(result, (const void *)words[1]);
	return result;
}

static void expect_loaded(const struct bpf_program *program, bool loaded)
{
	cr_expect_eq(bpf_program__fd(program) >= 0, loaded, "%s", bpf_program__name(program));
}

static void load_without(const char *one, const char *other)
{
	struct object object;

	make_directories();
	refused[0] = one;
	refused[1] = other;
	cr_assert_eq(object_load(&config, &object, &failure), 0, "%s", failure.text);
	cr_expect_gt(refusals, 0);
	cr_expect_eq(warnings, one && other ? 2 : 1, "%u", warnings);
	expect_loaded(object.skeleton->progs.gate_egress, true);
	expect_loaded(object.skeleton->progs.watch_socket, true);
	expect_loaded(object.skeleton->progs.watch_sa_add, true);
	expect_loaded(object.skeleton->progs.option_get, strcmp(one, LATCH_ANSWER_PROGRAM) != 0);
	expect_loaded(object.skeleton->progs.option_set, false);
	expect_loaded(object.skeleton->progs.watch_datagram_abort, !other);
	object_unpin(&object);
	cr_expect_eq(entries(PINS_MAPS), 0);
	object_release(&object);
}

Test(enforcement, a_program_for_wishes_that_the_kernel_refuses_costs_no_gate_and_no_answer)
{
	load_without(LATCH_WISH_PROGRAM, NULL);
}

/* No wish is taken without an answer to why it does not hold. */
Test(enforcement, a_program_for_answers_that_the_kernel_refuses_costs_no_gate)
{
	load_without(LATCH_ANSWER_PROGRAM, NULL);
}

Test(enforcement, both_optional_programs_may_be_refused)
{
	load_without(LATCH_ANSWER_PROGRAM, LATCH_ABORT_PROGRAM);
}

Test(enforcement, a_gate_that_the_kernel_refuses_fails_the_start)
{
	struct object object;

	make_directories();
	refused[0] = "gate_egress";
	cr_expect_lt(object_load(&config, &object, &failure), 0);
	cr_expect(strstr(failure.text, "program gate_egress"), "%s", failure.text);
	cr_expect_eq(entries(PINS_MAPS), 0);
}
