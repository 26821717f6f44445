/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/identity/peer_facts.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "latchd/config/config_peer.h"
#include "latchd/identity/peer_set.h"

int peer_facts_open(struct peer_facts *facts, const struct kernel_maps *maps)
{
	facts->maps = maps;
	facts->known = calloc(LATCH_IDENTITIES_MAX + 1, sizeof(*facts->known));
	return facts->known ? 0 : -ENOMEM;
}

void peer_facts_close(struct peer_facts *facts)
{
	free(facts->known);
}

static int write_facts(struct peer_facts *facts, uint32_t index,
		       const struct latch_peer_facts *next)
{
	int err;

	if (!memcmp(&facts->known[index], next, sizeof(*next)))
		return 0;
	err = bpf_map_update_elem(facts->maps->peer_facts, &index, next, BPF_ANY);
	if (!err)
		facts->known[index] = *next;
	return err;
}

int peer_facts_load(struct peer_facts *facts, const struct intern *ids)
{
	uint32_t i;

	for (i = 1; i <= ids->capacity; i++) {
		int err = intern_get(ids, i) ? bpf_map_lookup_elem(facts->maps->peer_facts, &i,
								   &facts->known[i])
					     : 0;

		if (err && err != -ENOENT)
			return err;
	}
	return 0;
}

/* Writes always: the index may have had an identity before the start. */
int peer_facts_clear(void *context, uint32_t index)
{
	struct peer_facts *facts = context;
	const struct latch_peer_facts none = {.host = LATCH_PEER_UNKNOWN};

	facts->known[index] = none;
	return bpf_map_update_elem(facts->maps->peer_facts, &index, &none, BPF_ANY);
}

static __u8 host_after(__u8 before, bool is_host)
{
	return before != LATCH_PEER_NO_HOST && is_host ? LATCH_PEER_HOST : LATCH_PEER_NO_HOST;
}

static uint32_t sets_of(const struct config *config, const struct latch_identity *identity,
			const struct latch_peer_facts *known)
{
	return config ? peer_sets_of(config, identity, known->host == LATCH_PEER_HOST) : 0;
}

int peer_facts_report(struct peer_facts *facts, uint32_t index,
		      const struct latch_identity *identity, bool is_host)
{
	struct latch_peer_facts next = facts->known[index];

	next.host = host_after(next.host, is_host);
	/* The other half is written before it comes into force. */
	next.sets[0] = next.sets[1] = sets_of(facts->config, identity, &next);
	return write_facts(facts, index, &next);
}

static int write_names(const struct kernel_maps *maps, uint32_t half, const struct config *next)
{
	struct latch_peer_sets sets = {.digest = config_peers_digest(next)};
	size_t i;

	for (i = 0; i < next->peer_count; i++)
		memcpy(sets.names[i], next->peers[i].name, sizeof(sets.names[i]));
	return bpf_map_update_elem(maps->peer_sets, &half, &sets, BPF_ANY);
}

int peer_facts_prepare(struct peer_facts *facts, const struct intern *ids,
		       const struct config *next)
{
	struct latch_settings settings;
	uint32_t zero = 0, half, i;
	int err = bpf_map_lookup_elem(facts->maps->settings, &zero, &settings);

	if (err)
		return err;
	half = (settings.rule_stamp + 1) & 1;
	err = write_names(facts->maps, half, next);
	for (i = 1; !err && i <= ids->capacity; i++) {
		const struct latch_identity *identity = intern_get(ids, i);
		struct latch_peer_facts wanted = facts->known[i];

		/* Of a local identity nothing was ever reported. */
		if (!identity || wanted.host == LATCH_PEER_UNKNOWN)
			continue;
		wanted.sets[half] = sets_of(next, identity, &wanted);
		err = write_facts(facts, i, &wanted);
	}
	return err;
}
