/* SPDX-License-Identifier: BSD-2-Clause */
/* Shared parts of the texts of "latchctl explain". Includers have a struct explain_texts *ret. */
#ifndef LATCHD_REPORT_EXPLAIN_WORDS_H
#define LATCHD_REPORT_EXPLAIN_WORDS_H

#include <stdio.h>

#include "common/text.h"
#include "latchd/history/history.h"
#include "latchd/report/report.h"

#define CAUSE(...) text_add(ret->cause, sizeof(ret->cause), __VA_ARGS__)
#define NEXT(...)  text_add(ret->next, sizeof(ret->next), __VA_ARGS__)

#define NEXT_CONTESTED                                                                             \
	"find out which peer should have this traffic: latchctl sa; end the other one's SA "       \
	"(swanctl --terminate), or narrow its remote_ts"
#define NEXT_UNATTRIBUTED "latchctl sa shows why an SA has no peer; latchctl status shows the feeds"
#define NEXT_RULE	  "change that rule in latchd.conf, systemctl reload latchd, and connect again"
#define NEXT_PROTECT                                                                               \
	"protect this traffic: a CHILD_SA with start_action = trap and selectors that cover it "   \
	"(swanctl --load-all)"

#define NEXT_PEER                                                                                  \
	"find out which peer should have the remote address: latchctl sa; or add the peer to the " \
	"[peer] section of the rule, and systemctl reload latchd"
#define NEXT_WISH                                                                                  \
	"find out which peer should have the remote address: latchctl sa; or change what the "     \
	"application expects: latch(7)"
#define NEXT_ENCRYPTION "configure longer keys for its CHILD_SA (esp_proposals), and rekey it"

#define NAME_SIZE (2 * LATCH_ID_TEXT_MAX + 16)

static inline const char *name_of(char out[NAME_SIZE], const struct history_side *side)
{
	if (side->known)
		text_quote(out, NAME_SIZE, side->peer.id);
	else
		snprintf(out, NAME_SIZE, "an unknown peer");
	return out;
}

static inline const char *name_of_params(char out[NAME_SIZE], const struct report_source *source,
					 uint16_t params)
{
	struct history_side side;

	history_side_of(source->identities, params, &side);
	return name_of(out, &side);
}

static inline const char *rule_name(const struct report_source *source, uint16_t rule)
{
	return rule < source->rule_count ? source->rules[rule].name : "?";
}

#endif
