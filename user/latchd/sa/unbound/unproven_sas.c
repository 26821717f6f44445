/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/sa/unbound/unproven_sas.h"

#include <errno.h>
#include <string.h>

#include "common/log.h"
#include "latchd/maps/latch_control.h"
#include "latchd/maps/tables.h"

/* False: it is another SA, or one with a peer. After an error the next list repeats it. */
static bool mark(struct refused_sas *refused, const struct kernel_maps *maps,
		 const struct latch_sa_key *key, const struct latch_sa *sa)
{
	int result = sa_set_unproven(maps, key, sa->word.serial);
	unsigned int left_out;

	if (result < 0 && log_limit_admits(&refused->unproven_log, &left_out))
		log_warn(NULL,
			 "sa 0x%08x not marked as unproven (%s): connections under it wait for "
			 "pending-limit; the next list repeats it; %u more since the last line",
			 key->spi, strerror(-result), left_out);
	return result == LATCH_CONTROL_DONE || result == LATCH_CONTROL_UNCHANGED;
}

static bool is_older_than_list(const struct refused_child *child, const struct latch_sa *sa)
{
	return sa->installed <= child->listed_ns;
}

static bool is_behind(const struct latch_sa *out, const struct latch_sa *in)
{
	return in->instance && out->previous && out->previous == in->word.serial;
}

static bool is_outbound_of(const struct refused_child *child, const struct latch_sa *out,
			   const struct latch_sa *in)
{
	if (child->reported->outbound_gone)
		return false;
	return child->listed_ns ? is_older_than_list(child, out) : is_behind(out, in);
}

void unproven_sas_decide(struct refused_sas *refused, const struct kernel_maps *maps,
			 const struct refused_child *child)
{
	struct latch_sa in, out;

	if (sa_get(maps, child->in, &in) || (child->listed_ns && !is_older_than_list(child, &in)))
		return;
	if (!mark(refused, maps, child->in, &in))
		return;
	if (!child->reported->outbound_gone)
		refused_sas_note_pair(refused, child->in, child->out);
	if (!sa_get(maps, child->out, &out) && is_outbound_of(child, &out, &in))
		mark(refused, maps, child->out, &out);
}

void unproven_sas_new(struct refused_sas *refused, const struct kernel_maps *maps,
		      const struct latch_sa_key *key)
{
	const char *reason;
	struct latch_sa sa;

	if (!refused_sas_any_reported(refused))
		return;
	if (sa_get(maps, key, &sa) || !sa.previous)
		return;
	reason = refused_sas_pair_reason(refused, sa.previous, key);
	if (!reason || !refused_sas_note(refused, key, reason, true))
		return;
	refused_sas_note_report(refused, key, sa.word.serial);
	mark(refused, maps, key, &sa);
}
