/* SPDX-License-Identifier: BSD-2-Clause */
/* Reads the configuration file, once at start. All of it is checked before any use. */
#ifndef LATCHD_CONFIG_CONFIG_LOAD_H
#define LATCHD_CONFIG_CONFIG_LOAD_H

#include <stdbool.h>

#include "common/failure.h"
#include "latchd/config/config.h"

/*
 * Fills *config with defaults, then with the file at path. 0, or a negative errno and a
 * failure; *config is then unspecified.
 * -ENOENT: the file is missing and the user named its path. Else a missing file is no error.
 * -EINVAL: a bad line, an unknown section, key or value, a duplicate, or a name that is too
 * long. The failure is "FILE:LINE: fault; expected ...".
 */
int config_load(const char *path, bool named_by_user, struct config *config,
		struct failure *failure);

#endif
