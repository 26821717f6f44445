/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/maps/own_key.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>

int own_key_set(const struct kernel_maps *maps, uint16_t params, const uint8_t *key)
{
	struct latch_own_key value;
	__u32 index = params;
	int err;

	if (!key) {
		err = bpf_map_delete_elem(maps->own_keys, &index);
		return err == -ENOENT ? 0 : err;
	}
	/* An update would replace the entry under a program that reads it. */
	if (!bpf_map_lookup_elem(maps->own_keys, &index, &value) &&
	    !memcmp(value.key, key, sizeof(value.key)))
		return 0;
	memcpy(value.key, key, sizeof(value.key));
	return bpf_map_update_elem(maps->own_keys, &index, &value, BPF_ANY);
}
