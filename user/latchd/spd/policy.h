/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * RFC 5660 section 2.3, R-2.3-12: checks that the SPD still protects a latched flow as it was
 * latched. Compares the SPD of a namespace (policy_dump.h) with the latch's parameters. Nothing
 * here calls the kernel.
 */
#ifndef LATCHD_SPD_POLICY_H
#define LATCHD_SPD_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "latch_abi.h"

#define POLICY_TEMPLATES_MAX 6 /* XFRM_MAX_DEPTH of the kernel */

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

/*
 * A main policy of the SPD. Addresses are as in latch_abi.h, ports in host byte order. Source and
 * destination are those of the packet.
 */
struct policy {
	uint8_t source[16], destination[16];
	uint16_t source_port, source_port_mask;
	uint16_t destination_port, destination_port_mask;
	uint8_t source_bits, destination_bits;
	uint8_t family;
	uint8_t protocol; /* of the flow; 0 = any */
	enum policy_direction direction;
	enum policy_action action;
	uint32_t priority; /* the policy with the smallest priority decides */
	uint32_t if_id;
	uint32_t index;
	uint64_t added; /* CLOCK_REALTIME, seconds */
	bool entry;	/* an entry of latchd: decides over packets, but not over the latch */
	/* An interface, a mark or a security context decides too: its packets are unknown. */
	bool limited;
	uint8_t template_count;
	struct policy_template templates[POLICY_TEMPLATES_MAX];
};

struct spd {
	struct policy *policies;
	size_t count;
	enum policy_action default_action[POLICY_DIRECTIONS]; /* BYPASS or BLOCK */
};

/* The parameters of a latch, and the flow and interface that select its policies. */
struct policy_query {
	const struct latch_flow *flow;
	uint8_t protocol; /* of the SA */
	uint8_t mode;
	bool if_id_known; /* false: the latch's SAs are gone */
	uint32_t if_id;
};

struct policy_verdict {
	bool congruent; /* protected as latched */
	bool absent;	/* no policy decides, but the default action */
	bool overruled; /* a protecting policy exists, but another policy precedes it */
	enum policy_action action;
	const struct policy *policy; /* the deciding policy, or one of several; NULL if absent */
};

/*
 * Evaluates one direction. The verdict points into spd. The kernel's choice among policies of equal
 * priority is unknown, so one congruent policy among them is enough. The same holds for a limited
 * policy that may decide. If another policy decides instead, the gates drop the packets that it
 * passes.
 */
struct policy_verdict policy_evaluate(const struct spd *spd, const struct policy_query *query,
				      enum policy_direction direction);

/* True: the selector covers the flow. Ignores policy->limited. */
bool policy_covers(const struct policy *policy, const struct latch_flow *flow);
/* The same without the ports. */
bool policy_covers_addresses(const struct policy *policy, const struct latch_flow *flow);

/* True: the selector is a single 5-tuple. */
bool policy_is_for_one_flow(const struct policy *policy);

/* "bypass", "block", "protect" */
const char *policy_action_name(enum policy_action action);
const char *policy_direction_name(enum policy_direction direction);

#endif
