/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Peers choose the number of their identities, and local users the rules that match their flows. So
 * the rows of one rule have a share of the table. Beyond the share one row counts all other flows
 * of that rule and reason. Places are reserved for these rows.
 */
#include "db/audit.h"

static __always_inline __u64 *rows_of(__u32 share)
{
	return bpf_map_lookup_elem(&audit_shares, &share);
}

static __always_inline __u32 share_of(const struct latch_audit_key *key)
{
	return key->rule < LATCH_RULES_MAX ? key->rule : LATCH_RULES_MAX;
}

static __always_inline int take_place(const struct latch_audit_key *key)
{
	__u64 *rows = rows_of(share_of(key)), *all = rows_of(LATCH_AUDIT_SHARE_ALL);

	if (key->others)
		return 1;
	if (!rows || !all || !quota_take(rows, LATCH_AUDIT_ROWS_RULE))
		return 0;
	if (quota_take(all, LATCH_AUDIT_ROWS - LATCH_AUDIT_ROWS_SPARE))
		return 1;
	quota_give(rows);
	return 0;
}

static __always_inline void give_place(const struct latch_audit_key *key)
{
	__u64 *rows = rows_of(share_of(key)), *all = rows_of(LATCH_AUDIT_SHARE_ALL);

	if (key->others || !rows || !all)
		return;
	quota_give(rows);
	quota_give(all);
}

static OWN_FRAME int insert_row(const struct latch_flow *flow, const struct audit_note *note,
				int others)
{
	struct latch_audit_key key = note->key;
	struct latch_audit row = {.first = bpf_ktime_get_boot_ns()};

	if (others) {
		key.rule_set = key.reasons = 0;
		key.params = 0;
		key.others = 1;
	}
	if (!take_place(&key))
		return -1;
	row.flow = *flow;
	row.direction = note->direction;
	if (!bpf_map_update_elem(&audits, &key, &row, BPF_NOEXIST))
		return 0;
	give_place(&key);
	return 0; /* another CPU was faster, or the table is full */
}

static OWN_FRAME struct latch_audit *find_row(const struct audit_note *note, int others)
{
	struct latch_audit_key key = note->key;

	if (others) {
		key.rule_set = key.reasons = 0;
		key.params = 0;
		key.others = 1;
	}
	return bpf_map_lookup_elem(&audits, &key);
}

static __always_inline void add_to(struct latch_audit *row, const struct audit_note *note)
{
	__sync_fetch_and_add(&row->packets, note->packets);
	__sync_fetch_and_add(&row->flows, note->flows);
	row->last = bpf_ktime_get_boot_ns();
	if (note->got)
		row->got = note->got;
}

__noinline int audit_add(const struct latch_flow *flow, const struct audit_note *note)
{
	struct latch_audit *row;

	if (!flow || !note || (!note->packets && !note->flows))
		return 0;
	for (int others = 0; others < 2; others++) {
		row = find_row(note, others);
		if (!row && !insert_row(flow, note, others))
			row = find_row(note, others);
		if (row) {
			add_to(row, note);
			return 0;
		}
	}
	return 0;
}
