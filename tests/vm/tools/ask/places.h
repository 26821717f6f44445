/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory for hostile arguments of a worker:
 *
 *	| area: PLACE_SIZE bytes, writable | no access | read only | no access |
 *
 * Buffers end at the end of the area, so a byte too many is EFAULT.
 */
#ifndef ASK_PLACES_H
#define ASK_PLACES_H

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "results.h"

#define PAGE	   4096
#define PLACE_SIZE (3 * PAGE)
#define PATTERN	   0xa5

struct places {
	uint8_t *area, *none, *read_only;
};

/* Below 4 GiB: 32-bit system calls reach it. */
static inline bool places_create(struct places *ret)
{
	uint8_t *at = mmap(NULL, PLACE_SIZE + 3 * PAGE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);

	if (at == MAP_FAILED)
		return false;
	*ret = (struct places){at, at + PLACE_SIZE, at + PLACE_SIZE + PAGE};
	memset(ret->read_only, PATTERN, PAGE);
	return !mprotect(ret->none, PAGE, PROT_NONE) &&
	       !mprotect(ret->read_only, PAGE, PROT_READ) &&
	       !mprotect(ret->read_only + PAGE, PAGE, PROT_NONE);
}

static inline void places_free(const struct places *places)
{
	munmap(places->area, PLACE_SIZE + 3 * PAGE);
}

/* ---- one call of getsockopt() */

enum place {
	PLACE_GOOD,
	PLACE_NULL,
	PLACE_NONE,
	PLACE_READ_ONLY,
	PLACE_CUT, /* its second half has no access */
};

struct question {
	int level, option;
	enum place place;
	uint8_t *at; /* the buffer */
	int32_t size;
	bool length_fails; /* the pointer to the length is bad */
	/* Afterwards: */
	int error; /* 0 or an errno */
	int32_t length;
};

static const int32_t sizes[] = {0,   1,	   3,	 4,    5,    11,    12,		13,
				207, 208,  209,	 256,  511,  512,   513,	623,
				624, 1024, 4095, 4096, 4097, 12000, 2147483647, -1};

static inline uint8_t *place_for(const struct places *places, enum place place, int32_t size)
{
	int32_t fits = size < 0 ? 0 : size > PLACE_SIZE ? PLACE_SIZE : size;

	switch (place) {
	case PLACE_GOOD:
		return places->none - fits;
	case PLACE_NULL:
		return NULL;
	case PLACE_NONE:
		return places->none;
	case PLACE_READ_ONLY:
		return places->read_only;
	case PLACE_CUT:
		break;
	}
	return places->none - fits / 2;
}

static inline void draw_place(struct question *q, struct random *random,
			      const struct places *places)
{
	q->size = draw(random, 4) ? sizes[draw(random, sizeof(sizes) / sizeof(sizes[0]))]
				  : (int32_t)draw(random, 600);
	q->place = draw(random, 4) ? PLACE_GOOD : (enum place)draw(random, PLACE_CUT + 1);
	q->at = place_for(places, q->place, q->size);
	q->length_fails = !draw(random, 60);
}

/* The first byte that is not as it was before the call; size of the area: none. */
static inline int32_t changed_from(const struct places *places, int32_t from)
{
	while (from < PLACE_SIZE && places->area[from] == PATTERN)
		from++;
	return from;
}

/* The kernel copies up to the byte that it cannot write. */
static inline bool is_cut(const struct question *q)
{
	return q->error == EFAULT && q->place == PLACE_CUT;
}

/* Nothing but the answer is written, and nothing if there is none. */
static inline void check_untouched(const struct question *q, const struct places *places)
{
	int32_t begin = (int32_t)(q->at - places->area), end = 0, at;

	if ((!q->error || is_cut(q)) && q->at >= places->area && q->at < places->none) {
		at = changed_from(places, 0);
		if (at < begin)
			fault("option %d: a byte before the buffer was written", q->option);
		end = is_cut(q) ? PLACE_SIZE : begin + q->length;
	}
	at = changed_from(places, end);
	if (at < PLACE_SIZE)
		fault("option %d size %d: byte %d was written, %d are the answer (errno %d)",
		      q->option, q->size, at - begin, q->error ? 0 : q->length, q->error);
}

/* Other threads may have closed fd, or another kind of socket may be there. */
static inline void put_question(struct question *q, int fd, const struct places *places)
{
	socklen_t length = (socklen_t)q->size;
	socklen_t *where = q->length_fails ? (socklen_t *)places->none : &length;

	memset(places->area, PATTERN, PLACE_SIZE);
	q->error = getsockopt(fd, q->level, q->option, q->at, where) ? errno : 0;
	q->length = (int32_t)length;
	if (q->error && q->length != q->size)
		fault("option %d size %d: errno %d changed the length to %d", q->option, q->size,
		      q->error, q->length);
	if (!q->error && q->length_fails)
		fault("option %d: an answer without a place for its length", q->option);
	if (!q->error && q->at && q->length > q->size)
		fault("option %d size %d: the answer has %d bytes", q->option, q->size, q->length);
	else
		check_untouched(q, places);
}

#endif
