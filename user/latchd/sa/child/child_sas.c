/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/sa/child/child_sas.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "common/text.h"
#include "latchd/sa/child/sa_group_changes.h"

void child_sas_keys(const struct feed_child *reported, uint64_t netns, struct latch_sa_key *ret_in,
		    struct latch_sa_key *ret_out)
{
	*ret_in = (struct latch_sa_key){
		.netns = netns,
		.spi = reported->spi_in,
		.protocol = reported->ipsec_protocol,
		.family = reported->family,
	};
	*ret_out = *ret_in;
	ret_out->spi = reported->spi_out;
	memcpy(ret_in->daddr, reported->local_host, sizeof(ret_in->daddr));
	memcpy(ret_out->daddr, reported->remote_host, sizeof(ret_out->daddr));
}

struct child_sa_end *child_sas_find(const struct child_sas *child_sas,
				    const struct latch_sa_key *key)
{
	struct child_sa_end *end;

	HASH_FIND(hh, child_sas->ends, key, sizeof(*key), end);
	return end;
}

static void note(bool *flag, size_t *count, bool value)
{
	if (value && !*flag)
		++*count;
	else if (!value && *flag)
		--*count;
	*flag = value;
}

void child_sas_note_absent(struct child_sas *child_sas, struct child_sa *child, bool absent)
{
	note(&child->absent, &child_sas->absent, absent);
}

void child_sas_note_uncounted(struct child_sas *child_sas, struct child_sa *child, bool uncounted)
{
	note(&child->uncounted, &child_sas->uncounted, uncounted);
}

bool child_sas_is_superfluous(const struct child_sas *child_sas, const struct child_sa *child)
{
	return child->refused || (child->absent && child_sas->absent > CHILD_SAS_ABSENT_MAX);
}

void child_sas_note_newest(struct child_sas *child_sas, struct child_sa *child, uint16_t params)
{
	if (child_sas->newest[child->newest_of] == child)
		child_sas->newest[child->newest_of] = NULL;
	child->newest_of = params;
	if (params)
		child_sas->newest[params] = child;
}

void child_sas_remove(struct child_sas *child_sas, struct child_sa *child)
{
	child_sas_note_absent(child_sas, child, false);
	child_sas_note_uncounted(child_sas, child, false);
	sa_groups_leave(&child_sas->groups, child);
	child_sas_note_newest(child_sas, child, 0);
	HASH_DELETE(hh, child_sas->ends, &child->in);
	HASH_DELETE(hh, child_sas->ends, &child->out);
	DL_DELETE2(child_sas->first, child, previous, next);
	feed_child_release(&child->reported);
	free(child->spare);
	free(child);
}

void child_sas_clear(struct child_sas *child_sas)
{
	while (child_sas->first)
		child_sas_remove(child_sas, child_sas->first);
	sa_group_changes_forget(&child_sas->groups);
}

/* The kernel has no two SAs of one key: an earlier CHILD_SA under this key has ended. */
static void remove_earlier(struct child_sas *child_sas, const struct latch_sa_key *key)
{
	struct child_sa_end *end = child_sas_find(child_sas, key);

	if (end)
		child_sas_remove(child_sas, end->child);
}

static struct child_sa *add(struct child_sas *child_sas, const struct latch_sa_key *in,
			    const struct latch_sa_key *out)
{
	struct child_sa *child = calloc(1, sizeof(*child));

	if (!child)
		return NULL;
	child->spare = calloc(1, sizeof(*child->spare));
	if (!child->spare) {
		free(child);
		return NULL;
	}
	child->in = (struct child_sa_end){.key = *in, .child = child};
	child->out = (struct child_sa_end){.key = *out, .child = child};
	HASH_ADD(hh, child_sas->ends, key, sizeof(*in), &child->in);
	HASH_ADD(hh, child_sas->ends, key, sizeof(*out), &child->out);
	DL_APPEND2(child_sas->first, child, previous, next);
	return child;
}

/* With other selectors than before the CHILD_SA leaves its group. */
static void replace_report(struct child_sas *child_sas, struct child_sa *child,
			   const struct feed_child *reported)
{
	struct feed_child former = child->reported;

	if (child_sas_has_selectors(child, reported)) {
		child->reported = *reported;
		child->reported.local_ts = former.local_ts;
		child->reported.remote_ts = former.remote_ts;
		return;
	}
	sa_groups_leave(&child_sas->groups, child);
	child->reported = *reported;
	traffic_selector_set_hold(&reported->local_ts);
	traffic_selector_set_hold(&reported->remote_ts);
	feed_child_release(&former);
}

struct child_sa *child_sas_learn(struct child_sas *child_sas, struct feed *feed, uint64_t netns,
				 const struct feed_child *reported, const char *evidence)
{
	struct latch_sa_key in, out;
	struct child_sa_end *end;
	struct child_sa *child;

	child_sas_keys(reported, netns, &in, &out);
	/* A host with SAs to itself may have one key for both SAs. Then there is no pair. */
	if (!memcmp(&in, &out, sizeof(in)))
		return NULL;
	end = child_sas_find(child_sas, &in);
	child = end && end == &end->child->in && !memcmp(&end->child->out.key, &out, sizeof(out))
			? end->child
			: NULL;
	if (!child) {
		remove_earlier(child_sas, &in);
		remove_earlier(child_sas, &out);
		child = add(child_sas, &in, &out);
	}
	if (!child)
		return NULL;
	child->feed = feed;
	child->netns = netns;
	replace_report(child_sas, child, reported);
	text_copy(child->evidence, sizeof(child->evidence), evidence);
	child->in_snapshot = true;
	child->deleted = child->orphan = false;
	return child;
}
