/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What must hold beside contradictions.h: an invariant after each event, and the tables that the
 * last consistent snapshots give. Worked out from the kernel's SAs alone, without latchd's code.
 */
#ifndef LATCHD_TESTS_EXPECTED_H
#define LATCHD_TESTS_EXPECTED_H

#include "contradictions.h"

/* ---- R-2.3-7: no latch is established beside an SA in conflict with it */

/*
 * An earlier latchd has bound the SA, and its key manager has sent this latchd no list yet. This
 * latchd then has half of the conflicts (docs/decisions/08-sas.md). The gate drops packets of the
 * latch under that SA. SAs of a key manager that is lost after its list are not bound.
 */
static bool is_inherited(uint16_t index)
{
	const struct latch_params *params = identities_get_params(identities, index);
	const struct latch_identity *peer =
		params ? identities_get(identities, params->peer_id) : NULL;
	unsigned int i;

	for (i = 0; peer && i < KEY_MANAGERS; i++)
		if (!strcmp(peer->authority, feed_at(i)->name))
			return !has_listed[i];
	return false;
}

static bool is_bound_otherwise(const struct pair *pair, bool inbound, uint16_t params)
{
	struct latch_sa_key key = key_of(pair, inbound);
	struct latch_sa sa;

	return (inbound ? pair->in : pair->out) && !sa_get(&maps, &key, &sa) &&
	       sa.word.state == LATCH_SA_BOUND && sa.word.params != params &&
	       !is_inherited(sa.word.params);
}

/* Of an SA that was reported with other selectors latchd cannot know what it covers. */
static void check_flow(size_t at)
{
	struct latch latch;
	size_t i;

	if (latch_get(&maps, &flows[at], &latch) || latch.word.state != LATCH_STATE_ESTABLISHED)
		return;
	for (i = 0; i < PAIRS; i++) {
		const struct pair *pair = &pairs[i];

		if (!pair->reported || pair->misreported || !covers(pair, at))
			continue;
		must(!is_bound_otherwise(pair, true, latch.word.params) &&
			     !is_bound_otherwise(pair, false, latch.word.params),
		     "flow %zu is established beside the conflicting SA 0x%08x", at,
		     pair->installed.spi_in);
	}
}

static void check_invariant(void)
{
	size_t i;

	for (i = 0; i < FLOWS; i++)
		check_flow(i);
}

/* ---- consistent snapshots */

static void report_consistently(unsigned int key_manager)
{
	struct feed *feed = feed_at(key_manager);
	size_t i;

	sink->snapshot_begin(sink->context, feed);
	for (i = 0; i < PAIRS; i++)
		if (pairs[i].in && pairs[i].listed && pairs[i].key_manager == key_manager)
			report_up(feed, &pairs[i], true);
	end_snapshot(feed);
	set_feed_state(feed, FEED_STATE_SYNCED);
}

/* A CHILD_SA that was mixed up with others stays listed: its key manager corrects its reports. */
static void settle_kernel(void)
{
	size_t i;

	for (i = 0; i < PAIRS; i++) {
		struct pair *pair = &pairs[i];

		if (pair->in != pair->out) {
			remove_end(pair, true);
			remove_end(pair, false);
			hint_gone(pair, true);
			hint_gone(pair, false);
		}
		pair->listed = pair->misreported || draw(&chance, 8);
	}
}

/* ---- do the tables agree with the kernel's SAs? */

static const char *disagreement; /* of the last comparison, for the message */

static bool disagrees(const char *what)
{
	disagreement = what;
	return true;
}

static bool has_true_params(const struct pair *pair, uint16_t index)
{
	const struct latch_params *params = identities_get_params(identities, index);
	const struct latch_identity *peer =
		params ? identities_get(identities, params->peer_id) : NULL;
	const struct latch_identity *local =
		params ? identities_get(identities, params->local_id) : NULL;

	return peer && local && !strcmp(peer->id, pair->installed.peer_id) &&
	       !strcmp(peer->config, pair->installed.config_name) &&
	       peer->auth == pair->installed.peer_auth &&
	       !strcmp(peer->authority, feed_at(pair->key_manager)->name) &&
	       !strcmp(local->id, pair->installed.local_id);
}

static bool pair_disagrees(const struct pair *pair)
{
	struct latch_sa_key in = key_of(pair, true), out = key_of(pair, false);
	union latch_sa_word in_word, out_word;

	if (!pair->in)
		return false;
	in_word = sa_at(&in).word;
	out_word = sa_at(&out).word;
	if (!pair->listed)
		return (in_word.state == LATCH_SA_BOUND || out_word.state == LATCH_SA_BOUND) &&
		       disagrees("an SA that no key manager has is bound");
	if (in_word.state != LATCH_SA_BOUND || out_word.state != LATCH_SA_BOUND)
		return disagrees("a reported SA is not bound");
	if (in_word.params != out_word.params)
		return disagrees("the SAs of a pair have different params");
	return !has_true_params(pair, in_word.params) && disagrees("an SA has another's peer");
}

/* sure: a reported SA; possible: one that latchd may still know although no key manager has it */
static void find_conflicts(size_t at, uint16_t params, bool *sure, bool *possible)
{
	size_t i;

	for (i = 0; i < PAIRS; i++) {
		struct latch_sa_key key = key_of(&pairs[i], true);
		uint16_t other;

		if (!pairs[i].in || !covers(&pairs[i], at))
			continue;
		other = sa_at(&key).word.params;
		*sure = *sure || (pairs[i].listed && other != params);
		*possible = *possible || (!pairs[i].listed && other && other != params);
	}
}

static bool flow_disagrees(size_t at)
{
	bool sure = false, possible = false, conflict;
	uint8_t others;
	struct latch latch;

	if (latch_get(&maps, &flows[at], &latch))
		return false;
	conflict = latch.word.reasons & LATCH_REASON_SA_CONFLICT;
	others = latch.word.reasons & (uint8_t)~LATCH_REASON_SA_CONFLICT;
	find_conflicts(at, latch.word.params, &sure, &possible);
	if (sure && !conflict)
		return disagrees("a latch is not broken by its conflict");
	if (!sure && !possible && conflict)
		return disagrees("a latch is broken without a conflict");
	if (others & (uint8_t) ~(LATCH_REASON_PEER_DEAD | LATCH_REASON_PEER_REBOOTED) ||
	    (others && !deaths_reported))
		return disagrees("a latch is broken for another reason");
	return (latch.word.state == LATCH_STATE_BROKEN) != (latch.word.reasons != 0) &&
	       disagrees("state and reasons of a latch differ");
}

static bool has_converged(void)
{
	size_t i;

	for (i = 0; i < PAIRS; i++)
		if (pair_disagrees(&pairs[i]))
			return false;
	for (i = 0; i < FLOWS; i++)
		if (flow_disagrees(i))
			return false;
	return true;
}

/*
 * A report that would take another CHILD_SA's outbound SA is ignored. If lies have mixed up several
 * of them, each snapshot corrects at least one.
 */
static void converge(void)
{
	unsigned int round, i;

	event_name = "consistent";
	settle_kernel();
	for (i = 0; i < KEY_MANAGERS; i++)
		attach(feed_at(i), &ns);
	for (round = 0; round <= PAIRS; round++) {
		for (i = 0; i < KEY_MANAGERS; i++)
			report_consistently(i);
		settle();
		check_invariant();
		if (round && has_converged())
			return;
	}
	contradiction("not converged: %s", disagreement);
}

/* ---- what must stay constant */

static unsigned int entries_of(int map, size_t key_size)
{
	uint8_t key[128], next[128];
	unsigned int count = 0;
	bool more = !bpf_map_get_next_key(map, NULL, next);

	while (more) {
		count++;
		memcpy(key, next, key_size);
		more = !bpf_map_get_next_key(map, key, next);
	}
	return count;
}

/* No CHILD_SA, no SA and no latch is left. */
static void empty_world(void)
{
	size_t i;

	for (i = 0; i < PAIRS; i++) {
		remove_end(&pairs[i], true);
		remove_end(&pairs[i], false);
		if (pairs[i].installed.spi_in) {
			hint_gone(&pairs[i], true);
			hint_gone(&pairs[i], false);
		}
		pairs[i] = (struct pair){0};
	}
	remove_latches();
	converge();
	must(!entries_of(maps.sas, sizeof(struct latch_sa_key)), "SAs are left");
	must(!entries_of(maps.latches, sizeof(struct latch_flow)), "latches are left");
}

#endif
