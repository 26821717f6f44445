/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/sa/child_sas.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "common/text.h"

void child_sa_keys(const struct feed_child *said, uint64_t netns, struct latch_sa_key *ret_in,
		   struct latch_sa_key *ret_out)
{
	*ret_in = (struct latch_sa_key){
		.netns = netns,
		.spi = said->spi_in,
		.protocol = said->ipsec_protocol,
		.family = said->family,
	};
	*ret_out = *ret_in;
	ret_out->spi = said->spi_out;
	memcpy(ret_in->daddr, said->local_host, sizeof(ret_in->daddr));
	memcpy(ret_out->daddr, said->remote_host, sizeof(ret_out->daddr));
}

struct child_end *child_sas_find(const struct children *children, const struct latch_sa_key *key)
{
	struct child_end *end;

	HASH_FIND(hh, children->ends, key, sizeof(*key), end);
	return end;
}

/* ---- by the host behind them */

struct child_place_key {
	uint64_t netns;
	uint8_t address[16];
	uint8_t family;
	uint8_t pad[7];
};

struct child_place {
	struct child_place_key key;
	struct child *first;
	UT_hash_handle hh;
};

static struct child_place_key place_key(uint64_t netns, uint8_t family, const uint8_t address[16])
{
	struct child_place_key key = {.netns = netns, .family = family};

	memcpy(key.address, address, sizeof(key.address));
	return key;
}

static struct child_place *find_place(const struct children *children,
				      const struct child_place_key *key)
{
	struct child_place *place;

	HASH_FIND(hh, children->places, key, sizeof(*key), place);
	return place;
}

/* NULL when out of memory, too: among the wide ones it is always found. */
static struct child_place *place_for(struct children *children, const struct child *child)
{
	struct child_place *place;
	struct child_place_key key;
	uint8_t family, address[16];

	if (!traffic_selector_set_host(&child->said.remote_ts, &family, address))
		return NULL;
	key = place_key(child->netns, family, address);
	place = find_place(children, &key);
	if (place)
		return place;
	place = calloc(1, sizeof(*place));
	if (!place)
		return NULL;
	place->key = key;
	HASH_ADD(hh, children->places, key, sizeof(place->key), place);
	return place;
}

static void put_in_place(struct children *children, struct child *child)
{
	child->place = place_for(children, child);
	if (child->place)
		DL_APPEND2(child->place->first, child, near_previous, near_next);
	else
		DL_APPEND2(children->wide, child, near_previous, near_next);
}

static void take_from_place(struct children *children, struct child *child)
{
	struct child_place *place = child->place;

	if (!place) {
		DL_DELETE2(children->wide, child, near_previous, near_next);
		return;
	}
	DL_DELETE2(place->first, child, near_previous, near_next);
	if (place->first)
		return;
	HASH_DELETE(hh, children->places, place);
	free(place);
}

static struct child *search(struct child *first, child_match_fn match, void *context)
{
	struct child *child;

	DL_FOREACH2(first, child, near_next)
	{
		if (match(context, child))
			return child;
	}
	return NULL;
}

static struct child *search_place(const struct children *children,
				  const struct child_place_key *key, child_match_fn match,
				  void *context)
{
	const struct child_place *place = find_place(children, key);
	struct child *found = place ? search(place->first, match, context) : NULL;

	return found ? found : search(children->wide, match, context);
}

struct child *child_sas_search_flow(const struct children *children, const struct latch_flow *flow,
				    child_match_fn match, void *context)
{
	const struct child_place_key key = place_key(flow->netns, flow->family, flow->remote_addr);

	return search_place(children, &key, match, context);
}

struct child *child_sas_search_overlap(const struct children *children, const struct child *child,
				       child_match_fn match, void *context)
{
	struct child *other;

	if (child->place)
		return search_place(children, &child->place->key, match, context);
	DL_FOREACH2(children->first, other, next)
	{
		if (match(context, other))
			return other;
	}
	return NULL;
}

/* ---- */

void child_sas_remove(struct children *children, struct child *child)
{
	take_from_place(children, child);
	HASH_DELETE(hh, children->ends, &child->in);
	HASH_DELETE(hh, children->ends, &child->out);
	DL_DELETE2(children->first, child, previous, next);
	free(child);
}

void child_sas_clear(struct children *children)
{
	while (children->first)
		child_sas_remove(children, children->first);
}

/* What a key was used for before is over: the kernel has no two SAs of one key. */
static void forget_others(struct children *children, const struct latch_sa_key *key)
{
	struct child_end *end = child_sas_find(children, key);

	if (end)
		child_sas_remove(children, end->child);
}

static struct child *add(struct children *children, const struct latch_sa_key *in,
			 const struct latch_sa_key *out)
{
	struct child *child = calloc(1, sizeof(*child));

	if (!child)
		return NULL;
	child->in = (struct child_end){.key = *in, .child = child};
	child->out = (struct child_end){.key = *out, .child = child};
	HASH_ADD(hh, children->ends, key, sizeof(*in), &child->in);
	HASH_ADD(hh, children->ends, key, sizeof(*out), &child->out);
	DL_APPEND2(children->first, child, previous, next);
	put_in_place(children, child);
	return child;
}

struct child *child_sas_learn(struct children *children, struct feed *feed, uint64_t netns,
			      const struct feed_child *said, const char *evidence)
{
	struct latch_sa_key in, out;
	struct child_end *end;
	struct child *child;

	child_sa_keys(said, netns, &in, &out);
	/* A host that talks to itself: one key for two SAs is no pair. */
	if (!memcmp(&in, &out, sizeof(in)))
		return NULL;
	end = child_sas_find(children, &in);
	child = end && end == &end->child->in && !memcmp(&end->child->out.key, &out, sizeof(out))
			? end->child
			: NULL;
	if (!child) {
		forget_others(children, &in);
		forget_others(children, &out);
		child = add(children, &in, &out);
	}
	if (!child)
		return NULL;
	take_from_place(children, child);
	child->feed = feed;
	child->netns = netns;
	child->said = *said;
	put_in_place(children, child);
	text_copy(child->evidence, sizeof(child->evidence), evidence);
	child->seen = true;
	child->given_up = child->orphan = false;
	return child;
}

bool child_covers(const struct child *child, const struct latch_flow *flow)
{
	return child->netns == flow->netns &&
	       traffic_selector_set_covers(&child->said.local_ts, flow->family, flow->protocol,
					   flow->local_addr, flow->local_port) &&
	       traffic_selector_set_covers(&child->said.remote_ts, flow->family, flow->protocol,
					   flow->remote_addr, flow->remote_port);
}

bool child_sas_overlap(const struct child *a, const struct child *b)
{
	return a->netns == b->netns &&
	       traffic_selector_sets_overlap(&a->said.local_ts, &b->said.local_ts) &&
	       traffic_selector_sets_overlap(&a->said.remote_ts, &b->said.remote_ts);
}
