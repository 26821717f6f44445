/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/sa/child/sa_group_changes.h"

#include <string.h>
#include <sys/socket.h>

#include "latchd/sa/child/child_sa.h"

static void add(struct sa_groups *groups, const struct sa_groups_change *change)
{
	struct sa_groups_change *place = &groups->changed[groups->changes++ % SA_GROUPS_CHANGES];

	traffic_selector_set_release(&place->remote);
	*place = *change;
	traffic_selector_set_hold(&place->remote);
}

void sa_group_changes_forget(struct sa_groups *groups)
{
	size_t i;

	for (i = 0; i < SA_GROUPS_CHANGES; i++)
		traffic_selector_set_release(&groups->changed[i].remote);
	groups->changes += SA_GROUPS_CHANGES + 1;
}

/* A group without addresses of a family concerns none of them, but it has interface ids. */
void sa_group_changes_add(struct sa_groups *groups, const struct sa_group *group,
			  enum sa_groups_cause cause)
{
	static const uint8_t families[SA_GROUPS_FAMILIES] = {AF_INET, AF_INET6};
	struct sa_groups_change change = {
		.cause = cause,
		.params = group->params,
		.remote = group->members->reported.remote_ts,
	};
	size_t i;

	for (i = 0; i < SA_GROUPS_FAMILIES; i++) {
		change.family = families[i];
		change.first = group->span[i].first;
		change.last = group->span[i].last;
		if (!group->span[i].group)
			memset(&change.first, 0xff, sizeof(change.first));
		add(groups, &change);
	}
}

static void add_range(struct sa_groups *groups, uint64_t netns, const struct choice_edit *edit)
{
	add(groups, &(struct sa_groups_change){
			    .cause = edit->family ? SA_GROUPS_POLICY : SA_GROUPS_CHOICE,
			    .first = sa_place_of(netns, edit->low),
			    .last = sa_place_of(netns, edit->high),
			    .family = edit->family,
		    });
}

/* family 0 of an edit: a device, for all addresses. */
void sa_group_changes_add_choice(struct sa_groups *groups, uint64_t netns,
				 const struct choice_change *change)
{
	struct choice_edit all = {.family = 0};
	size_t i;

	memset(all.high, 0xff, sizeof(all.high));
	if (change->everything)
		add_range(groups, netns, &all);
	for (i = 0; !change->everything && i < change->count; i++)
		add_range(groups, netns, change->edits[i].family ? &change->edits[i] : &all);
}

static bool is_in_range(const struct sa_groups_change *change, const struct latch_pair *pair,
			const struct sa_place *place)
{
	return (!change->family || change->family == pair->family) &&
	       memcmp(change->first.bytes, place->bytes, sizeof(place->bytes)) <= 0 &&
	       memcmp(place->bytes, change->last.bytes, sizeof(place->bytes)) <= 0;
}

/* One more group with other params ends no contest, and one less begins none. */
static bool leaves_answer(const struct sa_groups_change *change, bool contested)
{
	return change->cause == (contested ? SA_GROUPS_BEGINS : SA_GROUPS_CEASES);
}

/* For a peer with selectors on both sides of an address no answer is made again. */
static bool has_address(const struct sa_groups_change *change, const struct latch_pair *pair)
{
	struct traffic_selector_set address = {.count = 1};
	struct traffic_selector *any = &address.selector[0];

	if (!change->remote.count && !change->remote.covers_all)
		return true;
	*any = (struct traffic_selector){.family = pair->family, .port_high = UINT16_MAX};
	memcpy(any->low, pair->remote_addr, sizeof(any->low));
	memcpy(any->high, pair->remote_addr, sizeof(any->high));
	return traffic_selector_sets_overlap(&change->remote, &address, NULL);
}

/* Own selectors and devices decide whether other groups contest a pair, whatever the SPD. */
static unsigned int scope_of(enum sa_groups_cause cause)
{
	switch (cause) {
	case SA_GROUPS_BEGINS:
		return SA_GROUPS_SCOPE_BEGUN;
	case SA_GROUPS_POLICY:
		return SA_GROUPS_SCOPE_POLICY;
	case SA_GROUPS_CHOICE:
	case SA_GROUPS_CEASES:
		break;
	}
	return SA_GROUPS_SCOPE_ALL;
}

static unsigned int scope_by(const struct sa_groups_change *change, const struct latch_pair *pair,
			     const struct sa_place *place, bool contested)
{
	if (change->params && change->params == pair->params)
		return SA_GROUPS_SCOPE_ALL;
	if (leaves_answer(change, contested) || !is_in_range(change, pair, place) ||
	    !has_address(change, pair))
		return 0;
	return scope_of(change->cause);
}

unsigned int sa_group_changes_scope(const struct sa_groups *groups, uint64_t since,
				    const struct latch_pair *pair, bool contested)
{
	const struct sa_place place = sa_place_of(pair->netns, pair->remote_addr);
	unsigned int scope = 0;

	if (groups->changes - since > SA_GROUPS_CHANGES)
		return SA_GROUPS_SCOPE_ALL;
	for (; !(scope & SA_GROUPS_SCOPE_ALL) && since < groups->changes; since++)
		scope |= scope_by(&groups->changed[since % SA_GROUPS_CHANGES], pair, &place,
				  contested);
	return scope;
}
