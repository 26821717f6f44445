/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/sa/sa_groups.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "latchd/sa/child_sa.h"

/* ---- by remote host */

struct sa_groups_host_key {
	uint64_t netns;
	uint8_t address[16];
	uint8_t family;
	uint8_t pad[7];
};

struct sa_groups_host {
	struct sa_groups_host_key key;
	struct sa_group *first;
	UT_hash_handle hh;
};

static struct sa_groups_host_key host_key(uint64_t netns, uint8_t family, const uint8_t address[16])
{
	struct sa_groups_host_key key = {.netns = netns, .family = family};

	memcpy(key.address, address, sizeof(key.address));
	return key;
}

static struct sa_groups_host *find_host(const struct sa_groups *groups,
					const struct sa_groups_host_key *key)
{
	struct sa_groups_host *host;

	HASH_FIND(hh, groups->hosts, key, sizeof(*key), host);
	return host;
}

/* NULL for several hosts, and when out of memory: every search covers the list of several hosts. */
static struct sa_groups_host *host_for(struct sa_groups *groups, const struct child_sa *child)
{
	struct sa_groups_host *host;
	struct sa_groups_host_key key;
	uint8_t family, address[16];

	if (!traffic_selector_set_host(&child->reported.remote_ts, &family, address))
		return NULL;
	key = host_key(child->netns, family, address);
	host = find_host(groups, &key);
	if (host)
		return host;
	host = calloc(1, sizeof(*host));
	if (!host)
		return NULL;
	host->key = key;
	HASH_ADD(hh, groups->hosts, key, sizeof(host->key), host);
	return host;
}

static void free_unused_host(struct sa_groups *groups, struct sa_groups_host *host)
{
	if (!host || host->first)
		return;
	HASH_DELETE(hh, groups->hosts, host);
	free(host);
}

static struct sa_group **list_of(struct sa_groups *groups, struct sa_groups_host *host)
{
	return host ? &host->first : &groups->several_hosts;
}

/* ---- selectors */

static uint64_t digest_set(uint64_t digest, const struct traffic_selector_set *set)
{
	const uint8_t *bytes = (const uint8_t *)set->selector;
	size_t i, length = set->count * sizeof(set->selector[0]);

	digest = (digest ^ (set->covers_all ? 1 : 2)) * 0x100000001b3;
	for (i = 0; i < length; i++)
		digest = (digest ^ bytes[i]) * 0x100000001b3;
	return digest;
}

/* FNV-1a: equal digests are compared in full. */
static uint64_t digest_of(const struct child_sa *child)
{
	uint64_t digest = digest_set(0xcbf29ce484222325, &child->reported.local_ts);

	return digest_set(digest, &child->reported.remote_ts);
}

static bool has_selectors(const struct sa_group *group, const struct child_sa *child,
			  uint64_t digest)
{
	return group->digest == digest && child_sas_same_selectors(group->members, child);
}

/* ---- rivals */

void sa_groups_note_stale(struct sa_groups *groups, struct sa_group *group)
{
	if (group->stale)
		return;
	group->stale = true;
	DL_APPEND2(groups->stale, group, stale_previous, stale_next);
}

static void forget_stale(struct sa_groups *groups, struct sa_group *group)
{
	if (!group->stale)
		return;
	group->stale = false;
	DL_DELETE2(groups->stale, group, stale_previous, stale_next);
}

struct sa_group *sa_groups_take_stale(struct sa_groups *groups)
{
	struct sa_group *group = groups->stale;

	if (group)
		forget_stale(groups, group);
	return group;
}

/* change: 1 or -1. Only the first and the last rival change the marks. */
static void change_rivals(struct sa_groups *groups, struct sa_group *group, int change)
{
	bool contested = group->rivals > 0;

	group->rivals += (unsigned int)change;
	if ((group->rivals > 0) != contested)
		sa_groups_note_stale(groups, group);
}

static void meet_alike(struct sa_groups *groups, struct sa_group *group, struct sa_group *first,
		       int change)
{
	struct sa_group *other;

	for (other = first; other; other = other->alike) {
		groups->comparisons++;
		if (!child_sas_overlap(group->members, other->members))
			continue;
		change_rivals(groups, group, change);
		change_rivals(groups, other, change);
	}
}

static void meet_list(struct sa_groups *groups, struct sa_group *group, struct sa_group *first,
		      int change)
{
	struct sa_group *other;

	DL_FOREACH(first, other)
	{
		if (other->params != group->params)
			meet_alike(groups, group, other, change);
	}
}

/* The group begins (1) or ceases (-1) to count. */
static void meet_all(struct sa_groups *groups, struct sa_group *group, int change)
{
	struct sa_groups_host *host, *next;

	meet_list(groups, group, groups->several_hosts, change);
	if (group->host) {
		meet_list(groups, group, group->host->first, change);
		return;
	}
	HASH_ITER(hh, groups->hosts, host, next)
	{
		meet_list(groups, group, host->first, change);
	}
}

/* ---- members */

static struct sa_group *find_params(struct sa_group *first, uint16_t params)
{
	struct sa_group *group;

	DL_SEARCH_SCALAR(first, group, params, params);
	return group;
}

static void link_group(struct sa_group **list, struct sa_group *group)
{
	struct sa_group *alike = find_params(*list, group->params);

	if (alike) {
		group->alike = alike->alike;
		alike->alike = group;
	} else {
		DL_APPEND(*list, group);
	}
}

static void unlink_group(struct sa_group **list, struct sa_group *group)
{
	struct sa_group *before = find_params(*list, group->params), *heir = group->alike;

	if (before == group && heir) {
		DL_REPLACE_ELEM(*list, group, heir);
	} else if (before == group) {
		DL_DELETE(*list, group);
	} else {
		while (before->alike != group)
			before = before->alike;
		before->alike = heir;
	}
}

static void enter(struct sa_groups *groups, struct child_sa *child, struct sa_group *group)
{
	child->group = group;
	DL_APPEND2(group->members, child, member_previous, member_next);
	groups->of_peer[child->peer]++;
}

static void start_group(struct sa_groups *groups, struct child_sa *child, uint64_t digest,
			struct sa_groups_host *host)
{
	struct sa_group *group = child->spare;

	child->spare = NULL;
	*group = (struct sa_group){.params = child->params, .digest = digest, .host = host};
	enter(groups, child, group);
	meet_all(groups, group, 1);
	link_group(list_of(groups, host), group);
}

static int join(struct sa_groups *groups, struct child_sa *child, bool forced)
{
	uint64_t digest = digest_of(child);
	struct sa_groups_host *host;
	struct sa_group *group;
	unsigned int alike = 0;

	if (groups->of_peer[child->peer] >= SA_GROUPS_PEER_MAX && !forced)
		return -EDQUOT;
	host = host_for(groups, child);
	group = find_params(*list_of(groups, host), child->params);
	for (; group && !has_selectors(group, child, digest); group = group->alike)
		alike++;
	if (group) {
		enter(groups, child, group);
		return 0;
	}
	if (alike >= SA_GROUPS_ALIKE_MAX && !forced)
		return -EDQUOT;
	start_group(groups, child, digest, host);
	return 0;
}

/*
 * Each CHILD_SA brings the memory of one group, so that none can lack it. A member that leaves
 * takes one along.
 */
static void take_spare(struct child_sa *child, struct sa_group *group)
{
	if (child->spare)
		return;
	child->spare = group->members->spare;
	group->members->spare = NULL;
}

void sa_groups_leave(struct sa_groups *groups, struct child_sa *child)
{
	struct sa_group *group = child->group;

	if (!group)
		return;
	child->group = NULL;
	groups->of_peer[child->peer]--;
	if (group->members->member_next) {
		DL_DELETE2(group->members, child, member_previous, member_next);
		take_spare(child, group);
		return;
	}
	unlink_group(list_of(groups, group->host), group);
	meet_all(groups, group, -1);
	free_unused_host(groups, group->host);
	forget_stale(groups, group);
	child->spare = group;
}

static bool counts(const struct child_sa *child)
{
	return child->params && (child->in.in_kernel || child->out.in_kernel);
}

int sa_groups_update(struct sa_groups *groups, struct child_sa *child, bool forced)
{
	if (child->group && (!counts(child) || child->group->params != child->params))
		sa_groups_leave(groups, child);
	return !child->group && counts(child) ? join(groups, child, forced) : 0;
}

/* ---- flows */

static const struct sa_group *find_covering(struct sa_groups *groups, const struct sa_group *first,
					    const struct latch_flow *flow, uint16_t params)
{
	const struct sa_group *other, *group;

	DL_FOREACH(first, other)
	{
		if (other->params == params)
			continue;
		for (group = other; group; group = group->alike) {
			groups->comparisons++;
			if (child_sas_covers(group->members, flow))
				return group;
		}
	}
	return NULL;
}

const struct sa_group *sa_groups_find_conflicting(struct sa_groups *groups,
						  const struct latch_flow *flow, uint16_t params)
{
	const struct sa_groups_host_key key =
		host_key(flow->netns, flow->family, flow->remote_addr);
	const struct sa_groups_host *host = find_host(groups, &key);
	const struct sa_group *found =
		host ? find_covering(groups, host->first, flow, params) : NULL;

	return found ? found : find_covering(groups, groups->several_hosts, flow, params);
}
