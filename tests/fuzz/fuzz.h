/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shared by the fuzz targets: a property that ends the run when it does not hold, and a reader of
 * the fuzzer's bytes. A target is one file fuzz_NAME.c with LLVMFuzzerTestOneInput().
 */
#ifndef LATCHD_TESTS_FUZZ_H
#define LATCHD_TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

/* libFuzzer writes the input to a file when the process aborts. */
#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: property does not hold: %s\n", __FILE__, __LINE__, \
				#condition);                                                       \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
int LLVMFuzzerInitialize(int *argument_count, char ***arguments);

/* What is left of the fuzzer's bytes. */
struct input {
	const uint8_t *at;
	size_t left;
};

/* 0 at the end. */
static inline uint8_t take_byte(struct input *input)
{
	if (!input->left)
		return 0;
	input->left--;
	return *input->at++;
}

/* At most what is left. The bytes stay in the fuzzer's memory. */
static inline struct input take_part(struct input *input, size_t size)
{
	struct input part = {input->at, size < input->left ? size : input->left};

	input->at += part.left;
	input->left -= part.left;
	return part;
}

/* A part behind its own length of two bytes, big-endian. */
static inline struct input take_record(struct input *input)
{
	size_t high = take_byte(input);

	return take_part(input, high << 8 | take_byte(input));
}

/* A copy as a text, for free(). A NUL within ends the text early. */
static inline char *text_of(struct input part)
{
	char *text = malloc(part.left + 1);

	if (!text)
		abort();
	if (part.left)
		memcpy(text, part.at, part.left);
	text[part.left] = '\0';
	return text;
}

#define HASH_FIRST 0xcbf29ce484222325

/* FNV-1a: two runs with equal hashes did the same. */
static inline void hash_bytes(uint64_t *hash, const void *bytes, size_t size)
{
	const uint8_t *byte = bytes;

	while (size--)
		*hash = (*hash ^ *byte++) * 0x100000001b3;
}

static inline void hash_number(uint64_t *hash, uint64_t number)
{
	hash_bytes(hash, &number, sizeof(number));
}

/* xorshift64*; *state is not 0. */
static inline uint32_t draw(uint64_t *state, uint32_t below)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return (uint32_t)((*state * 0x2545f4914f6cdd1d) >> 32) % below;
}

#endif
