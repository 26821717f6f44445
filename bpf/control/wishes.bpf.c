/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Searches the wishes of all sockets for one that needs the gates of a cgroup. The search is here,
 * not in latchd: after each record that latchd reads, the kernel finds the next socket by counting
 * from the first one. A socket that is closed meanwhile would have it skip another one.
 */
#include "db/maps.h"

/* The id of a cgroup that contains the socket's, by its level: 0 is the root of the hierarchy. */
static __always_inline __u64 ancestor_id(struct cgroup *cgroup, int level)
{
	struct cgroup **ancestors = __builtin_preserve_access_index(&cgroup->ancestors[0]);
	struct cgroup *ancestor = NULL;

	bpf_probe_read_kernel(&ancestor, sizeof(ancestor), ancestors + level);
	return ancestor ? BPF_CORE_READ(ancestor, kn, id) : 0;
}

static __always_inline int is_covered(const struct latch_wish_search *search, __u64 id)
{
	int covered = 0;

	for (int i = 0; i < LATCH_WISH_COVERS; i++)
		covered |= search->covered[i] == id;
	return covered;
}

struct place_search {
	const struct latch_wish_search *wanted;
	struct cgroup *cgroup; /* of the socket */
	int last;	       /* its level */
	int is_within;
};

/* Non-zero ends the search. An id that cannot be read may be any. */
static long try_level(__u32 level, struct place_search *place)
{
	__u64 id;

	if ((int)level > place->last)
		return 1;
	id = ancestor_id(place->cgroup, (int)level);
	if (!id) {
		place->is_within = 1;
		return 1;
	}
	if (place->is_within && is_covered(place->wanted, id)) {
		place->is_within = 0;
		return 1;
	}
	if (id == place->wanted->cgroup)
		place->is_within = 1;
	return 0;
}

/* A local user may nest cgroups as deeply as the kernel permits. */
static __always_inline int may_be_there(struct sock *sk, const struct latch_wish_search *wanted)
{
	struct cgroup *cgroup = BPF_CORE_READ(sk, sk_cgrp_data.cgroup);
	int last = cgroup ? BPF_CORE_READ(cgroup, level) : LATCH_CGROUP_LEVELS;
	struct place_search place = {.wanted = wanted, .cgroup = cgroup, .last = last};

	if (!cgroup || (last >= LATCH_CGROUP_LEVELS && wanted->is_deep))
		return 1;
	bpf_loop(LATCH_CGROUP_LEVELS, try_level, &place, 0);
	return place.is_within;
}

SEC("iter/bpf_sk_storage_map")
int find_wish(struct bpf_iter__bpf_sk_storage_map *ctx)
{
	const struct socket_wish *wish = ctx->value;
	struct sock *sk = ctx->sk;
	struct latch_wish_search *wanted;
	__u32 key = 0;
	__u8 found = 1;

	if (!sk || !wish || !(wish->terms & WISH_MORE))
		return 0;
	wanted = bpf_map_lookup_elem(&wish_search, &key);
	if (!wanted || may_be_there(sk, wanted))
		bpf_seq_write(ctx->meta->seq, &found, sizeof(found));
	return 0;
}
