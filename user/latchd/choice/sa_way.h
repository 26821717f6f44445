/* SPDX-License-Identifier: BSD-2-Clause */
/* What the kernel looks at when it chooses an SA for a packet, or accepts a packet under one. */
#ifndef LATCHD_CHOICE_SA_WAY_H
#define LATCHD_CHOICE_SA_WAY_H

#include <stdbool.h>
#include <stdint.h>

/* Of both SAs of a CHILD_SA. Compared by memcmp(): no padding. Reqids are recycled: not part. */
struct sa_way {
	uint32_t if_id_in, if_id_out;
	uint8_t local[16], remote[16]; /* outer addresses */
	uint8_t family;		       /* of these */
	uint8_t protocol;	       /* IPPROTO_ESP, IPPROTO_AH */
	uint8_t mode;		       /* XFRM_MODE_* */
	uint8_t marked; /* 1: one has a mark, so that no policy is known to rule it out */
};

_Static_assert(sizeof(struct sa_way) == 44, "no padding");

#endif
