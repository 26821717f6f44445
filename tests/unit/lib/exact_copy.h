/* SPDX-License-Identifier: BSD-2-Clause */
/* Bytes in memory of exactly their size, so that a sanitizer sees a read past their end. */
#ifndef LATCHD_TESTS_EXACT_COPY_H
#define LATCHD_TESTS_EXACT_COPY_H

#include <stdlib.h>
#include <string.h>

#include "latchd/feeds/vici/message.h"

/* Freed with exact_free(). */
static inline struct vici_span exact_copy(const void *bytes, size_t length)
{
	uint8_t *memory = malloc(length ? length : 1);

	if (!memory)
		abort();
	if (length)
		memcpy(memory, bytes, length);
	return (struct vici_span){.at = memory, .length = length};
}

static inline void exact_free(struct vici_span span)
{
	free((void *)span.at);
}

#endif
