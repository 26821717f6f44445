/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/sa/binding.h"

#include <errno.h>
#include <linux/xfrm.h>
#include <string.h>
#include <utlist.h>

#include "common/log.h"
#include "common/text.h"
#include "latchd/maps/latch_control.h"
#include "latchd/maps/tables.h"

static bool modes_agree(enum feed_mode said, uint8_t mode)
{
	switch (said) {
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

/* Is what the kernel has the SA that the key manager speaks of, and not another of the same SPI? */
static bool is_said(const struct child *child, const struct latch_sa *sa, const uint8_t source[16])
{
	return modes_agree(child->said.mode, sa->mode) &&
	       !memcmp(sa->saddr, source, sizeof(sa->saddr));
}

static bool same_algorithms(const struct latch_params *params, const struct latch_sa *sa)
{
	struct latch_qop qop = sa->qop;

	/* The kernel keeps no replay window for the outbound SA. */
	qop.replay_protection = params->qop.replay_protection;
	return params->mode == sa->mode && !memcmp(&params->qop, &qop, sizeof(qop));
}

/* ---- params */

static int intern_identity(const struct binding *b, const struct child *child, const char *config,
			   const char *id, enum feed_auth auth, uint32_t *ret_index)
{
	struct latch_identity identity = {.auth = auth};

	if (text_copy(identity.authority, sizeof(identity.authority), child->feed->name) < 0 ||
	    text_copy(identity.config, sizeof(identity.config), config) < 0 ||
	    text_copy(identity.id, sizeof(identity.id), id) < 0)
		return -ENAMETOOLONG;
	return identities_intern(b->identities, &identity, ret_index);
}

static int intern_identities(const struct binding *b, const struct child *child,
			     struct latch_params *params)
{
	const struct feed_child *said = &child->said;
	int err;

	/* What we call ourselves does not depend on the configuration that the peer came by. */
	err = intern_identity(b, child, "", said->local_id, FEED_AUTH_UNKNOWN, &params->local_id);
	if (err)
		return err;
	return intern_identity(b, child, said->config_name, said->peer_id, said->peer_auth,
			       &params->peer_id);
}

static bool is_pinned_as(const struct latch_identity *identity, const struct feed *feed,
			 const struct feed_child *said)
{
	return !strcmp(identity->authority, feed->name) &&
	       !strcmp(identity->config, said->config_name) && !strcmp(identity->id, said->peer_id);
}

/* The class that an SA is bound with, or was by a latchd before. */
static bool find_pinned_class(const struct binding *b, const struct feed *feed,
			      const struct latch_sa_key *in, struct feed_child *said)
{
	const struct latch_identity *peer;
	const struct latch_params *params;
	struct latch_sa sa;

	if (sa_get(b->view.maps, in, &sa))
		return false;
	params = identities_get_params(b->identities, sa.word.params);
	peer = params ? identities_get(b->identities, params->peer_id) : NULL;
	if (!peer || !is_pinned_as(peer, feed, said))
		return false;
	said->peer_auth = (enum feed_auth)peer->auth;
	return true;
}

bool binding_find_class(const struct binding *b, const struct feed *feed,
			const struct latch_sa_key *in, struct feed_child *said)
{
	const struct child_end *end = child_sas_find(b->children, in);
	const struct feed_child *known = end && end == &end->child->in ? &end->child->said : NULL;

	if (!known || end->child->feed != feed || strcmp(known->config_name, said->config_name) ||
	    strcmp(known->peer_id, said->peer_id))
		return find_pinned_class(b, feed, in, said);
	said->peer_auth = known->peer_auth;
	return true;
}

static int intern_params(const struct binding *b, const struct child *child,
			 const struct latch_sa *inbound, uint16_t *ret_params)
{
	struct latch_params params = {
		.qop = inbound->qop,
		.mode = inbound->mode,
		.protocol = child->said.ipsec_protocol,
	};
	int err;

	err = intern_identities(b, child, &params);
	return err ? err : identities_intern_params(b->identities, &params, ret_params);
}

/*
 * What came to live under its key since then is another SA, and its peer may
 * have chosen the SPI to be taken for this one.
 */
static int get_end(const struct binding *b, const struct child_end *end, struct latch_sa *ret)
{
	int err = sa_get(b->view.maps, &end->key, ret);

	return !err && end->serial && end->serial != ret->word.serial ? -ENOENT : err;
}

/*
 * Its inbound SA is gone, and an earlier latchd has bound the other: that one still
 * conflicts. -ENOENT when it is not there, or not what its key manager speaks of.
 */
static int inherit_params(const struct binding *b, struct child *child)
{
	const struct latch_params *params;
	struct latch_params said;
	struct latch_sa sa;
	int err;

	err = get_end(b, &child->out, &sa);
	if (err)
		return err;
	err = intern_identities(b, child, &said);
	if (err)
		return err;
	params = identities_get_params(b->identities, sa.word.params);
	if (!params || params->local_id != said.local_id || params->peer_id != said.peer_id ||
	    !is_said(child, &sa, child->said.local_host))
		return -ENOENT;
	child->params = sa.word.params;
	return 0;
}

/* The inbound SA's, for both: only it has the whole quality of protection. */
static int find_params(const struct binding *b, struct child *child)
{
	struct latch_sa sa;
	uint16_t params;
	int err;

	err = get_end(b, &child->in, &sa);
	if (err == -ENOENT)
		return child->params ? 0 : inherit_params(b, child);
	if (err)
		return err;
	if (!is_said(child, &sa, child->said.remote_host))
		return -EBADMSG;
	err = intern_params(b, child, &sa, &params);
	if (err)
		return err;
	child->params = params;
	child->in.serial = sa.word.serial;
	return 0;
}

/* ---- states */

static enum latch_sa_state wanted_state(const struct child *child)
{
	if (child->orphan)
		return LATCH_SA_ORPHAN;
	return child->given_up ? LATCH_SA_DYING : LATCH_SA_BOUND;
}

static bool end_fits(const struct binding *b, const struct child_end *end,
		     const struct latch_sa *sa)
{
	const struct child *child = end->child;
	const struct latch_params *params;

	if (end == &child->in)
		return is_said(child, sa, child->said.remote_host);
	params = identities_get_params(b->identities, child->params);
	return is_said(child, sa, child->said.local_host) && params && same_algorithms(params, sa);
}

static void warn_of_misfit(struct child_end *end, uint32_t serial)
{
	if (end->misfit == serial)
		return;
	end->misfit = serial;
	log_warn("sa", "feed %s: SA 0x%08x is not as its key manager says; it stays unattributed",
		 end->child->feed->name, end->key.spi);
}

static int set_end(const struct binding *b, struct child_end *end)
{
	const struct child *child = end->child;
	struct latch_sa sa;
	int result;

	result = get_end(b, end, &sa);
	end->in_kernel = !result;
	if (result)
		return result == -ENOENT ? 0 : result;
	if (!end_fits(b, end, &sa)) {
		warn_of_misfit(end, sa.word.serial);
		return 0;
	}
	end->serial = sa.word.serial;
	result = sa_set(b->view.maps, &end->key, sa.word.serial, wanted_state(child), child->params,
			child->contested);
	if (result == LATCH_CONTROL_DONE && wanted_state(child) == LATCH_SA_BOUND &&
	    (sa.word.state != LATCH_SA_BOUND || sa.word.params != child->params))
		news_publish(b->view.news, &(struct news){
						   .kind = NEWS_SA_BOUND,
						   .sa = {&end->key, &sa, child->params,
							  child->feed->name, child->evidence},
					   });
	return result < 0 ? result : 0;
}

int binding_set_state(const struct binding *b, struct child *child)
{
	int err;

	if (!child->params)
		return 0;
	err = set_end(b, &child->in);
	return err ? err : set_end(b, &child->out);
}

static bool look_at(const struct binding *b, struct child_end *end)
{
	struct latch_sa sa;

	end->in_kernel = !get_end(b, end, &sa);
	if (end->in_kernel && end->child->params && end_fits(b, end, &sa))
		end->serial = sa.word.serial;
	return end->in_kernel;
}

bool binding_look(const struct binding *b, struct child *child)
{
	bool in = look_at(b, &child->in), out = look_at(b, &child->out);

	return in || out;
}

bool binding_owns(const struct binding *b, const struct child_end *end)
{
	struct latch_sa sa;

	return sa_get(b->view.maps, &end->key, &sa) || end->serial == sa.word.serial;
}

bool binding_is_replaced(const struct binding *b, const struct child_end *end)
{
	return end->serial && !binding_owns(b, end);
}

/* Serials are drawn from a counter that may wrap. */
static bool came_later(uint32_t serial, uint32_t than)
{
	return (int32_t)(serial - than) > 0;
}

bool binding_yields(const struct binding *b, const struct child_end *owner,
		    const struct latch_sa_key *in)
{
	struct latch_sa sa, claimant_in, owner_in;

	if (sa_get(b->view.maps, &owner->key, &sa))
		return true;
	if (sa_get(b->view.maps, in, &claimant_in))
		return false;
	/* Serials of a dump tell no order. */
	if ((sa.instance || claimant_in.instance) &&
	    came_later(claimant_in.word.serial, sa.word.serial))
		return false;
	return get_end(b, &owner->child->in, &owner_in) ||
	       !came_later(owner_in.word.serial, claimant_in.word.serial);
}

static void renew_contested(const struct binding *b, struct child *child)
{
	bool contested = child_is_contested(b->children, child);
	int err;

	if (contested == child->contested)
		return;
	child->contested = contested;
	/* What is about to be bound is not, before what it conflicts with is broken. */
	err = child->binding ? 0 : binding_set_state(b, child);
	if (err)
		log_warn("sa", "feed %s: SA 0x%08x: cannot mark it as contested: %s",
			 child->feed->name, child->in.key.spi, strerror(-err));
}

struct contest_search {
	const struct binding *binding;
	const struct child *changed;
};

static bool renew_if_overlapping(void *context, struct child *child)
{
	const struct contest_search *search = context;

	if (child != search->changed && child_counts(child) &&
	    child_sas_overlap(child, search->changed))
		renew_contested(search->binding, child);
	return false;
}

void binding_renew_contested(const struct binding *b, const struct child *changed)
{
	struct contest_search search = {b, changed};

	child_sas_search_overlap(b->children, changed, renew_if_overlapping, &search);
}

/* ---- the order that R-2.3-11 asks for */

static bool is_settled(const struct binding *b, const struct child *child, uint16_t params_before)
{
	struct latch_sa in, out;
	bool has_in, has_out;

	if (child->params != params_before || wanted_state(child) != LATCH_SA_BOUND)
		return false;
	has_in = !get_end(b, &child->in, &in);
	has_out = !get_end(b, &child->out, &out);
	return has_in == child->in.in_kernel && has_out == child->out.in_kernel &&
	       (!has_in || (in.word.state == LATCH_SA_BOUND && in.word.params == child->params)) &&
	       (!has_out || (out.word.state == LATCH_SA_BOUND && out.word.params == child->params));
}

/* Its params, and that it counts from now on: no latch is born any more under those that overlap.
 */
static int count_in(const struct binding *b, struct child *child, bool *ret_settled)
{
	uint16_t before = child->params;
	int err = find_params(b, child);

	*ret_settled = err || is_settled(b, child, before);
	if (*ret_settled)
		return err;
	binding_look(b, child);
	binding_renew_contested(b, child);
	child->contested = child_is_contested(b->children, child);
	return 0;
}

int binding_bind(const struct binding *b, struct child *child)
{
	bool settled;
	int err = count_in(b, child, &settled);

	if (settled)
		return err;
	err = conflict_break_latches(&b->view, child);
	if (err) {
		log_error("sa",
			  "feed %s: SA 0x%08x: cannot break the latches in conflict: %s; it stays "
			  "unattributed",
			  child->feed->name, child->in.key.spi, strerror(-err));
		return err;
	}
	return binding_set_state(b, child);
}

/* Marks those that are to be bound. The first error, if any. */
static int count_in_all(const struct binding *b, const struct feed *feed, bool *ret_any)
{
	struct child *child;
	int err, first = 0;
	bool settled;

	DL_FOREACH2(b->children->first, child, next)
	{
		if (child->feed != feed || !child->seen)
			continue;
		err = count_in(b, child, &settled);
		child->binding = !settled;
		*ret_any = *ret_any || !settled;
		first = first ? first : err;
	}
	return first;
}

int binding_bind_seen(const struct binding *b, const struct feed *feed)
{
	bool any = false;
	int err, broken, first = count_in_all(b, feed, &any);
	struct child *child;

	if (!any)
		return first;
	broken = conflict_check_all(&b->view);
	if (broken)
		log_error("sa",
			  "feed %s: cannot break the latches in conflict: %s; its SAs stay "
			  "unattributed",
			  feed->name, strerror(-broken));
	DL_FOREACH2(b->children->first, child, next)
	{
		err = child->binding && !broken ? binding_set_state(b, child) : 0;
		child->binding = false;
		first = first ? first : err;
	}
	return broken ? broken : first;
}
