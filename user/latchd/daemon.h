/* SPDX-License-Identifier: BSD-2-Clause */
/* Joins the parts of latchd: starts each after those that it needs, ends them in reverse order. */
#ifndef LATCHD_DAEMON_H
#define LATCHD_DAEMON_H

#include <stdbool.h>

#include "common/failure.h"
#include "latchd/config/config.h"

/*
 * Runs until SIGTERM or SIGINT. The programs stay attached afterwards. 0, or a negative errno
 * and a failure. On SIGHUP it reads config_path anew, see config_load(); config_path must outlive
 * the call.
 */
int daemon_run(const struct config *config, const char *config_path, bool config_named,
	       struct failure *failure);

#endif
