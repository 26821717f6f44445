/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/sa/refused_sas.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "common/hash.h"
#include "common/log.h"
#include "latchd/maps/latch_control.h"
#include "latchd/maps/tables.h"

struct refused_sa {
	struct latch_sa_key key;
	const char *reason;
	struct refused_sa *prev, *next;
	UT_hash_handle hh;
};

static struct refused_sa *find(const struct refused_sas *refused, const struct latch_sa_key *key)
{
	struct refused_sa *sa;

	HASH_FIND(hh, refused->by_key, key, sizeof(*key), sa);
	return sa;
}

static void drop(struct refused_sas *refused, struct refused_sa *sa)
{
	HASH_DELETE(hh, refused->by_key, sa);
	DL_DELETE(refused->oldest, sa);
	free(sa);
}

static struct refused_sa *add(struct refused_sas *refused, const struct latch_sa_key *key)
{
	struct refused_sa *sa = calloc(1, sizeof(*sa));

	if (!sa)
		return NULL;
	if (HASH_COUNT(refused->by_key) >= REFUSED_SAS_MAX)
		drop(refused, refused->oldest);
	sa->key = *key;
	HASH_ADD(hh, refused->by_key, key, sizeof(sa->key), sa);
	DL_APPEND(refused->oldest, sa);
	return sa;
}

void refused_sas_note(struct refused_sas *refused, const struct latch_sa_key *key,
		      const char *reason)
{
	struct refused_sa *sa = find(refused, key);

	if (!sa)
		sa = add(refused, key);
	if (sa)
		sa->reason = reason;
}

void refused_sas_forget(struct refused_sas *refused, const struct latch_sa_key *key)
{
	struct refused_sa *sa = find(refused, key);

	if (sa)
		drop(refused, sa);
}

const char *refused_sas_reason(const struct refused_sas *refused, const struct latch_sa_key *key)
{
	const struct refused_sa *sa = find(refused, key);

	return sa ? sa->reason : NULL;
}

void refused_sas_clear(struct refused_sas *refused)
{
	while (refused->oldest)
		drop(refused, refused->oldest);
}

/* A feed may have another name since the SA was bound. */
static bool may_speak_for(const struct orphans *orphans, const struct refused_child *child,
			  const char *authority)
{
	return !strcmp(authority, child->feed->name) ||
	       (child->former && !strcmp(authority, child->former->name)) ||
	       orphans_is_unconfigured(orphans, authority);
}

/* The outbound SPI is the peer's choice: the SA may be another peer's by now. */
static bool is_bound_to_report(const struct binding *b, const struct orphans *orphans,
			       const struct refused_child *child, const struct latch_sa *sa)
{
	const struct latch_params *params = identities_get_params(b->identities, sa->word.params);
	const struct latch_identity *peer =
		params ? identities_get(b->identities, params->peer_id) : NULL;

	return peer && may_speak_for(orphans, child, peer->authority) &&
	       !strcmp(peer->config, child->reported->config_name) &&
	       !strcmp(peer->id, child->reported->peer_id);
}

static int unbind(const struct binding *b, const struct orphans *orphans,
		  const struct refused_child *child, const struct latch_sa_key *key)
{
	struct latch_sa sa;
	int result = sa_get(b->view.maps, key, &sa);

	if (result)
		return result == -ENOENT ? 0 : result;
	if (sa.word.state == LATCH_SA_PENDING || !is_bound_to_report(b, orphans, child, &sa))
		return 0;
	result = sa_set(b->view.maps, key, sa.word.serial, LATCH_SA_PENDING, 0, false);
	if (result == LATCH_CONTROL_DONE)
		log_warn(NULL,
			 "sa 0x%08x unattributed (its peer is no longer proven): feed %s; latched "
			 "flows stop; see: latchctl sa",
			 key->spi, child->feed->name);
	return result < 0 ? result : 0;
}

int refused_sas_unbind(const struct binding *b, const struct orphans *orphans,
		       const struct refused_child *child)
{
	int err = unbind(b, orphans, child, child->in);

	if (!err)
		err = unbind(b, orphans, child, child->out);
	if (err)
		log_warn(NULL,
			 "child_sa %u refused, but its SAs keep their peer (%s): feed %s; retrying "
			 "in 1 s",
			 child->reported->child_unique_id, strerror(-err), child->feed->name);
	return err;
}
