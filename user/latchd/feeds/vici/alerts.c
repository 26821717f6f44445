/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/feeds/vici/alerts.h"

#include <string.h>

#include "common/loop.h"

void vici_alerts_reset(struct vici_alerts *alerts)
{
	memset(alerts, 0, sizeof(*alerts));
}

void vici_alerts_complete(struct vici_alerts *alerts, uint64_t number)
{
	alerts->complete = true;
	alerts->since = number;
}

static struct vici_alert *find(struct vici_alert_list *list, uint32_t ike_unique_id)
{
	size_t i;

	for (i = 0; i < VICI_ALERTS_MAX; i++)
		if (list->latest[i].ike_unique_id == ike_unique_id)
			return &list->latest[i];
	return NULL;
}

/* A repeated alert takes no second place. */
static void add(struct vici_alert_list *list, uint32_t ike_unique_id)
{
	struct vici_alert *alert = find(list, ike_unique_id);

	if (!alert) {
		alert = &list->latest[list->next];
		list->next = (list->next + 1) % VICI_ALERTS_MAX;
		list->lost = list->lost || (alert->ike_unique_id && !alert->taken);
	}
	*alert = (struct vici_alert){.ike_unique_id = ike_unique_id, .at_ms = loop_now_ms()};
}

static void forget(struct vici_alert_list *list, uint32_t ike_unique_id)
{
	struct vici_alert *alert = find(list, ike_unique_id);

	if (alert)
		*alert = (struct vici_alert){0};
}

/* One charon never reuses a unique id, and numbers from 1. */
static bool read_id(const struct vici_ike_sa *ike_sa, uint32_t *ret_id)
{
	return !ike_sa->ambiguous && !vici_text_number(ike_sa->unique_id, 10, ret_id) && *ret_id;
}

/* The id of the only IKE_SA of the alert. Before authentication any host can cause an alert. */
static bool read_alert(struct vici_span message, struct vici_text *ret_type, uint32_t *ret_id)
{
	struct vici_member type, section;
	struct vici_ike_sa ike_sa, other;

	if (!vici_find(message, "type", VICI_MEMBER_VALUE, &type) ||
	    !vici_find(message, "ike-sa", VICI_MEMBER_SECTION, &section))
		return false;
	*ret_type = type.value;
	return vici_ike_sa_next(&section.body, &ike_sa) > 0 &&
	       vici_ike_sa_next(&section.body, &other) == 0 &&
	       vici_ike_sa_is_established(&ike_sa) && read_id(&ike_sa, ret_id);
}

void vici_alerts_note(struct vici_alerts *alerts, struct vici_span message)
{
	struct vici_text type;
	uint32_t id;

	if (!read_alert(message, &type, &id))
		return;
	if (vici_text_is(type, "retransmit-send-timeout"))
		add(&alerts->timeouts, id);
	else if (vici_text_is(type, "retransmit-send-cleared"))
		forget(&alerts->timeouts, id);
	else if (vici_text_is(type, "unique-replace"))
		add(&alerts->replaced, id);
}

static void close_alert(struct vici_alert *alert)
{
	if (!alert || alert->closed)
		return;
	alert->closed = true;
	alert->matches = loop_now_ms() - alert->at_ms <= VICI_ALERT_MS;
}

void vici_alerts_note_down(struct vici_alerts *alerts, struct vici_span message)
{
	struct vici_ike_sa ike_sa;
	uint32_t id;

	while (vici_ike_sa_next(&message, &ike_sa) > 0)
		if (read_id(&ike_sa, &id))
			close_alert(find(&alerts->timeouts, id));
}

/* A timeout that the IKE_SA has outlived contradicts its end: tasks decide, as without alerts. */
static enum vici_named_cause cause_of(struct vici_alerts *alerts, uint32_t id, uint64_t number)
{
	const struct vici_alert *timeout = find(&alerts->timeouts, id);

	if (find(&alerts->replaced, id))
		return VICI_NAMED_REPLACED;
	if (timeout)
		return timeout->matches ? VICI_NAMED_TIMEOUT : VICI_NAMED_NOTHING;
	if (!alerts->complete || alerts->timeouts.lost || number <= alerts->since)
		return VICI_NAMED_NOTHING;
	return VICI_NAMED_NO_TIMEOUT;
}

static void take(struct vici_alert_list *list, uint32_t ike_unique_id)
{
	struct vici_alert *alert = find(list, ike_unique_id);

	if (alert)
		alert->taken = true;
}

enum vici_named_cause vici_alerts_take(struct vici_alerts *alerts, const struct vici_ike_sa *ike_sa,
				       uint64_t number)
{
	enum vici_named_cause cause;
	uint32_t id;

	if (!read_id(ike_sa, &id))
		return VICI_NAMED_NOTHING;
	cause = cause_of(alerts, id, number);
	take(&alerts->timeouts, id);
	take(&alerts->replaced, id);
	return cause;
}
