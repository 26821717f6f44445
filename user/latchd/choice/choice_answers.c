/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Answers whether the kernel may use an SA for a flow, and two SAs for one flow. Both searches have
 * a bound, beyond which the answer is "may".
 */
#include <string.h>

#include "latchd/choice/choice_parts.h"

/* Policies that are looked at for one flow. Beyond this number the SA may carry the flow. */
#define FLOW_WORK_MAX 16384
/* The same for two claims: some milliseconds. 40 selectors on both sides have an exact answer. */
#define PAIR_WORK_MAX 524288
/* Common parts of the local selectors of two claims. */
#define LOCALS_MAX 2048

static const struct choice_table *table_of(const struct choice *choice, uint64_t netns)
{
	static const struct choice_table nothing = {.unreadable = true};
	const struct choice_space *space = choice ? choice_find(choice, netns) : NULL;

	return space ? &space->table : &nothing;
}

bool choice_tells_apart(const struct choice *choice, uint64_t netns, const struct sa_way *one,
			const struct sa_way *other)
{
	return choice_table_tells_apart(table_of(choice, netns), one, other);
}

/* ---- one flow */

static struct traffic_selector end_of(const struct latch_flow *flow, const uint8_t address[16],
				      uint16_t port)
{
	struct traffic_selector end = {
		.family = flow->family,
		.protocol = flow->protocol,
		.port_low = port,
		.port_high = port,
	};

	memcpy(end.low, address, sizeof(end.low));
	memcpy(end.high, address, sizeof(end.high));
	return end;
}

bool choice_will_carry(const struct choice *choice, const struct sa_way *way,
		       const struct sa_way *own, const struct latch_flow *flow)
{
	const struct choice_space *space = choice ? choice_find(choice, flow->netns) : NULL;
	const struct choice_spd spd = {
		.table = table_of(choice, flow->netns),
		.removed = space ? &space->removed.table : NULL,
		.own = space && space->removed.table.count ? own : NULL,
	};
	const struct choice_box box = {
		.local = end_of(flow, flow->local_addr, flow->local_port),
		.remote = end_of(flow, flow->remote_addr, flow->remote_port),
	};
	struct choice_work work = {.limit = FLOW_WORK_MAX};

	return choice_spd_may_carry(&spd, way, &box, &work);
}

bool choice_may_carry(const struct choice *choice, const struct sa_way *way,
		      const struct latch_flow *flow)
{
	return choice_will_carry(choice, way, NULL, flow);
}

static struct traffic_selector all_of(const struct latch_flow *flow, const uint8_t address[16])
{
	struct traffic_selector end = end_of(flow, address, 0);

	end.protocol = 0;
	end.port_high = UINT16_MAX;
	return end;
}

bool choice_may_carry_pair(const struct choice *choice, const struct sa_way *way,
			   const struct latch_flow *flow, uint64_t *work_done)
{
	const struct choice_box box = {
		.local = all_of(flow, flow->local_addr),
		.remote = all_of(flow, flow->remote_addr),
	};
	struct choice_work work = {.limit = FLOW_WORK_MAX};
	bool may = choice_table_may_carry(table_of(choice, flow->netns), way, &box, &work);

	*work_done += work.done;
	return may;
}

/* ---- two claims */

/* A part that both sides have in common, and whether it is a selector of either. */
struct common {
	struct traffic_selector selector;
	bool equal;
};

struct pair {
	const struct choice_table *table;
	const struct choice_claim *one, *other;
	struct choice_work *work;
	size_t count;
	struct common locals[LOCALS_MAX];
};

static bool are_equal(const struct traffic_selector_set *one,
		      const struct traffic_selector_set *other,
		      const struct traffic_selector *common)
{
	return traffic_selector_set_has(one, common) && traffic_selector_set_has(other, common);
}

static int note_local(void *context, const struct traffic_selector *common)
{
	struct pair *pair = context;
	const struct choice_claim *one = pair->one, *other = pair->other;

	if (pair->count == LOCALS_MAX)
		return 1;
	pair->work->done++;
	pair->locals[pair->count++] =
		(struct common){*common, are_equal(one->local, other->local, common)};
	return 0;
}

static bool may_be_of_one_flow(const struct choice_box *box)
{
	return box->local.family == box->remote.family &&
	       (!box->local.protocol || !box->remote.protocol ||
		box->local.protocol == box->remote.protocol);
}

/* Work is counted before anything is left out: peers choose the number of selectors. */
static int with_remote(void *context, const struct traffic_selector *remote)
{
	struct pair *pair = context;
	bool equal = are_equal(pair->one->remote, pair->other->remote, remote), both = false;
	struct choice_box box = {.remote = *remote};
	size_t i;

	for (i = 0; !both && i < pair->count; i++) {
		box.local = pair->locals[i].selector;
		pair->work->done++;
		if (!may_be_of_one_flow(&box))
			continue;
		/*
		 * Equal selectors of two gateways have one policy in the SPD. The key manager
		 * installs the policy of the newest one only.
		 */
		both = (equal && pair->locals[i].equal) ||
		       (choice_table_may_carry(pair->table, pair->one->way, &box, pair->work) &&
			choice_table_may_carry(pair->table, pair->other->way, &box, pair->work));
	}
	return both || choice_work_is_over(pair->work);
}

static bool may_share_a_flow(struct pair *pair)
{
	return traffic_selector_sets_common(pair->one->local, pair->other->local, note_local,
					    pair) ||
	       traffic_selector_sets_common(pair->one->remote, pair->other->remote, with_remote,
					    pair);
}

bool choice_may_both_carry(const struct choice *choice, uint64_t netns,
			   const struct choice_claim *one, const struct choice_claim *other,
			   uint64_t *work_done)
{
	const struct choice_table *table = table_of(choice, netns);
	struct choice_work work = {.limit = PAIR_WORK_MAX};
	struct pair pair;
	bool may;

	if (table->unreadable || one->local->covers_all || one->remote->covers_all ||
	    other->local->covers_all || other->remote->covers_all)
		return true;
	if (choice_table_tells_apart(table, one->way, other->way))
		return false;
	pair.table = table;
	pair.one = one;
	pair.other = other;
	pair.work = &work;
	pair.count = 0;
	may = may_share_a_flow(&pair);
	*work_done += work.done;
	return may;
}
