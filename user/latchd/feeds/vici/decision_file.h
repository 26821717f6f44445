/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The decisions of decisions.h and the connections of unproven_connections.h, in a file for the
 * next latchd. Without the file a latchd that restarts would decide by the connections that are
 * loaded then.
 *
 * The first line names charon's process and its start: for another charon the file begins anew.
 * The second has the key of the hashes. Each further line is one decision or connection.
 */
#ifndef LATCHD_FEEDS_VICI_DECISION_FILE_H
#define LATCHD_FEEDS_VICI_DECISION_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "latchd/feeds/feed.h"
#include "latchd/feeds/vici/decision_memory.h"

#define VICI_DECISION_FILE_SPARE 4096 /* outdated lines before the file is written anew */

struct vici_decision_file { /* zeroed before first use; all functions do nothing without a path */
	char path[FEED_PATH_MAX];
	char header[64];
	FILE *file;
	size_t lines;
	bool lost;    /* a write failed, or the file was closed: it has to be written anew */
	bool exposed; /* other users can replace the file: no line of it is proof */
};

/*
 * Fills the empty memory from the file, if the file is of this charon, and writes the file. 0 or
 * a negative errno: then the decisions are lost when this process ends. An old file that was not
 * read is never replaced.
 */
int vici_decision_file_open(struct vici_decision_file *file, pid_t daemon, uint64_t started,
			    struct vici_memory *memory);
/* May the error end by itself, when descriptors or memory are free again? */
bool vici_decision_file_may_retry(int err);

/* 0 or a negative errno. */
int vici_decision_file_add(struct vici_decision_file *file, uint32_t ike_unique_id,
			   const struct vici_decision *decision, const struct vici_memory *memory);
int vici_decision_file_add_unproven(struct vici_decision_file *file, uint64_t connection,
				    bool traps, const struct vici_memory *memory);

int vici_decision_file_add_unnoted(struct vici_decision_file *file,
				   const struct vici_memory *memory);

/* An unproven connection has ended. Writes the file again without it, so that the next latchd does
 * not refuse its peers. 0 or a negative errno. */
int vici_decision_file_renew(struct vici_decision_file *file, const struct vici_memory *memory);
/* Writes the file again after an error, if there was one. 0 or a negative errno. */
int vici_decision_file_retry(struct vici_decision_file *file, const struct vici_memory *memory);

void vici_decision_file_close(struct vici_decision_file *file);

/* Closes the file of a feed that has ended. */
void vici_decision_file_leave(struct vici_decision_file *file);
/* The memory of former now belongs to this file. The next retry writes the memory to this file's
 * path. A file that former could not read stays as it is. */
void vici_decision_file_succeed(struct vici_decision_file *file, struct vici_decision_file *former);

#endif
