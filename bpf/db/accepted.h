/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A connection that a listener has just accepted, and the latch that it requires. It may not run
 * unlatched if that latch has ended meanwhile.
 */
#ifndef LATCH_BPF_DB_ACCEPTED_H
#define LATCH_BPF_DB_ACCEPTED_H

#include "db/read_once.h"
#include "db/rules.h"

/*
 * The gate passes no packet at a listener under a bound SA without a latch. A missing latch was
 * thus closed or reaped in between, and the connection must not continue unlatched. protection, sa:
 * of the packet that ended the handshake.
 */
static OWN_FRAME int has_lost_its_latch(const struct latch_flow *flow,
					enum packet_protection protection,
					const struct latch_sa_key *sa)
{
	struct rule_decision rule = {};
	struct latch_sa_key key = *sa;
	union latch_sa_word word;
	struct latch_sa *found;

	if (protection != PACKET_PROTECTED)
		return 0;
	found = bpf_map_lookup_elem(&sas, &key);
	if (!found)
		return 0;
	word = READ_WORD(found->word);
	if (word.state != LATCH_SA_BOUND || word.flags & LATCH_SA_AMBIGUOUS)
		return 0;
	rule_of(flow, LATCH_DIRECTION_IN, &rule);
	return rule.action != LATCH_ACTION_OFF;
}

#endif
