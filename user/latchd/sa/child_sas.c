/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/sa/child_sas.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "common/text.h"

void child_sas_keys(const struct feed_child *reported, uint64_t netns, struct latch_sa_key *ret_in,
		    struct latch_sa_key *ret_out)
{
	*ret_in = (struct latch_sa_key){
		.netns = netns,
		.spi = reported->spi_in,
		.protocol = reported->ipsec_protocol,
		.family = reported->family,
	};
	*ret_out = *ret_in;
	ret_out->spi = reported->spi_out;
	memcpy(ret_in->daddr, reported->local_host, sizeof(ret_in->daddr));
	memcpy(ret_out->daddr, reported->remote_host, sizeof(ret_out->daddr));
}

struct child_sa_end *child_sas_find(const struct child_sas *child_sas,
				    const struct latch_sa_key *key)
{
	struct child_sa_end *end;

	HASH_FIND(hh, child_sas->ends, key, sizeof(*key), end);
	return end;
}

/* ---- by remote host */

struct child_sas_host_key {
	uint64_t netns;
	uint8_t address[16];
	uint8_t family;
	uint8_t pad[7];
};

struct child_sas_host {
	struct child_sas_host_key key;
	struct child_sa *first;
	UT_hash_handle hh;
};

static struct child_sas_host_key host_key(uint64_t netns, uint8_t family, const uint8_t address[16])
{
	struct child_sas_host_key key = {.netns = netns, .family = family};

	memcpy(key.address, address, sizeof(key.address));
	return key;
}

static struct child_sas_host *find_host(const struct child_sas *child_sas,
					const struct child_sas_host_key *key)
{
	struct child_sas_host *host;

	HASH_FIND(hh, child_sas->hosts, key, sizeof(*key), host);
	return host;
}

/* NULL for several hosts, and when out of memory: every search covers the list of several hosts. */
static struct child_sas_host *host_for(struct child_sas *child_sas, const struct child_sa *child)
{
	struct child_sas_host *host;
	struct child_sas_host_key key;
	uint8_t family, address[16];

	if (!traffic_selector_set_host(&child->reported.remote_ts, &family, address))
		return NULL;
	key = host_key(child->netns, family, address);
	host = find_host(child_sas, &key);
	if (host)
		return host;
	host = calloc(1, sizeof(*host));
	if (!host)
		return NULL;
	host->key = key;
	HASH_ADD(hh, child_sas->hosts, key, sizeof(host->key), host);
	return host;
}

static void add_to_host(struct child_sas *child_sas, struct child_sa *child)
{
	child->host = host_for(child_sas, child);
	if (child->host)
		DL_APPEND2(child->host->first, child, host_previous, host_next);
	else
		DL_APPEND2(child_sas->several_hosts, child, host_previous, host_next);
}

static void remove_from_host(struct child_sas *child_sas, struct child_sa *child)
{
	struct child_sas_host *host = child->host;

	if (!host) {
		DL_DELETE2(child_sas->several_hosts, child, host_previous, host_next);
		return;
	}
	DL_DELETE2(host->first, child, host_previous, host_next);
	if (host->first)
		return;
	HASH_DELETE(hh, child_sas->hosts, host);
	free(host);
}

static struct child_sa *search(struct child_sa *first, child_sas_match_fn match, void *context)
{
	struct child_sa *child;

	DL_FOREACH2(first, child, host_next)
	{
		if (match(context, child))
			return child;
	}
	return NULL;
}

static struct child_sa *search_host(const struct child_sas *child_sas,
				    const struct child_sas_host_key *key, child_sas_match_fn match,
				    void *context)
{
	const struct child_sas_host *host = find_host(child_sas, key);
	struct child_sa *found = host ? search(host->first, match, context) : NULL;

	return found ? found : search(child_sas->several_hosts, match, context);
}

struct child_sa *child_sas_search_flow(const struct child_sas *child_sas,
				       const struct latch_flow *flow, child_sas_match_fn match,
				       void *context)
{
	const struct child_sas_host_key key =
		host_key(flow->netns, flow->family, flow->remote_addr);

	return search_host(child_sas, &key, match, context);
}

struct child_sa *child_sas_search_overlap(const struct child_sas *child_sas,
					  const struct child_sa *child, child_sas_match_fn match,
					  void *context)
{
	struct child_sa *other;

	if (child->host)
		return search_host(child_sas, &child->host->key, match, context);
	DL_FOREACH2(child_sas->first, other, next)
	{
		if (match(context, other))
			return other;
	}
	return NULL;
}

/* ---- */

void child_sas_remove(struct child_sas *child_sas, struct child_sa *child)
{
	remove_from_host(child_sas, child);
	HASH_DELETE(hh, child_sas->ends, &child->in);
	HASH_DELETE(hh, child_sas->ends, &child->out);
	DL_DELETE2(child_sas->first, child, previous, next);
	free(child);
}

void child_sas_clear(struct child_sas *child_sas)
{
	while (child_sas->first)
		child_sas_remove(child_sas, child_sas->first);
}

/* The kernel has no two SAs of one key: an earlier CHILD_SA under this key has ended. */
static void remove_earlier(struct child_sas *child_sas, const struct latch_sa_key *key)
{
	struct child_sa_end *end = child_sas_find(child_sas, key);

	if (end)
		child_sas_remove(child_sas, end->child);
}

static struct child_sa *add(struct child_sas *child_sas, const struct latch_sa_key *in,
			    const struct latch_sa_key *out)
{
	struct child_sa *child = calloc(1, sizeof(*child));

	if (!child)
		return NULL;
	child->in = (struct child_sa_end){.key = *in, .child = child};
	child->out = (struct child_sa_end){.key = *out, .child = child};
	HASH_ADD(hh, child_sas->ends, key, sizeof(*in), &child->in);
	HASH_ADD(hh, child_sas->ends, key, sizeof(*out), &child->out);
	DL_APPEND2(child_sas->first, child, previous, next);
	add_to_host(child_sas, child);
	return child;
}

struct child_sa *child_sas_learn(struct child_sas *child_sas, struct feed *feed, uint64_t netns,
				 const struct feed_child *reported, const char *evidence)
{
	struct latch_sa_key in, out;
	struct child_sa_end *end;
	struct child_sa *child;

	child_sas_keys(reported, netns, &in, &out);
	/* A host with SAs to itself may have one key for both SAs: that is no pair. */
	if (!memcmp(&in, &out, sizeof(in)))
		return NULL;
	end = child_sas_find(child_sas, &in);
	child = end && end == &end->child->in && !memcmp(&end->child->out.key, &out, sizeof(out))
			? end->child
			: NULL;
	if (!child) {
		remove_earlier(child_sas, &in);
		remove_earlier(child_sas, &out);
		child = add(child_sas, &in, &out);
	}
	if (!child)
		return NULL;
	remove_from_host(child_sas, child);
	child->feed = feed;
	child->netns = netns;
	child->reported = *reported;
	add_to_host(child_sas, child);
	text_copy(child->evidence, sizeof(child->evidence), evidence);
	child->in_snapshot = true;
	child->deleted = child->orphan = false;
	return child;
}

bool child_sas_covers(const struct child_sa *child, const struct latch_flow *flow)
{
	return child->netns == flow->netns &&
	       traffic_selector_set_covers(&child->reported.local_ts, flow->family, flow->protocol,
					   flow->local_addr, flow->local_port) &&
	       traffic_selector_set_covers(&child->reported.remote_ts, flow->family, flow->protocol,
					   flow->remote_addr, flow->remote_port);
}

bool child_sas_overlap(const struct child_sa *a, const struct child_sa *b)
{
	return a->netns == b->netns &&
	       traffic_selector_sets_overlap(&a->reported.local_ts, &b->reported.local_ts) &&
	       traffic_selector_sets_overlap(&a->reported.remote_ts, &b->reported.remote_ts);
}
