/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/enforce/rules.h"

#include <bpf/bpf.h>
#include <string.h>

#include "latchd/config/config_peer.h"
#include "latchd/maps/latch_control.h"

static int read_settings(const struct kernel_maps *maps, struct latch_settings *ret)
{
	__u32 key = 0;

	return bpf_map_lookup_elem(maps->settings, &key, ret);
}

static __u32 half_of(__u32 stamp)
{
	return stamp & 1 ? LATCH_RULES_MAX : 0;
}

static struct latch_rule rule_of(const struct config *config, size_t i, bool all_sockets)
{
	struct latch_rule rule = config->rules[i].rule;

	if (all_sockets)
		rule.flags |= LATCH_RULE_SOCKETLESS;
	return rule;
}

/* The sets of peers, which identities_prepare_sets() has written to the other half. */
static int has_sets(const struct kernel_maps *maps, __u32 stamp, const struct config *config)
{
	struct latch_peer_sets sets;
	__u32 half = stamp & 1;
	int err = bpf_map_lookup_elem(maps->peer_sets, &half, &sets);

	return err ? err : sets.digest == config_peers_digest(config);
}

/* 1: config has the rules in force, and their sets. 0: it does not. Or a negative errno. */
static int are_in_force(const struct kernel_maps *maps, const struct latch_settings *settings,
			const struct config *config, bool all_sockets)
{
	struct latch_rule rule, before;
	int err = 0;
	__u32 i, key;

	if (settings->rule_count != config->rule_count)
		return 0;
	for (i = 0; i < settings->rule_count; i++) {
		key = half_of(settings->rule_stamp) + i;
		rule = rule_of(config, i, all_sockets);
		err = bpf_map_lookup_elem(maps->rules, &key, &before);
		if (err || memcmp(&rule, &before, sizeof(rule)))
			break;
	}
	if (err || i < settings->rule_count)
		return err;
	return has_sets(maps, settings->rule_stamp, config);
}

static int write_rules(const struct kernel_maps *maps, __u32 half, const struct config *config,
		       bool all_sockets)
{
	int err = 0;
	__u32 i, key;

	for (i = 0; !err && i < config->rule_count; i++) {
		struct latch_rule rule = rule_of(config, i, all_sockets);

		key = half + i;
		err = bpf_map_update_elem(maps->rules, &key, &rule, BPF_ANY);
	}
	return err;
}

int rules_load(const struct kernel_maps *maps, const struct config *config, bool all_sockets,
	       struct rules_change *ret)
{
	struct latch_settings settings;
	int err = read_settings(maps, &settings);

	ret->made = false;
	if (!err)
		err = are_in_force(maps, &settings, config, all_sockets);
	if (err)
		return err < 0 ? err : 0;
	ret->count_before = settings.rule_count;
	err = write_rules(maps, half_of(settings.rule_stamp + 1), config, all_sockets);
	if (!err)
		err = latch_rules_switch(maps, (__u32)config->rule_count);
	ret->made = !err;
	return err;
}

int rules_undo(const struct kernel_maps *maps, const struct rules_change *change)
{
	return change->made ? latch_rules_switch(maps, change->count_before) : 0;
}

int rules_in_force(const struct kernel_maps *maps, __u8 *ret_set)
{
	struct latch_settings settings;
	int err = read_settings(maps, &settings);

	if (err)
		return err;
	*ret_set = (__u8)settings.rule_stamp;
	return 0;
}
