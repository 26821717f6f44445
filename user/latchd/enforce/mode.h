/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The mode that a start or a reload puts in force. The pinned word decides, since no restart and no
 * upgrade may lower enforcement: mode = audit counts at the first start only, where nothing is
 * enforced yet. mode = enforce counts always. Without the key the mode stays as it is.
 */
#ifndef LATCHD_ENFORCE_MODE_H
#define LATCHD_ENFORCE_MODE_H

#include <stdbool.h>

#include "latch_abi.h"
#include "latchd/config/config.h"

/* now: the settings in force; first: no latchd has enforced anything before. */
bool mode_is_audit_after(const struct config *config, const struct latch_settings *now, bool first);

#endif
