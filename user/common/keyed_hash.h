/* SPDX-License-Identifier: BSD-2-Clause */
/* SipHash-2-4: a peer that does not know the key cannot make two texts with one hash. */
#ifndef LATCHD_COMMON_KEYED_HASH_H
#define LATCHD_COMMON_KEYED_HASH_H

#include <stddef.h>
#include <stdint.h>

struct keyed_hash_key {
	uint64_t word[2];
};

/* 0 or a negative errno. */
int keyed_hash_new_key(struct keyed_hash_key *ret);

uint64_t keyed_hash(const struct keyed_hash_key *key, const void *bytes, size_t length);

#endif
