/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Makes the remembered passes of a socket invalid, whatever the epochs are (gate/remembered.h).
 * Does not free them: a loop of connect() must not cause an allocation in each round.
 */
#ifndef LATCH_BPF_DB_FORGET_PASSES_H
#define LATCH_BPF_DB_FORGET_PASSES_H

#include "db/maps.h"
#include "db/read_once.h"

#define NO_STAMP 0 /* epochs_sum() returns it if there is no sum */

static __always_inline void forget_pass(void *map, struct bpf_sock *sk)
{
	struct remembered_pass *pass = bpf_sk_storage_get(map, sk, NULL, 0);

	if (pass)
		WRITE_ONCE(pass->stamp, NO_STAMP);
}

static __always_inline void forget_passes(struct bpf_sock *sk)
{
	forget_pass(&passed_out, sk);
	forget_pass(&passed_in, sk);
}

#endif
