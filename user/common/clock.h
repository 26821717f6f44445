/* SPDX-License-Identifier: BSD-2-Clause */
/* Times as people and other programs read them. */
#ifndef LATCHD_COMMON_CLOCK_H
#define LATCHD_COMMON_CLOCK_H

#include <stddef.h>
#include <stdint.h>

/* "2026-11-23T06:58:01.113Z" and its NUL. */
#define CLOCK_TEXT_SIZE 25

/* CLOCK_REALTIME and CLOCK_BOOTTIME in nanoseconds. */
uint64_t clock_real_ns(void);
uint64_t clock_boot_ns(void);

/* When a moment of CLOCK_BOOTTIME was, by the wall clock as it is set now. */
uint64_t clock_boot_to_real_ns(uint64_t boot_ns);

/* RFC 3339, UTC, milliseconds. */
void clock_format(char out[CLOCK_TEXT_SIZE], uint64_t real_ns);

#endif
