/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shared by the files of the attribution: the end of a CHILD_SA, and the retries after which its
 * latches heal.
 */
#ifndef LATCHD_SA_ATTRIBUTION_PARTS_H
#define LATCHD_SA_ATTRIBUTION_PARTS_H

#include "latchd/sa/binding/binding.h"
#include "latchd/sa/child/child_sas.h"
#include "latchd/sa/conflict/late_questions.h"
#include "latchd/sa/conflict/pair_decisions.h"
#include "latchd/sa/unbound/key_managers.h"
#include "latchd/sa/unbound/orphans.h"
#include "latchd/sa/peers/peer_death.h"
#include "latchd/sa/unbound/pending_sas.h"
#include "latchd/sa/unbound/refused_sas.h"

#define CHECK_RETRY_MS 1000

/* A latch that a route change has broken. No SA conflicts with it. It is held so that its socket
 * ends before a heal. */
#define HELD_MAX 256
#define HELD_MS	 5000

struct held_latch {
	uint64_t id, until_ms;
};

/* By index of the peer's identity: peers choose how many they use, so none share a place. */
#define QUESTIONS_PEERS (LATCH_IDENTITIES_MAX + 1)

struct attribution {
	const struct kernel_maps *maps;
	struct identities *identities;
	const struct news_bus *news;
	struct feed_sink sink;
	struct key_managers key_managers;
	struct child_sas child_sas;
	struct choice *choice; /* NULL: any overlap of selectors is a conflict */
	struct binding binding;
	struct pair_decisions pairs;
	struct orphans orphans;
	struct peer_death peer_death;
	struct pending_sas pending_sas;
	struct refused_sas refused_sas;
	/* One check of all latches after any number of CHILD_SAs has ended. */
	struct loop_timer settle;
	struct loop_timer clear_marks;
	struct loop_timer answer; /* armed while questions wait for a read of the SPD */
	struct late_questions late_questions;
	struct walk_pace walks, marking;
	bool recheck; /* CHILD_SAs may have ended without an event, or could not be looked up */
	struct held_latch held[HELD_MAX];
	unsigned int held_count; /* held latches so far: the next one replaces the oldest */
	uint64_t held_until_ms;	 /* end of the last one */
	uint64_t began_ms;
	/* No question of a peer is answered before: contested_flows.c. */
	uint64_t questions_due_ms[QUESTIONS_PEERS];
	struct log_limit marks_log, share_log, breaks_log, check_log, pairing_log, pairs_log;
};

/* attribution_refuses() */
bool attribution_decide(struct attribution *attribution, const struct latch_event *event);
/* Answers the questions that have waited for a read of the SPD, right behind one. */
void attribution_answer(struct attribution *attribution);
/* Of the timer answer: reads the SPD and answers. */
void attribution_on_answer(void *context);
/* Repeats all steps that have failed or wait, and checks all latches. */
void attribution_check_all(struct attribution *attribution);
/* The same within 1 s. */
void attribution_settle_later(struct attribution *attribution);
/* After the error of a bind: searches for the SAs that are not bound, or repeats the bind. */
void attribution_retry_to_bind(struct attribution *attribution, int err);
/* Warns that conflicts are not checked, and checks all latches in 1 s. */
void attribution_warn_and_check_again(struct attribution *attribution, const char *latches,
				      int err);
void attribution_forget_if_ended(struct attribution *attribution, struct child_sa *child);
void attribution_forget_child(struct attribution *attribution, struct child_sa *child);
/* The CHILD_SA is deleted or orphaned: its SAs start no latch any more. */
void attribution_end_child(struct attribution *attribution, struct child_sa *child);
/* Forgets CHILD_SAs without an SA in the table that are more than latchd keeps. */
void attribution_drop_absent(struct attribution *attribution);

/* ---- child_reports.c: for the sink */

void child_reports_up(void *context, struct feed *feed, const struct feed_child *reported,
		      const char *evidence);
void child_reports_refused(void *context, struct feed *feed, const struct feed_child *reported,
			   const struct feed_refusal *refusal);
void child_reports_down(void *context, struct feed *feed, const struct feed_child *reported);
void child_reports_list_begin(void *context, struct feed *feed);
void child_reports_list_end(void *context, struct feed *feed);

#endif
