/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Network namespaces of the test's own. A child process holds each of them.
 *
 *	test --- fork ---> child: unshare(CLONE_NEWNET), pause()
 *	  |                          |
 *	  +-- ns.fd ---> /proc/CHILD/ns/net: lo
 */
#ifndef LATCHD_TESTS_NAMESPACE_H
#define LATCHD_TESTS_NAMESPACE_H

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <grp.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "latchd/net/netns.h"

struct namespace
{
	pid_t pid;
	int fd;
	uint64_t cookie;
};

static inline void namespace_need_root(void)
{
	if (geteuid())
		cr_skip_test("not root: no network namespace of its own");
}

/* Writes a byte when the namespace exists. Never returns; the kernel kills it with the test. */
static inline void namespace_child(int ready, int kinds)
{
	char byte = 0;

	if (kinds & CLONE_NEWUSER && (setgroups(0, NULL) || setgid(65534) || setuid(65534)))
		_exit(1);
	/* New credentials clear the signal. */
	if (unshare(kinds) || prctl(PR_SET_PDEATHSIG, SIGKILL) || write(ready, &byte, 1) != 1)
		_exit(1);
	while (true)
		pause();
}

static inline int namespace_of(pid_t pid)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	cr_assert_geq(fd, 0, "%s: %s", path, strerror(errno));
	return fd;
}

static inline void namespace_start_as(struct namespace *ns, int kinds)
{
	int ready[2];
	char byte;

	cr_assert_eq(pipe2(ready, O_CLOEXEC), 0);
	ns->pid = fork();
	cr_assert_geq(ns->pid, 0);
	if (!ns->pid)
		namespace_child(ready[1], kinds);
	close(ready[1]);
	cr_assert_eq(read(ready[0], &byte, 1), 1, "the child made no namespace");
	close(ready[0]);
	ns->fd = namespace_of(ns->pid);
	cr_assert_eq(netns_of_process(ns->pid, &ns->cookie), 0);
}

static inline void namespace_start(struct namespace *ns)
{
	namespace_start_as(ns, CLONE_NEWNET);
}

/*
 * A pass of latchd reads 1024 namespaces of local users, whichever program made them. A test that
 * makes hundreds waits until no other one has some. Its lock ends with it and its children.
 */
static inline void namespace_wait_for_crowds(void)
{
	int fd = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	cr_assert_geq(fd, 0, "/tmp: %s", strerror(errno));
	cr_assert_eq(flock(fd, LOCK_EX), 0, "lock of /tmp: %s", strerror(errno));
}

/* Of a user without privileges, with that user as its root. */
static inline void namespace_start_foreign(struct namespace *ns)
{
	namespace_start_as(ns, CLONE_NEWUSER | CLONE_NEWNET);
}

static inline int namespace_socket(const struct namespace *ns, int domain, int type)
{
	int fd = netns_socket(ns->fd, domain, type, 0);

	cr_assert_geq(fd, 0, "socket: %s", strerror(-fd));
	return fd;
}

static inline void namespace_loopback_up(const struct namespace *ns)
{
	struct ifreq loopback = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	int fd = namespace_socket(ns, AF_INET, SOCK_DGRAM);

	cr_assert_eq(ioctl(fd, SIOCSIFFLAGS, &loopback), 0, "lo up: %s", strerror(errno));
	close(fd);
}

/* Ends the child. ns->fd keeps the namespace until it is closed. */
static inline void namespace_leave(struct namespace *ns)
{
	cr_assert_eq(kill(ns->pid, SIGKILL), 0);
	cr_assert_eq(waitpid(ns->pid, NULL, 0), ns->pid);
}

/*
 * The error of netns_open() for a namespace that is gone. Where the machine hides a process even
 * from root, that process might be in the namespace: the error is then EACCES or EPERM.
 */
static inline int namespace_gone_error(void)
{
	int error = -ENOENT;
	glob_t found;
	size_t i;

	cr_assert_eq(glob("/proc/[0-9]*/ns/net", 0, NULL, &found), 0);
	for (i = 0; i < found.gl_pathc; i++) {
		int fd = open(found.gl_pathv[i], O_RDONLY | O_CLOEXEC);

		if (fd >= 0)
			close(fd);
		else if (errno == EACCES || errno == EPERM)
			error = -errno;
	}
	globfree(&found);
	return error;
}

static inline void namespace_end(struct namespace *ns)
{
	namespace_leave(ns);
	close(ns->fd);
}

#endif
