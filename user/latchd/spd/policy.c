/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/spd/policy.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

/* ---- the selector ---- */

static bool has_prefix(const uint8_t address[16], const uint8_t prefix[16], unsigned int bits)
{
	unsigned int whole = bits / 8, rest = bits % 8;

	if (bits > 128 || memcmp(address, prefix, whole))
		return false;
	return !rest || !((address[whole] ^ prefix[whole]) >> (8 - rest));
}

static bool has_port(uint16_t port, uint16_t wanted, uint16_t mask)
{
	return !((port ^ wanted) & mask);
}

bool policy_covers_addresses(const struct policy *p, const struct latch_flow *flow)
{
	bool out = p->direction == POLICY_OUT;

	return p->family == flow->family && (!p->protocol || p->protocol == flow->protocol) &&
	       has_prefix(out ? flow->local_addr : flow->remote_addr, p->source, p->source_bits) &&
	       has_prefix(out ? flow->remote_addr : flow->local_addr, p->destination,
			  p->destination_bits);
}

bool policy_covers(const struct policy *p, const struct latch_flow *flow)
{
	bool out = p->direction == POLICY_OUT;

	return policy_covers_addresses(p, flow) &&
	       has_port(out ? flow->local_port : flow->remote_port, p->source_port,
			p->source_port_mask) &&
	       has_port(out ? flow->remote_port : flow->local_port, p->destination_port,
			p->destination_port_mask);
}

bool policy_is_for_one_flow(const struct policy *policy)
{
	unsigned int bits = policy->family == AF_INET ? 32 : 128;

	return policy->protocol && policy->source_bits == bits &&
	       policy->destination_bits == bits && policy->source_port_mask == 0xffff &&
	       policy->destination_port_mask == 0xffff;
}

/* ---- the verdict ---- */

/* IPComp protects nothing; the gates check packets with it. */
static bool is_congruent(const struct policy *policy, const struct policy_query *query)
{
	unsigned int i, protecting = 0, matching = 0;

	for (i = 0; i < policy->template_count; i++) {
		const struct policy_template *template = &policy->templates[i];

		if (template->protocol == IPPROTO_COMP)
			continue;
		protecting++;
		matching += template->protocol == query->protocol &&
			    template->mode == query->mode && !template->optional;
	}
	return policy->action == POLICY_PROTECT && protecting == 1 && matching == 1;
}

enum applies {
	APPLIES_NOT,
	APPLIES_MAYBE,
	APPLIES,
};

static enum applies applies(const struct policy *policy, const struct policy_query *query,
			    enum policy_direction direction)
{
	if (policy->entry || policy->direction != direction || !policy_covers(policy, query->flow))
		return APPLIES_NOT;
	if (policy->if_id != query->if_id)
		return APPLIES_NOT;
	return policy->limited ? APPLIES_MAYBE : APPLIES;
}

static const struct policy *find_deciding(const struct spd *spd, const struct policy_query *query,
					  enum policy_direction direction)
{
	const struct policy *policy, *found = NULL;
	size_t i;

	for (i = 0; i < spd->count; i++) {
		policy = &spd->policies[i];
		if ((!found || policy->priority <= found->priority) &&
		    applies(policy, query, direction) == APPLIES)
			found = policy;
	}
	return found;
}

/* Finds a congruent policy that may decide instead of the found policy. */
static const struct policy *find_congruent(const struct spd *spd, const struct policy_query *query,
					   enum policy_direction direction,
					   const struct policy *deciding)
{
	const struct policy *policy;
	size_t i;

	for (i = 0; i < spd->count; i++) {
		policy = &spd->policies[i];
		if ((!deciding || policy->priority <= deciding->priority) &&
		    applies(policy, query, direction) != APPLIES_NOT && is_congruent(policy, query))
			return policy;
	}
	return NULL;
}

static struct policy_verdict evaluate(const struct spd *spd, const struct policy_query *query,
				      enum policy_direction direction)
{
	const struct policy *deciding = find_deciding(spd, query, direction);
	const struct policy *congruent = find_congruent(spd, query, direction, deciding);
	const struct policy *policy = congruent ? congruent : deciding;

	return (struct policy_verdict){
		.congruent = congruent != NULL,
		.absent = !policy,
		.overruled = !congruent && find_congruent(spd, query, direction, NULL),
		.action = policy ? policy->action : spd->default_action[direction],
		.policy = policy,
	};
}

/* The latch's SAs are gone. Its interface may be any interface with a protecting policy. */
static struct policy_verdict evaluate_any_interface(const struct spd *spd,
						    struct policy_query query,
						    enum policy_direction direction)
{
	struct policy_verdict verdict, other;
	size_t i;

	query.if_id_known = true;
	query.if_id = 0;
	verdict = evaluate(spd, &query, direction);
	for (i = 0; !verdict.congruent && i < spd->count; i++) {
		query.if_id = spd->policies[i].if_id;
		if (!query.if_id || applies(&spd->policies[i], &query, direction) == APPLIES_NOT ||
		    !is_congruent(&spd->policies[i], &query))
			continue;
		other = evaluate(spd, &query, direction);
		if (other.congruent)
			verdict = other;
	}
	return verdict;
}

struct policy_verdict policy_evaluate(const struct spd *spd, const struct policy_query *query,
				      enum policy_direction direction)
{
	return query->if_id_known ? evaluate(spd, query, direction)
				  : evaluate_any_interface(spd, *query, direction);
}

/* ---- names ---- */

const char *policy_action_name(enum policy_action action)
{
	switch (action) {
	case POLICY_BYPASS:
		return "bypass";
	case POLICY_BLOCK:
		return "block";
	case POLICY_PROTECT:
		return "protect";
	}
	return "unknown";
}

const char *policy_direction_name(enum policy_direction direction)
{
	switch (direction) {
	case POLICY_OUT:
		return "out";
	case POLICY_IN:
		return "in";
	case POLICY_DIRECTIONS:
		break;
	}
	return "unknown";
}
