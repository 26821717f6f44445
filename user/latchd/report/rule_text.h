/* SPDX-License-Identifier: BSD-2-Clause */
/* A rule as in latchd.conf, in one line. */
#ifndef LATCHD_REPORT_RULE_TEXT_H
#define LATCHD_REPORT_RULE_TEXT_H

#include "latch_abi.h"

#define RULE_TEXT_SIZE 512

/* NULL: no rule matched. */
void rule_text(char out[RULE_TEXT_SIZE], const struct latch_rule *rule, const char *peer);

#endif
