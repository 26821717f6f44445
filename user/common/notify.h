/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sends to the service manager's notification socket, see sd_notify(3), and feeds its watchdog at
 * its pace.
 */
#ifndef LATCHD_COMMON_NOTIFY_H
#define LATCHD_COMMON_NOTIFY_H

#include <stdint.h>

/*
 * Sends lines such as "READY=1\nSTATUS=...". 0, also without a manager, or a negative
 * errno.
 */
int notify_send(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The interval for "WATCHDOG=1": half of the manager's timeout. 0 = no watchdog. */
unsigned int notify_watchdog_ms(void);

struct notify_watchdog {
	unsigned int every_ms; /* notify_watchdog_ms() */
	uint64_t sent_ms;
};

/* Sends "WATCHDOG=1" when it is due by the clock: a round of the caller may take long. */
void notify_watchdog_feed(struct notify_watchdog *watchdog, uint64_t now_ms);

#endif
