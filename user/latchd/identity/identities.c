/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/identity/identities.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "latchd/identity/peer_facts.h"
#include "latchd/identity/peer_set.h"
#include "latchd/maps/tables.h"

/* A collection of at most 1/16 of a table does not justify another scan of all SAs and latches. */
#define COLLECTION_MIN_PART 16

struct identities {
	const struct kernel_maps *maps;
	struct intern ids;
	struct intern params;
	struct peer_facts facts;
};

_Static_assert(offsetof(struct latch_identity, checksum) + 4 == sizeof(struct latch_identity),
	       "the checksum comes last");
_Static_assert(offsetof(struct latch_params, checksum) + 4 == sizeof(struct latch_params),
	       "the checksum comes last");
_Static_assert(sizeof(struct latch_identity) <= INTERN_VALUE_MAX, "identities can be interned");
_Static_assert(LATCH_PARAMS_MAX <= UINT16_MAX, "an index fits into a latch's word");

static int canonical_text(char *text, size_t size)
{
	size_t length = strnlen(text, size);

	if (length == size)
		return -EINVAL;
	memset(text + length, 0, size - length);
	return 0;
}

static int canonical_identity(void *value)
{
	struct latch_identity *identity = value;

	if (canonical_text(identity->authority, sizeof(identity->authority)) ||
	    canonical_text(identity->config, sizeof(identity->config)) ||
	    canonical_text(identity->id, sizeof(identity->id)))
		return -EINVAL;
	memset(identity->pad, 0, sizeof(identity->pad));
	if (identity->key_kind == LATCH_KEY_UNKNOWN)
		memset(identity->key, 0, sizeof(identity->key));
	return 0;
}

static int canonical_params(void *value)
{
	struct latch_params *params = value;

	memset(params->pad, 0, sizeof(params->pad));
	if (canonical_text(params->qop.encryption, sizeof(params->qop.encryption)) ||
	    canonical_text(params->qop.integrity, sizeof(params->qop.integrity)))
		return -EINVAL;
	return 0;
}

/* ---- references to params */

typedef int (*reference_fn)(void *context, uint16_t params);

struct reference_walk {
	reference_fn visit;
	void *context;
	bool reports; /* also where only a report names the peer */
};

static int visit_sa(void *context, const struct latch_sa_key *key, const struct latch_sa *sa)
{
	const struct reference_walk *walk = context;

	(void)key;
	return sa->word.params ? walk->visit(walk->context, sa->word.params) : 0;
}

static int visit_latch(void *context, const struct latch_flow *flow, const struct latch *latch)
{
	const struct reference_walk *walk = context;
	int err = 0;

	(void)flow;
	if (latch->word.state == LATCH_STATE_LISTENER)
		return 0; /* the field holds the number of its sockets */
	if (latch->word.params)
		err = walk->visit(walk->context, latch->word.params);
	if (!err && walk->reports && latch->refused_params)
		err = walk->visit(walk->context, latch->refused_params);
	return err;
}

static int visit_audit(void *context, const struct latch_audit_key *key,
		       const struct latch_audit *row)
{
	const struct reference_walk *walk = context;
	int err = key->params ? walk->visit(walk->context, key->params) : 0;

	return !err && row->got ? walk->visit(walk->context, row->got) : err;
}

/*
 * SAs before latches: a latch gets its params from an SA. The second walk finds a
 * latch that is created during the first from an SA that the first walk missed. The audit table
 * names a peer after its last SA and latch.
 */
static int walk_references(const struct kernel_maps *maps, reference_fn visit, void *context,
			   bool reports)
{
	struct reference_walk walk = {.visit = visit, .context = context, .reports = reports};
	int err;

	err = sas_walk(maps, visit_sa, &walk);
	if (!err)
		err = latches_walk(maps, visit_latch, &walk);
	if (!err && reports)
		err = audits_walk(maps, visit_audit, &walk);
	return err;
}

/* ---- loading */

static bool params_complete(const struct identities *identities, const struct latch_params *params)
{
	return intern_get(&identities->ids, params->local_id) &&
	       intern_get(&identities->ids, params->peer_id);
}

static int check_params(const struct identities *identities)
{
	const struct latch_params *params;
	uint32_t i;

	for (i = 1; i <= identities->params.capacity; i++) {
		params = intern_get(&identities->params, i);
		if (params && !params_complete(identities, params))
			return -EBADMSG;
	}
	return 0;
}

static int check_reference(void *context, uint16_t params)
{
	const struct identities *identities = context;

	return intern_get(&identities->params, params) ? 0 : -EBADMSG;
}

static int open_tables(struct identities *identities)
{
	const struct kernel_maps *maps = identities->maps;
	int err;

	err = intern_open(&identities->ids, maps->identities, sizeof(struct latch_identity),
			  canonical_identity);
	if (!err)
		err = intern_open(&identities->params, maps->params, sizeof(struct latch_params),
				  canonical_params);
	if (!err)
		err = peer_facts_open(&identities->facts, maps);
	identities->ids.before = peer_facts_clear;
	identities->ids.context = &identities->facts;
	return err;
}

static int load(struct identities *identities)
{
	int err = open_tables(identities);

	if (!err)
		err = intern_load(&identities->ids);
	if (!err)
		err = intern_load(&identities->params);
	if (!err)
		err = check_params(identities);
	if (!err)
		err = walk_references(identities->maps, check_reference, identities, false);
	if (!err)
		err = peer_facts_load(&identities->facts, &identities->ids);
	return err;
}

static int make(const struct kernel_maps *maps, int (*fill)(struct identities *identities),
		struct identities **ret)
{
	struct identities *identities = calloc(1, sizeof(*identities));
	int err;

	if (!identities)
		return -ENOMEM;
	identities->maps = maps;
	err = fill(identities);
	if (err) {
		identities_free(identities);
		return err;
	}
	*ret = identities;
	return 0;
}

int identities_load(const struct kernel_maps *maps, struct identities **ret)
{
	return make(maps, load, ret);
}

int identities_open(const struct kernel_maps *maps, struct identities **ret)
{
	return make(maps, open_tables, ret);
}

void identities_free(struct identities *identities)
{
	if (!identities)
		return;
	intern_close(&identities->ids);
	intern_close(&identities->params);
	peer_facts_close(&identities->facts);
	free(identities);
}

int identities_check(const struct identities *identities)
{
	int err = intern_check(&identities->ids);

	return err ? err : intern_check(&identities->params);
}

/* ---- emptying */

static int refuse_reference(void *context, uint16_t params)
{
	(void)context;
	(void)params;
	return -EBUSY;
}

/* Params before identities: no params may name a deleted identity. */
int identities_reset(struct identities *identities)
{
	int err;

	err = walk_references(identities->maps, refuse_reference, NULL, true);
	if (!err)
		err = intern_clear(&identities->params);
	if (!err)
		err = intern_clear(&identities->ids);
	return err;
}

/* ---- interning */

static int mark_reference(void *context, uint16_t params)
{
	bool *keep = context;

	keep[params] = true;
	return 0;
}

static void mark_identities(const struct identities *identities, bool *keep)
{
	const struct latch_params *params;
	uint32_t i;

	for (i = 1; i <= identities->params.capacity; i++) {
		params = intern_get(&identities->params, i);
		if (params)
			keep[params->local_id] = keep[params->peer_id] = true;
	}
}

/* Drops unreferenced entries; drops none if the references cannot be read. */
static int collect_garbage(struct identities *identities)
{
	auto_free bool *params = calloc(LATCH_PARAMS_MAX + 1, sizeof(*params));
	auto_free bool *ids = calloc(LATCH_IDENTITIES_MAX + 1, sizeof(*ids));
	int err;

	if (!params || !ids)
		return -ENOMEM;
	err = walk_references(identities->maps, mark_reference, params, true);
	if (err)
		return err;
	intern_mark_recent(&identities->params, params);
	intern_drop_others(&identities->params, params);
	mark_identities(identities, ids);
	intern_mark_recent(&identities->ids, ids);
	intern_drop_others(&identities->ids, ids);
	return 0;
}

static int intern(struct identities *identities, struct intern *table, const void *value,
		  uint32_t *ret_index)
{
	uint32_t before = table->count;
	int err;

	err = intern_add(table, value, ret_index);
	if (err != -ENOSPC || table->exhausted)
		return err;
	err = collect_garbage(identities);
	if (err)
		return err;
	table->exhausted = before - table->count <= table->capacity / COLLECTION_MIN_PART;
	return intern_add(table, value, ret_index);
}

void identities_allow_collection(struct identities *identities)
{
	identities->ids.exhausted = identities->params.exhausted = false;
}

int identities_intern(struct identities *identities, const struct latch_identity *identity,
		      uint32_t *ret_index)
{
	return intern(identities, &identities->ids, identity, ret_index);
}

int identities_intern_peer(struct identities *identities, const struct latch_identity *identity,
			   bool is_host, uint32_t *ret_index)
{
	uint32_t index;
	int err = identities_intern(identities, identity, &index);

	if (!err)
		err = peer_facts_report(&identities->facts, index,
					intern_get(&identities->ids, index), is_host);
	if (!err)
		*ret_index = index;
	return err;
}

int identities_prepare_sets(struct identities *identities, const struct config *next)
{
	return peer_facts_prepare(&identities->facts, &identities->ids, next);
}

void identities_use_sets(struct identities *identities, const struct config *config)
{
	identities->facts.config = config;
}

uint32_t identities_sets_of(const struct identities *identities, uint32_t peer)
{
	const struct latch_identity *identity = intern_get(&identities->ids, peer);
	const struct peer_facts *facts = &identities->facts;

	if (!identity || !facts->config)
		return 0;
	return peer_sets_of(facts->config, identity, facts->known[peer].host == LATCH_PEER_HOST);
}

const char *identities_set_name(const struct identities *identities, unsigned int place)
{
	const struct config *config = identities->facts.config;

	return config && place < config->peer_count ? config->peers[place].name : NULL;
}

int identities_intern_params(struct identities *identities, const struct latch_params *params,
			     uint16_t *ret_index)
{
	uint32_t index;
	int err;

	if (!params_complete(identities, params))
		return -EINVAL;
	err = intern(identities, &identities->params, params, &index);
	if (!err)
		*ret_index = (uint16_t)index;
	return err;
}

uint32_t identities_find(const struct identities *identities, const struct latch_identity *identity)
{
	return intern_find(&identities->ids, identity);
}

const struct latch_identity *identities_get(const struct identities *identities, uint32_t index)
{
	return intern_get(&identities->ids, index);
}

const struct latch_params *identities_get_params(const struct identities *identities,
						 uint16_t index)
{
	return intern_get(&identities->params, index);
}
