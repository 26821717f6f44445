/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Names below LATCH_PIN_DIR. A new link is first pinned under its "+new" name and then renamed
 * over the old link. After a crash at any point at least one of the links is left. bpffs refuses
 * dots in names, and no name of a program has a '+'.
 */
#ifndef LATCHD_ENFORCE_PINS_PIN_PATHS_H
#define LATCHD_ENFORCE_PINS_PIN_PATHS_H

#include <stdbool.h>

#include "latch_abi.h"
#include "common/failure.h"

#define PINS_MAPS     LATCH_PIN_DIR "/maps"
#define PINS_LINKS    LATCH_PIN_DIR "/links"
#define PINS_NETNS    LATCH_PIN_DIR "/netns" /* links that belong to one network namespace */
#define PINS_NEW      "+new"
#define PINS_OLD      "+old"
#define PINS_PATH_MAX 160

/*
 * Creates missing directories with mode 0700. Existing ones must belong to latchd's user and get
 * this mode. 0, or a negative errno and a failure.
 */
int pin_paths_create_directories(struct failure *failure);
/*
 * Refuses a start beside the programs of another ABI. Both would enforce, each with its own table
 * of latches. 0, or -EEXIST and a failure.
 */
int pin_paths_check_versions(struct failure *failure);
bool pin_paths_has_entries(const char *path);
/* Removes the directories that are empty. */
void pin_paths_remove_directories(void);

/* Writes "DIRECTORY/NAME" and the suffix, which may be "". 0 or -ENAMETOOLONG. */
int pin_paths_join(char path[PINS_PATH_MAX], const char *directory, const char *name,
		   const char *suffix);

#endif
