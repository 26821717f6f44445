/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/enforce/mode.h"

#include "latch_mode.h"

void mode_begin(struct latch_settings *settings, bool has_latches, uint64_t boot_ns)
{
	settings->mode = has_latches ? ((uint32_t)(boot_ns / 1000000000ULL) + 1) * 2 : 0;
	settings->mode_since = has_latches ? boot_ns : 0;
}

bool mode_is_audit_after(const struct config *config, const struct latch_settings *now, bool first)
{
	switch (config->mode) {
	case CONFIG_MODE_ENFORCE:
		return false;
	case CONFIG_MODE_AUDIT:
		return first || latch_mode_is_audit(now->mode);
	case CONFIG_MODE_KEPT:
		break;
	}
	return latch_mode_is_audit(now->mode);
}
