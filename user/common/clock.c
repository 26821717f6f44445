/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/clock.h"

#include <stdio.h>
#include <time.h>

#define NS_PER_S	  1000000000ULL
#define CLOCK_LAST_SECOND 253402300799ULL /* of the year 9999: RFC 3339 has four digits */

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

uint64_t clock_real_ns(void)
{
	return clock_ns(CLOCK_REALTIME);
}

uint64_t clock_boot_ns(void)
{
	return clock_ns(CLOCK_BOOTTIME);
}

uint64_t clock_boot_to_real_ns(uint64_t boot_ns)
{
	return boot_ns + clock_real_ns() - clock_boot_ns();
}

void clock_format(char out[CLOCK_TEXT_SIZE], uint64_t real_ns)
{
	uint64_t seconds = real_ns / NS_PER_S;
	time_t time = (time_t)(seconds < CLOCK_LAST_SECOND ? seconds : CLOCK_LAST_SECOND);
	char text[64];
	struct tm utc;

	gmtime_r(&time, &utc);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &utc);
	snprintf(out, CLOCK_TEXT_SIZE, "%.19s.%03uZ", text,
		 (unsigned int)(real_ns % NS_PER_S / 1000000));
}
