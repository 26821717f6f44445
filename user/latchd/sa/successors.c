/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/sa/successors.h"

#include <errno.h>
#include <stdlib.h>
#include <utlist.h>

#include "common/hash.h"
#include "latchd/maps/tables.h"

struct successor_key {
	const struct feed *feed;
	uint64_t unique_id;
};

struct successor {
	struct successor_key key;
	uint64_t installed_ns; /* of its oldest inbound SA; UINT64_MAX: none */
	UT_hash_handle hh;
};

static struct successor *find(const struct successor *successors, const struct feed *feed,
			      uint32_t unique_id)
{
	const struct successor_key key = {feed, unique_id};
	struct successor *found;

	HASH_FIND(hh, successors, &key, sizeof(key), found);
	return found;
}

int successors_add(struct successor **successors, const struct feed *feed, uint32_t unique_id)
{
	struct successor *successor;

	if (find(*successors, feed, unique_id))
		return 0;
	successor = calloc(1, sizeof(*successor));
	if (!successor)
		return -ENOMEM;
	successor->key = (struct successor_key){feed, unique_id};
	successor->installed_ns = UINT64_MAX;
	HASH_ADD(hh, *successors, key, sizeof(successor->key), successor);
	return 0;
}

static int note_child(struct successor *successor, const struct conflict_view *view,
		      const struct child_sa *child)
{
	struct latch_sa sa;
	int err = sa_get(view->maps, &child->in.key, &sa);

	if (!err && sa.installed < successor->installed_ns)
		successor->installed_ns = sa.installed;
	return err == -ENOENT ? 0 : err;
}

int successors_note_children(struct successor *successors, const struct conflict_view *view)
{
	const struct child_sa *child = successors ? view->child_sas->first : NULL;
	struct successor *successor;
	int err = 0;

	for (; child && !err; child = child->next) {
		/* An orphan's IKE_SA has its unique id from before a restart of the key manager. */
		successor = child->orphan
				    ? NULL
				    : find(successors, child->feed, child->reported.ike_unique_id);
		if (successor)
			err = note_child(successor, view, child);
	}
	return err;
}

bool successors_find(const struct successor *successors, const struct feed *feed,
		     uint32_t unique_id, uint64_t *ret_installed_ns)
{
	const struct successor *found = find(successors, feed, unique_id);

	if (!found || found->installed_ns == UINT64_MAX)
		return false;
	*ret_installed_ns = found->installed_ns;
	return true;
}

void successors_free(struct successor *successors)
{
	struct successor *successor, *next;

	HASH_ITER(hh, successors, successor, next)
	{
		HASH_DELETE(hh, successors, successor);
		free(successor);
	}
}
