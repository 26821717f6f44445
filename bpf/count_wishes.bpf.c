/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Counts the sockets with a wish for latchctl purge, which ends them: one byte for each. An object
 * of its own, since latchctl loads it without latchd, and it uses no map but the one it walks over.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "db/socket_wish.h"

SEC("iter/bpf_sk_storage_map")
int count_wish(struct bpf_iter__bpf_sk_storage_map *ctx)
{
	const struct socket_wish *wish = ctx->value;
	__u8 one = 1;

	if (ctx->sk && wish && wish->terms & WISH_MORE)
		bpf_seq_write(ctx->meta->seq, &one, sizeof(one));
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
