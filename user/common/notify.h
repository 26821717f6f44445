/* SPDX-License-Identifier: BSD-2-Clause */
/* Sends to the service manager's notification socket, see sd_notify(3). */
#ifndef LATCHD_COMMON_NOTIFY_H
#define LATCHD_COMMON_NOTIFY_H

/*
 * Sends lines such as "READY=1\nSTATUS=...". 0, also without a manager, or a negative
 * errno.
 */
int notify_send(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The interval for "WATCHDOG=1": half of the manager's timeout. 0 = no watchdog. */
unsigned int notify_watchdog_ms(void);

#endif
