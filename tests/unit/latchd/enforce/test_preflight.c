/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A machine on which latchd can start, made of files in the scratch directory. Each test removes
 * one condition.
 */
#include "scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "latchd/enforce/preflight.h"

#define ALL_CAPABILITIES "CapEff:\t000001ffffffffff\n"

static struct preflight_system machine;
static struct preflight_result result;
static struct config config;
static struct failure failure;

static char cgroup2_at[2][256]; /* the paths of this file system type */
static char bpffs_at[256];

static long fake_filesystem_type(const char *path)
{
	if (access(path, F_OK))
		return -errno;
	if (!strcmp(path, cgroup2_at[0]) || !strcmp(path, cgroup2_at[1]))
		return CGROUP2_SUPER_MAGIC;
	return strcmp(path, bpffs_at) ? TMPFS_MAGIC : BPF_FS_MAGIC;
}

static const char *put(const char *name, const char *text)
{
	return strdup(scratch_write(name, text, strlen(text)));
}

static void make_machine(void)
{
	scratch_make();
	scratch_mkdir("cgroup");
	scratch_mkdir("bpf");
	strcpy(cgroup2_at[0], scratch_path("cgroup"));
	strcpy(bpffs_at, scratch_path("bpf"));
	machine = (struct preflight_system){
		.status = put("status", "Name:\tlatchd\n" ALL_CAPABILITIES),
		.btf = put("btf", "\x9f\xeb"),
		.lockdown = put("lockdown", "[none] integrity confidentiality\n"),
		.bpffs = bpffs_at,
		.cgroup = strdup(scratch_path("cgroup")),
		.mountinfo = put("mountinfo", ""),
		.filesystem_type = fake_filesystem_type,
	};
}

TestSuite(preflight, .init = make_machine, .fini = scratch_remove, .timeout = 30);

static void expect_failure(int err, const char *const *words)
{
	cr_expect_eq(preflight_run_on(&machine, &config, &result, &failure), err, "%s",
		     failure.text);
	for (; *words; words++)
		cr_expect_not_null(strstr(failure.text, *words), "%s does not say: %s",
				   failure.text, *words);
	cr_expect_null(strchr(failure.text, '\n'));
	cr_expect_not_null(strchr(failure.text, ';'), "no next step: %s", failure.text);
}

#define EXPECT_FAILURE(err, ...) expect_failure(err, (const char *const[]){__VA_ARGS__, NULL})

Test(preflight, a_machine_with_every_condition_passes)
{
	cr_expect_eq(preflight_run_on(&machine, &config, &result, &failure), 0, "%s", failure.text);
	cr_expect_str_eq(result.cgroup, machine.cgroup);
	cr_expect_str_eq(failure.text, "");
}

struct capability_row {
	unsigned int bit;
	const char *name;
};

static const struct capability_row capability_rows[] = {
	{12, "missing CAP_NET_ADMIN;"}, {19, "missing CAP_SYS_PTRACE;"},
	{21, "missing CAP_SYS_ADMIN;"}, {38, "missing CAP_PERFMON;"},
	{39, "missing CAP_BPF;"},
};

Test(preflight, each_missing_capability_is_named)
{
	char text[64];
	size_t i;

	for (i = 0; i < sizeof(capability_rows) / sizeof(capability_rows[0]); i++) {
		snprintf(text, sizeof(text), "CapEff:\t%016llx\n",
			 0x1ffffffffffULL & ~(1ULL << capability_rows[i].bit));
		put("status", text);
		EXPECT_FAILURE(-EPERM, capability_rows[i].name, "run latchd as root");
	}
}

Test(preflight, all_missing_capabilities_are_named_together)
{
	put("status", "CapEff:\t0000000000000000\n");
	EXPECT_FAILURE(-EPERM,
		       "CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN, CAP_SYS_ADMIN, CAP_SYS_PTRACE");
}

Test(preflight, an_unreadable_status_file_is_an_error)
{
	unlink(machine.status);
	EXPECT_FAILURE(-ENOENT, machine.status, "mount /proc");
	put("status", "Name: x\n");
	EXPECT_FAILURE(-ENODATA, "mount /proc");
}

Test(preflight, only_confidentiality_lockdown_is_an_error)
{
	put("lockdown", "none integrity [confidentiality]\n");
	EXPECT_FAILURE(-EPERM, "lockdown", "confidentiality", "boot with");
	put("lockdown", "none [integrity] confidentiality\n");
	cr_expect_eq(preflight_run_on(&machine, &config, &result, &failure), 0);
	unlink(machine.lockdown);
	cr_expect_eq(preflight_run_on(&machine, &config, &result, &failure), 0);
}

Test(preflight, a_kernel_without_btf_is_an_error)
{
	unlink(machine.btf);
	EXPECT_FAILURE(-ENOENT, machine.btf, "CONFIG_DEBUG_INFO_BTF=y");
}

Test(preflight, an_unreadable_btf_file_is_an_error)
{
	unlink(machine.btf);
	cr_assert_eq(symlink(machine.btf, machine.btf), 0);
	EXPECT_FAILURE(-ELOOP, machine.btf, "cannot read");
}

Test(preflight, a_missing_bpf_file_system_is_an_error)
{
	char mount_command[320];

	strcpy(bpffs_at, "/nowhere");
	machine.bpffs = strdup(scratch_path("bpf"));
	snprintf(mount_command, sizeof(mount_command), "mount -t bpf -o mode=0700 bpf %s",
		 machine.bpffs);
	EXPECT_FAILURE(-ENODEV, machine.bpffs, mount_command);
	rmdir(machine.bpffs);
	EXPECT_FAILURE(-ENODEV, machine.bpffs, mount_command);
}

Test(preflight, cgroup_v1_alone_is_an_error)
{
	strcpy(cgroup2_at[0], "/nowhere");
	EXPECT_FAILURE(-ENODEV, "cgroup v1 only", "mount -t cgroup2");
}

Test(preflight, the_v2_hierarchy_beside_v1_is_found)
{
	scratch_mkdir("cgroup/unified");
	strcpy(cgroup2_at[0], scratch_path("cgroup/unified"));
	cr_expect_eq(preflight_run_on(&machine, &config, &result, &failure), 0, "%s", failure.text);
	cr_expect_str_eq(result.cgroup, cgroup2_at[0]);
}

Test(preflight, a_v2_hierarchy_at_another_mount_point_is_found)
{
	char text[1024];

	scratch_mkdir("my cgroup");
	strcpy(cgroup2_at[0], scratch_path("my cgroup"));
	snprintf(text, sizeof(text),
		 "24 1 0:22 / /sys rw - sysfs sysfs rw\n"
		 "garbage\n"
		 "30 24 0:26 /part /elsewhere rw shared:4 - cgroup2 cgroup2 rw\n"
		 "31 24 0:26 / %s/my\\040cgroup rw shared:4 master:2 - cgroup2 cgroup2 rw\n",
		 scratch_dir);
	put("mountinfo", text);
	cr_expect_eq(preflight_run_on(&machine, &config, &result, &failure), 0, "%s", failure.text);
	cr_expect_str_eq(result.cgroup, cgroup2_at[0]);
}

Test(preflight, the_root_of_a_cgroup_namespace_is_an_error_unless_it_is_configured)
{
	put("cgroup/cgroup.type", "domain\n");
	EXPECT_FAILURE(-EXDEV, machine.cgroup, "cgroup namespace", "set cgroup = ");
	strcpy(config.cgroups[0], machine.cgroup);
	config.cgroup_count = 1;
	cr_expect_eq(preflight_run_on(&machine, &config, &result, &failure), 0, "%s", failure.text);
}

Test(preflight, a_configured_cgroup_must_be_a_cgroup_v2_directory)
{
	scratch_mkdir("cgroup/web");
	strcpy(config.cgroups[0], scratch_path("cgroup/web"));
	config.cgroup_count = 1;
	EXPECT_FAILURE(-ENOTDIR, config.cgroups[0], "not a cgroup v2 directory", "[enforce]");
	strcpy(cgroup2_at[1], config.cgroups[0]);
	cr_expect_eq(preflight_run_on(&machine, &config, &result, &failure), 0, "%s", failure.text);
	cr_expect_str_eq(result.cgroup, config.cgroups[0]);
	rmdir(config.cgroups[0]);
	put("cgroup/web", "a file");
	EXPECT_FAILURE(-ENOTDIR, config.cgroups[0], "not a cgroup v2 directory");
}

Test(preflight, an_absent_cgroup_below_cgroup_v2_is_no_failure)
{
	strcpy(config.cgroups[0], scratch_path("cgroup"));
	strcpy(config.cgroups[1], scratch_path("cgroup/pods/web"));
	config.cgroup_count = 2;
	cr_expect_eq(preflight_run_on(&machine, &config, &result, &failure), 0, "%s", failure.text);
}

/* As the unit, latchd has no capability to pass over the mode of a directory. */
static void obey_modes(void)
{
	struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[2];

	cr_assert_eq(syscall(SYS_capget, &header, data), 0);
	data[0].effective &= ~(1U << CAP_DAC_OVERRIDE | 1U << CAP_DAC_READ_SEARCH);
	cr_assert_eq(syscall(SYS_capset, &header, data), 0);
}

Test(preflight, a_cgroup_in_a_closed_directory_is_no_failure)
{
	scratch_mkdir("cgroup/closed");
	strcpy(config.cgroups[0], scratch_path("cgroup/closed/web"));
	config.cgroup_count = 1;
	obey_modes();
	cr_assert_eq(chmod(scratch_path("cgroup/closed"), 0), 0);
	cr_expect_eq(preflight_run_on(&machine, &config, &result, &failure), 0, "%s", failure.text);
	cr_expect_eq(chmod(scratch_path("cgroup/closed"), 0700), 0);
}

Test(preflight, an_absent_cgroup_without_cgroup_v2_above_it_is_a_failure)
{
	strcpy(config.cgroups[0], scratch_path("cgroup"));
	strcpy(config.cgroups[1], scratch_path("elsewhere/web"));
	config.cgroup_count = 2;
	EXPECT_FAILURE(-ENOENT, config.cgroups[1], "absent", "mount cgroup2");
}

Test(preflight, the_lock_is_created_with_its_directory_and_holds_the_pid)
{
	char text[32] = "";
	struct stat st;
	int fd, reader;

	fd = preflight_lock(scratch_path("run/latchd.lock"), &failure);
	cr_assert_geq(fd, 0, "%s", failure.text);
	reader = open(scratch_path("run/latchd.lock"), O_RDONLY | O_CLOEXEC);
	cr_assert_gt(read(reader, text, sizeof(text) - 1), 0);
	cr_expect_eq(atoi(text), getpid());
	cr_assert_eq(stat(scratch_path("run"), &st), 0);
	cr_expect_eq(st.st_mode & 07777, 0750 & ~022);
	close(fd);
	fd = preflight_lock(scratch_path("run/latchd.lock"), &failure);
	cr_expect_geq(fd, 0, "a lock given back can be taken again: %s", failure.text);
}

Test(preflight, the_pid_of_another_latchd_is_named)
{
	const char *path = strdup(scratch_path("latchd.lock"));
	char pid_text[32], byte;
	int ready[2];
	pid_t child;

	cr_assert_eq(pipe2(ready, O_CLOEXEC), 0);
	child = fork();
	if (!child) {
		if (preflight_lock(path, &failure) >= 0 && write(ready[1], "x", 1) == 1)
			pause();
		_exit(1);
	}
	cr_assert_eq(read(ready[0], &byte, 1), 1);
	snprintf(pid_text, sizeof(pid_text), "(pid %d)", (int)child);
	cr_expect_eq(preflight_lock(path, &failure), -EWOULDBLOCK);
	cr_expect(strstr(failure.text, pid_text) && strstr(failure.text, path), "%s", failure.text);
	kill(child, SIGKILL);
	cr_assert_eq(waitpid(child, NULL, 0), child);
	cr_expect_geq(preflight_lock(path, &failure), 0, "a killed holder has no lock: %s",
		      failure.text);
}

/* The pid, which another process would show, is all that needs room. */
Test(preflight, the_lock_is_taken_on_a_full_file_system)
{
	char byte[4096] = "x";
	int file;

	if (geteuid() || unshare(CLONE_NEWNS))
		cr_skip_test("not root: no file system of its own");
	cr_assert_eq(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	cr_assert_eq(mount("full", scratch_dir, "tmpfs", 0, "size=16k"), 0, "%s", strerror(errno));
	file = open(scratch_path("full"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	while (write(file, byte, sizeof(byte)) > 0)
		;
	cr_assert_eq(errno, ENOSPC);
	cr_expect_geq(preflight_lock(scratch_path("latchd.lock"), &failure), 0, "%s", failure.text);
	cr_expect_eq(preflight_lock(scratch_path("latchd.lock"), &failure), -EWOULDBLOCK,
		     "the lock without a pid holds, too");
	umount2(scratch_dir, MNT_DETACH);
}

Test(preflight, a_lock_is_not_taken_through_a_symlink)
{
	cr_assert_eq(symlink("/etc/hostname", scratch_path("latchd.lock")), 0);
	cr_expect_eq(preflight_lock(scratch_path("latchd.lock"), &failure), -ELOOP);
}

Test(preflight, missing_kernel_functions_are_named)
{
	static const char *const names[] = {"tcp_sendmsg", "no_such_function_a",
					    "no_such_function_b"};

	if (access("/sys/kernel/btf/vmlinux", R_OK))
		cr_skip_test("this kernel has no BTF");
	cr_expect_eq(preflight_functions(names, 1, &failure), 0, "%s", failure.text);
	cr_expect_eq(preflight_functions(names, 3, &failure), -ENOENT);
	cr_expect(strstr(failure.text, "no_such_function_a, no_such_function_b") &&
			  !strstr(failure.text, "tcp_sendmsg"),
		  "%s", failure.text);
}
