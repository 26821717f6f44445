/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The memory of latchd. Each allocation may fail. Blocks are found by their address, so that
 * memory of libc, which no function here has allocated, can be freed, too. No choice depends on an
 * address.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "doors/doors.h"
#include "sim.h"

#define BLOCKS_MAX 65536 /* a power of two */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
void __real_free(void *block);
void __real_exit(int status) __attribute__((noreturn));
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t size);
void *__wrap_reallocarray(void *block, size_t count, size_t size);
void __wrap_free(void *block);
void __wrap_exit(int status) __attribute__((noreturn));

static void *blocks[BLOCKS_MAX]; /* open addressing */
static size_t count;

static size_t place_of(const void *block)
{
	size_t i = (size_t)(((uintptr_t)block >> 4) * 0x9e3779b97f4a7c15) % BLOCKS_MAX;

	while (blocks[i] && blocks[i] != block)
		i = (i + 1) % BLOCKS_MAX;
	return i;
}

static void *note(void *block)
{
	if (!block || !sim.latchd_runs)
		return block;
	if (count >= BLOCKS_MAX / 2)
		sim_fail("latchd has %zu blocks of memory", count);
	blocks[place_of(block)] = block;
	count++;
	return block;
}

/* The blocks behind a freed place must be found again. */
static void forget(const void *block)
{
	size_t i = place_of(block), next;
	void *moved;

	if (!block || !blocks[i])
		return;
	blocks[i] = NULL;
	count--;
	for (next = (i + 1) % BLOCKS_MAX; blocks[next]; next = (next + 1) % BLOCKS_MAX) {
		moved = blocks[next];
		blocks[next] = NULL;
		blocks[place_of(moved)] = moved;
	}
}

static bool fails(void)
{
	if (!sim.latchd_runs || sim.quiet || sim.other || !sim_chance(sim.faults.allocation))
		return false;
	sim.failed_allocations++;
	sim_trace("an allocation fails");
	errno = ENOMEM;
	return true;
}

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : note(__real_malloc(size));
}

void *__wrap_calloc(size_t number, size_t size)
{
	return fails() ? NULL : note(__real_calloc(number, size));
}

void *__wrap_realloc(void *block, size_t size)
{
	void *moved;

	if (fails())
		return NULL;
	forget(block);
	moved = __real_realloc(block, size);
	return note(moved);
}

void *__wrap_reallocarray(void *block, size_t number, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(number, size, &bytes)) {
		errno = ENOMEM;
		return NULL;
	}
	return __wrap_realloc(block, bytes);
}

void __wrap_free(void *block)
{
	forget(block);
	__real_free(block);
}

/* uthash ends the process when its own tables get no memory. */
void __wrap_exit(int status)
{
	if (!sim.latchd_runs)
		__real_exit(status);
	sim_trace("latchd exits");
	sim_kill_latchd();
}

size_t memory_blocks(void)
{
	return count;
}

void memory_release(void)
{
	size_t i;

	for (i = 0; count && i < BLOCKS_MAX; i++) {
		if (!blocks[i])
			continue;
		__real_free(blocks[i]);
		blocks[i] = NULL;
		count--;
	}
	memset(blocks, 0, sizeof(blocks));
	count = 0;
}
