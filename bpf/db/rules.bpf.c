/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Finds the first rule that matches. The controller writes rules into the half of the map that is
 * not in force, and then swaps the halves with one store. A search reads that word again at its
 * end. An unchanged word proves that no rule was overwritten during the search: the controller
 * writes a half only after the word has changed. After a change the flow is treated as one that
 * requires a latch and has none, until its next packet.
 */
#include "db/rules.h"
#include "db/read_once.h"

struct rule_search {
	const struct latch_flow *flow;
	struct rule_decision *found;
	__u32 first; /* index in the map */
	int direction;
};

static __always_inline __u32 prefix_mask(__u32 bits)
{
	return bits >= 32 ? 0xffffffff : bpf_htonl(~(0xffffffff >> bits));
}

static __always_inline int has_prefix(const __u8 address[16], const __u8 prefix[16], __u32 bits)
{
	const __u32 *a = (const __u32 *)address, *b = (const __u32 *)prefix;
	__u32 differs = 0;

	differs |= (a[0] ^ b[0]) & prefix_mask(bits);
	differs |= (a[1] ^ b[1]) & prefix_mask(bits > 32 ? bits - 32 : 0);
	differs |= (a[2] ^ b[2]) & prefix_mask(bits > 64 ? bits - 64 : 0);
	differs |= (a[3] ^ b[3]) & prefix_mask(bits > 96 ? bits - 96 : 0);
	return !differs;
}

static __always_inline int matches(const struct latch_rule *rule, const struct latch_flow *flow,
				   int direction)
{
	if (rule->direction != LATCH_DIRECTION_NONE && rule->direction != direction)
		return 0;
	if (rule->protocol && rule->protocol != flow->protocol)
		return 0;
	if (rule->family && rule->family != flow->family)
		return 0;
	if (flow->local_port < rule->local_port_first || flow->local_port > rule->local_port_last)
		return 0;
	if (flow->remote_port < rule->remote_port_first ||
	    flow->remote_port > rule->remote_port_last)
		return 0;
	return has_prefix(flow->local_addr, rule->local_addr, rule->local_bits) &&
	       has_prefix(flow->remote_addr, rule->remote_addr, rule->remote_bits);
}

/* Non-zero ends the search. */
static long try_rule(__u32 i, struct rule_search *search)
{
	__u32 key = search->first + i;
	struct latch_rule *rule = bpf_map_lookup_elem(&rules, &key);

	if (!rule || !matches(rule, search->flow, search->direction))
		return 0;
	search->found->index = i;
	search->found->action = rule->action;
	search->found->disposition = rule->disposition;
	search->found->flags = rule->flags;
	search->found->peer_set = rule->peer_set;
	search->found->min_encryption = rule->min_encryption;
	return 1;
}

static __always_inline void search_rules(struct rule_search *search, __u32 count)
{
	__builtin_memset(search->found, 0, sizeof(*search->found));
	search->found->index = LATCH_RULE_NONE;
	bpf_loop(count < LATCH_RULES_MAX ? count : LATCH_RULES_MAX, try_rule, search, 0);
}

static __always_inline void set_undecided(struct rule_decision *ret)
{
	ret->index = LATCH_RULE_NONE;
	ret->action = LATCH_ACTION_REQUIRE;
	ret->flags = LATCH_RULE_REQUIRE | LATCH_RULE_SOCKETLESS;
	ret->undecided = 1;
}

__noinline int rule_of(const struct latch_flow *flow, int direction, struct rule_decision *ret)
{
	struct rule_search search = {.flow = flow, .found = ret};
	struct latch_settings *s = settings_get();
	union rules_word word;

	if (!flow || !ret)
		return LATCH_RULE_NONE;
	set_undecided(ret);
	if (!s)
		return LATCH_RULE_NONE;
	word.raw = READ_ONCE(*rules_word_of(s));
	search.first = word.stamp & 1 ? LATCH_RULES_MAX : 0;
	search.direction = direction == LATCH_DIRECTION_NONE ? LATCH_DIRECTION_OUT : direction;
	search_rules(&search, word.count);
	if (direction == LATCH_DIRECTION_NONE && ret->action != LATCH_ACTION_REQUIRE) {
		search.direction = LATCH_DIRECTION_IN;
		search_rules(&search, word.count);
	}
	ret->stamp = word.stamp;
	if (READ_ONCE(*rules_word_of(s)) != word.raw)
		set_undecided(ret);
	return ret->index;
}
