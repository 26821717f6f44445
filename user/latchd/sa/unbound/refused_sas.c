/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/sa/unbound/refused_sas.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/hash.h"
#include "common/log.h"
#include "latchd/maps/latch_control.h"
#include "latchd/maps/tables.h"

struct refused_sa {
	struct latch_sa_key key;
	const char *reason;
	uint32_t reported_serial; /* 0: no key manager has reported the SA */
	struct latch_sa_key out;  /* outbound SA of a pair with a decided peer; spi 0: none */
	UT_hash_handle hh, hh_serial;
};

static struct refused_sa *find(const struct refused_sas *refused, const struct latch_sa_key *key)
{
	struct refused_sa *sa;

	HASH_FIND(hh, refused->by_key, key, sizeof(*key), sa);
	return sa;
}

static struct refused_sa *find_serial(const struct refused_sas *refused, uint32_t serial)
{
	struct refused_sa *sa;

	HASH_FIND(hh_serial, refused->by_serial, &serial, sizeof(serial), sa);
	return sa;
}

static void set_serial(struct refused_sas *refused, struct refused_sa *sa, uint32_t serial)
{
	struct refused_sa *other = serial ? find_serial(refused, serial) : NULL;

	if (sa->reported_serial == serial)
		return;
	if (sa->reported_serial)
		HASH_DELETE(hh_serial, refused->by_serial, sa);
	sa->reported_serial = serial;
	sa->out = (struct latch_sa_key){0};
	/* The counter of serials has wrapped, and latchd missed the end of the other SA. */
	if (other)
		set_serial(refused, other, 0);
	if (serial)
		HASH_ADD(hh_serial, refused->by_serial, reported_serial, sizeof(serial), sa);
}

static void drop(struct refused_sas *refused, struct refused_sa *sa)
{
	set_serial(refused, sa, 0);
	HASH_DELETE(hh, refused->by_key, sa);
	free(sa);
}

size_t refused_sas_room(const struct refused_sas *refused)
{
	return REFUSED_SAS_MAX - HASH_COUNT(refused->by_key);
}

static bool add(struct refused_sas *refused, const struct latch_sa_key *key, const char *reason)
{
	struct refused_sa *sa = refused_sas_room(refused) ? calloc(1, sizeof(*sa)) : NULL;

	if (!sa)
		return false;
	sa->key = *key;
	sa->reason = reason;
	HASH_ADD(hh, refused->by_key, key, sizeof(sa->key), sa);
	return true;
}

bool refused_sas_note(struct refused_sas *refused, const struct latch_sa_key *key,
		      const char *reason, bool replace)
{
	struct refused_sa *sa = find(refused, key);

	if (!sa)
		return add(refused, key, reason);
	if (replace)
		sa->reason = reason;
	return true;
}

void refused_sas_note_report(struct refused_sas *refused, const struct latch_sa_key *key,
			     uint32_t serial)
{
	struct refused_sa *sa = find(refused, key);

	if (sa)
		set_serial(refused, sa, serial);
}

bool refused_sas_any_reported(const struct refused_sas *refused)
{
	return refused->by_serial;
}

void refused_sas_note_pair(struct refused_sas *refused, const struct latch_sa_key *in,
			   const struct latch_sa_key *out)
{
	struct refused_sa *sa = find(refused, in);

	if (sa)
		sa->out = out ? *out : (struct latch_sa_key){0};
}

const struct latch_sa_key *refused_sas_inbound_of(const struct refused_sas *refused,
						  uint32_t in_serial,
						  const struct latch_sa_key *out)
{
	const struct refused_sa *sa = find_serial(refused, in_serial);

	return sa && !memcmp(&sa->out, out, sizeof(*out)) ? &sa->key : NULL;
}

bool refused_sas_is_reported(const struct refused_sas *refused, const struct latch_sa_key *key,
			     uint32_t serial)
{
	const struct refused_sa *sa = find(refused, key);

	return sa && sa->reported_serial && sa->reported_serial == serial;
}

int refused_sas_evict(struct refused_sas *refused, const struct kernel_maps *maps,
		      const struct latch_sa_key *key, uint32_t serial)
{
	int result = sa_refuse(maps, key, serial);
	unsigned int left_out;

	if (result == LATCH_CONTROL_DONE && log_limit_admits(&refused->log, &left_out))
		log_warn(NULL,
			 "sa 0x%08x unattributed (share): SAs without a proven peer have their "
			 "share of the table; %u more since the last line; see: latchd(8)",
			 key->spi, left_out);
	return result < 0 ? result : 0;
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
	struct refused_sa *sa, *next;

	HASH_ITER(hh, refused->by_key, sa, next)
	{
		drop(refused, sa);
	}
}

void refused_sas_forget_gone(struct refused_sas *refused, const struct kernel_maps *maps)
{
	struct refused_sa *sa, *next;
	struct latch_sa is;

	HASH_ITER(hh, refused->by_key, sa, next)
	{
		if (sa_get(maps, &sa->key, &is) == -ENOENT)
			drop(refused, sa);
	}
}

/* May the report of this feed end a binding of this authority? The feed may have been renamed since
 * the SA was bound. */
static bool may_speak_for(const struct orphans *orphans, const struct refused_child *child,
			  const char *authority)
{
	return !strcmp(authority, child->feed->name) ||
	       (child->former && !strcmp(authority, child->former->name)) ||
	       orphans_is_unconfigured(orphans, authority);
}

/* The peer chooses the outbound SPI, so the SA may belong to another peer by now. */
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

/* 1: the SA was bound; 0; or a negative errno. */
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
	return result < 0 ? result : result == LATCH_CONTROL_DONE;
}

int refused_sas_unbind(const struct binding *b, const struct orphans *orphans,
		       const struct refused_child *child)
{
	int in = unbind(b, orphans, child, child->in);
	int out = in < 0 ? in : unbind(b, orphans, child, child->out);

	if (out < 0)
		log_warn(NULL,
			 "child_sa %u refused, but its SAs keep their peer (%s): feed %s; retrying "
			 "in 1 s",
			 child->reported->child_unique_id, strerror(-out), child->feed->name);
	return out < 0 ? out : in || out;
}
