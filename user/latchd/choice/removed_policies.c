/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/choice/removed_policies.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/hash.h"

void removed_policies_release(struct removed_policies *removed)
{
	choice_table_release(&removed->table);
	free(removed->until_ms);
	*removed = (struct removed_policies){0};
}

/* ---- shares */

struct gateway {
	uint8_t address[16];
	unsigned int count;
	UT_hash_handle hh;
};

struct filling {
	struct removed_policies to;
	struct gateway *gateways;
	uint64_t until_ms; /* of the policies that are removed now */
	const struct removed_policies
		*from; /* not NULL: the policies were removed before, and keep their times */
	const struct choice_table *after;
	struct choice_work work;
};

/* False: the share of the policy's gateway is full, or memory is short. */
static bool take_share(struct filling *filling, const struct choice_policy *policy)
{
	struct gateway *gateway;

	HASH_FIND(hh, filling->gateways, policy->template_remote, sizeof(gateway->address),
		  gateway);
	if (!gateway) {
		gateway = calloc(1, sizeof(*gateway));
		if (!gateway)
			return false;
		memcpy(gateway->address, policy->template_remote, sizeof(gateway->address));
		HASH_ADD(hh, filling->gateways, address, sizeof(gateway->address), gateway);
	}
	return gateway->count++ < REMOVED_POLICIES_SHARE_MAX;
}

static void free_shares(struct filling *filling)
{
	struct gateway *gateway, *next;

	HASH_ITER(hh, filling->gateways, gateway, next)
	{
		HASH_DELETE(hh, filling->gateways, gateway);
		free(gateway);
	}
}

/* ---- additions */

static int make_room(struct removed_policies *removed)
{
	size_t capacity = removed->capacity ? removed->capacity * 2 : 64;
	uint64_t *until_ms;

	if (removed->table.count < removed->capacity)
		return 0;
	until_ms = reallocarray(removed->until_ms, capacity, sizeof(*until_ms));
	if (!until_ms)
		return -ENOMEM;
	removed->until_ms = until_ms;
	removed->capacity = capacity;
	return 0;
}

static uint64_t until(const struct filling *filling, const struct choice_policy *policy)
{
	return filling->from ? filling->from->until_ms[policy - filling->from->table.policies]
			     : filling->until_ms;
}

/*
 * Leaves out a policy without a template, since it names no peer. Leaves out a policy that
 * another one for the same flows has replaced, since that is an edit.
 */
static int add(void *context, const struct choice_policy *policy)
{
	struct filling *filling = context;
	struct removed_policies *to = &filling->to;
	int err;

	if (!policy->protects || to->table.count == REMOVED_POLICIES_MAX ||
	    (filling->after && choice_table_has_selector(filling->after, policy, &filling->work)) ||
	    !take_share(filling, policy))
		return 0;
	err = make_room(to);
	if (!err)
		err = choice_table_add_policy(&to->table, policy);
	if (!err)
		to->until_ms[to->table.count - 1] = until(filling, policy);
	return err;
}

static void finish(struct filling *filling, struct removed_policies *removed, int err)
{
	free_shares(filling);
	removed_policies_release(removed);
	err = err ? err : choice_table_build(&filling->to.table);
	if (err)
		removed_policies_release(&filling->to);
	*removed = filling->to;
}

void removed_policies_update(struct removed_policies *removed, const struct choice_table *before,
			     const struct choice_table *after, uint64_t until_ms)
{
	struct filling filling = {.from = removed, .after = after};
	int err = choice_visit_missing(&removed->table, after, add, &filling);

	filling.from = NULL;
	filling.until_ms = until_ms;
	if (!err)
		err = choice_visit_missing(before, after, add, &filling);
	finish(&filling, removed, err);
}

bool removed_policies_expire(struct removed_policies *removed, uint64_t now_ms)
{
	struct filling filling = {.from = removed};
	bool expired = false;
	int err = 0;
	size_t i;

	for (i = 0; !err && i < removed->table.count; i++)
		if (removed->until_ms[i] <= now_ms)
			expired = true;
		else
			err = add(&filling, &removed->table.policies[i]);
	finish(&filling, removed, err);
	return expired || err;
}

uint64_t removed_policies_next_ms(const struct removed_policies *removed)
{
	uint64_t next = UINT64_MAX;
	size_t i;

	for (i = 0; i < removed->table.count; i++)
		next = removed->until_ms[i] < next ? removed->until_ms[i] : next;
	return next;
}
