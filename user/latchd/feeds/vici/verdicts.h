/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The doubt about the identity of each authenticated IKE_SA of one charon.
 *
 * It is decided once, when the IKE_SA is first seen, and never again: a connection
 * that is reloaded later says nothing about a peer that authenticated before.
 */
#ifndef LATCHD_FEEDS_VICI_VERDICTS_H
#define LATCHD_FEEDS_VICI_VERDICTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VICI_VERDICTS_MAX     65536
#define VICI_VERDICTS_BUCKETS 4096

struct vici_verdict;

struct vici_verdicts { /* zeroed before first use */
	struct vici_verdict *buckets[VICI_VERDICTS_BUCKETS];
	size_t count;
};

void vici_verdicts_clear(struct vici_verdicts *verdicts);

/* True: *doubt is the fixed text of vici_verdicts_set(), NULL for none. */
bool vici_verdicts_find(const struct vici_verdicts *verdicts, uint32_t ike_unique_id,
			const char **doubt);

/* A first verdict stays: a second one is ignored. -ENOMEM, -E2BIG past VICI_VERDICTS_MAX. */
int vici_verdicts_set(struct vici_verdicts *verdicts, uint32_t ike_unique_id, const char *doubt);

/* The IKE_SA has ended. A list that was made before may still show it: the verdict stays for two
 * complete snapshots. */
void vici_verdicts_end(struct vici_verdicts *verdicts, uint32_t ike_unique_id);

/* Calls each() for every IKE_SA with a doubt. */
void vici_verdicts_each_doubt(const struct vici_verdicts *verdicts,
			      void (*each)(void *context, uint32_t ike_unique_id), void *context);

/* A snapshot is complete. */
void vici_verdicts_sweep(struct vici_verdicts *verdicts);

#endif
