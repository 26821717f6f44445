/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Walks over the wishes of all sockets, for latchd: one byte a socket that has one. */
#include "db/maps.h"

SEC("iter/bpf_sk_storage_map")
int find_wish(struct bpf_iter__bpf_sk_storage_map *ctx)
{
	const struct socket_wish *wish = ctx->value;
	const char one = 1;

	if (wish && wish->terms & WISH_MORE)
		bpf_seq_write(ctx->meta->seq, &one, sizeof(one));
	return 0;
}
