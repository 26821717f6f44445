/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The mode that a start or a reload puts in force. The pinned word decides, since no restart and no
 * upgrade may lower enforcement. mode = audit counts at the first start only, before latchd has
 * enforced anything. mode = enforce counts always. Without the key the mode stays as it is.
 */
#ifndef LATCHD_ENFORCE_MODE_H
#define LATCHD_ENFORCE_MODE_H

#include <stdbool.h>
#include <stdint.h>

#include "latch_abi.h"
#include "latchd/config/config.h"

/*
 * Sets the mode word if no word is pinned. If latches are pinned, the word was lost, and the new
 * word comes from the clock. No latch has this word: it counts half seconds since the boot, and a
 * switch takes longer. The word is never 0, which means that no word was lost. Older latches may
 * have been created in audit mode.
 */
void mode_begin(struct latch_settings *settings, bool has_latches, uint64_t boot_ns);

/* now: the settings in force; first: no latchd has enforced anything before. */
bool mode_is_audit_after(const struct config *config, const struct latch_settings *now, bool first);

#endif
