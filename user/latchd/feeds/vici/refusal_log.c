/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/feeds/vici/refusal_log.h"

#include "common/log.h"
#include "latchd/feeds/feed.h"

void vici_log_refusal(struct vici_refusal_log *logged, const char *feed_name,
		      struct vici_text config_name, uint32_t child_unique_id, const char *reason)
{
	char name[FEED_NAME_MAX] = "?";
	size_t i;

	for (i = 0; i < logged->count; i++)
		if (logged->children[i] == child_unique_id)
			return;
	if (logged->count == VICI_REFUSALS_MAX)
		return;
	logged->children[logged->count++] = child_unique_id;
	vici_text_copy(config_name, name, sizeof(name));
	log_warn("vici",
		 "child_sa %u refused (%s): connection %s of feed %s; its SAs stay unattributed%s",
		 child_unique_id, reason, name, feed_name,
		 logged->count == VICI_REFUSALS_MAX
			 ? "; further refusals are not logged until the next connection"
			 : "");
}
