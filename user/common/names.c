/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/names.h"

#include <linux/xfrm.h>
#include <netinet/in.h>

const char *latch_state_name(enum latch_state state)
{
	switch (state) {
	case LATCH_STATE_NONE:
		return "none";
	case LATCH_STATE_LISTENER:
		return "listener";
	case LATCH_STATE_LARVAL:
		return "larval";
	case LATCH_STATE_ESTABLISHED:
		return "established";
	case LATCH_STATE_BROKEN:
		return "broken";
	case LATCH_STATE_CLOSED:
		return "closed";
	}
	return "unknown";
}

const char *latch_direction_name(enum latch_direction direction)
{
	switch (direction) {
	case LATCH_DIRECTION_OUT:
		return "out";
	case LATCH_DIRECTION_IN:
		return "in";
	case LATCH_DIRECTION_NONE:
		break;
	}
	return "unknown";
}

const char *latch_disposition_name(enum latch_disposition disposition)
{
	switch (disposition) {
	case LATCH_DISPOSITION_RESET:
		return "reset";
	case LATCH_DISPOSITION_WAIT:
		return "wait";
	case LATCH_DISPOSITION_UNREACHABLE:
		return "unreachable";
	}
	return "unknown";
}

const char *latch_reason_name(enum latch_reason reason)
{
	switch (reason) {
	case LATCH_REASON_SA_CONFLICT:
		return "sa-conflict";
	case LATCH_REASON_SPD_CHANGE:
		return "spd-change";
	case LATCH_REASON_PEER_DEAD:
		return "peer-dead";
	case LATCH_REASON_PEER_REBOOTED:
		return "peer-rebooted";
	case LATCH_REASON_ADMIN:
		return "admin";
	case LATCH_REASON_REFUSED:
		return "refused";
	}
	return "unknown";
}

const char *latch_sa_state_name(enum latch_sa_state state)
{
	switch (state) {
	case LATCH_SA_NONE:
		return "none";
	case LATCH_SA_PENDING:
		return "pending";
	case LATCH_SA_BOUND:
		return "bound";
	case LATCH_SA_ORPHAN:
		return "orphan";
	case LATCH_SA_DYING:
		return "dying";
	}
	return "unknown";
}

const char *latch_drop_name(enum latch_drop drop)
{
	switch (drop) {
	case LATCH_DROP_PLAINTEXT:
		return "plaintext";
	case LATCH_DROP_SA_PENDING:
		return "sa-pending";
	case LATCH_DROP_SA_UNKNOWN:
		return "sa-unknown";
	case LATCH_DROP_IDENTITY:
		return "identity";
	case LATCH_DROP_QOP:
		return "qop";
	case LATCH_DROP_AMBIGUOUS:
		return "ambiguous";
	case LATCH_DROP_NESTED:
		return "nested";
	case LATCH_DROP_BROKEN:
		return "broken";
	case LATCH_DROP_CLOSED:
		return "closed";
	case LATCH_DROP_CONFLICT:
		return "conflict";
	case LATCH_DROP_LATCHES_FULL:
		return "latches-full";
	case LATCH_DROP_MALFORMED:
		return "malformed";
	case LATCH_DROP_REQUIRED:
		return "required";
	case LATCH_DROP_MERGED:
		return "merged";
	case LATCH_DROP_OTHER_MODE:
		return "other-mode";
	case LATCH_DROP_CONTESTED:
		return "contested";
	case LATCH_DROP_COUNT:
		break;
	}
	return "unknown";
}

const char *latch_counter_name(enum latch_counter counter)
{
	switch (counter) {
	case LATCH_COUNTER_EVENTS_LOST:
		return "events_lost";
	case LATCH_COUNTER_LATCHES_FULL:
		return "latches_full";
	case LATCH_COUNTER_SAS_FULL:
		return "sas_full";
	case LATCH_COUNTER_SAS_OVER_QUOTA:
		return "sas_over_quota";
	case LATCH_COUNTER_UNLATCHED_PENDING:
		return "unlatched_pending";
	case LATCH_COUNTER_UNLATCHED_OTHER:
		return "unlatched_other";
	case LATCH_COUNTER_LATCHES_CREATED:
		return "latches_created";
	case LATCH_COUNTER_SLOW_PATH:
		return "slow_path";
	case LATCH_COUNTER_XFRM_HOOKS:
		return "xfrm_hooks";
	case LATCH_COUNTER_SAS_ELSEWHERE:
		return "sas_elsewhere";
	case LATCH_COUNTER_DATAGRAMS_LOST:
		return "datagrams_lost";
	case LATCH_COUNTER_UNLATCHED_UNSERVED:
		return "unlatched_unserved";
	case LATCH_COUNTER_UNLATCHED_FOREIGN:
		return "unlatched_foreign";
	case LATCH_COUNTER_AUDITED:
		return "audited";
	case LATCH_COUNTER_AUDIT_UNMARKED:
		return "audit_unmarked";
	case LATCH_COUNTER_ELSEWHERE_FOREIGN:
		return "elsewhere_foreign";
	case LATCH_COUNTER_UNLATCHED_TUNNEL:
		return "unlatched_tunnel";
	case LATCH_COUNTER_COUNT:
		break;
	}
	return "unknown";
}

const char *latch_event_name(enum latch_event_type type)
{
	switch (type) {
	case LATCH_EVENT_LATCH_ESTABLISHED:
		return "latch-established";
	case LATCH_EVENT_LATCH_BROKEN:
		return "latch-broken";
	case LATCH_EVENT_LATCH_HEALED:
		return "latch-healed";
	case LATCH_EVENT_LATCH_CLOSED:
		return "latch-closed";
	case LATCH_EVENT_SA_PENDING:
		return "sa-pending";
	case LATCH_EVENT_SA_GONE:
		return "sa-gone";
	case LATCH_EVENT_DROP:
		return "drop";
	case LATCH_EVENT_REFUSED:
		return "latch-refused";
	case LATCH_EVENT_POLICY_CHANGED:
		return "policy-changed";
	case LATCH_EVENT_SAS_ELSEWHERE:
		return "sas-elsewhere";
	case LATCH_EVENT_NEWS_SPAWNED: /* of no monitor */
	case LATCH_EVENT_NEWS_CLOSED:
	case LATCH_EVENT_NEWS_LOST:
		break;
	}
	return "unknown";
}

const char *latch_app_state_name(enum latch_app_state state)
{
	switch (state) {
	case LATCH_APP_NOT_LATCHED:
		return "not-latched";
	case LATCH_APP_LISTENER:
		return "listener";
	case LATCH_APP_LARVAL:
		return "larval";
	case LATCH_APP_ESTABLISHED:
		return "established";
	case LATCH_APP_BROKEN:
		return "broken";
	case LATCH_APP_CLOSED:
		return "closed";
	case LATCH_APP_AUDITED:
		return "audited";
	case LATCH_APP_UNPROVEN:
		return "unproven";
	}
	return "unknown";
}

const char *latch_why_name(enum latch_why why)
{
	switch (why) {
	case LATCH_WHY_NONE:
		return "none";
	case LATCH_WHY_NOT_CONNECTED:
		return "not-connected";
	case LATCH_WHY_NOT_YET:
		return "not-yet";
	case LATCH_WHY_CLEAR:
		return "clear";
	case LATCH_WHY_OLDER:
		return "older";
	case LATCH_WHY_RULE_OFF:
		return "rule-off";
	case LATCH_WHY_REQUIRED:
		return "required";
	case LATCH_WHY_REFUSED:
		return "refused";
	case LATCH_WHY_OTHER_SOCKET:
		return "other-socket";
	case LATCH_WHY_NO_ROOM:
		return "no-room";
	case LATCH_WHY_PEER:
		return "peer";
	case LATCH_WHY_LOCAL:
		return "local";
	case LATCH_WHY_CLASS:
		return "class";
	case LATCH_WHY_TAG:
		return "tag";
	case LATCH_WHY_QUALITY:
		return "quality";
	case LATCH_WHY_BYPASS:
		return "bypass";
	case LATCH_WHY_UNATTRIBUTED:
		return "unattributed";
	case LATCH_WHY_AUDIT:
		return "audit";
	case LATCH_WHY_EARLIER_DATA:
		return "earlier-data";
	case LATCH_WHY_SA_CONFLICT:
		return "sa-conflict";
	case LATCH_WHY_SPD_CHANGE:
		return "spd-change";
	case LATCH_WHY_PEER_DEAD:
		return "peer-dead";
	case LATCH_WHY_PEER_REBOOTED:
		return "peer-rebooted";
	case LATCH_WHY_ADMIN:
		return "admin";
	case LATCH_WHY_REFUSED_LATER:
		return "refused-later";
	case LATCH_WHY_ENDED:
		return "ended";
	case LATCH_WHY_REMOVED:
		return "removed";
	}
	return "unknown";
}

const char *xfrm_mode_name(uint8_t mode)
{
	switch (mode) {
	case XFRM_MODE_TRANSPORT:
		return "transport";
	case XFRM_MODE_TUNNEL:
		return "tunnel";
	case XFRM_MODE_BEET:
		return "beet";
	}
	return "unknown";
}

const char *ipsec_protocol_name(uint8_t protocol)
{
	switch (protocol) {
	case IPPROTO_ESP:
		return "esp";
	case IPPROTO_AH:
		return "ah";
	}
	return "unknown";
}

const char *ulp_name(uint8_t protocol)
{
	switch (protocol) {
	case IPPROTO_TCP:
		return "tcp";
	case IPPROTO_UDP:
		return "udp";
	case IPPROTO_SCTP:
		return "sctp";
	}
	return "unknown";
}
