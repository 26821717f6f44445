/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/sa/peers/dead_peers.h"

#include <errno.h>
#include <string.h>
#include <utlist.h>

#include "common/text.h"
#include "latchd/maps/latch_control.h"
#include "latchd/maps/tables.h"
#include "latchd/news/latch_transition.h"

struct break_walk {
	const struct conflict_view *view;
	const struct identities *identities;
	struct dead_peer *to_break; /* by identity and cause */
};

/*
 * A list may report CHILD_SAs of the rebooted peer before the event reports the reboot. Unique ids
 * only grow: an IKE_SA with a greater one than the successor's was set up after the reboot.
 */
static bool is_since_return(const struct dead_peer *dead, const struct latch *latch)
{
	return dead->has_child && dead->child_installed_ns <= latch->created;
}

static bool must_break(const struct dead_peer *dead, const struct latch_flow *flow,
		       const struct latch *latch)
{
	uint8_t keep = dead->report.cause == FEED_DOWN_PEER_REBOOTED ? LATCH_RULE_KEEP_ON_REBOOT
								     : LATCH_RULE_KEEP_ON_DPD;

	return flow->netns == dead->report.netns && latch->created < dead->reported_ns &&
	       !(latch->rule_flags & keep) && !is_since_return(dead, latch);
}

static int break_latch(const struct break_walk *walk, enum feed_down_cause cause,
		       const struct latch_flow *flow, const struct latch *latch)
{
	const struct conflict_view *view = walk->view;
	uint8_t reason = cause == FEED_DOWN_PEER_REBOOTED ? LATCH_REASON_PEER_REBOOTED
							  : LATCH_REASON_PEER_DEAD;
	const struct latch_transition transition = {
		.kind = LATCH_TRANSITION_BREAK,
		.flow = flow,
		.latch = latch,
		.cause.reason = reason,
	};
	int result = latch_transition(view->maps, view->news, &transition, NULL);

	return result < 0 ? result : 0;
}

static int break_for(const struct break_walk *walk, enum feed_down_cause cause, uint32_t peer_id,
		     const struct latch_flow *flow, const struct latch *latch)
{
	const struct dead_peer_key key = {peer_id, cause};
	struct dead_peer *dead;

	HASH_FIND(hh, walk->to_break, &key, sizeof(key), dead);
	return dead && must_break(dead, flow, latch) ? break_latch(walk, cause, flow, latch) : 0;
}

static int break_if_dead(void *context, const struct latch_flow *flow, const struct latch *latch)
{
	const struct break_walk *walk = context;
	const struct latch_params *params;
	int err;

	if (!latch_is_live(latch))
		return 0;
	params = identities_get_params(walk->identities, latch->word.params);
	if (!params)
		return 0;
	err = break_for(walk, FEED_DOWN_PEER_DEAD, params->peer_id, flow, latch);
	return err ? err : break_for(walk, FEED_DOWN_PEER_REBOOTED, params->peer_id, flow, latch);
}

/* 0: nothing was ever latched to this peer. */
static uint32_t find_peer_id(const struct identities *identities,
			     const struct peer_death_report *report)
{
	struct latch_identity identity = {.auth = report->peer.auth};
	const struct feed_key *key = &report->peer.key;

	if (key->known) {
		identity.key_kind = LATCH_KEY_SPKI;
		memcpy(identity.key, key->sha256, sizeof(identity.key));
	}
	if (text_copy(identity.authority, sizeof(identity.authority), report->feed->name) < 0 ||
	    text_copy(identity.config, sizeof(identity.config), report->peer.config_name) < 0 ||
	    text_copy(identity.id, sizeof(identity.id), report->peer.id) < 0)
		return 0;
	return identities_find(identities, &identity);
}

/* The later of two reports of one identity and cause covers all latches of the earlier one. */
static struct dead_peer *index_due(const struct identities *identities, struct dead_peer *due)
{
	struct dead_peer *to_break = NULL, *dead, *other;

	DL_FOREACH(due, dead)
	{
		dead->key = (struct dead_peer_key){find_peer_id(identities, &dead->report),
						   dead->report.cause};
		if (dead->key.peer_id)
			HASH_REPLACE(hh, to_break, key, sizeof(dead->key), dead, other);
	}
	return to_break;
}

/* ---- the CHILD_SAs since a reboot: one pass over all serves every latch */

static bool is_since_reboot(const struct child_sa *child, const struct dead_peer *dead)
{
	/* An orphan's IKE_SA has its unique id from before a restart of the key manager. */
	return dead && dead->report.peer.successor && child->feed == dead->report.feed &&
	       !child->orphan && child->reported.ike_unique_id >= dead->report.peer.successor;
}

static struct dead_peer *find_rebooted(const struct break_walk *walk, const struct child_sa *child)
{
	const struct latch_params *params = identities_get_params(walk->identities, child->params);
	const struct dead_peer_key key = {params ? params->peer_id : 0, FEED_DOWN_PEER_REBOOTED};
	struct dead_peer *dead;

	HASH_FIND(hh, walk->to_break, &key, sizeof(key), dead);
	return dead;
}

static int note_child(const struct break_walk *walk, const struct child_sa *child)
{
	struct dead_peer *dead = find_rebooted(walk, child);
	struct latch_sa sa;
	int err;

	if (!is_since_reboot(child, dead))
		return 0;
	err = sa_get(walk->view->maps, &child->in.key, &sa);
	if (!err && (!dead->has_child || sa.installed < dead->child_installed_ns)) {
		dead->has_child = true;
		dead->child_installed_ns = sa.installed;
	}
	return err == -ENOENT ? 0 : err;
}

static int note_children(const struct break_walk *walk)
{
	const struct child_sa *child = walk->view->child_sas->first;
	int err = 0;

	for (; child && !err; child = child->next)
		err = note_child(walk, child);
	return err;
}

int dead_peers_break(const struct conflict_view *view, const struct identities *identities,
		     struct dead_peer *due)
{
	struct break_walk walk = {view, identities, index_due(identities, due)};
	int err = walk.to_break ? note_children(&walk) : 0;

	if (walk.to_break && !err)
		err = latches_walk(view->maps, break_if_dead, &walk);
	HASH_CLEAR(hh, walk.to_break);
	return err;
}
