/* SPDX-License-Identifier: BSD-2-Clause */
/* The parts put together: started in the order of their needs, ended in the reverse one. */
#ifndef LATCHD_DAEMON_H
#define LATCHD_DAEMON_H

#include "common/failure.h"
#include "latchd/config/config.h"

/*
 * Runs until SIGTERM or SIGINT; what is enforced stays enforced. 0, or a
 * negative errno and a failure.
 */
int daemon_run(const struct config *config, const char *config_path, struct failure *failure);

#endif
