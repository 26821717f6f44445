/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The time for which a new flow waits for the owner of its SA. It does not wait where no key
 * manager serves, or for an SA of a peer that is decided to be unproven.
 */
#ifndef LATCH_BPF_GATE_PENDING_LIMIT_H
#define LATCH_BPF_GATE_PENDING_LIMIT_H

#include "gate/passage.h"

#define PENDING_LIMIT_DEFAULT 5000000000ull

/*
 * Can a feed name the owner of an SA in this namespace? foreign: the namespace belongs to
 * another user namespace than the host's. There a feed must have been seen, since any local
 * user can create such namespaces.
 */
int is_served(__u64 netns, int foreign);

/* Beyond the limit an absent controller must not block the host. */
static __always_inline int is_beyond_limit(const struct latch_sa *sa)
{
	struct latch_settings *s = settings_get();
	__u64 limit = s && s->pending_limit ? s->pending_limit : PENDING_LIMIT_DEFAULT;

	/* The clock of another CPU may be a little ahead. */
	return (__s64)(bpf_ktime_get_boot_ns() - sa->installed) > (__s64)limit;
}

/* The entry of an ambiguous SA also stands for another SA, which is not decided. */
static __always_inline int is_decided_unproven(union latch_sa_word word)
{
	return (word.flags & (LATCH_SA_UNPROVEN | LATCH_SA_AMBIGUOUS)) == LATCH_SA_UNPROVEN;
}

/* Does the flow still wait for the owner of the SA? sa: PENDING, in p's namespace; word: as it was
 * read. */
static __always_inline int is_awaited(const struct passage *p, const struct latch_sa *sa,
				      union latch_sa_word word)
{
	if (is_decided_unproven(word) || is_beyond_limit(sa))
		return 0;
	return is_served(p->sa.netns, word.flags & LATCH_SA_FOREIGN);
}

#endif
