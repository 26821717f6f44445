/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/report/log_share.h"

#include "common/loop.h"

enum log_share_verdict log_share_take(struct log_share *share, enum log_share_kind kind,
				      uint16_t params, uint16_t other)
{
	unsigned int place = (params + 31u * other) % LOG_SHARE_SLOTS;
	struct log_share_slot *slot = &share->slots[kind][place];
	uint64_t now_ms = loop_now_ms();

	if (now_ms >= slot->ends_ms)
		*slot = (struct log_share_slot){.ends_ms = now_ms + LOG_SHARE_MS};
	if (slot->lines > LOG_SHARE_LINES)
		return LOG_SHARE_NONE;
	return slot->lines++ < LOG_SHARE_LINES ? LOG_SHARE_LINE : LOG_SHARE_LAST;
}
