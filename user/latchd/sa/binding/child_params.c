/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/sa/binding/child_params.h"

#include <errno.h>
#include <linux/xfrm.h>
#include <string.h>

#include "common/text.h"
#include "latchd/maps/own_key.h"
#include "latchd/maps/tables.h"

_Static_assert(FEED_KEY_SIZE == LATCH_KEY_SIZE, "the programs get a key as a feed reports it");
_Static_assert((int)FEED_AUTH_UNKNOWN == LATCH_AUTH_UNKNOWN &&
		       (int)FEED_AUTH_PUBKEY == LATCH_AUTH_PUBKEY &&
		       (int)FEED_AUTH_PSK == LATCH_AUTH_PSK &&
		       (int)FEED_AUTH_EAP == LATCH_AUTH_EAP &&
		       (int)FEED_AUTH_XAUTH == LATCH_AUTH_XAUTH &&
		       (int)FEED_AUTH_NULL == LATCH_AUTH_NULL,
	       "the programs get the class as a feed reports it");

static bool modes_match(enum feed_mode reported, uint8_t mode)
{
	switch (reported) {
	case FEED_MODE_TRANSPORT:
		return mode == XFRM_MODE_TRANSPORT;
	case FEED_MODE_TUNNEL:
		return mode == XFRM_MODE_TUNNEL;
	case FEED_MODE_BEET:
		return mode == XFRM_MODE_BEET;
	case FEED_MODE_OTHER:
		return true;
	}
	return false;
}

bool child_params_match_report(const struct child_sa *child, const struct latch_sa *sa,
			       const uint8_t source[16])
{
	return modes_match(child->reported.mode, sa->mode) &&
	       !memcmp(sa->saddr, source, sizeof(sa->saddr));
}

/* ---- params */

/* key: NULL: not known. */
static int fill_identity(const struct child_sa *child, const char *config, const char *id,
			 const struct feed_key *key, struct latch_identity *ret)
{
	if (key && key->known) {
		ret->key_kind = LATCH_KEY_SPKI;
		memcpy(ret->key, key->sha256, sizeof(ret->key));
	}
	if (text_copy(ret->authority, sizeof(ret->authority), child->feed->name) < 0 ||
	    text_copy(ret->config, sizeof(ret->config), config) < 0 ||
	    text_copy(ret->id, sizeof(ret->id), id) < 0)
		return -ENAMETOOLONG;
	return 0;
}

static int intern_identities(const struct binding *b, const struct child_sa *child,
			     struct latch_params *params)
{
	const struct feed_child *reported = &child->reported;
	struct latch_identity local = {.auth = FEED_AUTH_UNKNOWN};
	struct latch_identity peer = {.auth = reported->peer_auth};
	int err;

	/* The local identity depends neither on the peer's configuration nor on this host's key,
	 * which the administrator may renew. */
	err = fill_identity(child, "", reported->local_id, NULL, &local);
	if (!err)
		err = identities_intern(b->identities, &local, &params->local_id);
	if (!err)
		err = fill_identity(child, reported->config_name, reported->peer_id,
				    &reported->peer_key, &peer);
	if (!err)
		err = identities_intern_peer(b->identities, &peer, reported->peer_is_host,
					     &params->peer_id);
	return err;
}

static bool is_pinned_as(const struct latch_identity *identity, const struct feed *feed,
			 const struct feed_child *reported)
{
	return !strcmp(identity->authority, feed->name) &&
	       !strcmp(identity->config, reported->config_name) &&
	       !strcmp(identity->id, reported->peer_id);
}

static struct feed_key key_of(const struct latch_identity *identity)
{
	struct feed_key key = {.known = identity->key_kind == LATCH_KEY_SPKI};

	memcpy(key.sha256, identity->key, sizeof(key.sha256));
	return key;
}

/* The authentication class and the key with which this latchd or an earlier one has bound the SA.
 */
static int find_pinned_class(const struct binding *b, const struct feed *feed,
			     const struct latch_sa_key *in, struct feed_child *reported)
{
	const struct latch_identity *peer;
	const struct latch_params *params;
	struct latch_sa sa;
	int err = sa_get(b->view.maps, in, &sa);

	if (err)
		return err == -ENOENT ? 0 : err;
	params = identities_get_params(b->identities, sa.word.params);
	peer = params ? identities_get(b->identities, params->peer_id) : NULL;
	if (!peer || !is_pinned_as(peer, feed, reported))
		return 0;
	reported->peer_auth = (enum feed_auth)peer->auth;
	reported->peer_key = key_of(peer);
	return 1;
}

int child_params_find_auth_class(const struct binding *b, const struct feed *feed,
				 const struct latch_sa_key *in, struct feed_child *reported)
{
	const struct child_sa_end *end = child_sas_find(b->child_sas, in);
	const struct feed_child *known =
		end && end == &end->child->in ? &end->child->reported : NULL;

	if (!known || end->child->feed != feed ||
	    strcmp(known->config_name, reported->config_name) ||
	    strcmp(known->peer_id, reported->peer_id))
		return find_pinned_class(b, feed, in, reported);
	reported->peer_auth = known->peer_auth;
	reported->peer_key = known->peer_key;
	return 1;
}

static int intern_params(const struct binding *b, const struct child_sa *child,
			 const struct latch_sa *inbound, uint16_t *ret_params)
{
	struct latch_params params = {
		.qop = inbound->qop,
		.mode = inbound->mode,
		.protocol = child->reported.ipsec_protocol,
	};
	int err;

	err = intern_identities(b, child, &params);
	return err ? err : identities_intern_params(b->identities, &params, ret_params);
}

static const uint8_t *reported_own_key(const struct child_sa *child)
{
	return child->reported.local_key.known ? child->reported.local_key.sha256 : NULL;
}

/*
 * A later SA under the same key is another SA. Its peer may have chosen the SPI
 * so that latchd takes the new SA for this one.
 */
int child_params_get_sa(const struct binding *b, const struct child_sa_end *end,
			struct latch_sa *ret)
{
	int err = sa_get(b->view.maps, &end->key, ret);

	return !err && end->serial && end->serial != ret->word.serial ? -ENOENT : err;
}

/*
 * The inbound SA is gone. An earlier latchd has bound the outbound SA, which still
 * conflicts. -ENOENT: the kernel has no outbound SA, or one that does not
 * match the report.
 */
static int take_outbound_params(const struct binding *b, struct child_sa *child)
{
	const struct latch_params *params;
	struct latch_params reported;
	struct latch_sa sa;
	int err;

	err = child_params_get_sa(b, &child->out, &sa);
	if (err)
		return err;
	err = intern_identities(b, child, &reported);
	if (err)
		return err;
	params = identities_get_params(b->identities, sa.word.params);
	if (!params || params->local_id != reported.local_id ||
	    params->peer_id != reported.peer_id ||
	    !child_params_match_report(child, &sa, child->reported.local_host))
		return -ENOENT;
	child->params = sa.word.params;
	return 0;
}

/* Both SAs get the inbound SA's params: only the inbound SA has the whole quality of protection. */
int child_params_find(const struct binding *b, struct child_sa *child)
{
	struct latch_sa sa;
	uint16_t params;
	int err;

	err = child_params_get_sa(b, &child->in, &sa);
	if (err == -ENOENT)
		return child->params ? 0 : take_outbound_params(b, child);
	if (err)
		return err;
	if (!child_params_match_report(child, &sa, child->reported.remote_host))
		return -EBADMSG;
	err = intern_params(b, child, &sa, &params);
	if (err)
		return err;
	child->params = params;
	child->in.serial = sa.word.serial;
	return 0;
}

/* A list is in no order, and a deleted CHILD_SA may be of a charon that has ended. */
static bool is_older_than(const struct child_sa *child, const struct child_sa *newest)
{
	return newest && !newest->deleted && !newest->orphan && newest->feed == child->feed &&
	       newest->params == child->params &&
	       child->reported.child_unique_id < newest->reported.child_unique_id;
}

int child_params_set_own_key(const struct binding *b, struct child_sa *child)
{
	int err;

	if (is_older_than(child, b->child_sas->newest[child->params]))
		return 0;
	err = own_key_set(b->view.maps, child->params, reported_own_key(child));
	if (!err)
		child_sas_note_newest(b->child_sas, child, child->params);
	return err;
}
