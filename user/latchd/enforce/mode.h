/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The mode that a start or a reload puts in force. The pinned word decides, since no restart and no
 * upgrade may lower enforcement. mode = audit counts at the first start only, where nothing is
 * enforced yet. mode = enforce counts always. Without the key the mode stays as it is.
 */
#ifndef LATCHD_ENFORCE_MODE_H
#define LATCHD_ENFORCE_MODE_H

#include <stdbool.h>
#include <stdint.h>

#include "latch_abi.h"
#include "latchd/config/config.h"

/*
 * Where no word is pinned. If latches are, it was lost, and the new one comes from the clock. No
 * latch was decided under it, since a switch takes longer than half a second. It is never 0, which
 * is no word of a lost one. Latches from before it may have been in audit mode.
 */
void mode_begin(struct latch_settings *settings, bool has_latches, uint64_t boot_ns);

/* now: the settings in force; first: no latchd has enforced anything before. */
bool mode_is_audit_after(const struct config *config, const struct latch_settings *now, bool first);

#endif
