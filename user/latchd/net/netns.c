/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/net/netns.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "latchd/net/netns_mounts.h"

#define NETNS_HINTS_MAX	       256
#define NETNS_SEEN_SLOTS_MIN   64
#define NETNS_OWN	       "/proc/thread-self/ns/net"
#define USERNS_OWN	       "/proc/thread-self/ns/user"
#define NETNS_PROCESS_PATH_MAX 64

/* ---- cookies ---- */

int netns_call(int netns_fd, int (*function)(void *context), void *context)
{
	auto_close int own = open(NETNS_OWN, O_RDONLY | O_CLOEXEC);
	int result;

	if (own < 0 || setns(netns_fd, CLONE_NEWNET))
		return -errno;
	result = function(context);
	if (setns(own, CLONE_NEWNET))
		abort();
	return result;
}

struct socket_kind {
	int domain, type, protocol;
};

static int open_socket(void *context)
{
	const struct socket_kind *kind = context;
	int fd = socket(kind->domain, kind->type | SOCK_CLOEXEC, kind->protocol);

	return fd < 0 ? -errno : fd;
}

int netns_socket(int netns_fd, int domain, int type, int protocol)
{
	struct socket_kind kind = {domain, type, protocol};

	return netns_call(netns_fd, open_socket, &kind);
}

static int socket_cookie(int fd, uint64_t *ret_cookie)
{
	socklen_t length = sizeof(*ret_cookie);

	return getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, ret_cookie, &length) ? -errno : 0;
}

static int descriptor_cookie(int netns_fd, uint64_t *ret_cookie)
{
	auto_close int fd = netns_socket(netns_fd, AF_UNIX, SOCK_DGRAM, 0);

	return fd < 0 ? fd : socket_cookie(fd, ret_cookie);
}

int netns_own(uint64_t *ret_cookie)
{
	auto_close int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	return fd < 0 ? -errno : socket_cookie(fd, ret_cookie);
}

static int open_process(pid_t pid)
{
	char path[NETNS_PROCESS_PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int netns_of_process(pid_t pid, uint64_t *ret_cookie)
{
	auto_close int fd = open_process(pid);

	return fd < 0 ? fd : descriptor_cookie(fd, ret_cookie);
}

/* ---- hints ---- */

struct hint {
	uint64_t cookie;
	pid_t pid; /* 0 = free */
};

static struct hint hints[NETNS_HINTS_MAX];
static size_t oldest_hint;

static struct hint *find_hint(uint64_t cookie)
{
	size_t i;

	for (i = 0; i < NETNS_HINTS_MAX; i++)
		if (hints[i].pid && hints[i].cookie == cookie)
			return &hints[i];
	return NULL;
}

void netns_hint(uint64_t cookie, pid_t pid)
{
	struct hint *hint = find_hint(cookie);

	if (!hint) {
		hint = &hints[oldest_hint];
		oldest_hint = (oldest_hint + 1) % NETNS_HINTS_MAX;
	}
	*hint = (struct hint){cookie, pid};
}

/* The kernel reuses pids, so that only the cookie identifies the namespace. */
static int open_hinted(uint64_t cookie)
{
	struct hint *hint = find_hint(cookie);
	auto_close int fd = -1;
	uint64_t found;

	if (!hint)
		return -ENOENT;
	fd = open_process(hint->pid);
	if (fd >= 0 && !descriptor_cookie(fd, &found) && found == cookie)
		return take_fd(&fd);
	hint->pid = 0;
	return -ENOENT;
}

/* ---- every process ---- */

/* The namespaces that a scan has seen. slot_count is a power of two; at most half are used. */
struct seen {
	struct seen_slot {
		dev_t device;
		ino_t inode; /* 0 = free */
	} * slots;
	size_t slot_count;
	size_t used;
};

static struct seen_slot *seen_find(const struct seen *seen, dev_t device, ino_t inode)
{
	size_t at = (size_t)inode & (seen->slot_count - 1);

	while (seen->slots[at].inode &&
	       (seen->slots[at].inode != inode || seen->slots[at].device != device))
		at = (at + 1) & (seen->slot_count - 1);
	return &seen->slots[at];
}

static int seen_grow(struct seen *seen)
{
	struct seen grown = {
		.slot_count = seen->slot_count ? 2 * seen->slot_count : NETNS_SEEN_SLOTS_MIN,
		.used = seen->used,
	};
	size_t i;

	grown.slots = calloc(grown.slot_count, sizeof(*grown.slots));
	if (!grown.slots)
		return -ENOMEM;
	for (i = 0; i < seen->slot_count; i++)
		if (seen->slots[i].inode)
			*seen_find(&grown, seen->slots[i].device, seen->slots[i].inode) =
				seen->slots[i];
	free(seen->slots);
	*seen = grown;
	return 0;
}

/* 1: it is new. 0: it was seen before. Or a negative errno. */
static int seen_add(struct seen *seen, int netns_fd)
{
	struct seen_slot *slot;
	struct stat st;
	int err;

	if (fstat(netns_fd, &st))
		return -errno;
	err = 2 * (seen->used + 1) > seen->slot_count ? seen_grow(seen) : 0;
	if (err)
		return err;
	slot = seen_find(seen, st.st_dev, st.st_ino);
	if (slot->inode)
		return 0;
	*slot = (struct seen_slot){st.st_dev, st.st_ino};
	seen->used++;
	return 1;
}

static bool process_is_gone(int err)
{
	return err == -ENOENT || err == -ESRCH;
}

/* The process's namespace if it has this cookie, else -ENOENT or another negative errno. */
static int open_if_there(pid_t pid, uint64_t cookie, struct seen *seen)
{
	auto_close int fd = open_process(pid);
	uint64_t found;
	int err;

	if (fd < 0)
		return process_is_gone(fd) ? -ENOENT : fd;
	err = seen_add(seen, fd);
	if (err <= 0)
		return err ? err : -ENOENT;
	err = descriptor_cookie(fd, &found);
	if (err)
		return err;
	return found == cookie ? take_fd(&fd) : -ENOENT;
}

static int scan_processes(DIR *proc, uint64_t cookie, struct seen *seen)
{
	struct dirent *entry;
	int fd = -ENOENT, unseen = -ENOENT;

	for (errno = 0; fd < 0 && (entry = readdir(proc)); errno = 0) {
		pid_t pid = isdigit((unsigned char)entry->d_name[0]) ? atoi(entry->d_name) : 0;

		if (!pid)
			continue;
		fd = open_if_there(pid, cookie, seen);
		if (fd >= 0)
			netns_hint(cookie, pid);
		else if (fd != -ENOENT)
			unseen = fd;
	}
	if (fd >= 0)
		return fd;
	return errno ? -errno : unseen;
}

static int open_scanning(uint64_t cookie)
{
	DIR *proc = opendir("/proc");
	struct seen seen = {0};
	int fd;

	if (!proc)
		return -errno;
	fd = scan_processes(proc, cookie, &seen);
	free(seen.slots);
	closedir(proc);
	return fd;
}

/* ---- mounts: they hold a namespace without any process ---- */

static int open_if_mounted_there(void *context, int netns_fd)
{
	const uint64_t *cookie = context;
	uint64_t found;
	int err = descriptor_cookie(netns_fd, &found);

	/* Another file system is mounted over it. */
	if (err == -EINVAL)
		return -ENOENT;
	if (err)
		return err;
	return found == *cookie ? fcntl(netns_fd, F_DUPFD_CLOEXEC, 0) : -ENOENT;
}

/* -ENOENT only if every mount was read: the namespace may be in an unread one. */
static int open_mounted(uint64_t cookie)
{
	int fd = netns_mounts_walk("/proc/1", open_if_mounted_there, &cookie), own;

	if (fd >= 0)
		return fd;
	own = netns_mounts_walk("/proc/self", open_if_mounted_there, &cookie);
	return own == -ENOENT ? fd : own;
}

static int open_own(void)
{
	int fd = open(NETNS_OWN, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int netns_open(uint64_t cookie)
{
	uint64_t own;
	int fd = netns_own(&own), mounted;

	if (fd)
		return fd;
	if (own == cookie)
		return open_own();
	fd = open_hinted(cookie);
	if (fd != -ENOENT)
		return fd;
	fd = open_scanning(cookie);
	if (fd >= 0)
		return fd;
	mounted = open_mounted(cookie);
	return mounted == -ENOENT ? fd : mounted;
}

int netns_is_foreign(uint64_t cookie)
{
	auto_close int netns = netns_open(cookie);
	auto_close int user = netns < 0 ? -1 : ioctl(netns, NS_GET_USERNS);
	struct stat its, own;

	if (netns < 0)
		return netns;
	if (user < 0 || fstat(user, &its) || stat(USERNS_OWN, &own))
		return -errno;
	return its.st_dev != own.st_dev || its.st_ino != own.st_ino;
}

/* ---- all of them ---- */

struct visit {
	netns_visit_fn visit;
	void *context;
	struct seen seen;
	int result; /* of the visitor; an error of a mount does not end the walk */
};

static int visit_once(struct visit *visit, int netns_fd, pid_t pid)
{
	uint64_t cookie;
	int err = seen_add(&visit->seen, netns_fd);

	if (err <= 0)
		return err;
	err = descriptor_cookie(netns_fd, &cookie);
	if (err)
		return err == -EINVAL ? 0 : err; /* another file system is mounted over it */
	if (pid)
		netns_hint(cookie, pid);
	visit->result = visit->visit(visit->context, cookie);
	return visit->result;
}

static int visit_mounted(void *context, int netns_fd)
{
	struct visit *visit = context;
	int err = visit_once(visit, netns_fd, 0);

	return visit->result ? 1 : err;
}

static int visit_processes(DIR *proc, struct visit *visit)
{
	struct dirent *entry;
	int err = 0;

	while (!visit->result && (entry = readdir(proc))) {
		pid_t pid = isdigit((unsigned char)entry->d_name[0]) ? atoi(entry->d_name) : 0;
		auto_close int fd = pid ? open_process(pid) : -ENOENT;
		int each = fd >= 0 ? visit_once(visit, fd, pid) : process_is_gone(fd) ? 0 : fd;

		err = each ? each : err;
	}
	return err;
}

int netns_walk(netns_visit_fn visit_fn, void *context)
{
	struct visit visit = {.visit = visit_fn, .context = context};
	DIR *proc = opendir("/proc");
	int err = proc ? visit_processes(proc, &visit) : -errno, mounted = -ENOENT;

	if (!visit.result)
		mounted = netns_mounts_walk("/proc/1", visit_mounted, &visit);
	if (!visit.result)
		netns_mounts_walk("/proc/self", visit_mounted, &visit);
	free(visit.seen.slots);
	if (proc)
		closedir(proc);
	if (visit.result || err)
		return visit.result ? visit.result : err;
	return mounted < 0 && mounted != -ENOENT ? mounted : 0;
}
