/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The tables of identities and params in real BPF maps. The test puts latches and
 * SAs, which refer to params, into the other maps.
 */
#ifndef LATCHD_TESTS_IDENTITIES_FIXTURE_H
#define LATCHD_TESTS_IDENTITIES_FIXTURE_H

#include <bpf/bpf.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fake/kernel_maps.h"
#include "latchd/feeds/feed.h"
#include "latchd/identity/identities.h"

static struct kernel_maps maps;
static struct identities *identities;

static inline void fixture_start(void)
{
	int err = fake_kernel_maps_make(&maps);

	if (err == -EPERM)
		cr_skip_test("no privilege to make BPF maps");
	cr_assert_eq(err, 0);
	cr_assert_eq(identities_load(&maps, &identities), 0);
}

static inline void fixture_finish(void)
{
	identities_free(identities);
	fake_kernel_maps_close(&maps);
}

static inline int reload(void)
{
	identities_free(identities);
	identities = NULL;
	return identities_load(&maps, &identities);
}

/* Small tables, to fill them quickly. */
static inline void shrink(__u32 params, __u32 ids)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_NO_PREALLOC);

	close(maps.params);
	close(maps.identities);
	maps.params = bpf_map_create(BPF_MAP_TYPE_HASH, "params", sizeof(__u32),
				     sizeof(struct latch_params), params, &options);
	maps.identities = bpf_map_create(BPF_MAP_TYPE_HASH, "identities", sizeof(__u32),
					 sizeof(struct latch_identity), ids, &options);
	cr_assert_eq(reload(), 0);
}

static inline struct latch_identity identity_of(const char *id)
{
	struct latch_identity identity = {.auth = FEED_AUTH_PUBKEY};

	strcpy(identity.authority, "charon");
	strcpy(identity.config, "x509");
	strcpy(identity.id, id);
	return identity;
}

static inline struct latch_identity numbered(unsigned int number)
{
	char id[32];

	snprintf(id, sizeof(id), "host-%u.example", number);
	return identity_of(id);
}

static inline uint32_t intern(const struct latch_identity *identity)
{
	uint32_t index = 0;

	cr_assert_eq(identities_intern(identities, identity, &index), 0);
	cr_assert_neq(index, 0);
	return index;
}

static inline uint32_t intern_id(const char *id)
{
	struct latch_identity identity = identity_of(id);

	return intern(&identity);
}

static inline struct latch_params params_of(uint32_t local, uint32_t peer)
{
	struct latch_params params = {.local_id = local, .peer_id = peer, .protocol = 50};

	strcpy(params.qop.encryption, "rfc4106(gcm(aes))");
	params.qop.encryption_bits = 288;
	return params;
}

static inline uint16_t intern_params(const struct latch_params *params)
{
	uint16_t index = 0;

	cr_assert_eq(identities_intern_params(identities, params, &index), 0);
	cr_assert_neq(index, 0);
	return index;
}

static inline uint16_t intern_pair(const char *local, const char *peer)
{
	struct latch_params params = params_of(intern_id(local), intern_id(peer));

	return intern_params(&params);
}

static inline struct latch_identity stored_identity(uint32_t index)
{
	struct latch_identity value;

	cr_assert_eq(bpf_map_lookup_elem(maps.identities, &index, &value), 0);
	return value;
}

static inline void store_identity(uint32_t index, const struct latch_identity *value)
{
	cr_assert_eq(bpf_map_update_elem(maps.identities, &index, value, BPF_ANY), 0);
}

static inline void put_latch(uint16_t port, uint16_t params)
{
	struct latch_flow flow = {.netns = 1, .local_port = port, .family = AF_INET};
	struct latch latch = {.id = port};

	latch.word.params = params;
	latch.word.state = LATCH_STATE_ESTABLISHED;
	cr_assert_eq(bpf_map_update_elem(maps.latches, &flow, &latch, BPF_ANY), 0);
}

static inline void remove_latch(uint16_t port)
{
	struct latch_flow flow = {.netns = 1, .local_port = port, .family = AF_INET};

	cr_assert_eq(bpf_map_delete_elem(maps.latches, &flow), 0);
}

static inline void put_sa(__u32 spi, uint16_t params)
{
	struct latch_sa_key key = {.netns = 1, .spi = spi, .protocol = 50, .family = AF_INET};
	struct latch_sa sa = {0};

	sa.word.params = params;
	sa.word.state = LATCH_SA_BOUND;
	cr_assert_eq(bpf_map_update_elem(maps.sas, &key, &sa, BPF_ANY), 0);
}

static inline size_t entries(int map)
{
	__u32 key, *at = NULL;
	size_t count = 0;

	for (; !bpf_map_get_next_key(map, at, &key); at = &key)
		count++;
	return count;
}

#endif
