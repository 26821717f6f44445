/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "packet/esp_in_udp.h"

__noinline int sa_encapsulates(const struct latch_sa_key *sa)
{
	struct latch_sa_key key;
	struct latch_sa *found;

	if (!sa)
		return 0;
	key = *sa;
	found = bpf_map_lookup_elem(&sas, &key);
	return found && found->encap;
}
