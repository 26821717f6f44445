/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * RFC 5660 section 2.3, R-2.3-12: does the SPD still protect a latched flow as it
 * was latched? What a namespace's kernel has (kernel/policy_dump.h) against what
 * the latch is for. Nothing here asks the kernel.
 */
#ifndef LATCHD_SPD_POLICY_H
#define LATCHD_SPD_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "latch_abi.h"

#define POLICY_TEMPLATES_MAX 6 /* the kernel's XFRM_MAX_DEPTH */

enum policy_direction {
	POLICY_OUT,
	POLICY_IN,
	POLICY_DIRECTIONS,
};

enum policy_action {
	POLICY_BYPASS,
	POLICY_BLOCK,
	POLICY_PROTECT,
};

struct policy_template {
	uint8_t protocol; /* IPPROTO_ESP, IPPROTO_AH, IPPROTO_COMP */
	uint8_t mode;	  /* XFRM_MODE_* */
	bool optional;	  /* RFC 2367: level use */
};

/* A main policy of the SPD. Addresses as in latch_abi.h; source and destination of the packet. */
struct policy {
	uint8_t source[16], destination[16];
	uint16_t source_port, source_port_mask;
	uint16_t destination_port, destination_port_mask;
	uint8_t source_bits, destination_bits;
	uint8_t family;
	uint8_t protocol; /* of the flow; 0 = any */
	enum policy_direction direction;
	enum policy_action action;
	uint32_t priority; /* the smallest decides */
	uint32_t if_id;
	uint32_t index;
	uint64_t added; /* seconds of the epoch */
	bool entry;	/* one of ours: decides over packets, but not over the latch */
	/* Which packets it is for is not known: an interface, a mark or a security context decides.
	 */
	bool limited;
	uint8_t template_count;
	struct policy_template templates[POLICY_TEMPLATES_MAX];
};

struct spd {
	struct policy *policies;
	size_t count;
	enum policy_action
		otherwise[POLICY_DIRECTIONS]; /* BYPASS or BLOCK: when no policy matches */
};

/* What a latch is for, and what finds its policies. */
struct policy_query {
	const struct latch_flow *flow;
	uint8_t protocol; /* of the SA */
	uint8_t mode;
	bool if_id_known; /* false: its SAs are gone */
	uint32_t if_id;
};

struct policy_verdict {
	bool congruent; /* protected as latched */
	bool absent;	/* no policy at all decides: the default action does */
	enum policy_action action;
	const struct policy *policy; /* what decides, or one of those; NULL when absent */
};

/*
 * Of policies with equal priority nobody can tell which the kernel asks: one that
 * is congruent is enough, as it is for one that is limited and may decide. If such
 * a policy does not, the gates drop what it lets through.
 */
struct policy_verdict policy_judge(const struct spd *spd, const struct policy_query *query,
				   enum policy_direction direction);

/* Is the flow one that the policy's selector covers, limits aside? */
bool policy_covers(const struct policy *policy, const struct latch_flow *flow);
/* The same but for the ports. */
bool policy_covers_addresses(const struct policy *policy, const struct latch_flow *flow);

/* Is its selector a single 5-tuple? */
bool policy_is_for_one(const struct policy *policy);

/* "bypass", "block", "protect" */
const char *policy_action_name(enum policy_action action);
const char *policy_direction_name(enum policy_direction direction);

#endif
