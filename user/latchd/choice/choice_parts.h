/* SPDX-License-Identifier: BSD-2-Clause */
/* Shared by the files of this room. Calls go from choice_start.c to choice_links.c, from there to
 * choice_spd_reads.c, and from all to choice_space.c. */
#ifndef LATCHD_CHOICE_CHOICE_PARTS_H
#define LATCHD_CHOICE_CHOICE_PARTS_H

#include "common/hash.h"
#include "common/keyed_hash.h"
#include "common/log_limit.h"
#include "common/walk_pace.h"
#include "latchd/choice/choice.h"
#include "latchd/choice/removed_policies.h"

struct choice_space {
	struct choice *choice;
	uint64_t netns;
	struct choice_table table;
	struct removed_policies removed;
	uint64_t digest;
	bool loaded, stale;
	bool devices_stale;
	int links;	    /* reports changes of devices; -1: none */
	uint64_t read_ns;   /* CLOCK_BOOTTIME, before the last successful reading */
	uint64_t failed_ms; /* time of the first failure in a row; 0: the last reading succeeded */
	UT_hash_handle hh;
};

struct choice {
	struct loop *loop;
	struct choice_source source;
	choice_changed_fn changed;
	void *context;
	struct choice_space *spaces;
	struct keyed_hash_key key;
	struct loop_timer reread, devices, period, forget;
	unsigned int grace_ms; /* of a removed policy */
	struct walk_pace pace;
	unsigned int periods;
	uint64_t edited_ms;
	struct log_limit log;
};

/* choice_space.c: one for each network namespace. NULL of choice_find(): there is none; of
 * choice_space_get(): no memory. */
struct choice_space *choice_find(const struct choice *choice, uint64_t netns);
struct choice_space *choice_space_get(struct choice *choice, uint64_t netns);
void choice_space_stop_links(struct choice_space *space);
void choice_space_remove(struct choice *choice, struct choice_space *space);

/* choice_spd_reads.c: the SPD is read after edits. */
void choice_spd_reads_start(struct choice *choice);
void choice_spd_reads_end(struct choice *choice);

/* choice_links.c: devices with interface ids are read again when links change. */
void choice_links_start(struct choice *choice);
void choice_links_end(struct choice *choice);

#endif
