/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/spd/spd_protect.h"

#include <errno.h>
#include <linux/xfrm.h>
#include <string.h>

#include "common/clock.h"
#include "latchd/spd/policy_entry.h"
#include "latchd/maps/tables.h"

#define SECOND_NS 1000000000ull

/* ---- entries in the SPD ---- */

bool spd_protect_has_entries(const struct spd_view *view)
{
	size_t i;

	for (i = 0; i < view->spd.count; i++)
		if (view->spd.policies[i].entry)
			return true;
	return false;
}

static const struct policy *find_entry(struct spd_view *view, const struct latch_flow *flow,
				       enum policy_direction direction)
{
	const struct spd *spd = spd_view_narrow(view, flow);
	const struct policy *policy;

	for (policy = spd->policies; policy < spd->policies + spd->count; policy++)
		if (policy->direction == direction && policy->entry && policy_covers(policy, flow))
			return policy;
	return NULL;
}

bool spd_protect_holds(struct spd_view *view, const struct latch_flow *flow)
{
	return find_entry(view, flow, POLICY_OUT) && find_entry(view, flow, POLICY_IN);
}

/* The kernel holds one policy for a selector. An entry of latchd must not replace that policy. */
static bool is_taken(struct spd_view *view, const struct latch_flow *flow)
{
	const struct spd *spd = spd_view_narrow(view, flow);
	const struct policy *policy;

	for (policy = spd->policies; policy < spd->policies + spd->count; policy++)
		if (!policy->entry && policy_is_for_one_flow(policy) && policy_covers(policy, flow))
			return true;
	return false;
}

static bool is_fresh(const struct policy *policy)
{
	uint64_t now = clock_real_ns() / SECOND_NS;

	return policy->added <= now && now - policy->added < POLICY_ENTRY_RENEW_S;
}

/* ---- for one flow ---- */

/* Sets the ends of the tunnel from one of the two SAs; reversed: the SA of the other direction. */
static void set_ends(struct policy_entry *entry, const struct spd_scope *scope, bool reversed)
{
	entry->family = scope->family;
	memcpy(entry->source, reversed ? scope->destination : scope->source, 16);
	memcpy(entry->destination, reversed ? scope->source : scope->destination, 16);
	entry->reqid = scope->reqid;
}

static int fill_entry(const struct spd_view *view, const struct latch_flow *flow,
		      const struct latch *latch, const struct policy_query *query,
		      enum policy_direction direction, struct policy_entry *ret)
{
	bool out = direction == POLICY_OUT;
	const struct spd_scope *own =
		spd_view_find(view, latch->word.params, out ? latch->spi_out : latch->spi_in);
	const struct spd_scope *other =
		spd_view_find(view, latch->word.params, out ? latch->spi_in : latch->spi_out);

	*ret = (struct policy_entry){
		.flow = *flow,
		.direction = direction,
		.protocol = query->protocol,
		.mode = query->mode,
	};
	if (!own && !other)
		return -ENOENT;
	set_ends(ret, own ? own : other, !own);
	ret->if_id = (own ? own : other)->if_id;
	return 0;
}

static int protect_direction(struct spd_view *view, const struct latch_flow *flow,
			     const struct latch *latch, const struct policy_query *query,
			     enum policy_direction direction)
{
	const struct policy *present = find_entry(view, flow, direction);
	struct policy_entry entry;
	int err;

	if (present && is_fresh(present))
		return 0;
	err = fill_entry(view, flow, latch, query, direction, &entry);
	/* The SAs are being replaced. The present entry stays until it expires. */
	if (err && present)
		return 0;
	if (!err)
		err = policy_entry_insert(&entry, present != NULL);
	if (err)
		return err;
	return present ? 0 : 1;
}

bool spd_protect_could_add(struct spd_view *view, const struct latch_flow *flow,
			   const struct latch *latch, const struct policy_query *query)
{
	struct policy_entry entry;

	return !is_taken(view, flow) && !fill_entry(view, flow, latch, query, POLICY_OUT, &entry) &&
	       !fill_entry(view, flow, latch, query, POLICY_IN, &entry);
}

int spd_protect_add(struct spd_view *view, const struct latch_flow *flow, const struct latch *latch,
		    const struct policy_query *query)
{
	int out, in;

	if (is_taken(view, flow))
		return -EEXIST;
	out = protect_direction(view, flow, latch, query, POLICY_OUT);
	if (out < 0)
		return out;
	in = protect_direction(view, flow, latch, query, POLICY_IN);
	if (in < 0)
		return in;
	return out || in;
}

int spd_protect_remove(struct spd_view *view, const struct latch_flow *flow)
{
	enum policy_direction direction;
	const struct policy *policy;
	int result = 0, err;

	for (direction = POLICY_OUT; direction < POLICY_DIRECTIONS; direction++) {
		policy = find_entry(view, flow, direction);
		if (!policy)
			continue;
		err = policy_entry_remove(flow->netns, policy);
		if (err)
			return err;
		result = 1;
	}
	return result;
}

/* ---- for flows without a latch ---- */

static struct latch_flow flow_of(const struct policy *policy, uint64_t netns)
{
	bool out = policy->direction == POLICY_OUT;
	struct latch_flow flow = {
		.netns = netns,
		.local_port = out ? policy->source_port : policy->destination_port,
		.remote_port = out ? policy->destination_port : policy->source_port,
		.family = policy->family,
		.protocol = policy->protocol,
	};

	memcpy(flow.local_addr, out ? policy->source : policy->destination, 16);
	memcpy(flow.remote_addr, out ? policy->destination : policy->source, 16);
	return flow;
}

int spd_protect_remove_orphans(const struct kernel_maps *maps, const struct spd_view *view,
			       uint64_t netns)
{
	const struct policy *policy;
	struct latch_flow flow;
	struct latch latch;
	int err = 0;
	size_t i;

	for (i = 0; !err && i < view->spd.count; i++) {
		policy = &view->spd.policies[i];
		if (!policy->entry)
			continue;
		flow = flow_of(policy, netns);
		if (latch_get(maps, &flow, &latch) || !(latch.rule_flags & LATCH_RULE_PROTECT))
			err = policy_entry_remove(netns, policy);
	}
	return err;
}
