/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/enforce/netfilter/netns_unplaced.h"

#include <stdlib.h>

#include "common/hash.h"

struct netns_unplaced_entry {
	uint64_t cookie;
	enum netns_unplaced_kind kind;
	UT_hash_handle hh;
};

static struct netns_unplaced_entry *find(const struct netns_unplaced *set, uint64_t cookie)
{
	struct netns_unplaced_entry *entry;

	HASH_FIND(hh, set->entries, &cookie, sizeof(cookie), entry);
	return entry;
}

static void set_kind(struct netns_unplaced *set, struct netns_unplaced_entry *entry,
		     enum netns_unplaced_kind kind)
{
	set->unanswered -= entry->kind == NETNS_UNPLACED_UNANSWERED;
	set->unanswered += kind == NETNS_UNPLACED_UNANSWERED;
	entry->kind = kind;
}

static void forget(struct netns_unplaced *set, struct netns_unplaced_entry *entry)
{
	set_kind(set, entry, NETNS_UNPLACED_NONE);
	HASH_DEL(set->entries, entry);
	set->count--;
	free(entry);
}

void netns_unplaced_note(struct netns_unplaced *set, uint64_t cookie, enum netns_unplaced_kind kind)
{
	struct netns_unplaced_entry *entry = find(set, cookie);

	if (kind == NETNS_UNPLACED_UNANSWERED && set->unanswered == NETNS_UNANSWERED_MAX)
		return;
	if (!entry && !netns_unplaced_is_full(set)) {
		entry = calloc(1, sizeof(*entry));
		if (!entry)
			return;
		entry->cookie = cookie;
		HASH_ADD(hh, set->entries, cookie, sizeof(entry->cookie), entry);
		set->count++;
	}
	if (entry)
		set_kind(set, entry, kind);
}

void netns_unplaced_remove(struct netns_unplaced *set, uint64_t cookie)
{
	struct netns_unplaced_entry *entry = find(set, cookie);

	if (entry)
		forget(set, entry);
}

void netns_unplaced_clear_answered(struct netns_unplaced *set)
{
	struct netns_unplaced_entry *entry, *next;

	HASH_ITER(hh, set->entries, entry, next)
	{
		if (entry->kind != NETNS_UNPLACED_UNANSWERED)
			forget(set, entry);
	}
}

void netns_unplaced_free(struct netns_unplaced *set)
{
	struct netns_unplaced_entry *entry, *next;

	HASH_ITER(hh, set->entries, entry, next)
	{
		forget(set, entry);
	}
}

enum netns_unplaced_kind netns_unplaced_kind_of(const struct netns_unplaced *set, uint64_t cookie)
{
	const struct netns_unplaced_entry *entry = find(set, cookie);

	return entry ? entry->kind : NETNS_UNPLACED_NONE;
}

bool netns_unplaced_is_full(const struct netns_unplaced *set)
{
	return set->count >= NETNS_UNPLACED_MAX;
}

size_t netns_unplaced_take_unanswered(struct netns_unplaced *set,
				      uint64_t cookies[NETNS_UNANSWERED_MAX])
{
	struct netns_unplaced_entry *entry, *next;
	size_t count = 0;

	if (!set->unanswered)
		return 0;
	HASH_ITER(hh, set->entries, entry, next)
	{
		if (entry->kind != NETNS_UNPLACED_UNANSWERED)
			continue;
		cookies[count++] = entry->cookie;
		forget(set, entry);
	}
	return count;
}
