/* SPDX-License-Identifier: BSD-2-Clause */
/* The time, and its text for people and other programs. */
#ifndef LATCHD_COMMON_CLOCK_H
#define LATCHD_COMMON_CLOCK_H

#include <stddef.h>
#include <stdint.h>

/* "2026-11-23T06:58:01.113Z" and its NUL. */
#define CLOCK_TEXT_SIZE 25

/* CLOCK_REALTIME and CLOCK_BOOTTIME in nanoseconds. */
uint64_t clock_real_ns(void);
uint64_t clock_boot_ns(void);

/* Converts a time of CLOCK_BOOTTIME to CLOCK_REALTIME, by the present difference of the clocks. */
uint64_t clock_boot_to_real_ns(uint64_t boot_ns);

/* Formats CLOCK_REALTIME nanoseconds as RFC 3339, UTC, with milliseconds. */
void clock_format(char out[CLOCK_TEXT_SIZE], uint64_t real_ns);

#endif
