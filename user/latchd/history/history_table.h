/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A bounded number of records of each kind. A share is for user namespaces other than the host's,
 * which any local user can create. In the rest a new record replaces the oldest record of the
 * largest group. So a peer that begins and ends connections replaces its own records, not those
 * of other peers.
 */
#ifndef LATCHD_HISTORY_HISTORY_TABLE_H
#define LATCHD_HISTORY_HISTORY_TABLE_H

#include "common/keyed_hash.h"
#include "latchd/history/history_record.h"

#define HISTORY_RECORDS 256 /* of each kind */
#define HISTORY_FOREIGN 64  /* share of other user namespaces */
/* Fewer than the host's places: if these are full, the largest group has two records or more. */
#define HISTORY_GROUPS	      128
#define HISTORY_GROUP_OUTSIDE 0 /* all flows that other hosts opened and that were refused */

struct history_table;

/* NULL: out of memory, or no random numbers. */
struct history_table *history_table_new(void);
void history_table_free(struct history_table *table);

/* The slot of a group that has this text; never HISTORY_GROUP_OUTSIDE. */
uint8_t history_table_group(const struct history_table *table, const void *bytes, size_t length);

/* A zeroed record of this kind with id and flow. It may replace another record. */
struct history_record *history_table_add(struct history_table *table, enum history_kind kind,
					 uint64_t latch_id, const struct latch_flow *flow,
					 uint8_t group, bool foreign);
/* Moves the record to another group. */
void history_table_regroup(struct history_table *table, const struct history_record *record,
			   uint8_t group);
void history_table_remove(struct history_table *table, struct history_record *record);
/* Call it after record->last_ns has changed. */
void history_table_touch(struct history_table *table, const struct history_record *record);

/* NULL: none. */
struct history_record *history_table_find_id(struct history_table *table, enum history_kind kind,
					     uint64_t latch_id);
/* The newest record of the flow. Local port 0: any. */
struct history_record *history_table_find_flow(struct history_table *table, enum history_kind kind,
					       const struct latch_flow *flow);

/* The number of replaced records so far. */
uint64_t history_table_replaced(const struct history_table *table, enum history_kind kind,
				bool foreign);

#endif
