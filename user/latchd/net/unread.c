/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/net/unread.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/log.h"

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83
#endif

#define UNREAD_THREADS_MAX 8
#define UNREAD_PART	   4096 /* bytes of text that are dropped at once */
#define UNREAD_PARTS_MAX   64	/* more than the send buffer of an unprivileged client */

void unread_refuse_descriptors(int fd)
{
	int off = 0;

	/* An older kernel does not know it: then the looks below decide. */
	if (setsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, &off, sizeof(off)))
		log_debug("net", "a client may send descriptors (%m)");
}

/* ---- looks: no message is taken out, and without room no descriptor is received */

/*
 * With SO_PASSCRED each message has credentials, also one without a byte, and the end of file has
 * none.
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

/*
 * A look ends with the first message that has a descriptor, and MSG_CTRUNC shows it. A look passes
 * over an urgent byte, which the read behind it drops, unless SO_OOBINLINE is set.
 */
static ssize_t look(int fd, char *text, size_t size)
{
	struct iovec io = {.iov_base = text, .iov_len = size};
	struct msghdr message = {.msg_iov = &io, .msg_iovlen = 1};
	ssize_t length;
	int on = 1;

	if (setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof(on)))
		return -errno;
	length = recvmsg(fd, &message, MSG_PEEK | MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (length < 0)
		return -errno;
	return message.msg_flags & MSG_CTRUNC ? -EBADMSG : length;
}

ssize_t unread_receive(int fd, char *text, size_t size)
{
	ssize_t length = look(fd, text, size);

	if (length <= 0)
		return length;
	length = recv(fd, text, (size_t)length, MSG_DONTWAIT);
	return length < 0 ? -errno : length;
}

/* The kernel checks the end under the lock of the queue: behind it no message is added. */
bool unread_stop(int fd)
{
	return shutdown(fd, SHUT_RD) || has_message(fd);
}

bool unread_stop_stream(int fd)
{
	char text[UNREAD_PART];
	ssize_t length = 1;
	int i;

	if (shutdown(fd, SHUT_RD))
		return true;
	for (i = 0; length > 0 && i < UNREAD_PARTS_MAX; i++)
		length = unread_receive(fd, text, sizeof(text));
	/* ECONNRESET comes behind the last message. */
	return length && length != -ECONNRESET;
}

/* ---- closes that may block */

/*
 * A thread with a table of descriptors of its own: it has a copy of each when the main thread
 * closes its own, and the last close is part of its end. At the end of a thread no socket lingers
 * (PF_EXITING).
 */
struct leaver {
	pid_t tid; /* 0: not used yet */
	bool has_copies;
	sem_t copied, may_leave;
};

static struct leaver leavers[UNREAD_THREADS_MAX];
static int waiting[UNREAD_CLOSES_MAX];
static unsigned int waiting_count;

static void *leave(void *context)
{
	struct leaver *leaver = context;

	leaver->tid = gettid();
	leaver->has_copies = !unshare(CLONE_FILES);
	sem_post(&leaver->copied);
	while (sem_wait(&leaver->may_leave))
		;
	return NULL;
}

/* A thread is known to the kernel until its descriptors are closed. */
static struct leaver *find_free(void)
{
	size_t i;

	for (i = 0; i < UNREAD_THREADS_MAX; i++)
		if (!leavers[i].tid || syscall(SYS_tgkill, getpid(), leavers[i].tid, 0))
			return &leavers[i];
	return NULL;
}

static int start(struct leaver *leaver)
{
	pthread_attr_t attributes;
	pthread_t thread;
	int err = pthread_attr_init(&attributes);

	if (err)
		return err;
	sem_init(&leaver->copied, 0, 0);
	sem_init(&leaver->may_leave, 0, 0);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attributes, 65536);
	err = pthread_create(&thread, &attributes, leave, leaver);
	pthread_attr_destroy(&attributes);
	return err;
}

/* One thread for all that wait. Its end needs no help of a client, so neither does this wait. */
static int close_waiting(struct leaver *leaver)
{
	int err = start(leaver);

	if (err)
		return err;
	while (sem_wait(&leaver->copied))
		;
	if (leaver->has_copies)
		while (waiting_count)
			close(waiting[--waiting_count]);
	sem_post(&leaver->may_leave);
	return waiting_count ? ENOMEM : 0;
}

unsigned int unread_waiting(void)
{
	struct leaver *leaver = waiting_count ? find_free() : NULL;
	int err = leaver ? close_waiting(leaver) : 0;

	if (err)
		log_debug("net", "%u connections of clients not closed (%s): they hold messages",
			  waiting_count, strerror(err));
	return waiting_count;
}

/* Without room the descriptor stays, until latchd ends. */
void unread_close(int fd, bool waits)
{
	if (!waits) {
		close(fd);
		return;
	}
	shutdown(fd, SHUT_RDWR);
	if (waiting_count < UNREAD_CLOSES_MAX)
		waiting[waiting_count++] = fd;
	else
		log_warn("net", "connection of a client not closed: %d wait for their close",
			 UNREAD_CLOSES_MAX);
	unread_waiting();
}

void unread_close_stream(int fd)
{
	unread_close(fd, unread_stop_stream(fd));
}
