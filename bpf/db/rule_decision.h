/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The decision of the rules on one flow. */
#ifndef LATCH_BPF_DB_RULE_DECISION_H
#define LATCH_BPF_DB_RULE_DECISION_H

/* The decision for one flow. It is a copy, so that a change of rules cannot split it. */
struct rule_decision {
	__u32 stamp; /* rule_stamp of the rules that were searched */
	__u16 index; /* LATCH_RULE_NONE: no rule matched */
	enum latch_action action;
	enum latch_disposition disposition;
	__u8 flags;
	__u8 undecided; /* the rules changed during the search: action is REQUIRE, and no flow may
			   start */
	__u8 peer_set;	/* as in struct latch_rule */
	__u8 min_encryption; /* as in struct latch_rule */
};

#endif
