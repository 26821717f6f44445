/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/spd/spd_view.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/hash.h"
#include "latchd/spd/policy_dump.h"
#include "latchd/maps/tables.h"

#define VIEW_TRIES 8
#define NARROW_MAX 1048576 /* policies in all narrow SPDs of a view, of about 100 bytes each */

/* ---- SAs ---- */

struct scope_walk {
	struct spd_view *view;
	uint64_t netns;
	size_t capacity;
};

static int note_scope(void *context, const struct latch_sa_key *key, const struct latch_sa *sa)
{
	struct scope_walk *walk = context;
	struct spd_view *view = walk->view;
	size_t capacity = walk->capacity ? walk->capacity * 2 : 64;
	struct spd_scope *scopes;

	if (key->netns != walk->netns || !sa->word.params)
		return 0;
	if (view->scope_count == walk->capacity) {
		scopes = reallocarray(view->scopes, capacity, sizeof(*scopes));
		if (!scopes)
			return -ENOMEM;
		view->scopes = scopes;
		walk->capacity = capacity;
	}
	view->scopes[view->scope_count] = (struct spd_scope){
		.params = sa->word.params,
		.spi = key->spi,
		.if_id = sa->if_id,
		.reqid = sa->reqid,
		.family = key->family,
	};
	memcpy(view->scopes[view->scope_count].source, sa->saddr, sizeof(sa->saddr));
	memcpy(view->scopes[view->scope_count++].destination, key->daddr, sizeof(key->daddr));
	return 0;
}

static int compare_scopes(const void *a, const void *b)
{
	const struct spd_scope *one = a, *other = b;

	if (one->params != other->params)
		return one->params < other->params ? -1 : 1;
	return (one->spi > other->spi) - (one->spi < other->spi);
}

const struct spd_scope *spd_view_find(const struct spd_view *view, uint16_t params, uint32_t spi)
{
	const struct spd_scope wanted = {.params = params, .spi = spi};

	if (!spi || !view->scope_count)
		return NULL;
	return bsearch(&wanted, view->scopes, view->scope_count, sizeof(wanted), compare_scopes);
}

/* Any SA with the same params serves, too, if all SAs with these params have the same if_id. */
static const struct spd_scope *find_any(const struct spd_view *view, uint16_t params)
{
	const struct spd_scope *found = NULL;
	size_t i;

	for (i = 0; i < view->scope_count; i++) {
		if (view->scopes[i].params != params)
			continue;
		if (found && found->if_id != view->scopes[i].if_id)
			return NULL;
		found = &view->scopes[i];
	}
	return found;
}

struct policy_query spd_view_query(const struct spd_view *view, const struct latch_flow *flow,
				   const struct latch *latch, const struct latch_params *params)
{
	const struct spd_scope *scope = spd_view_find(view, latch->word.params, latch->spi_out);

	if (!scope)
		scope = spd_view_find(view, latch->word.params, latch->spi_in);
	if (!scope)
		scope = find_any(view, latch->word.params);
	return (struct policy_query){
		.flow = flow,
		.protocol = params->protocol,
		.mode = params->mode,
		.if_id_known = scope != NULL,
		.if_id = scope ? scope->if_id : 0,
	};
}

/* ---- the policies of two addresses ---- */

struct narrow_key {
	uint8_t local[16], remote[16];
	uint8_t family, protocol;
};

struct spd_narrow {
	struct narrow_key key;
	struct spd spd;
	UT_hash_handle hh;
};

static struct narrow_key narrow_key(const struct latch_flow *flow)
{
	struct narrow_key key = {.family = flow->family, .protocol = flow->protocol};

	memcpy(key.local, flow->local_addr, sizeof(key.local));
	memcpy(key.remote, flow->remote_addr, sizeof(key.remote));
	return key;
}

static void free_narrow(struct spd_narrow *narrow)
{
	if (narrow)
		free(narrow->spd.policies);
	free(narrow);
}

/* 0 or -ENOMEM. */
static int copy_covering(const struct spd *from, const struct latch_flow *flow, struct spd *to)
{
	size_t i, capacity = 0;
	struct policy *policies;

	memcpy(to->default_action, from->default_action, sizeof(to->default_action));
	for (i = 0; i < from->count; i++) {
		if (!policy_covers_addresses(&from->policies[i], flow))
			continue;
		if (to->count == capacity) {
			capacity = capacity ? capacity * 2 : 4;
			policies = reallocarray(to->policies, capacity, sizeof(*policies));
			if (!policies)
				return -ENOMEM;
			to->policies = policies;
		}
		to->policies[to->count++] = from->policies[i];
	}
	return 0;
}

const struct spd *spd_view_narrow(struct spd_view *view, const struct latch_flow *flow)
{
	const struct narrow_key key = narrow_key(flow);
	struct spd_narrow *narrow;

	HASH_FIND(hh, view->narrow, &key, sizeof(key), narrow);
	if (narrow)
		return &narrow->spd;
	if (view->narrow_policies >= NARROW_MAX)
		return &view->spd;
	narrow = calloc(1, sizeof(*narrow));
	if (!narrow || copy_covering(&view->spd, flow, &narrow->spd)) {
		free_narrow(narrow);
		return &view->spd;
	}
	narrow->key = key;
	view->narrow_policies += narrow->spd.count;
	HASH_ADD(hh, view->narrow, key, sizeof(narrow->key), narrow);
	return &narrow->spd;
}

static void release_narrow(struct spd_view *view)
{
	struct spd_narrow *narrow, *next;

	HASH_ITER(hh, view->narrow, narrow, next)
	{
		HASH_DEL(view->narrow, narrow);
		free_narrow(narrow);
	}
}

/* ---- the view ---- */

static int dump(uint64_t netns, struct spd *ret)
{
	int err = -EINTR, tries;

	for (tries = 0; err == -EINTR && tries < VIEW_TRIES; tries++)
		err = policy_dump(netns, ret);
	return err;
}

int spd_view_load(const struct kernel_maps *maps, uint64_t netns, struct spd_view *ret)
{
	struct scope_walk walk = {.view = ret, .netns = netns};
	int err;

	*ret = (struct spd_view){0};
	err = sas_walk(maps, note_scope, &walk);
	if (!err)
		err = dump(netns, &ret->spd);
	if (err)
		spd_view_release(ret);
	else if (ret->scope_count)
		qsort(ret->scopes, ret->scope_count, sizeof(*ret->scopes), compare_scopes);
	return err;
}

void spd_view_release(struct spd_view *view)
{
	release_narrow(view);
	policy_dump_release(&view->spd);
	free(view->scopes);
	*view = (struct spd_view){0};
}
