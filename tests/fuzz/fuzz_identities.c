/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The tables of identities and parameters. The input scripts the contents of the maps, then
 * requests to intern. The maps are in this process: the linker replaces the calls of libbpf
 * (--wrap). Properties: a table is refused exactly when identities.h calls it damaged. The copy
 * equals the map. Equal values have one index. No collection drops parameters that an SA or a latch
 * has. A failed call leaves tables that can be read again.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <zlib.h>

#include "fuzz.h"
#include "latchd/identity/identities.h"

#define ROWS_MAX  24
#define KEY_MAX	  64
#define VALUE_MAX 1024

enum map {
	IDENTITIES,
	PARAMS,
	SAS,
	LATCHES,
	AUDITS,
	PEER_FACTS,
	MAPS,
};

struct fake_map {
	size_t key_size, value_size;
	uint32_t max_entries, count;
	uint8_t keys[ROWS_MAX + 1][KEY_MAX],
		values[ROWS_MAX + 1][VALUE_MAX]; /* the last is unused */
};

static struct fake_map maps[MAPS];
static unsigned int calls, failing_call; /* 0: none fails */
static bool batches;

static const struct kernel_maps descriptors = {
	.identities = IDENTITIES,
	.params = PARAMS,
	.sas = SAS,
	.latches = LATCHES,
	.audits = AUDITS,
	.peer_facts = PEER_FACTS,
};

/* ---- libbpf */

int __wrap_bpf_map_get_info_by_fd(int fd, struct bpf_map_info *info, __u32 *length);
int __wrap_bpf_map_lookup_elem(int fd, const void *key, void *value);
int __wrap_bpf_map_get_next_key(int fd, const void *key, void *next);
int __wrap_bpf_map_update_elem(int fd, const void *key, const void *value, __u64 flags);
int __wrap_bpf_map_delete_elem(int fd, const void *key);
int __wrap_bpf_map_lookup_batch(int fd, void *in, void *out, void *keys, void *values, __u32 *count,
				const struct bpf_map_batch_opts *options);

static bool fails(void)
{
	return ++calls == failing_call;
}

/* The row, or count. */
static uint32_t find(const struct fake_map *map, const void *key)
{
	uint32_t row = 0;

	while (row < map->count && memcmp(map->keys[row], key, map->key_size))
		row++;
	return row;
}

int __wrap_bpf_map_get_info_by_fd(int fd, struct bpf_map_info *info, __u32 *length)
{
	(void)length;
	if (fails())
		return -ENOMEM;
	info->type = BPF_MAP_TYPE_HASH;
	info->key_size = (__u32)maps[fd].key_size;
	info->value_size = (__u32)maps[fd].value_size;
	info->max_entries = maps[fd].max_entries;
	return 0;
}

int __wrap_bpf_map_lookup_elem(int fd, const void *key, void *value)
{
	const struct fake_map *map = &maps[fd];
	uint32_t row = find(map, key);

	if (fails())
		return -ENOMEM;
	if (row == map->count)
		return -ENOENT;
	memcpy(value, map->values[row], map->value_size);
	return 0;
}

int __wrap_bpf_map_get_next_key(int fd, const void *key, void *next)
{
	const struct fake_map *map = &maps[fd];
	uint32_t row = key ? find(map, key) : map->count;

	if (fails())
		return -ENOMEM;
	row = row == map->count ? 0 : row + 1;
	if (row >= map->count)
		return -ENOENT;
	memcpy(next, map->keys[row], map->key_size);
	return 0;
}

int __wrap_bpf_map_update_elem(int fd, const void *key, const void *value, __u64 flags)
{
	struct fake_map *map = &maps[fd];
	uint32_t row = find(map, key);

	if (fails())
		return -ENOMEM;
	if (row < map->count && flags == BPF_NOEXIST)
		return -EEXIST;
	if (row == map->count &&
	    map->count == (map->max_entries < ROWS_MAX ? map->max_entries : ROWS_MAX))
		return -E2BIG;
	memcpy(map->keys[row], key, map->key_size);
	memcpy(map->values[row], value, map->value_size);
	map->count += row == map->count;
	return 0;
}

int __wrap_bpf_map_delete_elem(int fd, const void *key)
{
	struct fake_map *map = &maps[fd];
	uint32_t row = find(map, key);

	if (fails())
		return -ENOMEM;
	if (row == map->count)
		return -ENOENT;
	map->count--;
	memmove(map->keys[row], map->keys[row + 1], (map->count - row) * sizeof(map->keys[0]));
	memmove(map->values[row], map->values[row + 1],
		(map->count - row) * sizeof(map->values[0]));
	return 0;
}

int __wrap_bpf_map_lookup_batch(int fd, void *in, void *out, void *keys, void *values, __u32 *count,
				const struct bpf_map_batch_opts *options)
{
	const struct fake_map *map = &maps[fd];
	uint32_t start = in ? *(uint32_t *)in : 0, i;

	(void)options;
	if (!batches)
		return -EINVAL;
	if (fails())
		return -ENOMEM;
	for (i = 0; i < *count && start + i < map->count; i++) {
		memcpy((char *)keys + i * map->key_size, map->keys[start + i], map->key_size);
		memcpy((char *)values + i * map->value_size, map->values[start + i],
		       map->value_size);
	}
	*count = i;
	*(uint32_t *)out = start + i;
	return start + i == map->count ? -ENOENT : 0;
}

/* ---- identities.h says when a table is damaged */

static const void *value_of(enum map which, uint32_t index)
{
	uint32_t row = find(&maps[which], &index);

	return row < maps[which].count ? maps[which].values[row] : NULL;
}

static bool is_text(const char *text, size_t size)
{
	size_t length = strnlen(text, size), i;

	for (i = length; i < size; i++)
		if (text[i])
			return false;
	return length < size;
}

static bool has_checksum(const void *value, size_t size)
{
	uint32_t checksum;

	memcpy(&checksum, (const char *)value + size - sizeof(checksum), sizeof(checksum));
	return crc32(crc32(0, NULL, 0), value, (uInt)(size - sizeof(checksum))) == checksum;
}

static bool is_identity(const void *value)
{
	const struct latch_identity *identity = value;

	return is_text(identity->authority, sizeof(identity->authority)) &&
	       is_text(identity->config, sizeof(identity->config)) &&
	       is_text(identity->id, sizeof(identity->id));
}

static bool is_params(const void *value)
{
	const struct latch_params *params = value;

	return !params->pad[0] && !params->pad[1] &&
	       is_text(params->qop.encryption, sizeof(params->qop.encryption)) &&
	       is_text(params->qop.integrity, sizeof(params->qop.integrity)) &&
	       value_of(IDENTITIES, params->local_id) && value_of(IDENTITIES, params->peer_id);
}

static bool is_table(enum map which, bool (*is_value)(const void *value))
{
	const struct fake_map *map = &maps[which];
	uint32_t row, other, index;

	for (row = 0; row < map->count; row++) {
		memcpy(&index, map->keys[row], sizeof(index));
		if (!index || index > map->max_entries || !is_value(map->values[row]) ||
		    !has_checksum(map->values[row], map->value_size))
			return false;
		for (other = 0; other < row; other++)
			if (!memcmp(map->values[row], map->values[other], map->value_size))
				return false;
	}
	return true;
}

static uint16_t params_of_row(enum map which, uint32_t row)
{
	struct latch latch;
	struct latch_sa sa;

	if (which == SAS) {
		memcpy(&sa, maps[SAS].values[row], sizeof(sa));
		return sa.word.params;
	}
	memcpy(&latch, maps[LATCHES].values[row], sizeof(latch));
	return latch.word.state == LATCH_STATE_LISTENER ? 0 : latch.word.params;
}

static bool references_exist(enum map which)
{
	uint32_t row;
	uint16_t params;

	for (row = 0; row < maps[which].count; row++) {
		params = params_of_row(which, row);
		if (params && !value_of(PARAMS, params))
			return false;
	}
	return true;
}

static bool is_audited(uint32_t row)
{
	struct latch_audit_key key;
	struct latch_audit audit;

	memcpy(&key, maps[AUDITS].keys[row], sizeof(key));
	memcpy(&audit, maps[AUDITS].values[row], sizeof(audit));
	return key.params || audit.got;
}

static bool is_referenced(void)
{
	uint32_t row;
	enum map which;

	for (which = SAS; which <= LATCHES; which++)
		for (row = 0; row < maps[which].count; row++)
			if (params_of_row(which, row))
				return true;
	for (row = 0; row < maps[AUDITS].count; row++)
		if (is_audited(row))
			return true;
	return false;
}

static bool is_intact(void)
{
	return is_table(IDENTITIES, is_identity) && is_table(PARAMS, is_params) &&
	       references_exist(SAS) && references_exist(LATCHES);
}

static void check_copy(const struct identities *identities)
{
	const void *copy, *value;
	uint32_t i;

	for (i = 0; i <= maps[IDENTITIES].max_entries; i++) {
		copy = identities_get(identities, i);
		value = value_of(IDENTITIES, i);
		CHECK(!copy == !value);
		CHECK(!copy || !memcmp(copy, value, sizeof(struct latch_identity)));
	}
	for (i = 0; i <= maps[PARAMS].max_entries; i++) {
		copy = identities_get_params(identities, (uint16_t)i);
		value = value_of(PARAMS, i);
		CHECK(!copy == !value);
		CHECK(!copy || !memcmp(copy, value, sizeof(struct latch_params)));
	}
}

/* ---- the script */

static void take_text(struct input *script, char *out, size_t size)
{
	struct input text = take_part(script, take_byte(script) % 8);

	memset(out, 0, size);
	if (text.left)
		memcpy(out, text.at, text.left);
}

static struct latch_identity take_identity(struct input *script)
{
	struct latch_identity identity = {0};

	take_text(script, identity.authority, sizeof(identity.authority));
	take_text(script, identity.config, sizeof(identity.config));
	take_text(script, identity.id, sizeof(identity.id));
	identity.auth = take_byte(script);
	return identity;
}

static struct latch_params take_params(struct input *script)
{
	struct latch_params params = {
		.local_id = take_byte(script) % ROWS_MAX,
		.peer_id = take_byte(script) % ROWS_MAX,
	};

	take_text(script, params.qop.encryption, sizeof(params.qop.encryption));
	params.qop.encryption_bits = take_byte(script);
	params.mode = take_byte(script);
	params.pad[0] = take_byte(script) == 0xff;
	return params;
}

static void put(enum map which, uint32_t index, void *value)
{
	size_t length = maps[which].value_size - sizeof(uint32_t);
	uint32_t checksum = (uint32_t)crc32(crc32(0, NULL, 0), value, (uInt)length);

	memcpy((char *)value + length, &checksum, sizeof(checksum));
	__wrap_bpf_map_update_elem(which, &index, value, BPF_ANY);
}

static void put_reference(enum map which, struct input *script)
{
	uint8_t key[KEY_MAX] = {take_byte(script)};
	uint16_t params = take_byte(script) % ROWS_MAX;
	struct latch latch = {.word = {.params = params, .state = take_byte(script) % 6}};
	struct latch_sa sa = {.word = {.params = params}};

	__wrap_bpf_map_update_elem(which, key, which == SAS ? (void *)&sa : &latch, BPF_ANY);
}

/* A row outlives what it names: it is no reason to call the tables damaged. */
static void put_audit(struct input *script)
{
	const struct latch_audit_key key = {.params = take_byte(script)};
	const struct latch_audit row = {.got = take_byte(script)};

	__wrap_bpf_map_update_elem(AUDITS, &key, &row, BPF_ANY);
}

static void damage(struct input *script)
{
	struct fake_map *map = &maps[take_byte(script) % 2];
	uint32_t row = take_byte(script);
	size_t offset = (size_t)take_byte(script) << 8;

	offset |= take_byte(script);
	if (map->count)
		map->values[row % map->count][offset % map->value_size] ^= take_byte(script);
}

/* False: the maps are filled. */
static bool fill(struct input *script)
{
	struct latch_identity identity;
	struct latch_params params;
	uint8_t operation = take_byte(script) % 8, index;

	switch (operation) {
	case 0:
	case 1:
		index = take_byte(script);
		identity = take_identity(script);
		put(IDENTITIES, index, &identity);
		return true;
	case 2:
	case 3:
		index = take_byte(script);
		params = take_params(script);
		put(PARAMS, index, &params);
		return true;
	case 4:
		put_reference(SAS, script);
		return true;
	case 5:
		put_reference(LATCHES, script);
		put_audit(script);
		return true;
	case 6:
		damage(script);
		return true;
	}
	return false;
}

static void check_result(int err, enum map which)
{
	if (err == -ENOSPC)
		CHECK(maps[which].count == maps[which].max_entries);
	else if (err)
		CHECK(err == -EINVAL || (failing_call && calls >= failing_call));
}

static int intern(struct identities *identities, const struct latch_identity *identity,
		  uint32_t *ret_index)
{
	if (identity->id[0] & 1)
		return identities_intern_peer(identities, identity, identity->id[0] & 2, ret_index);
	return identities_intern(identities, identity, ret_index);
}

static void intern_identity(struct identities *identities, struct input *script)
{
	const struct latch_identity identity = take_identity(script);
	uint32_t index = 0, again = 0;
	int err = intern(identities, &identity, &index);

	check_result(err, IDENTITIES);
	if (err)
		return;
	CHECK(!strcmp(identities_get(identities, index)->id, identity.id));
	CHECK(!identities_intern(identities, &identity, &again) && again == index);
	CHECK(identities_find(identities, &identity) == index);
}

static void intern_params(struct identities *identities, struct input *script)
{
	const struct latch_params params = take_params(script);
	uint16_t index = 0, again = 0;
	int err = identities_intern_params(identities, &params, &index);

	check_result(err, PARAMS);
	if (err)
		return;
	CHECK(identities_get_params(identities, index)->peer_id == params.peer_id);
	CHECK(!identities_intern_params(identities, &params, &again) && again == index);
}

/* False: a reset failed halfway, after which the copy no longer equals the maps. */
static bool operate(struct identities *identities, struct input *script)
{
	bool referenced;
	int err = 0;

	switch (take_byte(script) % 8) {
	case 0:
	case 1:
	case 2:
		intern_identity(identities, script);
		break;
	case 3:
	case 4:
		intern_params(identities, script);
		break;
	case 5:
		identities_allow_collection(identities);
		break;
	case 6:
		maps[SAS].count = maps[LATCHES].count = maps[AUDITS].count = 0;
		break;
	case 7:
		referenced = is_referenced();
		err = identities_reset(identities);
		CHECK(!referenced || err);
		CHECK(err || (!maps[IDENTITIES].count && !maps[PARAMS].count));
		break;
	}
	return !err || err == -EBUSY;
}

static void reset_maps(uint32_t capacity)
{
	static const size_t key_sizes[MAPS] = {4,
					       4,
					       sizeof(struct latch_sa_key),
					       sizeof(struct latch_flow),
					       sizeof(struct latch_audit_key),
					       4};
	static const size_t value_sizes[MAPS] = {
		sizeof(struct latch_identity), sizeof(struct latch_params),
		sizeof(struct latch_sa),       sizeof(struct latch),
		sizeof(struct latch_audit),    sizeof(struct latch_peer_facts)};
	enum map which;

	for (which = IDENTITIES; which < MAPS; which++) {
		maps[which].key_size = key_sizes[which];
		maps[which].value_size = value_sizes[which];
		maps[which].count = 0;
		maps[which].max_entries = capacity;
	}
}

static void run(struct input *script)
{
	struct identities *identities = NULL;
	int err = identities_load(&descriptors, &identities);
	bool failed = failing_call && calls >= failing_call;

	if (!failed)
		CHECK(err == (is_intact() ? 0 : -EBADMSG));
	if (err) {
		failing_call = 0;
		CHECK(!identities_open(&descriptors, &identities));
		CHECK(identities_reset(identities) == (is_referenced() ? -EBUSY : 0));
		identities_free(identities);
		return;
	}
	CHECK(failed || is_intact());
	while (script->left && operate(identities, script)) {
		CHECK(references_exist(SAS) && references_exist(LATCHES));
		if (!failing_call || calls < failing_call)
			check_copy(identities);
	}
	identities_free(identities);
	failing_call = 0;
	CHECK(is_intact() && !identities_load(&descriptors, &identities));
	check_copy(identities);
	identities_free(identities);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct input script = {bytes, size};
	uint8_t choice = take_byte(&script), fail = take_byte(&script);

	failing_call = 0;
	batches = choice & 1;
	reset_maps(choice & 2 ? 3 : choice & 4 ? 8 : ROWS_MAX);
	while (script.left && fill(&script))
		;
	calls = 0;
	failing_call = fail < 0x80 ? 0 : fail - 0x7fu;
	run(&script);
	return 0;
}
