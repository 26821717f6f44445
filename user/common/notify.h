/* SPDX-License-Identifier: BSD-2-Clause */
/* The service manager's notification socket, see sd_notify(3). Without a manager nothing happens.
 */
#ifndef LATCHD_COMMON_NOTIFY_H
#define LATCHD_COMMON_NOTIFY_H

/* Lines such as "READY=1\nSTATUS=...". 0 when sent or nobody asked for it, else a negative errno.
 */
int notify_send(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* How often to send "WATCHDOG=1": half of what the manager tolerates. 0 = no watchdog. */
unsigned int notify_watchdog_ms(void);

#endif
