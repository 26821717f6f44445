/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/subscribers/unread.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/log.h"

static atomic_uint closes;

/*
 * With SO_PASSCRED each message has credentials, also one without a byte, and the end of file has
 * none. There is no room for descriptors, so none is received; a look takes no message out.
 */
static bool has_message(int fd)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(struct ucred))];
	} control;
	char byte;
	struct iovec io = {.iov_base = &byte, .iov_len = sizeof(byte)};
	struct msghdr message = {
		.msg_iov = &io,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	int on = 1;

	if (setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)))
		return true;
	return recvmsg(fd, &message, MSG_PEEK | MSG_DONTWAIT | MSG_CMSG_CLOEXEC) != 0 ||
	       message.msg_controllen;
}

/* The kernel checks the end under the lock of the queue: behind it no message is added. */
bool unread_stop(int fd)
{
	return shutdown(fd, SHUT_RD) || has_message(fd);
}

static void *close_slowly(void *context)
{
	close((int)(intptr_t)context);
	atomic_fetch_sub(&closes, 1);
	return NULL;
}

static int start(int fd)
{
	pthread_attr_t attributes;
	pthread_t thread;
	int err = pthread_attr_init(&attributes);

	if (err)
		return err;
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attributes, 65536);
	err = pthread_create(&thread, &attributes, close_slowly, (void *)(intptr_t)fd);
	pthread_attr_destroy(&attributes);
	return err;
}

/* Without a thread the descriptor stays, until latchd ends: its place stays taken, too. */
void unread_close(int fd, bool waits)
{
	int err;

	if (!waits) {
		close(fd);
		return;
	}
	atomic_fetch_add(&closes, 1);
	shutdown(fd, SHUT_RDWR);
	err = start(fd);
	if (err)
		log_warn("news", "connection of a client not closed (%s): it has sent a message",
			 strerror(err));
}

bool unread_is_full(void)
{
	return atomic_load(&closes) >= UNREAD_CLOSES_MAX;
}
