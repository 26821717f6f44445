/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/maps/map_walk.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"

#define WALK_BATCH     512 /* entries; doubled if a bucket of the map holds more */
#define WALK_PART      128 /* the same, of a walk in parts */
#define WALK_BATCH_MAX (1U << 20)
#define WALK_ROUNDS    8 /* the walk by keys may visit the whole map so many times */

#define KERNEL_ENOTSUPP 524 /* the kernel's answer; not in errno.h */

struct batch {
	size_t key_size;
	size_t value_size;
	uint32_t capacity;
	uint32_t count;
	char *keys;
	char *values;
};

static void batch_release(struct batch *batch)
{
	free(batch->keys);
	free(batch->values);
	batch->keys = batch->values = NULL;
}

static int batch_reserve(struct batch *batch, uint32_t capacity)
{
	batch_release(batch);
	if (capacity > WALK_BATCH_MAX)
		return -ENOSPC;
	batch->capacity = capacity;
	batch->keys = calloc(capacity, batch->key_size);
	batch->values = calloc(capacity, batch->value_size);
	return batch->keys && batch->values ? 0 : -ENOMEM;
}

static int batch_visit(const struct batch *batch, map_visit_fn visit, void *context)
{
	int result = 0;
	uint32_t i;

	for (i = 0; !result && i < batch->count; i++)
		result = visit(context, batch->keys + i * batch->key_size,
			       batch->values + i * batch->value_size);
	return result;
}

/* The kernel sets the position to the next bucket. The position only grows, so the walk ends. */
static int batch_read(int map_fd, struct batch *batch, uint32_t *position, bool first)
{
	uint32_t next = 0;
	int err;

	batch->count = batch->capacity;
	err = bpf_map_lookup_batch(map_fd, first ? NULL : position, &next, batch->keys,
				   batch->values, &batch->count, NULL);
	if (err && err != -ENOENT)
		batch->count = 0;
	else
		*position = next;
	return err;
}

static bool no_batches(int err)
{
	return err == -EINVAL || err == -EOPNOTSUPP || err == -KERNEL_ENOTSUPP;
}

static int walk_batches(int map_fd, struct batch *batch, map_visit_fn visit, void *context,
			bool *ret_unsupported)
{
	int err = 0, result = batch_reserve(batch, WALK_BATCH);
	uint32_t position = 0;
	bool first = true;

	while (!result && err != -ENOENT) {
		err = batch_read(map_fd, batch, &position, first);
		if (err == -ENOSPC) {
			result = batch_reserve(batch, batch->capacity * 2);
		} else if (err && err != -ENOENT) {
			*ret_unsupported = first && no_batches(err);
			result = err;
		} else {
			first = false;
			result = batch_visit(batch, visit, context);
		}
	}
	return result;
}

int map_walk(int map_fd, size_t key_size, size_t value_size, map_visit_fn visit, void *context)
{
	struct batch batch = {.key_size = key_size, .value_size = value_size};
	bool unsupported = false;
	int result = walk_batches(map_fd, &batch, visit, context, &unsupported);

	batch_release(&batch);
	if (unsupported)
		result = map_walk_keys(map_fd, key_size, value_size, visit, context);
	return result;
}

/* A bucket with more entries than the batch holds is read by a larger one. */
static int read_part(int map_fd, struct batch *batch, struct map_cursor *cursor)
{
	int err = batch_reserve(batch, WALK_PART);

	if (!err)
		err = batch_read(map_fd, batch, &cursor->position, !cursor->begun);
	while (err == -ENOSPC) {
		err = batch_reserve(batch, batch->capacity * 2);
		if (!err)
			err = batch_read(map_fd, batch, &cursor->position, !cursor->begun);
		else
			return -ENOMEM;
	}
	return err;
}

int map_walk_part(int map_fd, size_t key_size, size_t value_size, struct map_cursor *cursor,
		  map_visit_fn visit, void *context)
{
	struct batch batch = {.key_size = key_size, .value_size = value_size};
	int err = read_part(map_fd, &batch, cursor);

	if (!cursor->begun && no_batches(err)) {
		err = map_walk_keys(map_fd, key_size, value_size, visit, context);
		cursor->ended = true;
	} else if (!err || err == -ENOENT) {
		cursor->ended = err == -ENOENT;
		err = batch_visit(&batch, visit, context);
	}
	cursor->begun = true;
	batch_release(&batch);
	return err;
}

static int steps_limit(int map_fd, uint64_t *ret_steps)
{
	struct bpf_map_info info = {0};
	__u32 length = sizeof(info);
	int err = bpf_map_get_info_by_fd(map_fd, &info, &length);

	*ret_steps = ((uint64_t)info.max_entries + 1) * WALK_ROUNDS;
	return err;
}

int map_walk_keys(int map_fd, size_t key_size, size_t value_size, map_visit_fn visit, void *context)
{
	auto_free char *key = malloc(key_size);
	auto_free char *next = malloc(key_size);
	auto_free char *value = malloc(value_size);
	uint64_t steps;
	int err, result = steps_limit(map_fd, &steps);

	if (!key || !next || !value)
		return -ENOMEM;
	if (result)
		return result;
	err = bpf_map_get_next_key(map_fd, NULL, next);
	while (!err && !result) {
		if (!steps--)
			return -EAGAIN;
		memcpy(key, next, key_size);
		err = bpf_map_lookup_elem(map_fd, key, value);
		if (!err)
			result = visit(context, key, value);
		if (!err || err == -ENOENT) /* deleted since its key was read */
			err = bpf_map_get_next_key(map_fd, key, next);
	}
	return !result && err != -ENOENT ? err : result;
}
