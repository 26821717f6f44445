/* SPDX-License-Identifier: BSD-2-Clause */
/* Reproducible random numbers, and numbers from the environment. */
#ifndef LATCHD_TESTS_SEED_H
#define LATCHD_TESTS_SEED_H

#include <criterion/criterion.h>
#include <stdint.h>
#include <stdlib.h>

struct random {
	uint64_t state;
};

/* splitmix64: any seed is good, and neighbouring seeds give unrelated numbers. */
static inline uint32_t draw(struct random *random, uint32_t below)
{
	uint64_t z = random->state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return (uint32_t)((z ^ z >> 31) >> 32) % below;
}

static inline unsigned long env_number(const char *name, unsigned long otherwise)
{
	const char *text = getenv(name);
	unsigned long number;
	char *end;

	if (!text || !*text)
		return otherwise;
	number = strtoul(text, &end, 0);
	cr_assert(*end == '\0', "%s=%s is not a number", name, text);
	return number;
}

#endif
