/* SPDX-License-Identifier: BSD-2-Clause */
/* Compares a configuration with this system, without a change to either. */
#ifndef LATCHD_DAEMON_CHECK_H
#define LATCHD_DAEMON_CHECK_H

#include "common/failure.h"
#include "latchd/config/config.h"

/*
 * Checks that the cgroups, the group and the sockets that config names can be used. 0, or a
 * negative errno and a failure. -EAGAIN: a hierarchy of cgroups, or a group, is missing and may be
 * added later.
 */
int daemon_check(const struct config *config, struct failure *failure);

/* Logs what a good configuration may not mean as it says. path: its file. */
void daemon_check_warn(const struct config *config, const char *path);

#endif
