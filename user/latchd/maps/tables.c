/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/maps/tables.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>

#include "common/cleanup.h"

struct latch_walk {
	latch_visit_fn visit;
	void *context;
};

struct sa_walk {
	sa_visit_fn visit;
	void *context;
};

struct association_walk {
	association_visit_fn visit;
	void *context;
};

static int visit_latch(void *context, const void *key, const void *value)
{
	const struct latch_walk *walk = context;

	return walk->visit(walk->context, key, value);
}

static int visit_sa(void *context, const void *key, const void *value)
{
	const struct sa_walk *walk = context;

	return walk->visit(walk->context, key, value);
}

static int visit_association(void *context, const void *key, const void *value)
{
	const struct association_walk *walk = context;

	return walk->visit(walk->context, key, value);
}

int latches_walk(const struct kernel_maps *maps, latch_visit_fn visit, void *context)
{
	struct latch_walk walk = {.visit = visit, .context = context};

	return map_walk(maps->latches, sizeof(struct latch_flow), sizeof(struct latch), visit_latch,
			&walk);
}

int latches_walk_part(const struct kernel_maps *maps, struct map_cursor *cursor,
		      latch_visit_fn visit, void *context)
{
	struct latch_walk walk = {.visit = visit, .context = context};

	return map_walk_part(maps->latches, sizeof(struct latch_flow), sizeof(struct latch), cursor,
			     visit_latch, &walk);
}

int sas_walk(const struct kernel_maps *maps, sa_visit_fn visit, void *context)
{
	struct sa_walk walk = {.visit = visit, .context = context};

	return map_walk(maps->sas, sizeof(struct latch_sa_key), sizeof(struct latch_sa), visit_sa,
			&walk);
}

int sas_walk_part(const struct kernel_maps *maps, struct map_cursor *cursor, sa_visit_fn visit,
		  void *context)
{
	struct sa_walk walk = {.visit = visit, .context = context};

	return map_walk_part(maps->sas, sizeof(struct latch_sa_key), sizeof(struct latch_sa),
			     cursor, visit_sa, &walk);
}

int associations_walk(const struct kernel_maps *maps, association_visit_fn visit, void *context)
{
	struct association_walk walk = {.visit = visit, .context = context};

	return map_walk(maps->associations, sizeof(struct latch_flow),
			sizeof(struct latch_association), visit_association, &walk);
}

int latch_get(const struct kernel_maps *maps, const struct latch_flow *flow, struct latch *ret)
{
	return bpf_map_lookup_elem(maps->latches, flow, ret);
}

int sa_get_entry(const struct kernel_maps *maps, const struct latch_sa_key *key,
		 struct latch_sa *ret)
{
	return bpf_map_lookup_elem(maps->sas, key, ret);
}

int sa_get(const struct kernel_maps *maps, const struct latch_sa_key *key, struct latch_sa *ret)
{
	int err = sa_get_entry(maps, key, ret);

	return !err && ret->word.flags & LATCH_SA_GONE ? -ENOENT : err;
}

int spd_last_edit(const struct kernel_maps *maps, uint64_t netns, uint64_t *ret_ns)
{
	return bpf_map_lookup_elem(maps->spd_stamps, &netns, ret_ns);
}

/* The kernel writes one value for every possible CPU, without a check of the buffer. */
static int per_cpu_buffer(size_t value_size, void **ret_values)
{
	int cpus = libbpf_num_possible_cpus();

	if (cpus < 0)
		return cpus;
	*ret_values = calloc((size_t)cpus, value_size);
	return *ret_values ? cpus : -ENOMEM;
}

int drops_read(const struct kernel_maps *maps, struct latch_drop_count ret[LATCH_DROP_COUNT])
{
	auto_free void *buffer = NULL;
	int cpus = per_cpu_buffer(sizeof(struct latch_drop_count), &buffer), cpu;
	const struct latch_drop_count *counts = buffer;
	int err = cpus < 0 ? cpus : 0;
	uint32_t reason;

	for (reason = 0; !err && reason < LATCH_DROP_COUNT; reason++) {
		ret[reason] = (struct latch_drop_count){0};
		err = bpf_map_lookup_elem(maps->drops, &reason, buffer);
		for (cpu = 0; !err && cpu < cpus; cpu++) {
			ret[reason].egress += counts[cpu].egress;
			ret[reason].ingress += counts[cpu].ingress;
		}
	}
	return err;
}

int counters_read(const struct kernel_maps *maps, uint64_t ret[LATCH_COUNTER_COUNT])
{
	auto_free void *buffer = NULL;
	int cpus = per_cpu_buffer(sizeof(uint64_t), &buffer), cpu;
	const uint64_t *counts = buffer;
	int err = cpus < 0 ? cpus : 0;
	uint32_t which;

	for (which = 0; !err && which < LATCH_COUNTER_COUNT; which++) {
		ret[which] = 0;
		err = bpf_map_lookup_elem(maps->counters, &which, buffer);
		for (cpu = 0; !err && cpu < cpus; cpu++)
			ret[which] += counts[cpu];
	}
	return err;
}

int clock_read(const struct kernel_maps *maps, struct latch_clock *ret)
{
	uint32_t key = 0;

	return bpf_map_lookup_elem(maps->clock, &key, ret);
}

int settings_read(const struct kernel_maps *maps, struct latch_settings *ret)
{
	uint32_t key = 0;

	return bpf_map_lookup_elem(maps->settings, &key, ret);
}

uint32_t mode_read(const struct kernel_maps *maps)
{
	struct latch_settings settings;

	return settings_read(maps, &settings) ? 0 : settings.mode;
}

/* ---- the audit table */

struct audit_walk {
	audit_visit_fn visit;
	void *context;
};

static int visit_audit(void *context, const void *key, const void *value)
{
	const struct audit_walk *walk = context;

	return walk->visit(walk->context, key, value);
}

int audits_walk_part(const struct kernel_maps *maps, struct map_cursor *cursor,
		     audit_visit_fn visit, void *context)
{
	struct audit_walk walk = {.visit = visit, .context = context};

	return map_walk_part(maps->audits, sizeof(struct latch_audit_key),
			     sizeof(struct latch_audit), cursor, visit_audit, &walk);
}

int audits_walk(const struct kernel_maps *maps, audit_visit_fn visit, void *context)
{
	struct audit_walk walk = {.visit = visit, .context = context};

	return map_walk(maps->audits, sizeof(struct latch_audit_key), sizeof(struct latch_audit),
			visit_audit, &walk);
}

static int delete_audit(void *context, const void *key, const void *value)
{
	const struct kernel_maps *maps = context;
	int err = bpf_map_delete_elem(maps->audits, key);

	(void)value;
	return err == -ENOENT ? 0 : err;
}

static int clear_counts(int map, uint32_t count)
{
	const uint64_t none = 0;
	uint32_t at;
	int err = 0;

	for (at = 0; !err && at < count; at++)
		err = bpf_map_update_elem(map, &at, &none, BPF_ANY);
	return err;
}

int mark_shares_clear(const struct kernel_maps *maps)
{
	return clear_counts(maps->mark_shares, LATCH_MARK_SHARES);
}

int audits_clear(const struct kernel_maps *maps)
{
	int err = map_walk(maps->audits, sizeof(struct latch_audit_key), sizeof(struct latch_audit),
			   delete_audit, (void *)maps);

	return err ? err : clear_counts(maps->audit_shares, LATCH_AUDIT_SHARES);
}

uint32_t latches_capacity(const struct kernel_maps *maps)
{
	struct bpf_map_info info = {0};
	__u32 length = sizeof(info);

	return bpf_map_get_info_by_fd(maps->latches, &info, &length) ? 0 : info.max_entries;
}
