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

/* Is the kernel's SA the reported one, and not another SA of the same SPI? */
static bool matches_report(const struct child_sa *child, const struct latch_sa *sa,
			   const uint8_t source[16])
{
	return modes_match(child->reported.mode, sa->mode) &&
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

static int intern_identity(const struct binding *b, const struct child_sa *child,
			   const char *config, const char *id, enum feed_auth auth,
			   uint32_t *ret_index)
{
	struct latch_identity identity = {.auth = auth};

	if (text_copy(identity.authority, sizeof(identity.authority), child->feed->name) < 0 ||
	    text_copy(identity.config, sizeof(identity.config), config) < 0 ||
	    text_copy(identity.id, sizeof(identity.id), id) < 0)
		return -ENAMETOOLONG;
	return identities_intern(b->identities, &identity, ret_index);
}

static int intern_identities(const struct binding *b, const struct child_sa *child,
			     struct latch_params *params)
{
	const struct feed_child *reported = &child->reported;
	int err;

	/* The local identity does not depend on the peer's configuration. */
	err = intern_identity(b, child, "", reported->local_id, FEED_AUTH_UNKNOWN,
			      &params->local_id);
	if (err)
		return err;
	return intern_identity(b, child, reported->config_name, reported->peer_id,
			       reported->peer_auth, &params->peer_id);
}

static bool is_pinned_as(const struct latch_identity *identity, const struct feed *feed,
			 const struct feed_child *reported)
{
	return !strcmp(identity->authority, feed->name) &&
	       !strcmp(identity->config, reported->config_name) &&
	       !strcmp(identity->id, reported->peer_id);
}

/* The class that this latchd or an earlier one has bound the SA with. */
static bool find_pinned_class(const struct binding *b, const struct feed *feed,
			      const struct latch_sa_key *in, struct feed_child *reported)
{
	const struct latch_identity *peer;
	const struct latch_params *params;
	struct latch_sa sa;

	if (sa_get(b->view.maps, in, &sa))
		return false;
	params = identities_get_params(b->identities, sa.word.params);
	peer = params ? identities_get(b->identities, params->peer_id) : NULL;
	if (!peer || !is_pinned_as(peer, feed, reported))
		return false;
	reported->peer_auth = (enum feed_auth)peer->auth;
	return true;
}

bool binding_find_auth_class(const struct binding *b, const struct feed *feed,
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
	return true;
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

/*
 * A later SA under the same key is another SA. Its peer may have chosen the SPI
 * so that latchd takes the new SA for this one.
 */
static int get_sa(const struct binding *b, const struct child_sa_end *end, struct latch_sa *ret)
{
	int err = sa_get(b->view.maps, &end->key, ret);

	return !err && end->serial && end->serial != ret->word.serial ? -ENOENT : err;
}

/*
 * The inbound SA is gone, and an earlier latchd has bound the outbound SA, which
 * still conflicts. -ENOENT when the kernel has no outbound SA, or one that does
 * not match the report.
 */
static int take_outbound_params(const struct binding *b, struct child_sa *child)
{
	const struct latch_params *params;
	struct latch_params reported;
	struct latch_sa sa;
	int err;

	err = get_sa(b, &child->out, &sa);
	if (err)
		return err;
	err = intern_identities(b, child, &reported);
	if (err)
		return err;
	params = identities_get_params(b->identities, sa.word.params);
	if (!params || params->local_id != reported.local_id ||
	    params->peer_id != reported.peer_id ||
	    !matches_report(child, &sa, child->reported.local_host))
		return -ENOENT;
	child->params = sa.word.params;
	return 0;
}

/* Both SAs get the inbound SA's params: only the inbound SA has the whole quality of protection. */
static int find_params(const struct binding *b, struct child_sa *child)
{
	struct latch_sa sa;
	uint16_t params;
	int err;

	err = get_sa(b, &child->in, &sa);
	if (err == -ENOENT)
		return child->params ? 0 : take_outbound_params(b, child);
	if (err)
		return err;
	if (!matches_report(child, &sa, child->reported.remote_host))
		return -EBADMSG;
	err = intern_params(b, child, &sa, &params);
	if (err)
		return err;
	child->params = params;
	child->in.serial = sa.word.serial;
	return 0;
}

/* ---- states */

static enum latch_sa_state wanted_state(const struct child_sa *child)
{
	if (child->orphan)
		return LATCH_SA_ORPHAN;
	return child->deleted ? LATCH_SA_DYING : LATCH_SA_BOUND;
}

static bool end_matches(const struct binding *b, const struct child_sa_end *end,
			const struct latch_sa *sa)
{
	const struct child_sa *child = end->child;
	const struct latch_params *params;

	if (end == &child->in)
		return matches_report(child, sa, child->reported.remote_host);
	params = identities_get_params(b->identities, child->params);
	return matches_report(child, sa, child->reported.local_host) && params &&
	       same_algorithms(params, sa);
}

/*
 * The peer chooses the outbound SPI. The SA that has it now may be of a later pair of another peer,
 * if the reported pair is gone. The key manager deletes the inbound SA of a pair first.
 */
static bool may_be_of_another(const struct binding *b, const struct child_sa_end *end,
			      const struct latch_sa *sa)
{
	const struct child_sa *child = end->child;
	struct latch_sa in;

	return end == &child->out && !end->serial && sa->word.params != child->params &&
	       get_sa(b, &child->in, &in);
}

/* R-2.3-11: an SA is bound only after the latches in conflict with it are broken. */
static bool must_wait(const struct child_sa *child, const struct latch_sa *sa)
{
	return child->unsettled && wanted_state(child) == LATCH_SA_BOUND &&
	       (sa->word.state != LATCH_SA_BOUND || sa->word.params != child->params);
}

static void warn_of_mismatch(struct child_sa_end *end, uint32_t serial)
{
	if (end->mismatched_serial == serial)
		return;
	end->mismatched_serial = serial;
	log_warn(NULL,
		 "sa 0x%08x unattributed (report-mismatch): mode, source address or algorithms "
		 "differ from the report of feed %s; see: ip xfrm state",
		 end->key.spi, end->child->feed->name);
}

/*
 * The SA is bound, by an earlier report or an earlier latchd. It keeps its params, but no new latch
 * is created under an SA that its key manager has deleted.
 */
static int unbind_end(const struct binding *b, const struct child_sa_end *end,
		      const struct latch_sa *sa)
{
	enum latch_sa_state wanted = wanted_state(end->child);
	int result = 0;

	if (wanted != LATCH_SA_BOUND && sa->word.state == LATCH_SA_BOUND)
		result = sa_set(b->view.maps, &end->key, sa->word.serial, wanted, sa->word.params,
				sa->word.flags & LATCH_SA_CONTESTED);
	return result < 0 ? result : 0;
}

static int set_end(const struct binding *b, struct child_sa_end *end)
{
	const struct child_sa *child = end->child;
	struct latch_sa sa;
	int result;

	result = get_sa(b, end, &sa);
	end->in_kernel = !result;
	if (result)
		return result == -ENOENT ? 0 : result;
	if (!child->params)
		return unbind_end(b, end, &sa);
	if (!end_matches(b, end, &sa)) {
		warn_of_mismatch(end, sa.word.serial);
		return unbind_end(b, end, &sa);
	}
	if (may_be_of_another(b, end, &sa))
		return 0;
	end->serial = sa.word.serial;
	if (must_wait(child, &sa))
		return 0;
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

int binding_set_state(const struct binding *b, struct child_sa *child)
{
	int err = set_end(b, &child->in);

	return err ? err : set_end(b, &child->out);
}

static bool check_end(const struct binding *b, struct child_sa_end *end)
{
	struct latch_sa sa;

	end->in_kernel = !get_sa(b, end, &sa);
	if (end->in_kernel && end->child->params && end_matches(b, end, &sa) &&
	    !may_be_of_another(b, end, &sa))
		end->serial = sa.word.serial;
	return end->in_kernel;
}

bool binding_check_kernel(const struct binding *b, struct child_sa *child)
{
	bool in = check_end(b, &child->in), out = check_end(b, &child->out);

	return in || out;
}

bool binding_is_current(const struct binding *b, const struct child_sa_end *end)
{
	struct latch_sa sa;

	return sa_get(b->view.maps, &end->key, &sa) || end->serial == sa.word.serial;
}

bool binding_is_replaced(const struct binding *b, const struct child_sa_end *end)
{
	return end->serial && !binding_is_current(b, end);
}

/* Serials come from a counter that may wrap. */
static bool is_later(uint32_t serial, uint32_t than)
{
	return (int32_t)(serial - than) > 0;
}

bool binding_outbound_moves(const struct binding *b, const struct child_sa_end *current,
			    const struct latch_sa_key *in)
{
	struct latch_sa sa, new_in, current_in;

	if (sa_get(b->view.maps, &current->key, &sa))
		return true;
	if (sa_get(b->view.maps, in, &new_in))
		return false;
	/* Serials of adopted SAs have no order. */
	if ((sa.instance || new_in.instance) && is_later(new_in.word.serial, sa.word.serial))
		return false;
	return get_sa(b, &current->child->in, &current_in) ||
	       !is_later(current_in.word.serial, new_in.word.serial);
}

/* After an error the child stays unmarked, so that the next call tries again. */
static int set_contested(const struct binding *b, struct child_sa *child, bool contested)
{
	int err;

	child->contested = contested;
	err = binding_set_state(b, child);
	child->unmarked = err != 0;
	if (err)
		log_warn(NULL, "sa 0x%08x not marked as contested (%s): feed %s; retrying",
			 child->in.key.spi, strerror(-err), child->feed->name);
	return err;
}

static int update_contested(const struct binding *b, struct child_sa *child)
{
	bool contested = conflict_is_contested(b->child_sas, child);

	if (contested == child->contested && !child->unmarked)
		return 0;
	return set_contested(b, child, contested);
}

struct contest_search {
	const struct binding *binding;
	const struct child_sa *changed;
	int err; /* the first */
};

static bool update_if_overlapping(void *context, struct child_sa *child)
{
	struct contest_search *search = context;
	int err = 0;

	if (child != search->changed && conflict_counts(child) &&
	    child_sas_overlap(child, search->changed))
		err = update_contested(search->binding, child);
	search->err = search->err ? search->err : err;
	return false;
}

int binding_update_contested(const struct binding *b, const struct child_sa *changed)
{
	struct contest_search search = {b, changed, 0};

	child_sas_search_overlap(b->child_sas, changed, update_if_overlapping, &search);
	return search.err;
}

int binding_mark_unmarked(const struct binding *b)
{
	struct child_sa *child;
	int err, first = 0;

	DL_FOREACH2(b->child_sas->first, child, next)
	{
		err = child->unmarked ? update_contested(b, child) : 0;
		first = first ? first : err;
	}
	return first;
}

/* ---- R-2.3-11: latches break before an SA is bound */

static bool is_up_to_date(const struct binding *b, const struct child_sa *child,
			  uint16_t params_before)
{
	struct latch_sa in, out;
	bool has_in, has_out;

	if (child->params != params_before || wanted_state(child) != LATCH_SA_BOUND)
		return false;
	has_in = !get_sa(b, &child->in, &in);
	has_out = !get_sa(b, &child->out, &out);
	return has_in == child->in.in_kernel && has_out == child->out.in_kernel &&
	       (!has_in || (in.word.state == LATCH_SA_BOUND && in.word.params == child->params)) &&
	       (!has_out || (out.word.state == LATCH_SA_BOUND && out.word.params == child->params));
}

/*
 * Finds the params and makes the CHILD_SA count: overlapping SAs start no latch from now on. After
 * an error there is nothing to bind.
 */
static int prepare(const struct binding *b, struct child_sa *child, bool *ret_up_to_date)
{
	uint16_t before = child->params;
	int err = find_params(b, child);

	*ret_up_to_date = err || is_up_to_date(b, child, before);
	if (!err)
		child->unsettled = !*ret_up_to_date;
	if (*ret_up_to_date)
		return err;
	binding_check_kernel(b, child);
	err = binding_update_contested(b, child);
	child->contested = conflict_is_contested(b->child_sas, child);
	/* An earlier latchd may have bound it without this mark, and others are bound before it. */
	if (!err && child->contested)
		err = set_contested(b, child, true);
	child->unmarked = child->unmarked || err;
	*ret_up_to_date = err != 0;
	return err;
}

/*
 * broken: the error of the break of the latches in conflict. After an error an SA that an earlier
 * latchd has bound keeps its mark until binding_mark_unmarked().
 */
static int settle(const struct binding *b, struct child_sa *child, int broken)
{
	int err = broken;

	if (!broken) {
		child->unsettled = false;
		err = binding_set_state(b, child);
	}
	child->unmarked = err != 0;
	return err;
}

int binding_bind(const struct binding *b, struct child_sa *child)
{
	bool up_to_date;
	int err = prepare(b, child, &up_to_date);

	if (up_to_date)
		return err;
	err = conflict_break_latches(&b->view, child);
	if (err)
		log_error(NULL,
			  "sa 0x%08x unattributed (cannot break the latches in conflict: %s): feed "
			  "%s; retrying",
			  child->in.key.spi, strerror(-err), child->feed->name);
	return settle(b, child, err);
}

/* Sets to_bind. Returns the first error, if any. */
static int prepare_all(const struct binding *b, const struct feed *feed, bool *ret_any)
{
	struct child_sa *child;
	int err, first = 0;
	bool up_to_date;

	DL_FOREACH2(b->child_sas->first, child, next)
	{
		if (child->feed != feed || !child->in_snapshot)
			continue;
		err = prepare(b, child, &up_to_date);
		child->to_bind = !up_to_date;
		*ret_any = *ret_any || !up_to_date;
		first = first ? first : err;
	}
	return first;
}

int binding_bind_snapshot(const struct binding *b, const struct feed *feed)
{
	bool any = false;
	int err, broken, first = prepare_all(b, feed, &any);
	struct child_sa *child;

	if (!any)
		return first;
	broken = binding_mark_unmarked(b);
	if (!broken)
		broken = conflict_check_all(&b->view);
	if (broken)
		log_error(
			NULL,
			"sas of feed %s unattributed (cannot mark SAs or break latches in conflict: "
			"%s); retrying",
			feed->name, strerror(-broken));
	DL_FOREACH2(b->child_sas->first, child, next)
	{
		err = child->to_bind ? settle(b, child, broken) : 0;
		child->to_bind = false;
		first = first ? first : err;
	}
	return broken ? broken : first;
}
