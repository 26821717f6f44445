/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/sa/unbound/unproven_sas.h"

#include <errno.h>
#include <string.h>

#include "common/log.h"
#include "latchd/maps/latch_control.h"
#include "latchd/maps/tables.h"

/*
 * False: the entry has another SA, or one with a peer, or the call failed. The next list repeats
 * a failed call. A marked SA costs no call: each list has all refused pairs, and peers choose
 * their number.
 */
static bool mark(struct refused_sas *refused, const struct kernel_maps *maps,
		 const struct latch_sa_key *key, const struct latch_sa *sa)
{
	unsigned int left_out;
	int result;

	if (sa_is_unproven(sa->word))
		return true;
	result = sa_set_unproven(maps, key, sa->word.serial);
	if (result < 0 && log_limit_admits(&refused->unproven_log, &left_out))
		log_warn(NULL,
			 "sa 0x%08x not marked as unproven (%s): connections under it wait for "
			 "pending-limit; the next list repeats it; %u more since the last line",
			 key->spi, strerror(-result), left_out);
	return result == LATCH_CONTROL_DONE || result == LATCH_CONTROL_UNCHANGED;
}

/* charon may have written this part of the list before the SA was installed. */
static bool is_newer_than_list(const struct refused_child *child, const struct latch_sa *sa)
{
	return child->listed_ns && sa->installed > child->listed_ns;
}

static bool is_behind(const struct latch_sa *out, const struct latch_sa *in)
{
	return in->instance && out->previous && out->previous == in->word.serial;
}

static const struct latch_sa_key *outbound_of(const struct refused_child *child)
{
	return child->reported->outbound_gone ? NULL : child->out;
}

void unproven_sas_decide(struct refused_sas *refused, const struct kernel_maps *maps,
			 const struct refused_child *child)
{
	const struct latch_sa_key *out_key = outbound_of(child);
	struct latch_sa in, out;

	if (sa_get(maps, child->in, &in) || is_newer_than_list(child, &in))
		return;
	if (!mark(refused, maps, child->in, &in))
		return;
	refused_sas_note_pair(refused, child->in, out_key);
	if (out_key && !sa_get(maps, out_key, &out) && is_behind(&out, &in))
		mark(refused, maps, out_key, &out);
}

/* The entry may have another SA by now. The SA may have a peer by now, or share its entry with
 * another SA. */
static bool is_still_unproven(const struct kernel_maps *maps, const struct latch_sa_key *in,
			      uint32_t serial)
{
	struct latch_sa sa;

	return !sa_get(maps, in, &sa) && sa.word.serial == serial && sa_is_unproven(sa.word);
}

void unproven_sas_new(struct refused_sas *refused, const struct kernel_maps *maps,
		      const struct latch_sa_key *key)
{
	const struct latch_sa_key *in;
	struct latch_sa sa;

	if (!refused_sas_any_reported(refused))
		return;
	if (sa_get(maps, key, &sa) || !sa.previous)
		return;
	in = refused_sas_inbound_of(refused, sa.previous, key);
	if (!in || !is_still_unproven(maps, in, sa.previous))
		return;
	if (!refused_sas_note(refused, key, refused_sas_reason(refused, in), true))
		return;
	refused_sas_note_report(refused, key, sa.word.serial);
	mark(refused, maps, key, &sa);
}
