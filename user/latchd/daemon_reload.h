/* SPDX-License-Identifier: BSD-2-Clause */
/* SIGHUP: reads the configuration anew and changes rules and feeds, or changes nothing. */
#ifndef LATCHD_DAEMON_RELOAD_H
#define LATCHD_DAEMON_RELOAD_H

/* For loop_on_hangup(); context is the daemon. */
void daemon_reload(void *context);

struct config;
struct daemon;
struct failure;

/* Writes the sets of peers of next to the half that is not in force: identities.h. 0 or a negative
 * errno, and nothing is changed. */
int daemon_prepare_sets(struct daemon *d, const struct config *next, struct failure *failure);

/* Reports show the configuration in force from here on. */
void daemon_show_config(struct daemon *d);

#endif
