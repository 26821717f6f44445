/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/net/netns_cookie.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "common/cleanup.h"

#define NETNS_OWN	       "/proc/thread-self/ns/net"
#define USERNS_OWN	       "/proc/thread-self/ns/user"
#define NETNS_PROCESS_PATH_MAX 64

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

int netns_of_descriptor(int netns_fd, uint64_t *ret_cookie)
{
	auto_close int fd = netns_socket(netns_fd, AF_UNIX, SOCK_DGRAM, 0);

	return fd < 0 ? fd : socket_cookie(fd, ret_cookie);
}

int netns_own(uint64_t *ret_cookie)
{
	auto_close int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	return fd < 0 ? -errno : socket_cookie(fd, ret_cookie);
}

int netns_open_process(pid_t pid)
{
	char path[NETNS_PROCESS_PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int netns_of_process(pid_t pid, uint64_t *ret_cookie)
{
	auto_close int fd = netns_open_process(pid);

	return fd < 0 ? fd : netns_of_descriptor(fd, ret_cookie);
}

int netns_descriptor_is_foreign(int netns_fd)
{
	auto_close int user = ioctl(netns_fd, NS_GET_USERNS);
	struct stat its, own;

	if (user < 0 || fstat(user, &its) || stat(USERNS_OWN, &own))
		return -errno;
	return its.st_dev != own.st_dev || its.st_ino != own.st_ino;
}

int netns_open_own(void)
{
	int fd = open(NETNS_OWN, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}
