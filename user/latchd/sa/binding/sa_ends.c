/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/sa/binding/sa_ends.h"

#include <errno.h>
#include <string.h>

#include "common/log.h"
#include "latchd/maps/latch_control.h"
#include "latchd/maps/tables.h"
#include "latchd/sa/binding/child_params.h"
#include "latchd/sa/binding/child_way.h"

static bool same_algorithms(const struct latch_params *params, const struct latch_sa *sa)
{
	struct latch_qop qop = sa->qop;

	/* The kernel keeps no replay window for the outbound SA. */
	qop.replay_protection = params->qop.replay_protection;
	return params->mode == sa->mode && !memcmp(&params->qop, &qop, sizeof(qop));
}

/* ---- states */

enum latch_sa_state sa_ends_wanted_state(const struct child_sa *child)
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

static bool is_after_end(const struct child_sa *child, const struct latch_sa *sa)
{
	return (child->deleted || child->orphan) && sa->installed > child->ended_ns;
}

/*
 * The list must have begun after the SA was installed: else the SA may have replaced the pair's
 * outbound SA, and the next list decides. An entry of a dump does not show when its SA was
 * installed.
 */
static bool is_proven_by_list(const struct child_sa *child, const struct latch_sa *sa)
{
	return child->listed_ns && (!sa->instance || sa->installed <= child->listed_ns);
}

/*
 * An event may also be older than the SA. But the outbound SA of a pair is installed directly after
 * the inbound SA of that pair, between the same addresses.
 */
static bool is_proven_by_event(const struct child_sa *child, const struct latch_sa *sa,
			       const struct latch_sa *in)
{
	return child->announced && in->instance && sa->previous && sa->previous == in->word.serial;
}

/*
 * The peer chooses the outbound SPI, so the SA with this SPI may belong to a later pair of another
 * peer. 1: the reported pair is gone or has ended before, or neither a list nor an event proves
 * that it has this SA. The key manager deletes the inbound SA of a pair first, but not after a
 * rekey. 0; or a negative errno.
 */
static int may_be_of_another(const struct binding *b, const struct child_sa_end *end,
			     const struct latch_sa *sa)
{
	const struct child_sa *child = end->child;
	struct latch_sa in;
	int err;

	if (end != &child->out || end->serial || sa->word.params == child->params)
		return 0;
	if (child->reported.outbound_gone || is_after_end(child, sa))
		return 1;
	err = child_params_get_sa(b, &child->in, &in);
	if (err)
		return err == -ENOENT ? 1 : err;
	return !is_proven_by_list(child, sa) && !is_proven_by_event(child, sa, &in);
}

/*
 * R-2.3-11: an SA gets its params only after the latches in conflict with it are broken, and while
 * its CHILD_SA counts. An SA with these params may still become DYING or ORPHAN.
 */
static bool must_wait(const struct child_sa *child, const struct latch_sa *sa)
{
	return (child->unsettled || !child->group) &&
	       (sa->word.state == LATCH_SA_PENDING || sa->word.params != child->params ||
		(sa_ends_wanted_state(child) == LATCH_SA_BOUND &&
		 sa->word.state != LATCH_SA_BOUND));
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
 * An SA that an earlier report or an earlier latchd has bound keeps its params. It leaves BOUND if
 * its key manager has deleted it or is gone, so that it creates no latch.
 */
static int unbind_end(const struct binding *b, const struct child_sa_end *end,
		      const struct latch_sa *sa)
{
	enum latch_sa_state wanted = sa_ends_wanted_state(end->child);
	int result = 0;

	if (wanted != LATCH_SA_BOUND && sa->word.state == LATCH_SA_BOUND)
		result = sa_set(b->view.maps, &end->key, sa->word.serial, wanted, sa->word.params,
				sa->word.flags & LATCH_SA_CONTESTED);
	return result < 0 ? result : 0;
}

/* Reads the kernel's SA. After an error other than -ENOENT, in_kernel stays as it was. */
static int look(const struct binding *b, struct child_sa_end *end, struct latch_sa *ret)
{
	int err = child_params_get_sa(b, end, ret);

	if (!err || err == -ENOENT)
		end->in_kernel = !err;
	return err;
}

static void publish_bound(const struct binding *b, const struct child_sa_end *end,
			  const struct latch_sa *sa)
{
	const struct child_sa *child = end->child;

	if (sa_ends_wanted_state(child) != LATCH_SA_BOUND ||
	    (sa->word.state == LATCH_SA_BOUND && sa->word.params == child->params))
		return;
	news_publish(b->view.news, &(struct news){
					   .kind = NEWS_SA_BOUND,
					   .sa = {&end->key, sa, child->params, child->feed->name,
						  child->evidence},
				   });
}

static int bind_end(const struct binding *b, struct child_sa_end *end, const struct latch_sa *sa)
{
	const struct child_sa *child = end->child;
	int result = may_be_of_another(b, end, sa);

	if (result)
		return result < 0 ? result : 0;
	end->serial = sa->word.serial;
	if (must_wait(child, sa))
		return unbind_end(b, end, sa);
	if (!child_way_fits(end, sa))
		return unbind_end(b, end, sa);
	result = sa_set(b->view.maps, &end->key, sa->word.serial, sa_ends_wanted_state(child),
			child->params, child->contested);
	if (result == LATCH_CONTROL_DONE)
		publish_bound(b, end, sa);
	return result < 0 ? result : 0;
}

static int write_end(const struct binding *b, struct child_sa_end *end)
{
	struct latch_sa sa;
	int err = look(b, end, &sa);

	if (err)
		return err == -ENOENT ? 0 : err;
	if (!end->child->params)
		return unbind_end(b, end, &sa);
	if (!end_matches(b, end, &sa)) {
		warn_of_mismatch(end, sa.word.serial);
		return unbind_end(b, end, &sa);
	}
	return bind_end(b, end, &sa);
}

int sa_ends_write(const struct binding *b, struct child_sa *child)
{
	int err = write_end(b, &child->in);

	return err ? err : write_end(b, &child->out);
}

static int orphan_end(const struct binding *b, const struct child_sa_end *end, uint16_t params)
{
	struct latch_sa sa;
	int result = child_params_get_sa(b, end, &sa);

	if (result)
		return result == -ENOENT ? 0 : result;
	if (sa.word.state != LATCH_SA_BOUND || sa.word.params != params)
		return 0;
	result = sa_set(b->view.maps, &end->key, sa.word.serial, LATCH_SA_ORPHAN, sa.word.params,
			sa.word.flags & LATCH_SA_CONTESTED);
	return result < 0 ? result : 0;
}

int sa_ends_unbind(const struct binding *b, const struct child_sa *child)
{
	int err = orphan_end(b, &child->in, child->params);

	return err ? err : orphan_end(b, &child->out, child->params);
}

int sa_ends_disown(const struct binding *b, const struct child_sa *child)
{
	struct latch_sa in;
	int err = child_params_get_sa(b, &child->in, &in);

	if (err)
		return err == -ENOENT ? 0 : err;
	err = orphan_end(b, &child->in, in.word.params);
	return err ? err : orphan_end(b, &child->out, in.word.params);
}

static int check_end(const struct binding *b, struct child_sa_end *end)
{
	struct latch_sa sa;
	int err = look(b, end, &sa), another;

	if (err)
		return err == -ENOENT ? 0 : err;
	if (!end->child->params || !end_matches(b, end, &sa))
		return 1;
	another = may_be_of_another(b, end, &sa);
	if (!another)
		end->serial = sa.word.serial;
	return another < 0 ? another : 1;
}

int sa_ends_check(const struct binding *b, struct child_sa *child)
{
	int in = check_end(b, &child->in), out = check_end(b, &child->out);

	if (in < 0 || out < 0)
		return in < 0 ? in : out;
	return in || out;
}

bool sa_ends_is_current(const struct binding *b, const struct child_sa_end *end)
{
	struct latch_sa sa;
	int err = sa_get(b->view.maps, &end->key, &sa);

	return err ? err == -ENOENT : end->serial == sa.word.serial;
}

bool sa_ends_is_replaced(const struct binding *b, const struct child_sa_end *end)
{
	struct latch_sa sa;

	return end->serial && !sa_get(b->view.maps, &end->key, &sa) &&
	       end->serial != sa.word.serial;
}

bool sa_ends_is_later(uint32_t serial, uint32_t than)
{
	return (int32_t)(serial - than) > 0;
}

static int is_no_older(const struct binding *b, const struct child_sa_end *current_in,
		       const struct latch_sa *new_in)
{
	struct latch_sa sa;
	int err = child_params_get_sa(b, current_in, &sa);

	if (err)
		return err == -ENOENT ? 1 : err;
	return !sa_ends_is_later(sa.word.serial, new_in->word.serial);
}

/*
 * The outbound SA of a CHILD_SA that has ended is PENDING if it was never bound, or if a new SA has
 * its SPI. Without the inbound SA nothing shows which of the two it is, and it may move:
 * XFRM_MSG_MIGRATE gives the new pair an inbound SA that is later than its outbound SA. 1, 0, or a
 * negative errno.
 */
static int is_left_pending(const struct binding *b, const struct child_sa *child,
			   const struct latch_sa *out)
{
	struct latch_sa in;
	int err;

	if (!(child->deleted || child->orphan) || out->word.state != LATCH_SA_PENDING)
		return 0;
	err = child_params_get_sa(b, &child->in, &in);
	return err == -ENOENT ? 1 : err;
}

int sa_ends_outbound_moves(const struct binding *b, const struct child_sa_end *current,
			   const struct latch_sa_key *in)
{
	struct latch_sa sa, new_in;
	int err = sa_get(b->view.maps, &current->key, &sa), left;

	if (err)
		return err == -ENOENT ? 1 : err;
	left = is_left_pending(b, current->child, &sa);
	if (left)
		return left;
	err = sa_get(b->view.maps, in, &new_in);
	if (err)
		return err == -ENOENT ? 0 : err;
	/* Serials of adopted SAs have no order. */
	if ((sa.instance || new_in.instance) &&
	    sa_ends_is_later(new_in.word.serial, sa.word.serial))
		return 0;
	return is_no_older(b, &current->child->in, &new_in);
}
