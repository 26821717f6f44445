/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/sa/child/sa_group_share.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "latchd/sa/child/child_sa.h"

static struct sa_groups_share_key share_key(const struct child_sa *child)
{
	struct sa_groups_share_key key = {.peer = child->peer};

	if (traffic_selector_set_host(&child->reported.remote_ts, &key.family, key.address))
		key.netns = child->netns;
	return key;
}

static struct sa_groups_share *find(const struct sa_groups *groups,
				    const struct sa_groups_share_key *key)
{
	struct sa_groups_share *share;

	HASH_FIND(hh, groups->shares, key, sizeof(*key), share);
	return share;
}

struct sa_groups_share *sa_group_share_find(const struct sa_groups *groups,
					    const struct child_sa *child)
{
	const struct sa_groups_share_key key = share_key(child);

	return find(groups, &key);
}

struct sa_groups_share *sa_group_share_find_at(const struct sa_groups *groups, uint16_t peer,
					       uint64_t netns, uint8_t family,
					       const uint8_t address[16])
{
	struct sa_groups_share_key key = {.netns = netns, .peer = peer, .family = family};

	memcpy(key.address, address, sizeof(key.address));
	return find(groups, &key);
}

struct sa_groups_share *sa_group_share_of(struct sa_groups *groups, const struct child_sa *child)
{
	struct sa_groups_share *share = sa_group_share_find(groups, child);

	if (share)
		return share;
	share = calloc(1, sizeof(*share));
	if (!share)
		return NULL;
	share->key = share_key(child);
	HASH_ADD(hh, groups->shares, key, sizeof(share->key), share);
	return share;
}

void sa_group_share_enter(struct sa_groups_share *share, struct sa_group *group)
{
	group->share = share;
	if (!share)
		return;
	DL_APPEND2(share->first, group, alike_previous, alike);
	share->count++;
}

void sa_group_share_free_unused(struct sa_groups *groups, struct sa_groups_share *share)
{
	if (!share || share->first)
		return;
	HASH_DELETE(hh, groups->shares, share);
	free(share);
}

void sa_group_share_leave(struct sa_groups *groups, struct sa_group *group)
{
	struct sa_groups_share *share = group->share;

	if (!share)
		return;
	DL_DELETE2(share->first, group, alike_previous, alike);
	share->count--;
	sa_group_share_free_unused(groups, share);
}

bool sa_group_share_is_full(const struct sa_groups_share *share, uint16_t params)
{
	const struct sa_group *group;
	unsigned int count = 0;

	for (group = share ? share->first : NULL; group; group = group->alike)
		count += group->params == params;
	return count >= SA_GROUPS_PARAMS_MAX || (share && share->count >= SA_GROUPS_SHARE_MAX);
}
