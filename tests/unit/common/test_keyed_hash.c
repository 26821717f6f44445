/* SPDX-License-Identifier: BSD-2-Clause */
/* SipHash-2-4 with the vectors of its authors: the key 00 01 ... 0f, the texts 00 01 .... */
#include <criterion/criterion.h>

#include "common/keyed_hash.h"

Test(keyed_hash, texts_have_the_hashes_that_the_authors_give)
{
	const struct keyed_hash_key key = {{0x0706050403020100, 0x0f0e0d0c0b0a0908}};
	uint8_t text[15];
	size_t i;

	for (i = 0; i < sizeof(text); i++)
		text[i] = (uint8_t)i;
	cr_expect_eq(keyed_hash(&key, text, 0), 0x726fdb47dd0e0e31);
	cr_expect_eq(keyed_hash(&key, text, 1), 0x74f839c593dc67fd);
	cr_expect_eq(keyed_hash(&key, text, 15), 0xa129ca6149be45e5);
}

Test(keyed_hash, each_new_key_is_another_one)
{
	struct keyed_hash_key one, other;

	cr_assert_eq(keyed_hash_new_key(&one), 0);
	cr_assert_eq(keyed_hash_new_key(&other), 0);
	cr_expect_neq(keyed_hash(&one, "c", 1), keyed_hash(&other, "c", 1));
}
