/* SPDX-License-Identifier: BSD-2-Clause */
/* How strong is the encryption of an SA (R-2.1-3)? Shared by the programs and latchd. */
#ifndef LATCH_STRENGTH_H
#define LATCH_STRENGTH_H

#include "latch_abi.h"

/* Compares the first bytes of the kernel's name of an algorithm. */
static inline int latch_begins_with(const char *name, const char *start, int length)
{
	int differs = 0;

	for (int i = 0; i < length; i++)
		differs |= name[i] ^ start[i];
	return !differs;
}

/* Bits of the key without its salt. 0: no cipher, or one of unknown strength. */
static inline __u32 latch_strength(const struct latch_qop *qop)
{
	const char *cipher = qop->encryption;
	__u32 bits = qop->encryption_bits, salt = 0;

	if (latch_begins_with(cipher, "rfc4106(", 8) ||
	    latch_begins_with(cipher, "rfc7539esp(", 11) ||
	    latch_begins_with(cipher, "rfc3686(", 8))
		salt = 32;
	else if (latch_begins_with(cipher, "rfc4309(", 8))
		salt = 24;
	else if (latch_begins_with(cipher, "cbc(des)", 8))
		return 56;
	else if (latch_begins_with(cipher, "cbc(des3", 8))
		return 112;
	else if (!latch_begins_with(cipher, "cbc(", 4))
		return 0;
	return bits > salt ? bits - salt : 0;
}

#endif
