/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/choice/choice_gone.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/hash.h"

void choice_gone_release(struct choice_gone *gone)
{
	choice_table_release(&gone->table);
	free(gone->until_ms);
	*gone = (struct choice_gone){0};
}

/* ---- shares */

struct gateway {
	uint8_t address[16];
	unsigned int count;
	UT_hash_handle hh;
};

struct filling {
	struct choice_gone to;
	struct gateway *gateways;
	uint64_t until_ms; /* of the policies that are removed now */
	const struct choice_gone
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
	return gateway->count++ < CHOICE_GONE_SHARE_MAX;
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

static int make_room(struct choice_gone *gone)
{
	size_t capacity = gone->capacity ? gone->capacity * 2 : 64;
	uint64_t *until_ms;

	if (gone->table.count < gone->capacity)
		return 0;
	until_ms = reallocarray(gone->until_ms, capacity, sizeof(*until_ms));
	if (!until_ms)
		return -ENOMEM;
	gone->until_ms = until_ms;
	gone->capacity = capacity;
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
	struct choice_gone *to = &filling->to;
	int err;

	if (!policy->protects || to->table.count == CHOICE_GONE_MAX ||
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

static void finish(struct filling *filling, struct choice_gone *gone, int err)
{
	free_shares(filling);
	choice_gone_release(gone);
	err = err ? err : choice_table_build(&filling->to.table);
	if (err)
		choice_gone_release(&filling->to);
	*gone = filling->to;
}

void choice_gone_update(struct choice_gone *gone, const struct choice_table *before,
			const struct choice_table *after, uint64_t until_ms)
{
	struct filling filling = {.from = gone, .after = after};
	int err = choice_visit_missing(&gone->table, after, add, &filling);

	filling.from = NULL;
	filling.until_ms = until_ms;
	if (!err)
		err = choice_visit_missing(before, after, add, &filling);
	finish(&filling, gone, err);
}

bool choice_gone_expire(struct choice_gone *gone, uint64_t now_ms)
{
	struct filling filling = {.from = gone};
	bool expired = false;
	int err = 0;
	size_t i;

	for (i = 0; !err && i < gone->table.count; i++)
		if (gone->until_ms[i] <= now_ms)
			expired = true;
		else
			err = add(&filling, &gone->table.policies[i]);
	finish(&filling, gone, err);
	return expired || err;
}

uint64_t choice_gone_next_ms(const struct choice_gone *gone)
{
	uint64_t next = UINT64_MAX;
	size_t i;

	for (i = 0; i < gone->table.count; i++)
		next = gone->until_ms[i] < next ? gone->until_ms[i] : next;
	return next;
}
