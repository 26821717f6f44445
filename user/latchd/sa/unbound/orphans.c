/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/sa/unbound/orphans.h"

#include <stddef.h>
#include <string.h>

#include "latchd/maps/latch_control.h"
#include "latchd/maps/tables.h"

struct orphan_walk {
	const struct orphans *orphans;
	const char *authority;
};

/* NULL: the SA is not bound. */
static const struct latch_identity *peer_of(const struct orphans *orphans,
					    const struct latch_sa *sa)
{
	const struct latch_params *params = NULL;

	if (sa->word.state == LATCH_SA_BOUND)
		params = identities_get_params(orphans->identities, sa->word.params);
	return params ? identities_get(orphans->identities, params->peer_id) : NULL;
}

static int mark(const struct orphans *orphans, const struct latch_sa_key *key,
		const struct latch_sa *sa)
{
	int result = sa_set(orphans->maps, key, sa->word.serial, LATCH_SA_ORPHAN, sa->word.params,
			    sa->word.flags & LATCH_SA_CONTESTED);

	return result < 0 ? result : 0;
}

static int mark_unreported(void *context, const struct latch_sa_key *key, const struct latch_sa *sa)
{
	const struct orphan_walk *walk = context;
	const struct latch_identity *peer = peer_of(walk->orphans, sa);

	return peer && !strncmp(peer->authority, walk->authority, sizeof(peer->authority)) &&
			       !child_sas_find(walk->orphans->child_sas, key)
		       ? mark(walk->orphans, key, sa)
		       : 0;
}

static int mark_unconfigured(void *context, const struct latch_sa_key *key,
			     const struct latch_sa *sa)
{
	const struct orphans *orphans = context;
	const struct latch_identity *peer = peer_of(orphans, sa);

	return peer && orphans_is_unconfigured(orphans, peer->authority) ? mark(orphans, key, sa)
									 : 0;
}

static void forget_left(struct orphans *orphans, const struct feed *feed)
{
	size_t i;

	for (i = 0; i < ORPHANS_FEEDS_MAX; i++)
		if (orphans->left[i] == feed)
			orphans->left[i] = NULL;
}

static void note_left(struct orphans *orphans, const struct feed *feed)
{
	size_t i = 0;

	while (i < ORPHANS_FEEDS_MAX - 1 && orphans->left[i])
		i++;
	orphans->left[i] = feed;
}

int orphans_mark(struct orphans *orphans, const struct feed *feed)
{
	struct orphan_walk walk = {orphans, feed->name};
	int err = sas_walk(orphans->maps, mark_unreported, &walk);

	forget_left(orphans, feed);
	if (err)
		note_left(orphans, feed);
	return err;
}

static int mark_again(struct orphans *orphans, const struct feed *feed)
{
	const struct key_manager *key_manager = key_managers_find(orphans->key_managers, feed);

	/* The first list of a synced feed has marked its SAs. */
	if (!key_manager || !key_manager->synced)
		return orphans_mark(orphans, feed);
	forget_left(orphans, feed);
	return 0;
}

void orphans_configure(struct orphans *orphans, struct feed *const *feeds, size_t count)
{
	size_t i;

	for (i = 0; i < ORPHANS_FEEDS_MAX; i++)
		orphans->configured[i] = i < count ? feeds[i] : NULL;
	orphans->configured_count = count;
	orphans->unconfigured = true;
}

bool orphans_is_unconfigured(const struct orphans *orphans, const char *authority)
{
	bool other = orphans->configured_count;
	size_t i;

	for (i = 0; other && i < orphans->configured_count; i++)
		other = strcmp(orphans->configured[i]->name, authority) != 0;
	return other;
}

int orphans_mark_again(struct orphans *orphans)
{
	int err, first = 0;
	size_t i;

	if (orphans->unconfigured)
		first = sas_walk(orphans->maps, mark_unconfigured, orphans);
	orphans->unconfigured = first != 0;

	for (i = 0; i < ORPHANS_FEEDS_MAX; i++) {
		err = orphans->left[i] ? mark_again(orphans, orphans->left[i]) : 0;
		first = first ? first : err;
	}
	return first;
}
