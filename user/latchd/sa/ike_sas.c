/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/sa/ike_sas.h"

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

void ike_sas_forget(struct ike_sas *ike_sas, struct ike_sa *ike_sa)
{
	HASH_DELETE(hh, ike_sas->first, ike_sa);
	free(ike_sa);
}

static bool is_called(const struct ike_sa *ike_sa, const char *config_name, const char *id)
{
	return !strcmp(ike_sa->peer.config_name, config_name) && !strcmp(ike_sa->peer.id, id);
}

static bool is_same(const struct ike_sa *ike_sa, const struct feed_peer *peer)
{
	return is_called(ike_sa, peer->config_name, peer->id);
}

void ike_sa_correct(const struct ike_sa *ike_sa, struct feed_peer *peer)
{
	if (is_same(ike_sa, peer))
		peer->auth = ike_sa->peer.auth;
}

void ike_sa_correct_child(const struct ike_sa *ike_sa, struct feed_child *child)
{
	if (is_called(ike_sa, child->config_name, child->peer_id))
		child->peer_auth = ike_sa->peer.auth;
}

void ike_sa_infer(struct ike_sa *ike_sa, const struct feed_child *child)
{
	if (ike_sa->sure || !is_called(ike_sa, child->config_name, child->peer_id))
		return;
	ike_sa->peer.auth = child->peer_auth;
	ike_sa->sure = true;
}

/* Names that change under one number are those of another key manager's life. */
static void tell(struct ike_sa *ike_sa, const struct feed_peer *peer)
{
	enum feed_auth auth = ike_sa->peer.auth;
	bool keeps = !peer->set_up_now && is_same(ike_sa, peer);

	ike_sa->peer = *peer;
	ike_sa->sure = peer->set_up_now || (keeps && ike_sa->sure);
	if (keeps)
		ike_sa->peer.auth = auth;
	ike_sa->seen = true;
}

struct ike_sa *ike_sas_learn(struct ike_sas *ike_sas, const struct feed *feed,
			     const struct feed_peer *peer)
{
	struct ike_sa *ike_sa = ike_sas_find(ike_sas, feed, peer->ike_unique_id);

	if (!ike_sa)
		ike_sa = add(ike_sas, feed, peer->ike_unique_id);
	if (ike_sa)
		tell(ike_sa, peer);
	return ike_sa;
}

struct ike_sa *ike_sas_rekey(struct ike_sas *ike_sas, const struct feed *feed, uint32_t old,
			     const struct feed_peer *peer)
{
	struct ike_sa *ike_sa = ike_sas_learn(ike_sas, feed, peer),
		      *before = ike_sas_find(ike_sas, feed, old);

	if (!ike_sa || !before || before == ike_sa)
		return ike_sa;
	if (is_same(before, peer)) {
		ike_sa->peer.auth = before->peer.auth;
		ike_sa->sure = before->sure;
	}
	ike_sas_forget(ike_sas, before);
	return ike_sa;
}

void ike_sas_clear(struct ike_sas *ike_sas)
{
	struct ike_sa *ike_sa, *next;

	HASH_ITER(hh, ike_sas->first, ike_sa, next)
	{
		ike_sas_forget(ike_sas, ike_sa);
	}
}

void ike_sas_snapshot_begin(struct ike_sas *ike_sas, const struct feed *feed)
{
	struct ike_sa *ike_sa, *next;

	HASH_ITER(hh, ike_sas->first, ike_sa, next)
	{
		if (ike_sa->key.feed == feed)
			ike_sa->seen = false;
	}
}

void ike_sas_snapshot_end(struct ike_sas *ike_sas, const struct feed *feed)
{
	struct ike_sa *ike_sa, *next;

	HASH_ITER(hh, ike_sas->first, ike_sa, next)
	{
		if (ike_sa->key.feed == feed && !ike_sa->seen)
			ike_sas_forget(ike_sas, ike_sa);
	}
}

void ike_sas_feed_lost(struct ike_sas *ike_sas, const struct feed *feed)
{
	struct ike_sa *ike_sa, *next;

	HASH_ITER(hh, ike_sas->first, ike_sa, next)
	{
		if (ike_sa->key.feed == feed)
			ike_sas_forget(ike_sas, ike_sa);
	}
}
