/* SPDX-License-Identifier: BSD-2-Clause */
/* What all workers of ask_fuzz share: numbers, the first fault, and random numbers of each. */
#ifndef ASK_RESULTS_H
#define ASK_RESULTS_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>

enum counted {
	COUNTED_ACTIONS,
	COUNTED_PEER_NAMED, /* texts and numbers of a latched socket */
	COUNTED_SILENT,	    /* no peer where there is none */
	COUNTED_BAD_CALL,   /* refused for its arguments */
	COUNTED_NOT_SERVED, /* sockets of other kinds */
	COUNTED_WISHED,	    /* wishes that were taken */
	COUNTED_UNWISHED,   /* wishes that were refused */
	COUNTED_READ_BACK,  /* all wishes of a socket, equal to those that were taken */
	COUNTED_HELD,	    /* packets in clear that a wish has stopped */
	COUNTED_PASSED,	    /* connections and datagrams in clear of sockets without a wish */
	COUNTED_RACED,	    /* questions to a number that changes its socket meanwhile */
	COUNTED_ENDED,	    /* latched connections that were aborted */
	COUNTED_32_BIT,	    /* 32-bit system calls */
	COUNTED_URING,	    /* io_uring */
	COUNTED_KINDS,
};

struct results {
	uint64_t counts[COUNTED_KINDS];
	uint32_t faults;
	uint32_t stop;
	char first[512];
};

static struct results *results;

static inline bool results_create(void)
{
	results = mmap(NULL, sizeof(*results), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		       -1, 0);
	return results != MAP_FAILED;
}

static inline void count(enum counted what)
{
	__atomic_add_fetch(&results->counts[what], 1, __ATOMIC_RELAXED);
}

static inline uint64_t counted(enum counted what)
{
	return __atomic_load_n(&results->counts[what], __ATOMIC_RELAXED);
}

/* A fault of what is tested. All workers end; the first one is printed at the end. */
__attribute__((format(printf, 1, 2))) static inline void fault(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (!__atomic_fetch_add(&results->faults, 1, __ATOMIC_ACQ_REL))
		vsnprintf(results->first, sizeof(results->first), format, args);
	va_end(args);
	__atomic_store_n(&results->stop, 1, __ATOMIC_RELEASE);
}

/* ---- random numbers: splitmix64, where neighbouring seeds give unrelated numbers */

struct random {
	uint64_t state;
};

static inline uint32_t draw(struct random *random, uint32_t below)
{
	uint64_t z = random->state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return (uint32_t)((z ^ z >> 31) >> 32) % below;
}

#endif
