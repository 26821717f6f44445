/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The numbers of the IKE_SAs with a doubtful peer, in a file for the next latchd. Without
 * it a restart would decide them by a connection that was loaded after they authenticated.
 *
 * The first line names charon's process and its start: for another charon the file
 * begins anew. Each further line is a number.
 */
#ifndef LATCHD_FEEDS_VICI_DOUBTS_H
#define LATCHD_FEEDS_VICI_DOUBTS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "latchd/feeds/feed.h"
#include "latchd/feeds/vici/verdicts.h"

#define VICI_DOUBTS_SPARE 4096 /* lines of ended IKE_SAs, before the file is written anew */

struct vici_doubts { /* zeroed before first use; all functions do nothing without a path */
	char path[FEED_PATH_MAX];
	char header[64];
	FILE *file;
	size_t lines;
};

/* Adds what the file has of this charon to the verdicts, and writes the file. 0 or a negative
 * errno: then doubts last as long as this process. */
int vici_doubts_open(struct vici_doubts *doubts, pid_t daemon, uint64_t started,
		     struct vici_verdicts *verdicts);

/* 0 or a negative errno. */
int vici_doubts_add(struct vici_doubts *doubts, uint32_t ike_unique_id,
		    const struct vici_verdicts *verdicts);

void vici_doubts_close(struct vici_doubts *doubts);

#endif
