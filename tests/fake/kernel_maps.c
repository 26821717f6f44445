/* SPDX-License-Identifier: BSD-2-Clause */
#include "fake/kernel_maps.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stddef.h>
#include <unistd.h>

#include "latch_abi.h"

struct map_row {
	size_t member; /* offset in struct kernel_maps */
	enum bpf_map_type type;
	__u32 key_size;
	__u32 value_size;
	__u32 max_entries;
	__u32 flags;
};

#define MEMBER(name) offsetof(struct kernel_maps, name)

/* The types and flags of bpf/db/maps.h. */
static const struct map_row rows[] = {
	{MEMBER(latches), BPF_MAP_TYPE_HASH, sizeof(struct latch_flow), sizeof(struct latch),
	 FAKE_LATCHES_MAX, 0},
	{MEMBER(sas), BPF_MAP_TYPE_HASH, sizeof(struct latch_sa_key), sizeof(struct latch_sa),
	 FAKE_SAS_MAX, 0},
	{MEMBER(params), BPF_MAP_TYPE_HASH, sizeof(__u32), sizeof(struct latch_params),
	 LATCH_PARAMS_MAX, BPF_F_NO_PREALLOC},
	{MEMBER(associations), BPF_MAP_TYPE_HASH, sizeof(struct latch_flow),
	 sizeof(struct latch_association), FAKE_LATCHES_MAX, BPF_F_NO_PREALLOC},
	{MEMBER(identities), BPF_MAP_TYPE_HASH, sizeof(__u32), sizeof(struct latch_identity),
	 LATCH_IDENTITIES_MAX, BPF_F_NO_PREALLOC},
	{MEMBER(own_keys), BPF_MAP_TYPE_HASH, sizeof(__u32), sizeof(struct latch_own_key),
	 LATCH_PARAMS_MAX, BPF_F_NO_PREALLOC},
	{MEMBER(rules), BPF_MAP_TYPE_ARRAY, sizeof(__u32), sizeof(struct latch_rule),
	 LATCH_RULES_MAX, 0},
	{MEMBER(peer_sets), BPF_MAP_TYPE_ARRAY, sizeof(__u32), sizeof(struct latch_peer_sets), 2,
	 0},
	{MEMBER(peer_facts), BPF_MAP_TYPE_ARRAY, sizeof(__u32), sizeof(struct latch_peer_facts),
	 LATCH_IDENTITIES_MAX + 1, 0},
	{MEMBER(settings), BPF_MAP_TYPE_ARRAY, sizeof(__u32), sizeof(struct latch_settings), 1, 0},
	{MEMBER(spd_stamps), BPF_MAP_TYPE_LRU_HASH, sizeof(__u64), sizeof(__u64), 1024, 0},
	{MEMBER(pairs), BPF_MAP_TYPE_HASH, sizeof(struct latch_pair), sizeof(__u32),
	 LATCH_PAIRS_MAX, BPF_F_NO_PREALLOC},
	{MEMBER(audits), BPF_MAP_TYPE_HASH, sizeof(struct latch_audit_key),
	 sizeof(struct latch_audit), LATCH_AUDIT_ROWS, BPF_F_NO_PREALLOC},
	{MEMBER(mark_shares), BPF_MAP_TYPE_ARRAY, sizeof(__u32), sizeof(__u64), LATCH_MARK_SHARES,
	 0},
	{MEMBER(audit_shares), BPF_MAP_TYPE_ARRAY, sizeof(__u32), sizeof(__u64), LATCH_AUDIT_SHARES,
	 0},
	{MEMBER(clock), BPF_MAP_TYPE_ARRAY, sizeof(__u32), sizeof(struct latch_clock), 1, 0},
	{MEMBER(drops), BPF_MAP_TYPE_PERCPU_ARRAY, sizeof(__u32), sizeof(struct latch_drop_count),
	 LATCH_DROP_COUNT, 0},
	{MEMBER(counters), BPF_MAP_TYPE_PERCPU_ARRAY, sizeof(__u32), sizeof(__u64),
	 LATCH_COUNTER_COUNT, 0},
	{MEMBER(news_tokens), BPF_MAP_TYPE_HASH, sizeof(struct latch_token), sizeof(__u64),
	 LATCH_SUBSCRIBERS_MAX, BPF_F_NO_PREALLOC},
	{MEMBER(news_sockets), BPF_MAP_TYPE_HASH, sizeof(__u64), sizeof(struct latch_subscription),
	 LATCH_SUBSCRIBED_MAX, BPF_F_NO_PREALLOC},
	{MEMBER(events), BPF_MAP_TYPE_RINGBUF, 0, 0, FAKE_EVENTS_SIZE, 0},
};

static int *member_of(struct kernel_maps *maps, const struct map_row *row)
{
	return (int *)((char *)maps + row->member);
}

int fake_kernel_maps_make(struct kernel_maps *maps)
{
	int err = 0;
	size_t i;

	*maps = (struct kernel_maps){-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
				     -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1};
	for (i = 0; !err && i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct map_row *row = &rows[i];
		LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = row->flags);
		int fd = bpf_map_create(row->type, "fake", row->key_size, row->value_size,
					row->max_entries, &options);

		*member_of(maps, row) = fd;
		err = fd < 0 ? fd : 0;
	}
	if (err)
		fake_kernel_maps_close(maps);
	return err;
}

void fake_kernel_maps_close(struct kernel_maps *maps)
{
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int *fd = member_of(maps, &rows[i]);

		if (*fd >= 0)
			close(*fd);
		*fd = -1;
	}
}
