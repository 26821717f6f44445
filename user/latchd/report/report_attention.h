/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Conditions under which connections are not latched, or latches not kept, although every program
 * is attached. "latchctl status" shows each of them and has an exit status for them.
 */
#ifndef LATCHD_REPORT_REPORT_ATTENTION_H
#define LATCHD_REPORT_REPORT_ATTENTION_H

#include <stdbool.h>
#include <stdint.h>

#include "common/json_writer.h"
#include "latch_abi.h"
#include "latchd/maps/kernel_maps.h"

/* Time for which a counter of refused or unlatched connections counts after its last change. */
#define REPORT_RECENT_MS 600000

struct report_recent { /* zeroed before first use */
	bool known;
	uint64_t counters[LATCH_COUNTER_COUNT];
	uint64_t changed_ms[LATCH_COUNTER_COUNT]; /* of loop_now_ms(); 0 = not since the start */
};

/* Call it about every second. */
void report_recent_note(struct report_recent *recent, const struct kernel_maps *maps,
			uint64_t now_ms);

struct report_source;

/* The document's counts of latches. */
struct report_latch_numbers {
	uint64_t used, capacity, larval;
	uint64_t foreign_larval; /* of larval: in namespaces of other user namespaces */
};

/* "attention": [{"code", "object", "detail"}], empty when all is well. */
void report_attention(struct json_writer *w, const struct report_source *source,
		      const struct report_latch_numbers *latches);

/*
 * "notices": the same, for conditions that any local user can cause in network namespaces of
 * another user namespace. They concern no connection of the host, and do not change the exit
 * status.
 */
void report_notices(struct json_writer *w, const struct report_source *source,
		    const struct report_latch_numbers *latches);

#endif
