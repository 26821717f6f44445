/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/explain/explain.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "common/clock.h"
#include "latch_mode.h"
#include "latch_strength.h"
#include "latchd/explain/explain_decide.h"
#include "latchd/explain/explain_policy.h"
#include "latchd/identity/identities.h"
#include "latchd/maps/latch_control.h"
#include "latchd/maps/tables.h"
#include "latchd/net/socket_diag.h"
#include "latchd/spd/policy_dump.h"

#define DUMP_TRIES 4

/* ---- the policies that decide now */

static int read_policies(struct explanation *e)
{
	enum policy_direction direction;
	int err = -EINTR, tries;
	struct spd spd;

	for (tries = 0; err == -EINTR && tries < DUMP_TRIES; tries++)
		err = policy_dump(e->flow.netns, &spd);
	if (err)
		return err;
	for (direction = POLICY_OUT; direction < POLICY_DIRECTIONS; direction++) {
		const struct policy *found = explain_policy(&spd, &e->flow, direction);
		struct explain_policy *policy = &e->policy[direction];

		policy->absent = !found;
		policy->action = found ? found->action : spd.default_action[direction];
		if (found)
			policy->policy = *found;
	}
	policy_dump_release(&spd);
	return 0;
}

/* ---- the SAs that may carry it */

struct gather {
	const struct explain_sources *sources;
	struct explanation *e;
};

/* Keeps the newest SAs, since the kernel chooses the newest. */
static void add_sa(struct explanation *e, const struct latch_sa_key *key, const struct latch_sa *sa,
		   bool out)
{
	size_t at = e->sa_count < EXPLAIN_SAS_MAX ? e->sa_count : EXPLAIN_SAS_MAX;

	if (!explain_fits_policy(e, sa, out))
		return;
	e->sa_count++;
	while (at && e->sas[at - 1].sa.installed < sa->installed) {
		if (at < EXPLAIN_SAS_MAX)
			e->sas[at] = e->sas[at - 1];
		at--;
	}
	if (at < EXPLAIN_SAS_MAX)
		e->sas[at] = (struct explain_sa){.key = *key, .sa = *sa, .out = out};
}

static int add_child(void *context, const struct attribution_child *child)
{
	const struct gather *gather = context;
	struct latch_sa sa;

	if (!sa_get(gather->sources->maps, child->out, &sa))
		add_sa(gather->e, child->out, &sa, true);
	if (!sa_get(gather->sources->maps, child->in, &sa))
		add_sa(gather->e, child->in, &sa, false);
	return 0;
}

/* No key manager has reported the SA's selectors: only its addresses show that it may carry the
 * flow. */
static int add_unreported(void *context, const struct latch_sa_key *key, const struct latch_sa *sa)
{
	const struct gather *gather = context;
	const struct latch_flow *flow = &gather->e->flow;
	size_t size = sizeof(key->daddr);
	bool out = !memcmp(key->daddr, flow->remote_addr, size) &&
		   !memcmp(sa->saddr, flow->local_addr, size);
	bool in = !memcmp(key->daddr, flow->local_addr, size) &&
		  !memcmp(sa->saddr, flow->remote_addr, size);

	if (key->netns == flow->netns && key->family == flow->family && !sa->word.params &&
	    !(sa->word.flags & LATCH_SA_GONE) && (out || in))
		add_sa(gather->e, key, sa, out);
	else if (explain_may_carry_unreported(gather->e, key, sa))
		gather->e->unreported++;
	return 0;
}

static int read_sas(const struct explain_sources *sources, struct explanation *e)
{
	struct gather gather = {sources, e};

	if (sources->attribution)
		attribution_children_of(sources->attribution, &e->flow, add_child, &gather);
	return sas_walk(sources->maps, add_unreported, &gather);
}

/* ---- the rule */

/* The check of bpf/gate/peer_terms.bpf.c. An SA without params is not BOUND. */
static bool refuses(const struct explain_sources *sources, const struct latch_rule *rule,
		    const struct latch_sa *sa)
{
	const struct latch_params *params =
		identities_get_params(sources->identities, sa->word.params);

	if (!params)
		return false;
	if (rule->peer_set &&
	    !(identities_sets_of(sources->identities, params->peer_id) >> (rule->peer_set - 1) & 1))
		return true;
	return latch_strength(&params->qop) < rule->min_encryption * 8U;
}

static void check_terms(const struct explain_sources *sources, struct explanation *e)
{
	size_t i;

	if (e->rule >= sources->rule_count)
		return;
	for (i = 0; i < e->sa_count && i < EXPLAIN_SAS_MAX; i++)
		e->sas[i].refused = refuses(sources, &sources->rules[e->rule].rule, &e->sas[i].sa);
}

/* Another latchd may have given the owner other numbers. */
static bool is_same_owner(const struct history_side *one, const struct history_side *other)
{
	return one->known && other->known && !memcmp(&one->peer, &other->peer, sizeof(one->peer)) &&
	       !memcmp(&one->local, &other->local, sizeof(one->local)) &&
	       !memcmp(&one->params.qop, &other->params.qop, sizeof(one->params.qop));
}

/* The wish itself is in the socket only: the event has what the SA of its packet lacked. */
static void check_wish(const struct explain_sources *sources, struct explanation *e)
{
	const struct history_packet *packet = &e->record.packet;
	struct history_side side;
	size_t i;

	if (e->found != EXPLAIN_REFUSED || !history_packet_lacks_wish(packet))
		return;
	e->wish = packet->wish;
	for (i = 0; packet->wish != LATCH_WHY_REQUIRED && i < e->sa_count && i < EXPLAIN_SAS_MAX;
	     i++) {
		history_side_of(sources->identities, e->sas[i].sa.word.params, &side);
		e->sas[i].unwished = is_same_owner(&side, &packet->owner);
	}
}

/* The gate does not know which end has opened the flow of a UDP socket. */
static enum latch_direction direction_of_rule(const struct explanation *e)
{
	if (e->flow.protocol == IPPROTO_UDP)
		return LATCH_DIRECTION_NONE;
	return e->direction == LATCH_DIRECTION_NONE ? LATCH_DIRECTION_OUT : e->direction;
}

static int read_rule(const struct explain_sources *sources, struct explanation *e)
{
	int result = latch_rule_of(sources->maps, &e->flow, direction_of_rule(e), &e->rule);

	if (result < 0)
		return result;
	e->action = e->rule < sources->rule_count ? sources->rules[e->rule].rule.action
						  : LATCH_ACTION_AUTO;
	return 0;
}

/* ---- what it was */

const struct history_record *explain_record_of_id(const struct history *history, uint64_t id)
{
	const struct history_record *record = history_find(history, HISTORY_ENDED, id);

	return record ? record : history_find(history, HISTORY_LIVE, id);
}

const struct history_record *explain_record_of_flow(const struct history *history,
						    const struct latch_flow *flow,
						    enum latch_direction direction)
{
	const struct history_record *newest = NULL, *record;
	enum history_kind kind;

	for (kind = HISTORY_LIVE; kind < HISTORY_KINDS; kind++) {
		record = history_find_flow(history, kind, flow);
		if (record && direction != LATCH_DIRECTION_NONE && record->direction != direction)
			continue;
		if (record && (!newest || record->last_ns >= newest->last_ns))
			newest = record;
	}
	return newest;
}

/* SCTP: a latch stays CLOSED for a while. Its record is among the ended ones. */
static const struct history_record *record_of_latch(const struct history *history, uint64_t id)
{
	const struct history_record *record = history_find(history, HISTORY_LIVE, id);

	return record ? record : history_find(history, HISTORY_ENDED, id);
}

static void find_record(const struct explain_sources *sources,
			const struct explain_subject *subject, struct explanation *e)
{
	const struct history_record *record = subject->record;

	if (subject->latch)
		record = record_of_latch(sources->history, subject->latch->id);
	else if (!record)
		record = explain_record_of_flow(sources->history, &subject->flow,
						subject->direction);
	e->has_record = record != NULL;
	if (record)
		e->record = *record;
}

static enum explain_socket find_socket(const struct latch_flow *flow)
{
	int err = flow->local_port ? socket_diag_find_connecting(flow) : -EINVAL;

	if (!err)
		return EXPLAIN_SOCKET_CONNECTING;
	if (err == -EISCONN)
		return EXPLAIN_SOCKET_CONNECTED;
	return err == -ENOENT ? EXPLAIN_SOCKET_NONE : EXPLAIN_SOCKET_UNKNOWN;
}

/* The refused connect() has ended, and TCP has connected the same ends since. */
static bool is_later_socket(const struct explanation *e)
{
	return e->record.flow.protocol == IPPROTO_TCP && !e->record.elsewhere && e->record.reset &&
	       !e->record.reset_error && e->socket == EXPLAIN_SOCKET_CONNECTED;
}

static enum explain_found find_kind(const struct explain_subject *subject,
				    const struct explanation *e)
{
	bool ended = e->has_record && e->record.kind == HISTORY_ENDED;
	bool refused = e->has_record && e->record.kind == HISTORY_REFUSED;

	if (subject->latch && !ended)
		return EXPLAIN_LATCH;
	if (e->has_record && !refused)
		return EXPLAIN_ENDED;
	if (refused && !is_later_socket(e))
		return EXPLAIN_REFUSED;
	return e->socket == EXPLAIN_SOCKET_CONNECTING || e->socket == EXPLAIN_SOCKET_CONNECTED
		       ? EXPLAIN_SOCKET
		       : EXPLAIN_NONE;
}

static void find(const struct explain_sources *sources, const struct explain_subject *subject,
		 struct explanation *e)
{
	find_record(sources, subject, e);
	if (!subject->latch)
		e->socket = find_socket(&subject->flow);
	e->found = find_kind(subject, e);
	if (e->found == EXPLAIN_SOCKET)
		e->has_record = false;
}

static void set_flow(const struct explain_subject *subject, struct explanation *e)
{
	e->flow = e->has_record && !subject->latch ? e->record.flow : subject->flow;
	e->direction = subject->direction;
	if (subject->latch)
		e->direction = subject->latch->direction;
	else if (e->direction == LATCH_DIRECTION_NONE && e->has_record)
		e->direction = e->record.direction;
	if (!e->flow.local_port) {
		e->flow.local_port = EXPLAIN_EXAMPLE_PORT;
		e->example_port = true;
	}
}

/* Fills what the record lacks from the tables: latchd started after the break, or the record was
 * replaced. */
static void complete_record(const struct explain_sources *sources, struct explanation *e)
{
	struct history_record *record = &e->record;
	size_t i;

	if (e->found != EXPLAIN_LATCH || e->latch.word.state == LATCH_STATE_LISTENER)
		return;
	if (!record->want.known)
		history_side_of(sources->identities, e->latch.word.params, &record->want);
	if (!(e->latch.word.reasons & LATCH_REASON_SA_CONFLICT))
		return;
	for (i = 0; !record->got.known && i < e->sa_count && i < EXPLAIN_SAS_MAX; i++)
		if (e->sas[i].sa.word.params != e->latch.word.params)
			history_side_of(sources->identities, e->sas[i].sa.word.params,
					&record->got);
}

int explain_subject(const struct explain_sources *sources, const struct explain_subject *subject,
		    struct explanation *e)
{
	int err;

	*e = (struct explanation){.rule = LATCH_RULE_NONE};
	find(sources, subject, e);
	set_flow(subject, e);
	if (subject->latch) {
		e->latch = *subject->latch;
		e->audited = e->latch.word.state == LATCH_STATE_BROKEN &&
			     latch_mode_passes_latch(mode_read(sources->maps), &e->latch);
	}
	e->latches = subject->latches;
	e->gaps = history_gaps(sources->history);
	e->spd_error = read_policies(e);
	err = read_rule(sources, e);
	if (!err)
		err = read_sas(sources, e);
	if (err)
		return err;
	check_terms(sources, e);
	check_wish(sources, e);
	complete_record(sources, e);
	explain_decide(e, clock_boot_ns(), sources->pending_limit_ns);
	return 0;
}
