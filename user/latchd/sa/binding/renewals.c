/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/sa/binding/renewals.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "latchd/maps/tables.h"
#include "latchd/sa/binding/child_params.h"
#include "latchd/sa/binding/sa_ends.h"

void renewals_note(const struct binding *b, struct child_sa_end *end)
{
	struct latch_sa sa;

	if (end == &end->child->out && end->serial && !sa_get(b->view.maps, &end->key, &sa))
		end->found_serial = sa.word.serial;
}

void renewals_list_begin(struct child_sas *child_sas, const struct feed *feed)
{
	struct child_sa *child;

	DL_FOREACH2(child_sas->first, child, next)
	{
		if (child->feed == feed)
			child->out.renewed_serial = child->out.found_serial;
	}
}

void renewals_reported(const struct child_sas *child_sas, const struct latch_sa_key *in,
		       const struct latch_sa_key *out)
{
	struct child_sa_end *end = child_sas_find(child_sas, out);

	if (end && memcmp(&end->child->in.key, in, sizeof(*in)))
		end->renewed_serial = 0;
}

/* ---- unattributed SAs, by source host and the properties that both SAs of a pair share */

struct host_key {
	uint64_t netns;
	uint8_t address[16];
	struct latch_qop qop;
	uint8_t family, protocol, mode, encap;
};

struct host {
	struct host_key key;
	uint32_t oldest; /* serial of the host's oldest SA */
	bool unordered;	 /* a dump has found one of the SAs */
	UT_hash_handle hh;
};

static void host_key(struct host_key *ret, const struct latch_sa_key *key,
		     const struct latch_sa *sa, const uint8_t address[16])
{
	memset(ret, 0, sizeof(*ret));
	memcpy(ret->address, address, sizeof(ret->address));
	ret->netns = key->netns;
	ret->family = key->family;
	ret->protocol = key->protocol;
	ret->mode = sa->mode;
	ret->encap = sa->encap;
	ret->qop = sa->qop;
	/* The kernel keeps no replay window for the outbound SA. */
	ret->qop.replay_protection = 0;
}

static struct host *find_host(struct host *hosts, const struct host_key *key)
{
	struct host *host;

	HASH_FIND(hh, hosts, key, sizeof(*key), host);
	return host;
}

static struct host *add_host(struct host **hosts, const struct host_key *key, uint32_t serial)
{
	struct host *host = calloc(1, sizeof(*host));

	if (!host)
		return NULL;
	host->key = *key;
	host->oldest = serial;
	HASH_ADD(hh, *hosts, key, sizeof(host->key), host);
	return host;
}

struct host_walk {
	const struct binding *binding;
	const struct renewals_refused *refused;
	struct host *hosts;
};

/*
 * True: the list has named an outbound SA for this inbound SA. renewals_reported() compares that
 * one with the noted SAs.
 */
static bool has_pair(const struct host_walk *walk, const struct latch_sa_key *key,
		     const struct latch_sa *sa)
{
	const struct child_sa_end *end = child_sas_find(walk->binding->child_sas, key);

	return (end && end == &end->child->in && end->child->in_snapshot) ||
	       walk->refused->is_reported(walk->refused->context, key, sa->word.serial);
}

static int visit_unattributed(void *context, const struct latch_sa_key *key,
			      const struct latch_sa *sa)
{
	struct host_walk *walk = context;
	struct host_key from;
	struct host *host;

	if (sa->word.state != LATCH_SA_PENDING || sa->word.flags & LATCH_SA_GONE ||
	    has_pair(walk, key, sa))
		return 0;
	host_key(&from, key, sa, sa->saddr);
	host = find_host(walk->hosts, &from);
	if (!host)
		host = add_host(&walk->hosts, &from, sa->word.serial);
	if (!host)
		return -ENOMEM;
	if (sa_ends_is_later(host->oldest, sa->word.serial))
		host->oldest = sa->word.serial;
	host->unordered = host->unordered || !sa->instance;
	return 0;
}

static void free_hosts(struct host *hosts)
{
	struct host *host, *next;

	HASH_ITER(hh, hosts, host, next)
	{
		HASH_DELETE(hh, hosts, host);
		free(host);
	}
}

/* ---- the end of a list */

static bool is_candidate(const struct child_sa *child, const struct feed *feed)
{
	return child->feed == feed && child->in_snapshot && !child->deleted && !child->orphan &&
	       !child->reported.outbound_gone && child->out.renewed_serial;
}

static bool any_candidate(const struct binding *b, const struct feed *feed)
{
	struct child_sa *child = b->child_sas->first;

	while (child && !is_candidate(child, feed))
		child = child->next;
	return child;
}

static void renew(const struct binding *b, struct child_sa *child, struct host *hosts)
{
	const struct host *host;
	struct latch_sa in, out;
	struct host_key from;

	if (child_params_get_sa(b, &child->in, &in) ||
	    sa_get(b->view.maps, &child->out.key, &out) ||
	    out.word.serial != child->out.renewed_serial)
		return;
	/* An SA that a dump has found may be older than any SA of the table. */
	if (!out.instance)
		return;
	host_key(&from, &child->out.key, &out, child->out.key.daddr);
	host = find_host(hosts, &from);
	if (host && (host->unordered || sa_ends_is_later(out.word.serial, host->oldest)))
		return;
	child->out.serial = out.word.serial;
	child->out.found_serial = child->out.renewed_serial = 0;
}

void renewals_list_end(const struct binding *b, const struct feed *feed,
		       const struct renewals_refused *refused)
{
	struct host_walk walk = {b, refused, NULL};
	struct child_sa *child;

	if (!any_candidate(b, feed))
		return;
	if (!sas_walk(b->view.maps, visit_unattributed, &walk))
		DL_FOREACH2(b->child_sas->first, child, next)
		{
			if (is_candidate(child, feed))
				renew(b, child, walk.hosts);
		}
	free_hosts(walk.hosts);
}
