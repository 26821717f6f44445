/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/children.h"

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

struct child_end *children_find(const struct children *children, const struct latch_sa_key *key)
{
	struct child_end *end;

	HASH_FIND(hh, children->ends, key, sizeof(*key), end);
	return end;
}

void children_remove(struct children *children, struct child *child)
{
	HASH_DELETE(hh, children->ends, &child->in);
	HASH_DELETE(hh, children->ends, &child->out);
	DL_DELETE2(children->first, child, previous, next);
	free(child);
}

void children_clear(struct children *children)
{
	while (children->first)
		children_remove(children, children->first);
}

/* What a key was used for before is over: the kernel has no two SAs of one key. */
static void forget_others(struct children *children, const struct latch_sa_key *key)
{
	struct child_end *end = children_find(children, key);

	if (end)
		children_remove(children, end->child);
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
	return child;
}

struct child *children_learn(struct children *children, struct feed *feed, uint64_t netns,
			     const struct feed_child *said, const char *evidence)
{
	struct latch_sa_key in, out;
	struct child_end *end;
	struct child *child;

	child_sa_keys(said, netns, &in, &out);
	/* A host that talks to itself: one key for two SAs is no pair. */
	if (!memcmp(&in, &out, sizeof(in)))
		return NULL;
	end = children_find(children, &in);
	child = end && end == &end->child->in &&
				!memcmp(&end->child->out.key, &out, sizeof(out))
			? end->child
			: NULL;
	if (!child) {
		forget_others(children, &in);
		forget_others(children, &out);
		child = add(children, &in, &out);
	}
	if (!child)
		return NULL;
	child->feed = feed;
	child->netns = netns;
	child->said = *said;
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

bool children_overlap(const struct child *a, const struct child *b)
{
	return a->netns == b->netns &&
	       traffic_selector_sets_overlap(&a->said.local_ts, &b->said.local_ts) &&
	       traffic_selector_sets_overlap(&a->said.remote_ts, &b->said.remote_ts);
}
