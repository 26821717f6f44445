/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/sa/binding/preparation.h"

#include <errno.h>

#include "common/log.h"
#include "common/log_limit.h"
#include "latchd/maps/latch_control.h"
#include "latchd/maps/tables.h"
#include "latchd/sa/binding/child_params.h"
#include "latchd/sa/binding/child_way.h"
#include "latchd/sa/binding/marks.h"
#include "latchd/sa/binding/sa_ends.h"

static bool is_bound_to(const struct latch_sa *sa, uint16_t params)
{
	return sa->word.state == LATCH_SA_BOUND && sa->word.params == params;
}

/* Is the SA bound as settle() would bind it? Its mark may be older than the last report. */
static bool is_written(const struct latch_sa *sa, const struct child_sa *child)
{
	return is_bound_to(sa, child->params) &&
	       !(sa->word.flags & LATCH_SA_CONTESTED) == !child->contested;
}

/* Does the CHILD_SA count, and are the latches in conflict broken? */
static bool is_settled(const struct child_sa *child)
{
	return child->group && child->group->settled;
}

/* ret: the kernel has the SA. -ENOENT is no error here. */
static int read_end(const struct binding *b, const struct child_sa_end *end, struct latch_sa *sa,
		    bool *ret)
{
	int err = child_params_get_sa(b, end, sa);

	*ret = !err;
	return err == -ENOENT ? 0 : err;
}

static bool is_up_to_date(const struct binding *b, const struct child_sa *child,
			  uint16_t params_before)
{
	struct latch_sa in, out;
	bool has_in, has_out;

	if (child->params != params_before || sa_ends_wanted_state(child) != LATCH_SA_BOUND)
		return false;
	if (read_end(b, &child->in, &in, &has_in) || read_end(b, &child->out, &out, &has_out))
		return false;
	return has_in == child->in.in_kernel && has_out == child->out.in_kernel &&
	       (is_settled(child) || (!has_in && !has_out)) &&
	       (!has_in || is_written(&in, child)) && (!has_out || is_written(&out, child));
}

/* ret: an earlier latchd has bound one of the SAs. Such a CHILD_SA counts even beyond its peer's
 * share. */
static int find_inherited(const struct binding *b, const struct child_sa *child, bool *ret)
{
	struct latch_sa in, out;
	bool has_in, has_out;
	int in_err = read_end(b, &child->in, &in, &has_in),
	    out_err = read_end(b, &child->out, &out, &has_out);

	*ret = (has_in && is_bound_to(&in, child->params)) ||
	       (has_out && is_bound_to(&out, child->params));
	return in_err ? in_err : out_err;
}

/*
 * former: the params of the inbound SA, or else the former params of the CHILD_SA. This host
 * chooses the inbound SPI. The peer chooses the outbound SPI, so an outbound SA with other
 * params is another peer's.
 */
static int refuse_end(const struct binding *b, const struct child_sa_end *end, uint16_t former)
{
	struct latch_sa sa;
	int result = child_params_get_sa(b, end, &sa);

	if (!result && (sa.word.state == LATCH_SA_PENDING || sa.word.params == former))
		result = sa_refuse(b->view.maps, &end->key, sa.word.serial);
	return result < 0 && result != -ENOENT ? result : 0;
}

/* An SA that does not count must not stay bound, also after a change of params. before: the former
 * params. */
static int refuse_ends(const struct binding *b, const struct child_sa *child, uint16_t before)
{
	struct latch_sa in;
	int err = child_params_get_sa(b, &child->in, &in);
	uint16_t former = err ? before : in.word.params;

	if (err && err != -ENOENT)
		return err;
	err = refuse_end(b, &child->out, former);
	return err ? err : refuse_end(b, &child->in, former);
}

/*
 * The peer has more than its share. The SAs are deleted from the table: no latched flow uses an
 * SA that is not in the table.
 */
static int refuse(const struct binding *b, struct child_sa *child, uint16_t before, bool counted)
{
	unsigned int left_out;
	int err;

	child->params = 0;
	/* The former conflicts of the CHILD_SA have ended. */
	if (counted && !loop_timer_armed(b->later))
		loop_timer_arm(b->later, walk_pace_wait_ms(b->walks));
	err = refuse_ends(b, child, before);
	if (err)
		return err;
	if (log_limit_admits(b->share_log, &left_out))
		log_warn(NULL,
			 "sa 0x%08x unattributed (share): \"%s\" has more than its share of SAs "
			 "or of selectors; feed %s; %u more since the last line; see: latchd(8)",
			 child->in.key.spi, child->reported.peer_id, child->feed->name, left_out);
	return -EDQUOT;
}

static uint16_t peer_of(const struct binding *b, const struct child_sa *child)
{
	const struct latch_params *params = identities_get_params(b->identities, child->params);

	return params ? (uint16_t)params->peer_id : 0;
}

/* The CHILD_SA begins to count. Overlapping SAs with other params start no latch from now on. */
static int begin_to_count(const struct binding *b, struct child_sa *child, uint16_t before)
{
	int there = sa_ends_check(b, child), err;
	bool inherited, counted = child->group;

	err = find_inherited(b, child, &inherited);
	err = err ? err : child_way_find(b, child);
	if (there < 0 || err)
		return there < 0 ? there : err;
	/* The CHILD_SA may be counted for the peer of its former params. */
	if (child->group && child->group->params != child->params)
		sa_groups_leave(&b->child_sas->groups, child);
	if (!child->group)
		child->peer = peer_of(b, child);
	if (sa_groups_update(&b->child_sas->groups, child, inherited))
		return refuse(b, child, before, counted);
	err = child_params_set_own_key(b, child);
	return err ? err : marks_update(b);
}

bool preparation_is_final(int err)
{
	return err == -ENOENT || err == -EBADMSG || err == -EDQUOT || err == -ENAMETOOLONG;
}

/* R-2.3-7: no SA stays BOUND without counting in conflicts. After an error the CHILD_SA waits. */
static int find_params(const struct binding *b, struct child_sa *child)
{
	int err = child_params_find(b, child), disowned;

	if (err != -EBADMSG || child->params)
		return err;
	disowned = sa_ends_disown(b, child);
	return disowned ? disowned : err;
}

/*
 * Finds the params and makes the CHILD_SA count. After an error there is nothing to bind.
 */
static int find_and_count(const struct binding *b, struct child_sa *child, bool *ret_up_to_date)
{
	uint16_t before = child->params;
	int err = find_params(b, child);

	*ret_up_to_date = err || is_up_to_date(b, child, before);
	if (!err)
		child->unsettled = !*ret_up_to_date;
	if (*ret_up_to_date)
		return err ? err : child_params_set_own_key(b, child);
	err = begin_to_count(b, child, before);
	*ret_up_to_date = err != 0;
	if (err == -EDQUOT)
		return err;
	child->contested = conflict_is_contested(child);
	/* Written before any other SA is bound: an earlier latchd may have bound this one without
	 * the mark. */
	if (!err && child->contested)
		err = marks_write(b, child, true);
	child->unmarked = child->unmarked || err;
	if (err && child->group)
		child->group->settled = false;
	*ret_up_to_date = err != 0;
	return err;
}

bool preparation_renews(const struct binding *b, struct child_sa *child)
{
	uint16_t before = child->params;
	bool renews = false;

	if (!child_params_find(b, child) && !child_way_find(b, child)) {
		child->peer = peer_of(b, child);
		renews = sa_groups_have(&b->child_sas->groups, child);
	}
	child->params = before;
	return renews;
}

/* The params are not in the table and cannot be added, so no earlier latchd has bound the SAs. */
static bool has_unknown_params(int err)
{
	return err == -ENOSPC || err == -EINVAL;
}

int preparation_run(const struct binding *b, struct child_sa *child, bool *ret_up_to_date)
{
	int err = find_and_count(b, child, ret_up_to_date);

	child->waits = err && !preparation_is_final(err);
	child->refused = err == -EDQUOT;
	child_sas_note_absent(b->child_sas, child, err == -ENOENT);
	child_sas_note_uncounted(b->child_sas, child,
				 child->waits && !child->group && !has_unknown_params(err));
	return err;
}
