/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/sa/binding.h"

#include <errno.h>
#include <string.h>
#include <utlist.h>

#include "common/log.h"
#include "common/log_limit.h"
#include "latchd/maps/latch_control.h"
#include "latchd/maps/tables.h"
#include "latchd/sa/child_params.h"

static bool same_algorithms(const struct latch_params *params, const struct latch_sa *sa)
{
	struct latch_qop qop = sa->qop;

	/* The kernel keeps no replay window for the outbound SA. */
	qop.replay_protection = params->qop.replay_protection;
	return params->mode == sa->mode && !memcmp(&params->qop, &qop, sizeof(qop));
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
		return child_params_match_report(child, sa, child->reported.remote_host);
	params = identities_get_params(b->identities, child->params);
	return child_params_match_report(child, sa, child->reported.local_host) && params &&
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
	       child_params_get_sa(b, &child->in, &in);
}

/*
 * R-2.3-11: an SA gets its params only after the latches in conflict with it are broken. One that
 * has them already may still become DYING or ORPHAN.
 */
static bool must_wait(const struct child_sa *child, const struct latch_sa *sa)
{
	return child->unsettled &&
	       (sa->word.state == LATCH_SA_PENDING || sa->word.params != child->params ||
		(wanted_state(child) == LATCH_SA_BOUND && sa->word.state != LATCH_SA_BOUND));
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

	result = child_params_get_sa(b, end, &sa);
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
		return unbind_end(b, end, &sa);
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

static int set_both(const struct binding *b, struct child_sa *child)
{
	int err = set_end(b, &child->in);

	return err ? err : set_end(b, &child->out);
}

int binding_set_state(const struct binding *b, struct child_sa *child)
{
	int err = set_both(b, child);

	sa_groups_update(&b->child_sas->groups, child, true);
	return err;
}

static bool check_end(const struct binding *b, struct child_sa_end *end)
{
	struct latch_sa sa;

	end->in_kernel = !child_params_get_sa(b, end, &sa);
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
	return child_params_get_sa(b, &current->child->in, &current_in) ||
	       !is_later(current_in.word.serial, new_in.word.serial);
}

/* ---- marks */

static void warn_of_mark(const struct binding *b, const struct child_sa *child, int err)
{
	unsigned int left_out;

	if (log_limit_admits(b->marks_log, &left_out))
		log_warn(NULL,
			 "sa 0x%08x not marked as contested (%s): feed %s; retrying; %u more since "
			 "the last line",
			 child->in.key.spi, strerror(-err), child->feed->name, left_out);
}

/* After an error the child stays unmarked, so that the next call tries again. */
static int set_contested(const struct binding *b, struct child_sa *child, bool contested)
{
	int err;

	child->contested = contested;
	err = set_both(b, child);
	child->unmarked = err != 0;
	if (err)
		warn_of_mark(b, child, err);
	return err;
}

static int update_contested(const struct binding *b, struct child_sa *child)
{
	bool contested = conflict_is_contested(child);

	if (contested == child->contested && !child->unmarked)
		return 0;
	return set_contested(b, child, contested);
}

static int update_group(const struct binding *b, struct sa_group *group)
{
	struct child_sa *child;
	int err, first = 0;

	DL_FOREACH2(group->members, child, member_next)
	{
		err = update_contested(b, child);
		first = first ? first : err;
	}
	return first;
}

/* A group with a failed mark stays stale: no other is bound before they are made. */
int binding_update_contested(const struct binding *b)
{
	struct sa_groups *groups = &b->child_sas->groups;
	struct sa_group *group;
	int err, left, first = 0;

	DL_COUNT2(groups->stale, group, left, stale_next);
	while (left-- && (group = sa_groups_take_stale(groups))) {
		err = update_group(b, group);
		if (err)
			sa_groups_note_stale(groups, group);
		first = first ? first : err;
	}
	return first;
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

static bool is_bound_to(const struct latch_sa *sa, uint16_t params)
{
	return sa->word.state == LATCH_SA_BOUND && sa->word.params == params;
}

/* Does it count, and are the latches in conflict broken? */
static bool is_settled(const struct child_sa *child)
{
	return child->group && child->group->settled;
}

static bool is_up_to_date(const struct binding *b, const struct child_sa *child,
			  uint16_t params_before)
{
	struct latch_sa in, out;
	bool has_in, has_out;

	if (child->params != params_before || wanted_state(child) != LATCH_SA_BOUND)
		return false;
	has_in = !child_params_get_sa(b, &child->in, &in);
	has_out = !child_params_get_sa(b, &child->out, &out);
	return has_in == child->in.in_kernel && has_out == child->out.in_kernel &&
	       (is_settled(child) || (!has_in && !has_out)) &&
	       (!has_in || is_bound_to(&in, child->params)) &&
	       (!has_out || is_bound_to(&out, child->params));
}

/* An SA that an earlier latchd has bound counts, whatever share its peer has. */
static bool is_inherited(const struct binding *b, const struct child_sa *child)
{
	struct latch_sa in, out;

	return (!child_params_get_sa(b, &child->in, &in) && is_bound_to(&in, child->params)) ||
	       (!child_params_get_sa(b, &child->out, &out) && is_bound_to(&out, child->params));
}

static void refuse_end(const struct binding *b, const struct child_sa_end *end)
{
	struct latch_sa sa;

	if (!child_params_get_sa(b, end, &sa) && sa.word.state == LATCH_SA_PENDING)
		sa_refuse(b->view.maps, &end->key, sa.word.serial);
}

/*
 * The peer has more than its share. Its SAs give their places in the table back: no latched flow
 * uses an SA that is not there.
 */
static int refuse(const struct binding *b, struct child_sa *child)
{
	unsigned int left_out;

	child->params = 0;
	refuse_end(b, &child->in);
	refuse_end(b, &child->out);
	if (log_limit_admits(b->share_log, &left_out))
		log_warn(NULL,
			 "sa 0x%08x unattributed (share): \"%s\" has more than its share of SAs "
			 "or of selectors; feed %s; %u more since the last line; see: latchd(8)",
			 child->in.key.spi, child->reported.peer_id, child->feed->name, left_out);
	return -EDQUOT;
}

/* Overlapping SAs with other params start no latch from now on. */
static int begin_to_count(const struct binding *b, struct child_sa *child)
{
	const struct latch_params *params = identities_get_params(b->identities, child->params);

	/* Its peer may be counted under the former params. */
	if (child->group && child->group->params != child->params)
		sa_groups_leave(&b->child_sas->groups, child);
	if (!child->group)
		child->peer = params ? (uint16_t)params->peer_id : 0;
	binding_check_kernel(b, child);
	if (sa_groups_update(&b->child_sas->groups, child, is_inherited(b, child)))
		return refuse(b, child);
	return binding_update_contested(b);
}

/* No later try helps before the report or the kernel changes. */
static bool is_final(int err)
{
	return err == -ENOENT || err == -EBADMSG || err == -EDQUOT || err == -ENAMETOOLONG;
}

/*
 * Finds the params and makes the CHILD_SA count. After an error there is nothing to bind.
 */
static int prepare_to_bind(const struct binding *b, struct child_sa *child, bool *ret_up_to_date)
{
	uint16_t before = child->params;
	int err = child_params_find(b, child);

	*ret_up_to_date = err || is_up_to_date(b, child, before);
	if (!err)
		child->unsettled = !*ret_up_to_date;
	if (*ret_up_to_date)
		return err;
	err = begin_to_count(b, child);
	*ret_up_to_date = err != 0;
	if (err == -EDQUOT)
		return err;
	child->contested = conflict_is_contested(child);
	/* An earlier latchd may have bound it without this mark, and others are bound before it. */
	if (!err && child->contested)
		err = set_contested(b, child, true);
	child->unmarked = child->unmarked || err;
	if (err && child->group)
		child->group->settled = false;
	*ret_up_to_date = err != 0;
	return err;
}

static int prepare(const struct binding *b, struct child_sa *child, bool *ret_up_to_date)
{
	int err = prepare_to_bind(b, child, ret_up_to_date);

	child->waits = err && !is_final(err);
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
		if (child->group)
			child->group->settled = true;
		err = binding_set_state(b, child);
	}
	child->unmarked = err != 0;
	child->waits = err != 0;
	return err;
}

/* Each group needs one walk over all latches only. */
static int break_latches(const struct binding *b, const struct child_sa *child)
{
	int err;

	if (!child->group || child->group->settled)
		return 0;
	walk_pace_begin(b->walks);
	err = conflict_break_latches(&b->view, child);
	walk_pace_end(b->walks);
	if (err)
		log_error(NULL,
			  "sa 0x%08x unattributed (cannot break the latches in conflict: %s): feed "
			  "%s; retrying",
			  child->in.key.spi, strerror(-err), child->feed->name);
	return err;
}

/* Walks over all latches must not take all the time: then one walk serves all that wait. */
static bool has_to_wait(const struct binding *b, struct child_sa *child)
{
	unsigned int wait_ms = walk_pace_wait_ms(b->walks);

	if (!child->group || child->group->settled || !wait_ms)
		return false;
	child->waits = true;
	if (!loop_timer_armed(b->later))
		loop_timer_arm(b->later, wait_ms);
	return true;
}

int binding_bind(const struct binding *b, struct child_sa *child)
{
	bool up_to_date;
	int err = prepare(b, child, &up_to_date);

	if (up_to_date)
		return err;
	if (has_to_wait(b, child))
		return -EINPROGRESS;
	return settle(b, child, break_latches(b, child));
}

typedef bool (*child_filter)(const struct child_sa *child, const struct feed *feed);

static bool waits(const struct child_sa *child, const struct feed *feed)
{
	(void)feed;
	return child->waits;
}

static bool is_in_snapshot(const struct child_sa *child, const struct feed *feed)
{
	return child->feed == feed && child->in_snapshot;
}

/* Sets to_bind. Returns the first error, if any. */
static int prepare_all(const struct binding *b, child_filter filter, const struct feed *feed,
		       bool *ret_any)
{
	struct child_sa *child;
	int err, first = 0;
	bool up_to_date;

	DL_FOREACH2(b->child_sas->first, child, next)
	{
		if (!filter(child, feed))
			continue;
		err = prepare(b, child, &up_to_date);
		child->to_bind = !up_to_date;
		*ret_any = *ret_any || !up_to_date;
		first = first ? first : err;
	}
	return first;
}

static int check_all(const struct binding *b)
{
	int marked = binding_mark_unmarked(b), checked;

	/* A failed mark keeps no latch in conflict alive. */
	walk_pace_begin(b->walks);
	checked = conflict_check_all(&b->view);
	walk_pace_end(b->walks);
	return marked ? marked : checked;
}

static int settle_all(const struct binding *b, int broken)
{
	struct child_sa *child;
	int err, first = 0;

	DL_FOREACH2(b->child_sas->first, child, next)
	{
		err = child->to_bind ? settle(b, child, broken) : 0;
		child->to_bind = false;
		first = first ? first : err;
	}
	return first;
}

int binding_bind_snapshot(const struct binding *b, const struct feed *feed)
{
	bool any = false;
	int broken, settled, first = prepare_all(b, is_in_snapshot, feed, &any);

	if (!any)
		return first;
	broken = check_all(b);
	if (broken)
		log_error(
			NULL,
			"sas of feed %s unattributed (cannot mark SAs or break latches in conflict: "
			"%s); retrying",
			feed->name, strerror(-broken));
	settled = settle_all(b, broken);
	return broken ? broken : first ? first : settled;
}

static bool any_waits(const struct binding *b)
{
	struct child_sa *child;

	DL_SEARCH_SCALAR2(b->child_sas->first, child, waits, true, next);
	return child;
}

int binding_bind_waiting(const struct binding *b, bool *ret_left)
{
	bool any = false;
	int broken;

	prepare_all(b, waits, NULL, &any);
	broken = check_all(b);
	settle_all(b, broken);
	*ret_left = any_waits(b);
	return broken;
}
