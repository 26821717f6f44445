/* SPDX-License-Identifier: BSD-2-Clause */
/* Logs refused children: each once, and a bounded number of them. The peers choose how many there
 * are. */
#ifndef LATCHD_FEEDS_VICI_REFUSAL_LOG_H
#define LATCHD_FEEDS_VICI_REFUSAL_LOG_H

#include <stddef.h>
#include <stdint.h>

#include "latchd/feeds/vici/message.h"

#define VICI_REFUSALS_MAX 64

struct vici_refusal_log {
	uint32_t children[VICI_REFUSALS_MAX]; /* unique ids of those that are logged */
	size_t count;
};

/* reason: a fixed text. */
void vici_log_refusal(struct vici_refusal_log *logged, const char *feed_name,
		      struct vici_text config_name, uint32_t child_unique_id, const char *reason);

#endif
