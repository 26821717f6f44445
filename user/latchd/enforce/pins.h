/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Names below LATCH_PIN_DIR. A link that is to replace another is pinned under
 * its "new" name first and then renamed, so that a crash at any point leaves at
 * least one of them. bpffs refuses dots in names, and no program's name has a '+'.
 */
#ifndef LATCHD_ENFORCE_PINS_H
#define LATCHD_ENFORCE_PINS_H

#include "latch_abi.h"
#include "common/failure.h"

#define PINS_MAPS     LATCH_PIN_DIR "/maps"
#define PINS_LINKS    LATCH_PIN_DIR "/links"
#define PINS_NETNS    LATCH_PIN_DIR "/netns" /* links that belong to one network namespace */
#define PINS_NEW      "+new"
#define PINS_OLD      "+old"
#define PINS_PATH_MAX 160

/* Makes what is missing, 0700; what is there must be our user's own. */
int pins_make_directories(struct failure *failure);
/* Those that are empty. */
void pins_remove_directories(void);

/* "DIRECTORY/NAME" and a suffix, which may be "". 0 or -ENAMETOOLONG. */
int pins_path(char path[PINS_PATH_MAX], const char *directory, const char *name,
	      const char *suffix);

#endif
