/* SPDX-License-Identifier: BSD-2-Clause */
/* A line that peers can cause at any rate is logged at most LOG_LIMIT_LINES times a minute. */
#ifndef LATCHD_COMMON_LOG_LIMIT_H
#define LATCHD_COMMON_LOG_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

#define LOG_LIMIT_LINES	    10
#define LOG_LIMIT_PERIOD_MS 60000

struct log_limit { /* zeroed before first use */
	uint64_t since_ms;
	unsigned int lines, left_out;
};

/* May the line be logged now? ret_left_out: lines that were not, since the last one that was. */
bool log_limit_admits(struct log_limit *limit, unsigned int *ret_left_out);

#endif
