/* SPDX-License-Identifier: BSD-2-Clause */
/* The answer to "latchctl explain": rule, latch, packet, mismatch, cause and next step. */
#ifndef LATCHD_REPORT_REPORT_EXPLAIN_H
#define LATCHD_REPORT_REPORT_EXPLAIN_H

#include "latchd/explain/explanation.h"
#include "latchd/report/report.h"

void report_explain(struct json_writer *w, const struct report_source *source,
		    const struct explanation *explanation);

/* No latch and no record has this id: an error with the reasons why a record may be missing. */
void report_explain_unknown(struct json_writer *w, uint64_t latch_id,
			    const struct history_gaps *gaps);

#endif
