/* SPDX-License-Identifier: BSD-2-Clause */
/* A policy of the SPD, reduced to the fields that decide which SA the kernel uses (RFC 4301 section
 * 4.4.1). */
#ifndef LATCHD_CHOICE_CHOICE_POLICY_H
#define LATCHD_CHOICE_CHOICE_POLICY_H

#include <linux/xfrm.h>

#include "latchd/choice/sa_way.h"
#include "latchd/feeds/traffic_selector.h"
#include "latchd/spd/policy.h"

/* A set of flows of one family. The protocols are equal, or one is 0. */
struct choice_box {
	struct traffic_selector local, remote;
};

struct choice_policy {
	uint8_t local_low[16], local_high[16], remote_low[16], remote_high[16];
	uint16_t local_port, local_port_mask, remote_port, remote_port_mask;
	uint32_t priority, if_id;
	enum policy_direction direction;
	uint8_t family, protocol;
	bool certain;  /* it decides over each flow within: no mark, device, context; none of
			  latchd's */
	bool accepts;  /* a policy in: it accepts a transport-mode SA that no template names */
	bool any;      /* several or optional templates: may use any SA */
	bool protects; /* the rest is its template */
	uint8_t template_protocol, template_mode, template_family;
	uint8_t template_local[16], template_remote[16]; /* zero: any */
};

/* template: the first one of the policy, as the kernel has dumped it. Padding is zero. */
void choice_policy_of(const struct policy *policy, const struct xfrm_user_tmpl *template,
		      struct choice_policy *ret);

/* touches: the policy may decide over some flow of the box. covers: it matches every flow of the
 * box. */
bool choice_policy_touches(const struct choice_policy *policy, const struct choice_box *box);
bool choice_policy_covers(const struct choice_policy *policy, const struct choice_box *box);

/* If the policy decides: may the kernel use the SA (out), or accept a packet under it (in)? */
bool choice_policy_may_use(const struct choice_policy *policy, const struct sa_way *way);

#endif
