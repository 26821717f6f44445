/* SPDX-License-Identifier: BSD-2-Clause */
/* Descriptors with a close that blocks, and messages that hold them (SCM_RIGHTS). */
#ifndef LATCHD_TESTS_BLOCKING_DESCRIPTOR_H
#define LATCHD_TESTS_BLOCKING_DESCRIPTOR_H

#include <criterion/criterion.h>

#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83 /* Linux 6.16 */
#endif

/* Its last close blocks for as long as its owner likes: its peer does not read. */
static inline int slow_to_close(int *ret_peer)
{
	struct sockaddr_in here = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct linger linger = {.l_onoff = 1, .l_linger = 3600};
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	static char data[65536];
	socklen_t length = sizeof(here);

	cr_assert_eq(bind(listener, (struct sockaddr *)&here, sizeof(here)), 0);
	cr_assert_eq(listen(listener, 1), 0);
	cr_assert_eq(getsockname(listener, (struct sockaddr *)&here, &length), 0);
	cr_assert_eq(connect(fd, (struct sockaddr *)&here, sizeof(here)), 0);
	*ret_peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	close(listener);
	while (send(fd, data, sizeof(data), MSG_DONTWAIT) > 0)
		;
	cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
	return fd;
}

/* size 0: a message without a byte. */
static inline int hand_over_flags(int to, int what, size_t size, int flags)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} rights = {.header = {.cmsg_len = CMSG_LEN(sizeof(int)),
			       .cmsg_level = SOL_SOCKET,
			       .cmsg_type = SCM_RIGHTS}};
	struct iovec io = {.iov_base = "x", .iov_len = size};
	struct msghdr message = {
		.msg_iov = &io,
		.msg_iovlen = 1,
		.msg_control = &rights,
		.msg_controllen = sizeof(rights),
	};

	memcpy(CMSG_DATA(&rights.header), &what, sizeof(what));
	return sendmsg(to, &message, MSG_DONTWAIT | MSG_NOSIGNAL | flags) < 0 ? -errno : 0;
}

static inline int hand_over(int to, int what, size_t size)
{
	return hand_over_flags(to, what, size, 0);
}

/* As a kernel before 6.16: later connections to the listening socket may send descriptors. */
static inline void accept_descriptors(int listener)
{
	int on = 1;

	setsockopt(listener, SOL_SOCKET, SO_PASSRIGHTS, &on, sizeof(on));
}

static inline bool kernel_can_refuse_descriptors(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), off = 0;
	bool can = !setsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, &off, sizeof(off));

	close(fd);
	return can;
}

static inline unsigned int count_descriptors(void)
{
	DIR *directory = opendir("/proc/self/fd");
	unsigned int count = 0;

	cr_assert_not_null(directory);
	while (readdir(directory))
		count++;
	closedir(directory);
	return count;
}

#endif
