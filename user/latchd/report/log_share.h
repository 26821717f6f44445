/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Limits the log lines of one kind for the latches of one peer in conflict with one other peer. A
 * peer can break any number of its own latches at a time. Its lines must neither block the loop
 * nor hide lines of other peers.
 */
#ifndef LATCHD_REPORT_LOG_SHARE_H
#define LATCHD_REPORT_LOG_SHARE_H

#include <stdint.h>

#define LOG_SHARE_LINES 256 /* in a period */
#define LOG_SHARE_MS	10000
#define LOG_SHARE_SLOTS 1024 /* of a hash: two pairs of peers may share one */

enum log_share_kind {
	LOG_SHARE_BROKEN,
	LOG_SHARE_HEALED,
	LOG_SHARE_RESET,
	LOG_SHARE_KINDS,
};

enum log_share_verdict {
	LOG_SHARE_LINE,
	LOG_SHARE_LAST, /* no line, except one about left-out lines */
	LOG_SHARE_NONE,
};

struct log_share { /* zeroed before first use */
	struct log_share_slot {
		uint64_t ends_ms; /* of the period */
		uint32_t lines;
	} slots[LOG_SHARE_KINDS][LOG_SHARE_SLOTS];
};

/* params: of the latch. other: of the SA in conflict, or 0. */
enum log_share_verdict log_share_take(struct log_share *share, enum log_share_kind kind,
				      uint16_t params, uint16_t other);

#endif
