/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * True: two packets that the kernel joins arrived under congruent SAs. A pending or ambiguous SA is
 * congruent with itself only.
 */
#ifndef LATCH_BPF_PACKET_SAME_PROTECTION_H
#define LATCH_BPF_PACKET_SAME_PROTECTION_H

#include "db/read_once.h"
#include "packet/sec_path.h"

/* The params by which pass_established() compares. 0: the SA is not attributed, or ambiguous. */
static OWN_FRAME __u16 attributed_params(const struct latch_sa_key *sa)
{
	struct latch_sa *found = bpf_map_lookup_elem(&sas, sa);
	union latch_sa_word word;

	if (!found)
		return 0;
	word = READ_WORD(found->word);
	if (word.flags & LATCH_SA_AMBIGUOUS || word.state == LATCH_SA_PENDING)
		return 0;
	return word.params;
}

static __always_inline int same_key(const struct latch_sa_key *one,
				    const struct latch_sa_key *other)
{
	const __u64 *a = (const __u64 *)one, *b = (const __u64 *)other;
	__u64 difference = 0;

	for (__u32 i = 0; i < sizeof(*one) / sizeof(*a); i++)
		difference |= a[i] ^ b[i];
	return !difference;
}

static OWN_FRAME int same_protection(struct sk_buff *first, struct sk_buff *next, __u64 netns)
{
	struct latch_sa_key one, other;
	enum packet_protection protection = sec_path_sa(first, netns, &one);
	__u16 params;

	if (protection != sec_path_sa(next, netns, &other))
		return 0;
	if (same_key(&one, &other))
		return 1;
	params = attributed_params(&one);
	return params && params == attributed_params(&other);
}

#endif
