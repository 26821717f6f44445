/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/sa/unbound/sa_adoption.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "latchd/maps/latch_control.h"
#include "latchd/net/netns.h"
#include "latchd/sa/unbound/sa_dump.h"
#include "latchd/maps/tables.h"

#define ADOPTION_TRIES 8

struct key_list {
	struct latch_sa_key *keys;
	size_t count, capacity;
};

struct adoption {
	const struct kernel_maps *maps;
	uint64_t netns;
	bool foreign;
	const struct child_sas *reported; /* NULL: all SAs are adopted */
	size_t others_max, others;
	bool skipped;
	struct key_list present;
};

static int compare_keys(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct latch_sa_key));
}

static int add_present(void *context, const struct latch_sa_key *key, const struct latch_sa *sa)
{
	struct key_list *list = context;
	size_t capacity = list->capacity ? list->capacity * 2 : 64;
	struct latch_sa_key *keys;

	(void)sa;
	if (list->count == list->capacity) {
		keys = reallocarray(list->keys, capacity, sizeof(*keys));
		if (!keys)
			return -ENOMEM;
		list->keys = keys;
		list->capacity = capacity;
	}
	list->keys[list->count++] = *key;
	return 0;
}

static bool is_other(const struct adoption *adoption, const struct latch_sa_key *key)
{
	return adoption->reported && !child_sas_find(adoption->reported, key);
}

static int skip(struct adoption *adoption, const struct latch_sa_key *key)
{
	struct latch_sa sa;

	adoption->skipped = adoption->skipped || sa_get_entry(adoption->maps, key, &sa);
	return 0;
}

static int adopt(void *context, const struct latch_sa_key *key, const struct latch_sa *sa)
{
	struct adoption *adoption = context;
	bool other = is_other(adoption, key);
	int result;

	if (other && adoption->others == adoption->others_max)
		return skip(adoption, key);
	result = sa_adopt(adoption->maps, key, sa, adoption->foreign);
	adoption->others += other && result == LATCH_CONTROL_DONE;
	/* OVER_SHARE: other peers' SAs may have room. */
	if (result == LATCH_CONTROL_FULL)
		return -ENOSPC;
	return result < 0 ? result : 0;
}

/* latchd has seen no delete event of an adopted SA: a later SA of this key would look the same. */
static int delete_if_gone(void *context, const struct latch_sa_key *key, const struct latch_sa *sa)
{
	const struct adoption *adoption = context;
	const struct key_list *present = &adoption->present;
	int result;

	if (key->netns != adoption->netns || sa->instance ||
	    (present->count &&
	     bsearch(key, present->keys, present->count, sizeof(*key), compare_keys)))
		return 0;
	result = sa_forget(adoption->maps, key, sa->word.serial);
	return result < 0 ? result : 0;
}

static int dump(struct adoption *adoption, sa_visit_fn visit, void *context)
{
	int err = -EINTR, tries;

	for (tries = 0; err == -EINTR && tries < ADOPTION_TRIES; tries++) {
		adoption->present.count = 0;
		err = sa_dump(adoption->netns, visit, context);
	}
	return err;
}

int sa_adoption_run(const struct kernel_maps *maps, uint64_t netns,
		    const struct child_sas *reported, size_t others_max)
{
	struct adoption adoption = {
		.maps = maps,
		.netns = netns,
		.reported = reported,
		.others_max = others_max,
	};
	int err = netns_is_foreign(netns);

	if (err < 0)
		return err;
	adoption.foreign = err;
	err = dump(&adoption, adopt, &adoption);
	if (!err)
		err = dump(&adoption, add_present, &adoption.present);
	if (!err && adoption.present.count)
		qsort(adoption.present.keys, adoption.present.count, sizeof(struct latch_sa_key),
		      compare_keys);
	if (!err)
		err = sas_walk(maps, delete_if_gone, &adoption);
	free(adoption.present.keys);
	return err ? err : adoption.skipped;
}
