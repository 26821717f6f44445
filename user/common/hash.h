/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * uthash. Its tables end the process when memory is short, with a line in the log instead of
 * silently. The pinned programs continue to enforce, and the next latchd starts from the maps.
 */
#ifndef LATCHD_COMMON_HASH_H
#define LATCHD_COMMON_HASH_H

#include <stdlib.h>

#include "common/log.h"

#define uthash_fatal(message)                                                                      \
	do {                                                                                       \
		log_error(NULL, "table: %s; latchd ends, its latches stay enforced; free memory",  \
			  message);                                                                \
		exit(EXIT_FAILURE);                                                                \
	} while (0)

#include <uthash.h>

#endif
