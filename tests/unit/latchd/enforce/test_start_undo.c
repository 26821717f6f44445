/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Starts at a cgroup of the test's own that succeed, and are undone. Programs at functions of the
 * kernel would see the whole machine: other programs, at an unused hook of that cgroup, take their
 * place.
 */
#include "cgroup.h"

#include <bpf/bpf.h>
#include <dlfcn.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <sys/mount.h>
#include <sys/syscall.h>

#include "common/log.h"
#include "common/loop.h"
#include "latch_abi.h"
#include "latchd/enforce/enforcement.h"
#include "latchd/enforce/pins/pin_paths.h"
#include "latchd/maps/tables.h"

#define LIMIT_MS 30000

static struct config config = {.pending_ms = 5000, .latch_capacity = 64, .answers = true};
static struct enforcement *enforcement;
static struct failure failure;
static unsigned int warnings;
static char last_warning[512];

/* ---- in place of the programs at functions */

static long (*kernel)(long number, ...);
static int abort_program = -1;
static bool refuses_abort;

static long load_other(const union bpf_attr *attr)
{
	static const struct bpf_insn pass[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = 1},
		{.code = BPF_JMP | BPF_EXIT},
	};
	union bpf_attr other = {
		.prog_type = BPF_PROG_TYPE_CGROUP_SOCK_ADDR,
		.expected_attach_type = BPF_CGROUP_UDP4_RECVMSG,
		.insns = (uintptr_t)pass,
		.insn_cnt = 2,
		.license = (uintptr_t) "GPL",
	};
	long program = kernel(SYS_bpf, BPF_PROG_LOAD, &other, sizeof(other));

	if (!strncmp(attr->prog_name, LATCH_ABORT_PROGRAM, sizeof(attr->prog_name) - 1))
		abort_program = (int)program;
	return program;
}

static long link_other(const union bpf_attr *attr)
{
	union bpf_attr other = {
		.link_create.prog_fd = attr->link_create.prog_fd,
		.link_create.target_fd = (uint32_t)cgroup_fd,
		.link_create.attach_type = BPF_CGROUP_UDP4_RECVMSG,
	};

	if (!refuses_abort || (int)attr->link_create.prog_fd != abort_program)
		return kernel(SYS_bpf, BPF_LINK_CREATE, &other, sizeof(other));
	errno = EPERM;
	return -1;
}

static bool is_at_function(const union bpf_attr *attr)
{
	return attr->prog_type == BPF_PROG_TYPE_LSM ||
	       (attr->prog_type == BPF_PROG_TYPE_TRACING &&
		attr->expected_attach_type != BPF_TRACE_ITER);
}

static bool links_function(const union bpf_attr *attr)
{
	return attr->link_create.attach_type == BPF_TRACE_FENTRY ||
	       attr->link_create.attach_type == BPF_TRACE_FEXIT ||
	       attr->link_create.attach_type == BPF_MODIFY_RETURN ||
	       attr->link_create.attach_type == BPF_LSM_MAC;
}

/* libbpf makes its calls by this function: the linker prefers it to that of libc. */
long syscall(long number, ...)
{
	const union bpf_attr *attr;
	long words[6];
	va_list args;
	size_t i;

	va_start(args, number);
	for (i = 0; i < 6; i++)
		words[i] = va_arg(args, long);
	va_end(args);
	if (!kernel)
		*(void **)&kernel = dlsym(RTLD_NEXT, "syscall");
	attr = (const void *)words[1];
	if (number == SYS_bpf && words[0] == BPF_PROG_LOAD && is_at_function(attr))
		return load_other(attr);
	if (number == SYS_bpf && words[0] == BPF_LINK_CREATE && links_function(attr))
		return link_other(attr);
	return kernel(number, words[0], words[1], words[2], words[3], words[4], words[5]);
}

/* ---- */

static void on_log(enum log_level level, const char *subsystem, const char *text)
{
	if (level != LOG_LEVEL_WARN || strcmp(subsystem, "enforce"))
		return;
	warnings++;
	snprintf(last_warning, sizeof(last_warning), "%s", text);
}

static unsigned int programs_at(enum bpf_attach_type hook)
{
	uint32_t ids[64], count = 64;

	cr_assert_eq(bpf_prog_query(cgroup_fd, hook, 0, NULL, ids, &count), 0);
	return count;
}

static void begin(void)
{
	cgroup_enter();
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("bpf", "/sys/fs/bpf", "bpf", 0, NULL))
		cr_skip_test("a private BPF file system needs root");
	strcpy(config.cgroups[0], cgroup_path);
	config.cgroup_count = 1;
	log_set_sink(on_log);
}

static void end(void)
{
	enforcement_free(enforcement);
	umount2("/sys/fs/bpf", MNT_DETACH);
	cgroup_leave();
}

TestSuite(start_undo, .init = begin, .fini = end, .timeout = 120);

static void start(void)
{
	cr_assert_eq(enforcement_start(&config, cgroup_path, &enforcement, &failure), 0, "%s",
		     failure.text);
	cr_assert_eq(programs_at(BPF_CGROUP_INET_EGRESS), 1);
}

/* Nothing can fail any more. */
static void end_start(void)
{
	struct loop *loop = loop_new();

	cr_assert_not_null(loop);
	enforcement_watch(enforcement, loop);
	enforcement_free(enforcement);
	enforcement = NULL;
	loop_free(loop);
}

static bool settings_answer(void)
{
	struct latch_settings settings;

	cr_assert_eq(settings_read(enforcement_maps(enforcement), &settings), 0);
	return settings.answers;
}

Test(start_undo, a_start_that_fails_later_takes_what_answers_questions_along)
{
	start();
	cr_expect_eq(warnings, 0, "%s", last_warning);
	cr_expect_eq(programs_at(BPF_CGROUP_GETSOCKOPT), 1);
	cr_expect(settings_answer());
	enforcement_undo(enforcement);
	cr_expect_eq(programs_at(BPF_CGROUP_GETSOCKOPT), 0, "detached at once");
	cr_expect_eq(programs_at(BPF_CGROUP_INET_EGRESS), 1, "the gates stay");
	cr_expect_not(settings_answer());
}

Test(start_undo, a_later_start_that_fails_leaves_what_answered_before)
{
	start();
	enforcement_free(enforcement);
	start();
	enforcement_undo(enforcement);
	cr_expect_eq(programs_at(BPF_CGROUP_GETSOCKOPT), 1);
	cr_expect_eq(programs_at(BPF_CGROUP_INET_EGRESS), 1);
	cr_expect(settings_answer());
}

Test(start_undo, a_later_start_without_the_interface_that_fails_leaves_what_answered_before)
{
	start();
	enforcement_free(enforcement);
	config.answers = false;
	start();
	cr_expect_not(settings_answer());
	enforcement_undo(enforcement);
	cr_expect_eq(programs_at(BPF_CGROUP_GETSOCKOPT), 1);
	cr_expect(settings_answer());
}

Test(start_undo, a_later_start_without_the_interface_ends_what_answered_before)
{
	start();
	end_start();
	cr_expect_eq(programs_at(BPF_CGROUP_GETSOCKOPT), 1);
	config.answers = false;
	start();
	end_start();
	cr_expect_eq(programs_at(BPF_CGROUP_GETSOCKOPT), 0);
	cr_expect_eq(programs_at(BPF_CGROUP_INET_EGRESS), 1);
}

Test(start_undo, a_kernel_that_refuses_the_program_at_udp_abort_gets_gates_and_answers)
{
	refuses_abort = true;
	start();
	cr_expect_eq(warnings, 1, "%u", warnings);
	cr_expect(strstr(last_warning, LATCH_ABORT_PROGRAM), "%s", last_warning);
	cr_expect_eq(programs_at(BPF_CGROUP_GETSOCKOPT), 1);
}
