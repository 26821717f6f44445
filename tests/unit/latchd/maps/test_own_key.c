/* SPDX-License-Identifier: BSD-2-Clause */
/* This host's key by params, in a map of this kernel. */
#include <bpf/bpf.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "latchd/maps/own_key.h"

#define PARAMS 7

static struct kernel_maps maps;
static const uint8_t of_w[LATCH_KEY_SIZE] = {1}, renewed[LATCH_KEY_SIZE] = {[31] = 1};

static void begin(void)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_NO_PREALLOC);

	maps.own_keys = bpf_map_create(BPF_MAP_TYPE_HASH, "own_keys", sizeof(__u32),
				       sizeof(struct latch_own_key), 16, &options);
	cr_assert_geq(maps.own_keys, 0);
}

TestSuite(own_key, .init = begin);

static const uint8_t *known(uint16_t params)
{
	static struct latch_own_key value;
	__u32 index = params;

	return bpf_map_lookup_elem(maps.own_keys, &index, &value) ? NULL : value.key;
}

static bool is_known_as(const uint8_t *key)
{
	const uint8_t *found = known(PARAMS);

	return found && !memcmp(found, key, LATCH_KEY_SIZE);
}

Test(own_key, the_latest_key_counts_for_its_params_only)
{
	cr_expect_eq(own_key_set(&maps, PARAMS, of_w), 0);
	cr_expect(is_known_as(of_w));
	cr_expect_eq(own_key_set(&maps, PARAMS, renewed), 0);
	cr_expect(is_known_as(renewed));
	cr_expect_null(known(PARAMS + 1));
}

Test(own_key, an_unknown_key_leaves_no_entry)
{
	cr_expect_eq(own_key_set(&maps, PARAMS, NULL), 0, "there was none");
	cr_expect_eq(own_key_set(&maps, PARAMS, of_w), 0);
	cr_expect_eq(own_key_set(&maps, PARAMS, NULL), 0);
	cr_expect_null(known(PARAMS));
}

/* Programs read the entry. User space cannot write to a frozen map. */
Test(own_key, an_equal_key_replaces_no_entry)
{
	cr_assert_eq(own_key_set(&maps, PARAMS, of_w), 0);
	cr_assert_eq(bpf_map_freeze(maps.own_keys), 0);
	cr_expect_eq(own_key_set(&maps, PARAMS, of_w), 0);
	cr_expect_eq(own_key_set(&maps, PARAMS, renewed), -EPERM);
	cr_expect(is_known_as(of_w));
}
