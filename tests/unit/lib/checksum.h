/* SPDX-License-Identifier: BSD-2-Clause */
/* The Internet checksum (RFC 1071) of packets that a test writes. */
#ifndef LATCHD_TESTS_CHECKSUM_H
#define LATCHD_TESTS_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* length is even. */
static inline uint32_t checksum_add(uint32_t sum, const void *bytes, size_t length)
{
	uint16_t word;
	size_t at;

	for (at = 0; at < length; at += sizeof(word)) {
		memcpy(&word, (const char *)bytes + at, sizeof(word));
		sum += word;
	}
	return sum;
}

static inline uint16_t checksum_finish(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t) ~(sum + (sum >> 16));
}

#endif
