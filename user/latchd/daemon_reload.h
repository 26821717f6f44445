/* SPDX-License-Identifier: BSD-2-Clause */
/* SIGHUP: reads the configuration anew and changes rules and feeds, or changes nothing. */
#ifndef LATCHD_DAEMON_RELOAD_H
#define LATCHD_DAEMON_RELOAD_H

/* For loop_on_hangup(); context is the daemon. */
void daemon_reload(void *context);

struct daemon;

/* Reports show the configuration in force from here on. */
void daemon_show_config(struct daemon *d);

#endif
