/* SPDX-License-Identifier: BSD-2-Clause */
/* The properties by which the kernel chooses an SA for a packet, or accepts a packet under an
 * SA. */
#ifndef LATCHD_CHOICE_SA_WAY_H
#define LATCHD_CHOICE_SA_WAY_H

#include <stdbool.h>
#include <stdint.h>

/* Both SAs of a CHILD_SA. No padding: memcmp() compares it. No reqids: key managers reuse them. */
struct sa_way {
	uint32_t if_id_in, if_id_out;
	uint8_t local[16], remote[16]; /* outer addresses */
	uint8_t family;		       /* of the outer addresses */
	uint8_t protocol;	       /* IPPROTO_ESP, IPPROTO_AH */
	uint8_t mode;		       /* XFRM_MODE_* */
	uint8_t marked; /* 1: one of the SAs has a mark: no policy is known to exclude it */
};

_Static_assert(sizeof(struct sa_way) == 44, "no padding");

#endif
