/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/log_limit.h"

#include "common/loop.h"

bool log_limit_admits(struct log_limit *limit, unsigned int *ret_left_out)
{
	uint64_t now = loop_now_ms();

	if (!limit->lines || now - limit->since_ms >= LOG_LIMIT_PERIOD_MS) {
		limit->since_ms = now;
		limit->lines = 0;
	}
	if (limit->lines == LOG_LIMIT_LINES) {
		limit->left_out++;
		return false;
	}
	limit->lines++;
	*ret_left_out = limit->left_out;
	limit->left_out = 0;
	return true;
}
