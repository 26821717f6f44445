/* SPDX-License-Identifier: BSD-2-Clause */
/* The words of "latchctl explain": cause and next step. */
#ifndef LATCHD_REPORT_EXPLAIN_TEXT_H
#define LATCHD_REPORT_EXPLAIN_TEXT_H

#include "latchd/explain/explanation.h"
#include "latchd/report/report.h"

#define EXPLAIN_TEXT_SIZE 4096

struct explain_texts {
	const char *code; /* a fixed word */
	char cause[EXPLAIN_TEXT_SIZE];
	char next[EXPLAIN_TEXT_SIZE]; /* "": nothing is to be done */
};

/* The reasons of a deleted latch, as a set of enum latch_reason. */
uint8_t explain_text_reasons(const struct history_record *record);

/* The cause of the flow's state. */
void explain_text_cause(const struct report_source *source, const struct explanation *explanation,
			struct explain_texts *ret);
/* The forecast for a new connection. */
void explain_text_now(const struct report_source *source, const struct explanation *explanation,
		      struct explain_texts *ret);

#endif
