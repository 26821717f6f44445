/* SPDX-License-Identifier: BSD-2-Clause */
/* The watchdog of the service manager: the test is the manager, and has the clock. */
#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/notify.h"

static int manager;

static void start(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char name[64];
	int length = snprintf(name, sizeof(name), "@latchd-test-notify-%d", getpid());

	memcpy(address.sun_path, name, (size_t)length);
	address.sun_path[0] = 0;
	manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	cr_assert_eq(bind(manager, (struct sockaddr *)&address,
			  (socklen_t)(sizeof(sa_family_t) + (size_t)length)),
		     0);
	setenv("NOTIFY_SOCKET", name, 1);
}

static void finish(void)
{
	close(manager);
}

TestSuite(notify, .init = start, .fini = finish, .timeout = 60);

static unsigned int received(void)
{
	unsigned int count = 0;
	char text[64];
	ssize_t length;

	while ((length = recv(manager, text, sizeof(text), 0)) >= 0) {
		cr_expect_eq(length, strlen("WATCHDOG=1"));
		count += !memcmp(text, "WATCHDOG=1", (size_t)length);
	}
	return count;
}

/* Rounds of that length, with a watchdog that is fed every 15 s. */
static unsigned int fed(uint64_t round_ms, unsigned int rounds)
{
	struct notify_watchdog watchdog = {.every_ms = 15000, .sent_ms = 100000};
	uint64_t now_ms = 100000;

	while (rounds--) {
		now_ms += round_ms;
		notify_watchdog_feed(&watchdog, now_ms);
	}
	return received();
}

Test(notify, the_watchdog_is_fed_once_in_each_interval)
{
	cr_expect_eq(fed(1000, 60), 4);
}

Test(notify, the_watchdog_is_fed_by_the_clock_and_not_by_the_number_of_rounds)
{
	cr_expect_eq(fed(16000, 5), 5);
	cr_expect_eq(fed(100, 150), 1);
}

Test(notify, no_watchdog_is_fed_that_the_manager_does_not_want)
{
	struct notify_watchdog watchdog = {0};

	notify_watchdog_feed(&watchdog, 1000000);
	cr_expect_eq(received(), 0);
}
