/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/enforce/preflight.h"

#include <bpf/btf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/lockfile.h"
#include "common/text.h"

#ifndef BPF_FS_MAGIC
#define BPF_FS_MAGIC 0xcafe4a11
#endif

#define PREFLIGHT_LINE_MAX 4096 /* a line of mountinfo holds two paths and more */

static long filesystem_type(const char *path)
{
	struct statfs fs;

	return statfs(path, &fs) ? -errno : (long)fs.f_type;
}

const struct preflight_system preflight_this_system = {
	.status = "/proc/self/status",
	.btf = "/sys/kernel/btf/vmlinux",
	.lockdown = "/sys/kernel/security/lockdown",
	.bpffs = "/sys/fs/bpf",
	.cgroup = "/sys/fs/cgroup",
	.mountinfo = "/proc/self/mountinfo",
	.filesystem_type = filesystem_type,
};

/* ---- privileges ---- */

struct needed_capability {
	const char *name;
	unsigned int bit;
};

static const struct needed_capability needed_capabilities[] = {
	{"CAP_BPF", CAP_BPF},		    /* maps and programs */
	{"CAP_PERFMON", CAP_PERFMON},	    /* fentry programs, kernel pointers */
	{"CAP_NET_ADMIN", CAP_NET_ADMIN},   /* attach to cgroups, dump SAs, destroy sockets */
	{"CAP_SYS_ADMIN", CAP_SYS_ADMIN},   /* setns() into a key manager's network namespace */
	{"CAP_SYS_PTRACE", CAP_SYS_PTRACE}, /* open /proc/PID/ns/net of a key manager */
};

static int read_effective(const char *path, uint64_t *ret_effective)
{
	auto_fclose FILE *file = fopen(path, "re");
	char line[256];

	if (!file)
		return -errno;
	while (fgets(line, sizeof(line), file)) {
		unsigned long long effective;

		if (sscanf(line, "CapEff: %llx", &effective) == 1) {
			*ret_effective = effective;
			return 0;
		}
	}
	return -ENODATA;
}

static int check_capabilities(const struct preflight_system *system, struct failure *failure)
{
	uint64_t effective = 0;
	char missing[128] = "";
	size_t i, used = 0;
	int err;

	err = read_effective(system->status, &effective);
	if (err)
		return failure_set(
			failure, err,
			"capabilities: cannot read %s: %s; mount /proc and start latchd again",
			system->status, strerror(-err));
	for (i = 0; i < sizeof(needed_capabilities) / sizeof(needed_capabilities[0]); i++)
		if (!(effective >> needed_capabilities[i].bit & 1))
			used += (size_t)snprintf(missing + used, sizeof(missing) - used, "%s%s",
						 used ? ", " : "", needed_capabilities[i].name);
	if (!used)
		return 0;
	return failure_set(failure, -EPERM,
			   "privileges: %s, missing %s; run latchd as root with these capabilities",
			   geteuid() ? "not root" : "root with reduced capabilities", missing);
}

/* ---- the kernel ---- */

static int check_lockdown(const struct preflight_system *system, struct failure *failure)
{
	auto_fclose FILE *file = fopen(system->lockdown, "re");
	char line[128];

	/*
	 * Without the file the kernel has no lockdown, or securityfs is not mounted. Under
	 * lockdown the load itself fails then.
	 */
	if (!file || !fgets(line, sizeof(line), file) || !strstr(line, "[confidentiality]"))
		return 0;
	return failure_set(
		failure, -EPERM,
		"kernel: lockdown is \"confidentiality\", which forbids BPF programs to read "
		"kernel memory; boot with lockdown=integrity or without it");
}

static int check_btf(const struct preflight_system *system, struct failure *failure)
{
	auto_close int fd = open(system->btf, O_RDONLY | O_CLOEXEC);

	if (fd >= 0)
		return 0;
	if (errno == ENOENT)
		return failure_set(failure, -ENOENT,
				   "kernel: no BTF, %s is missing; boot a kernel built with "
				   "CONFIG_DEBUG_INFO_BTF=y",
				   system->btf);
	return failure_set(failure, -errno,
			   "kernel: cannot read its BTF, %s: %m; make the file readable for latchd",
			   system->btf);
}

static int check_bpffs(const struct preflight_system *system, struct failure *failure)
{
	long type = system->filesystem_type(system->bpffs);

	if (type == BPF_FS_MAGIC)
		return 0;
	if (type < 0 && type != -ENOENT)
		return failure_set(failure, (int)type, "bpffs: cannot read %s: %s; check its mount",
				   system->bpffs, strerror((int)-type));
	return failure_set(failure, -ENODEV,
			   "bpffs: no BPF file system is mounted at %s; run: mount -t bpf -o "
			   "mode=0700 bpf %s",
			   system->bpffs, system->bpffs);
}

/* ---- the cgroup ---- */

static bool is_cgroup2(const struct preflight_system *system, const char *path)
{
	return system->filesystem_type(path) == CGROUP2_SUPER_MAGIC;
}

/* mountinfo escapes blank, tab, newline and backslash as three octal digits. */
static void unescape_mount(char *text)
{
	unsigned int code;
	char *out = text;

	while (*text) {
		if (*text == '\\' && strspn(text + 1, "01234567") >= 3 &&
		    sscanf(text + 1, "%3o", &code) == 1) {
			*out++ = (char)code;
			text += 4;
		} else {
			*out++ = *text++;
		}
	}
	*out = '\0';
}

/* The line is "36 35 98:0 ROOT MOUNT-POINT OPTIONS [TAG...] - TYPE SOURCE SUPER-OPTIONS". */
static bool parse_cgroup2_mount(const char *line, char *out, size_t size)
{
	char root[PREFLIGHT_LINE_MAX], point[PREFLIGHT_LINE_MAX];
	const char *type = strstr(line, " - ");

	if (!type || strncmp(type, " - cgroup2 ", 11) ||
	    sscanf(line, "%*d %*d %*s %4095s %4095s", root, point) != 2 || strcmp(root, "/"))
		return false;
	unescape_mount(point);
	return text_copy(out, size, point) > 0;
}

static bool find_mounted_cgroup2(const struct preflight_system *system, char *out, size_t size)
{
	auto_fclose FILE *file = fopen(system->mountinfo, "re");
	char line[PREFLIGHT_LINE_MAX];

	while (file && fgets(line, sizeof(line), file))
		if (parse_cgroup2_mount(line, out, size) && is_cgroup2(system, out))
			return true;
	return false;
}

/*
 * Usually the v2 hierarchy is mounted at /sys/fs/cgroup. Beside v1 it is mounted below that,
 * at "unified".
 */
static bool find_cgroup_root(const struct preflight_system *system, char *out, size_t size)
{
	snprintf(out, size, "%s", system->cgroup);
	if (is_cgroup2(system, out))
		return true;
	snprintf(out, size, "%s/unified", system->cgroup);
	if (is_cgroup2(system, out))
		return true;
	return find_mounted_cgroup2(system, out, size);
}

static int check_default_cgroup(const struct preflight_system *system,
				struct preflight_result *result, struct failure *failure)
{
	char type[sizeof(result->cgroup) + 16];

	if (!find_cgroup_root(system, result->cgroup, sizeof(result->cgroup)))
		return failure_set(
			failure, -ENODEV,
			"cgroup: this system has cgroup v1 only; boot with "
			"systemd.unified_cgroup_hierarchy=1, or run: "
			"mkdir -p /run/cgroup2 && mount -t cgroup2 cgroup2 /run/cgroup2");
	/*
	 * Only the root of the hierarchy has no cgroup.type. At any other cgroup the
	 * programs would miss most sockets of the machine.
	 */
	snprintf(type, sizeof(type), "%s/cgroup.type", result->cgroup);
	if (!access(type, F_OK))
		return failure_set(
			failure, -EXDEV,
			"cgroup: %s is the root of a cgroup namespace, not of the machine; run "
			"latchd in the machine's cgroup namespace, or set cgroup = %s in [enforce] "
			"if that subtree is intended",
			result->cgroup, result->cgroup);
	return 0;
}

/* An absent cgroup may be created later, if a directory above it is a cgroup. */
static int check_absent(const struct preflight_system *system, const char *cgroup,
			struct failure *failure)
{
	char path[CONFIG_CGROUP_MAX];
	char *slash;

	text_copy(path, sizeof(path), cgroup);
	while (access(path, F_OK) && (slash = strrchr(path, '/')) && slash != path)
		*slash = '\0';
	if (is_cgroup2(system, path))
		return 0;
	return failure_set(failure, -ENOENT,
			   "cgroup: %s is absent, and %s above it is not of cgroup v2; mount "
			   "cgroup2, or correct cgroup = in [enforce]",
			   cgroup, path);
}

static int check_configured(const struct preflight_system *system, const char *cgroup,
			    struct failure *failure)
{
	struct stat st;
	int err = stat(cgroup, &st) ? -errno : 0;

	/* The owner of a directory above may deny access. latchd tries again until it can open the
	 * cgroup. */
	if (err == -EACCES)
		return 0;
	if (err)
		return err == -ENOENT
			       ? check_absent(system, cgroup, failure)
			       : failure_set(failure, err,
					     "cgroup: cannot read %s: %s; correct cgroup = in "
					     "[enforce]",
					     cgroup, strerror(-err));
	if (!S_ISDIR(st.st_mode) || !is_cgroup2(system, cgroup))
		return failure_set(
			failure, -ENOTDIR,
			"cgroup: %s is not a cgroup v2 directory; correct cgroup = in [enforce]",
			cgroup);
	return 0;
}

static int check_cgroup(const struct preflight_system *system, const struct config *config,
			struct preflight_result *result, struct failure *failure)
{
	size_t i;
	int err = 0;

	if (!config->cgroup_count)
		return check_default_cgroup(system, result, failure);
	for (i = 0; !err && i < config->cgroup_count; i++)
		err = check_configured(system, config->cgroups[i], failure);
	if (!err)
		text_copy(result->cgroup, sizeof(result->cgroup), config->cgroups[0]);
	return err;
}

/* ---- all of them ---- */

static int (*const checks[])(const struct preflight_system *system, struct failure *failure) = {
	check_capabilities,
	check_lockdown,
	check_btf,
	check_bpffs,
};

int preflight_run_on(const struct preflight_system *system, const struct config *config,
		     struct preflight_result *result, struct failure *failure)
{
	size_t i;
	int err = 0;

	memset(result, 0, sizeof(*result));
	for (i = 0; !err && i < sizeof(checks) / sizeof(checks[0]); i++)
		err = checks[i](system, failure);
	return err ? err : check_cgroup(system, config, result, failure);
}

int preflight_run(const struct config *config, struct preflight_result *result,
		  struct failure *failure)
{
	return preflight_run_on(&preflight_this_system, config, result, failure);
}

int preflight_cgroup(const struct config *config, struct preflight_result *result,
		     struct failure *failure)
{
	memset(result, 0, sizeof(*result));
	return check_cgroup(&preflight_this_system, config, result, failure);
}

int preflight_functions(const char *const *names, size_t count, struct failure *failure)
{
	char missing[256] = "";
	struct btf *btf;
	size_t i, used = 0;
	int err = 0;

	btf = btf__load_vmlinux_btf();
	if (!btf)
		return failure_set(failure, -errno,
				   "kernel: libbpf cannot read its BTF: %m; use a newer libbpf");
	for (i = 0; i < count; i++)
		if (btf__find_by_name_kind(btf, names[i], BTF_KIND_FUNC) < 0 &&
		    used < sizeof(missing))
			used += (size_t)snprintf(missing + used, sizeof(missing) - used, "%s%s",
						 used ? ", " : "", names[i]);
	btf__free(btf);
	if (used)
		err = failure_set(
			failure, -ENOENT,
			"kernel: cannot watch SAs: it has no function %s to attach to; use a "
			"kernel with CONFIG_XFRM=y of a version that the README lists",
			missing);
	return err;
}

int preflight_lock(const char *path, struct failure *failure)
{
	pid_t holder = 0;
	int fd = lockfile_take(path, &holder);

	if (fd == -EWOULDBLOCK && holder > 0)
		return failure_set(failure, fd,
				   "lock %s: another latchd is running (pid %d); stop it first: "
				   "systemctl stop latchd, or kill %d",
				   path, (int)holder, (int)holder);
	if (fd == -EWOULDBLOCK)
		return failure_set(failure, fd,
				   "lock %s: another latchd is starting; stop it first", path);
	if (fd == -EPERM || fd == -ENOTDIR)
		return failure_set(
			failure, fd,
			"lock %s: its directory is a symbolic link or belongs to another "
			"user; remove the directory, then start latchd again",
			path);
	if (fd < 0)
		return failure_set(failure, fd,
				   "lock %s: cannot take it: %s; check the directory's permissions",
				   path, strerror(-fd));
	return fd;
}
