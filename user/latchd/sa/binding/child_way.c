/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/sa/binding/child_way.h"

#include <errno.h>
#include <string.h>

#include "latchd/sa/binding/child_params.h"

static bool has_mark(const struct latch_sa *sa)
{
	return sa->mark || sa->mark_mask;
}

static int read_end(const struct binding *b, const struct child_sa_end *end, uint32_t *if_id,
		    uint8_t *marked)
{
	struct latch_sa sa;
	int err = child_params_get_sa(b, end, &sa);

	if (err)
		return err == -ENOENT ? 0 : err;
	*if_id = sa.if_id;
	*marked |= has_mark(&sa);
	return 0;
}

int child_way_find(const struct binding *b, struct child_sa *child)
{
	const struct latch_params *params = identities_get_params(b->identities, child->params);
	const struct feed_child *reported = &child->reported;
	struct sa_way way = {
		.if_id_in = reported->if_id_in,
		.if_id_out = reported->if_id_out,
		.family = reported->family,
		.protocol = reported->ipsec_protocol,
		.mode = params ? params->mode : 0,
		.marked = !params,
	};
	int err;

	memcpy(way.local, reported->local_host, sizeof(way.local));
	memcpy(way.remote, reported->remote_host, sizeof(way.remote));
	err = read_end(b, &child->in, &way.if_id_in, &way.marked);
	if (!err)
		err = read_end(b, &child->out, &way.if_id_out, &way.marked);
	if (!err)
		child->way = way;
	return err;
}

bool child_way_fits(const struct child_sa_end *end, const struct latch_sa *sa)
{
	const struct child_sa *child = end->child;
	uint32_t if_id = end == &child->in ? child->way.if_id_in : child->way.if_id_out;

	return !child->group || (sa->if_id == if_id && (!has_mark(sa) || child->way.marked));
}
