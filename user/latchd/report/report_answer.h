/* SPDX-License-Identifier: BSD-2-Clause */
/* The answer that the socket of a latch gives to an application (latch(7)), in the rows of the
 * document list. */
#ifndef LATCHD_REPORT_REPORT_ANSWER_H
#define LATCHD_REPORT_REPORT_ANSWER_H

#include "latchd/report/report.h"

/*
 * "answer", by the rule of latch_answer.h: "state", "why", and "peer", "local_id" and "connection",
 * which are null unless the socket answers them. null for a protocol without served sockets.
 */
void report_answer(struct json_writer *w, const struct report_source *source,
		   const struct latch_settings *settings, const struct latch_flow *flow,
		   const struct latch *latch);

#endif
