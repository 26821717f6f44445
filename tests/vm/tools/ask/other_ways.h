/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Other ways into the kernel: 32-bit system calls, which pass by the programs, and io_uring, of
 * which getsockopt() does. A kernel without one of them is asked by the others only.
 */
#ifndef ASK_OTHER_WAYS_H
#define ASK_OTHER_WAYS_H

#include <errno.h>
#include <linux/io_uring.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "latch_sockopt.h"
#include "results.h"

enum way {
	WAY_PLAIN,
	WAY_32_BIT,
	WAY_URING,
};

/* ---- 32-bit system calls */

#ifdef __x86_64__
#define I386_GETSOCKOPT 365
#define I386_SETSOCKOPT 366

static inline long call_32_bit(long number, long fd, long option, const void *value, long size)
{
	__asm__ volatile("int $0x80"
			 : "+a"(number)
			 : "b"(fd), "c"((long)SOL_LATCH), "d"(option), "S"((uintptr_t)value),
			   "D"(size)
			 : "memory", "r8", "r9", "r10", "r11", "cc");
	return (int)number;
}

/* 0 or an errno. */
static inline int set_32_bit(int fd, int option, const void *value, int32_t size)
{
	count(COUNTED_32_BIT);
	return (int)-call_32_bit(I386_SETSOCKOPT, fd, option, value, size);
}

/* length: below 4 GiB. */
static inline int get_32_bit(int fd, int option, void *value, const socklen_t *length)
{
	count(COUNTED_32_BIT);
	return (int)-call_32_bit(I386_GETSOCKOPT, fd, option, value, (long)(uintptr_t)length);
}

/* A kernel without them kills the process. */
static inline bool has_32_bit(void)
{
	pid_t pid = fork();
	int status = 0;

	if (!pid)
		_exit(call_32_bit(I386_SETSOCKOPT, -1, 0, NULL, 0) == -EBADF ? 0 : 1);
	return pid > 0 && waitpid(pid, &status, 0) == pid && !status;
}
#else
static inline int set_32_bit(int fd, int option, const void *value, int32_t size)
{
	(void)fd, (void)option, (void)value, (void)size;
	return ENOSYS;
}

static inline int get_32_bit(int fd, int option, void *value, const socklen_t *length)
{
	(void)fd, (void)option, (void)value, (void)length;
	return ENOSYS;
}

static inline bool has_32_bit(void)
{
	return false;
}
#endif

/* ---- io_uring, without its library. Numbers and offsets of Linux 6.7: headers may be older. */

#define URING_COMMAND 46 /* IORING_OP_URING_CMD */
#define URING_GET     2	 /* SOCKET_URING_OP_GETSOCKOPT */
#define URING_SET     3

struct uring_entry {
	uint8_t opcode, flags;
	uint16_t ioprio;
	int32_t fd;
	uint32_t command, pad;
	uint32_t level, option;
	uint32_t len, rw_flags;
	uint64_t user_data;
	uint16_t buf_index, personality;
	int32_t size;
	uint64_t value, pad2;
};

_Static_assert(sizeof(struct uring_entry) == 64, "as struct io_uring_sqe");

struct uring {
	int fd; /* -1: none */
	struct io_uring_params params;
	uint8_t *submissions, *completions;
	size_t submissions_size, completions_size;
	struct uring_entry *entries;
};

static inline uint8_t *uring_map(int fd, size_t size, off_t offset)
{
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, offset);

	return at == MAP_FAILED ? NULL : at;
}

static inline void uring_free(struct uring *uring)
{
	if (uring->fd < 0)
		return;
	munmap(uring->submissions, uring->submissions_size);
	munmap(uring->completions, uring->completions_size);
	munmap(uring->entries, uring->params.sq_entries * sizeof(*uring->entries));
	close(uring->fd);
}

static inline void uring_create(struct uring *ret)
{
	struct io_uring_params *p = &ret->params;

	memset(ret, 0, sizeof(*ret));
	ret->fd = (int)syscall(SYS_io_uring_setup, 4, p);
	if (ret->fd < 0)
		return;
	ret->submissions_size = p->sq_off.array + p->sq_entries * sizeof(uint32_t);
	ret->completions_size = p->cq_off.cqes + p->cq_entries * sizeof(struct io_uring_cqe);
	ret->submissions = uring_map(ret->fd, ret->submissions_size, IORING_OFF_SQ_RING);
	ret->completions = uring_map(ret->fd, ret->completions_size, IORING_OFF_CQ_RING);
	ret->entries = (struct uring_entry *)uring_map(
		ret->fd, p->sq_entries * sizeof(*ret->entries), IORING_OFF_SQES);
	if (ret->submissions && ret->completions && ret->entries)
		return;
	close(ret->fd);
	ret->fd = -1;
}

static inline uint32_t *uring_word(uint8_t *ring, uint32_t offset)
{
	return (uint32_t *)(ring + offset);
}

static inline void uring_submit(struct uring *uring, const struct uring_entry *entry)
{
	uint32_t *tail = uring_word(uring->submissions, uring->params.sq_off.tail);
	uint32_t at = *tail & (uring->params.sq_entries - 1);

	uring->entries[at] = *entry;
	uring_word(uring->submissions, uring->params.sq_off.array)[at] = at;
	__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
}

/* The result of the only call under way. */
static inline int uring_result(struct uring *uring)
{
	uint32_t *head = uring_word(uring->completions, uring->params.cq_off.head);
	uint32_t *tail = uring_word(uring->completions, uring->params.cq_off.tail);
	struct io_uring_cqe *all =
		(struct io_uring_cqe *)(uring->completions + uring->params.cq_off.cqes);
	int result;

	if (*head == __atomic_load_n(tail, __ATOMIC_ACQUIRE))
		return -EAGAIN;
	result = all[*head & (uring->params.cq_entries - 1)].res;
	__atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
	return result;
}

/* 0 or an errno. */
static inline int uring_option(struct uring *uring, uint32_t command, int fd, int option,
			       void *value, int32_t size)
{
	struct uring_entry entry = {.opcode = URING_COMMAND,
				    .fd = fd,
				    .command = command,
				    .level = SOL_LATCH,
				    .option = (uint32_t)option,
				    .size = size,
				    .value = (uintptr_t)value};
	int result;

	uring_submit(uring, &entry);
	if (syscall(SYS_io_uring_enter, uring->fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0)
		return errno;
	count(COUNTED_URING);
	result = uring_result(uring);
	return result < 0 ? -result : 0;
}

#endif
