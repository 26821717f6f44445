/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Walks over the wishes of all sockets, for latchd: the cgroups of each socket that has one. */
#include "db/maps.h"

/* The id of a cgroup that contains the socket's, by its level: 0 is the root of the hierarchy. */
static __always_inline __u64 ancestor_id(struct cgroup *cgroup, int level)
{
	struct cgroup **ancestors = __builtin_preserve_access_index(&cgroup->ancestors[0]);
	struct cgroup *ancestor = NULL;

	bpf_probe_read_kernel(&ancestor, sizeof(ancestor), ancestors + level);
	return ancestor ? BPF_CORE_READ(ancestor, kn, id) : 0;
}

/* Zeros: too many levels, and the socket may be anywhere. */
static __always_inline void fill_place(struct sock *sk, struct latch_wish_place *place)
{
	struct cgroup *cgroup = BPF_CORE_READ(sk, sk_cgrp_data.cgroup);
	int last = cgroup ? BPF_CORE_READ(cgroup, level) : LATCH_CGROUP_LEVELS;

	if (last >= LATCH_CGROUP_LEVELS)
		return;
	for (int level = 0; level < LATCH_CGROUP_LEVELS && level <= last; level++)
		place->cgroups[level] = ancestor_id(cgroup, level);
}

SEC("iter/bpf_sk_storage_map")
int find_wish(struct bpf_iter__bpf_sk_storage_map *ctx)
{
	const struct socket_wish *wish = ctx->value;
	struct latch_wish_place place = {};
	struct sock *sk = ctx->sk;

	if (!sk || !wish || !(wish->terms & WISH_MORE))
		return 0;
	fill_place(sk, &place);
	bpf_seq_write(ctx->meta->seq, &place, sizeof(place));
	return 0;
}
