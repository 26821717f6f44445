/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/sa/peers/ike_sas.h"

#include <stdlib.h>
#include <string.h>

struct ike_sa *ike_sas_find(const struct ike_sas *ike_sas, const struct feed *feed,
			    uint32_t unique_id)
{
	const struct ike_sa_key key = {feed, unique_id};
	struct ike_sa *ike_sa;

	HASH_FIND(hh, ike_sas->first, &key, sizeof(key), ike_sa);
	return ike_sa;
}

static struct ike_sa *add(struct ike_sas *ike_sas, const struct feed *feed, uint32_t unique_id)
{
	struct ike_sa *ike_sa = calloc(1, sizeof(*ike_sa));

	if (!ike_sa)
		return NULL;
	ike_sa->key = (struct ike_sa_key){feed, unique_id};
	HASH_ADD(hh, ike_sas->first, key, sizeof(ike_sa->key), ike_sa);
	return ike_sa;
}

void ike_sas_remove(struct ike_sas *ike_sas, struct ike_sa *ike_sa)
{
	HASH_DELETE(hh, ike_sas->first, ike_sa);
	free(ike_sa);
}

static bool has_names(const struct ike_sa *ike_sa, const char *config_name, const char *id)
{
	return !strcmp(ike_sa->peer.config_name, config_name) && !strcmp(ike_sa->peer.id, id);
}

static bool is_same_peer(const struct ike_sa *ike_sa, const struct feed_peer *peer)
{
	return has_names(ike_sa, peer->config_name, peer->id);
}

/* How and by which key it was authenticated is fixed when the IKE_SA is set up. */
static void take_authentication(struct feed_peer *to, const struct feed_peer *from)
{
	to->auth = from->auth;
	to->key = from->key;
}

void ike_sas_correct_peer(const struct ike_sa *ike_sa, struct feed_peer *peer)
{
	if (is_same_peer(ike_sa, peer))
		take_authentication(peer, &ike_sa->peer);
}

void ike_sas_correct_child(const struct ike_sa *ike_sa, struct feed_child *child)
{
	if (!has_names(ike_sa, child->config_name, child->peer_id))
		return;
	child->peer_auth = ike_sa->peer.auth;
	child->peer_key = ike_sa->peer.key;
}

void ike_sas_infer_class(struct ike_sa *ike_sa, const struct feed_child *child)
{
	if (ike_sa->class_confirmed || !has_names(ike_sa, child->config_name, child->peer_id))
		return;
	ike_sa->peer.auth = child->peer_auth;
	ike_sa->peer.key = child->peer_key;
	ike_sa->class_confirmed = true;
}

/* Other names under one unique id: the key manager was restarted. */
static void update(struct ike_sa *ike_sa, const struct feed_peer *peer)
{
	const struct feed_peer before = ike_sa->peer;
	bool same_peer = !peer->just_authenticated && is_same_peer(ike_sa, peer);

	ike_sa->peer = *peer;
	ike_sa->class_confirmed =
		peer->just_authenticated || (same_peer && ike_sa->class_confirmed);
	if (same_peer)
		take_authentication(&ike_sa->peer, &before);
	ike_sa->in_snapshot = true;
}

struct ike_sa *ike_sas_learn(struct ike_sas *ike_sas, const struct feed *feed,
			     const struct feed_peer *peer)
{
	struct ike_sa *ike_sa = ike_sas_find(ike_sas, feed, peer->ike_unique_id);

	if (!ike_sa)
		ike_sa = add(ike_sas, feed, peer->ike_unique_id);
	if (ike_sa)
		update(ike_sa, peer);
	return ike_sa;
}

struct ike_sa *ike_sas_rekey(struct ike_sas *ike_sas, const struct feed *feed, uint32_t old,
			     const struct feed_peer *peer)
{
	struct ike_sa *ike_sa = ike_sas_learn(ike_sas, feed, peer),
		      *before = ike_sas_find(ike_sas, feed, old);

	if (!ike_sa || !before || before == ike_sa)
		return ike_sa;
	if (is_same_peer(before, peer)) {
		take_authentication(&ike_sa->peer, &before->peer);
		ike_sa->class_confirmed = before->class_confirmed;
	}
	ike_sas_remove(ike_sas, before);
	return ike_sa;
}

void ike_sas_clear(struct ike_sas *ike_sas)
{
	struct ike_sa *ike_sa, *next;

	HASH_ITER(hh, ike_sas->first, ike_sa, next)
	{
		ike_sas_remove(ike_sas, ike_sa);
	}
}

void ike_sas_snapshot_begin(struct ike_sas *ike_sas, const struct feed *feed)
{
	struct ike_sa *ike_sa, *next;

	HASH_ITER(hh, ike_sas->first, ike_sa, next)
	{
		if (ike_sa->key.feed == feed)
			ike_sa->in_snapshot = false;
	}
}

void ike_sas_snapshot_end(struct ike_sas *ike_sas, const struct feed *feed)
{
	struct ike_sa *ike_sa, *next;

	HASH_ITER(hh, ike_sas->first, ike_sa, next)
	{
		if (ike_sa->key.feed == feed && !ike_sa->in_snapshot)
			ike_sas_remove(ike_sas, ike_sa);
	}
}

void ike_sas_feed_lost(struct ike_sas *ike_sas, const struct feed *feed)
{
	struct ike_sa *ike_sa, *next;

	HASH_ITER(hh, ike_sas->first, ike_sa, next)
	{
		if (ike_sa->key.feed == feed)
			ike_sas_remove(ike_sas, ike_sa);
	}
}
