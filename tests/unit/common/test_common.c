/* SPDX-License-Identifier: BSD-2-Clause */
/* Clock texts; and messages to a notification socket of the test. */
#include "scratch.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "common/clock.h"
#include "common/notify.h"

struct moment {
	uint64_t ns;
	const char *text;
};

static const struct moment moments[] = {
	{0, "1970-01-01T00:00:00.000Z"},
	{999999999, "1970-01-01T00:00:00.999Z"},
	{951827696789000000, "2000-02-29T12:34:56.789Z"},
	{4102444800000000000, "2100-01-01T00:00:00.000Z"},
	{UINT64_MAX, "2554-07-21T23:34:33.709Z"},
};

Test(clock, a_moment_is_formatted_in_utc_with_milliseconds)
{
	char text[CLOCK_TEXT_SIZE];
	size_t i;

	setenv("TZ", "Asia/Tokyo", 1);
	for (i = 0; i < sizeof(moments) / sizeof(moments[0]); i++) {
		clock_format(text, moments[i].ns);
		cr_expect_str_eq(text, moments[i].text);
	}
}

Test(clock, the_current_boot_time_converts_to_the_current_real_time)
{
	uint64_t before = clock_real_ns(), now = clock_boot_to_real_ns(clock_boot_ns()),
		 after = clock_real_ns();
	const uint64_t slack = 1000000; /* the clocks are read one after the other */

	cr_expect(now + slack >= before && now <= after + slack);
}

TestSuite(notify, .init = scratch_make, .fini = scratch_remove, .timeout = 30);

static int listen_at(const char *path, size_t length)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	memcpy(address.sun_path, path, length);
	cr_assert_eq(bind(fd, (struct sockaddr *)&address,
			  (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)),
		     0);
	return fd;
}

static void expect_datagram(int fd, const char *expected)
{
	char text[256] = "";

	cr_assert_gt(recv(fd, text, sizeof(text) - 1, 0), 0);
	cr_expect_str_eq(text, expected);
}

Test(notify, a_message_reaches_a_socket_at_a_path)
{
	const char *path = scratch_path("notify");
	int fd = listen_at(path, strlen(path));

	setenv("NOTIFY_SOCKET", path, 1);
	cr_expect_eq(notify_send("READY=1\nSTATUS=%d feeds", 3), 0);
	expect_datagram(fd, "READY=1\nSTATUS=3 feeds");
}

Test(notify, a_message_reaches_a_socket_with_an_abstract_name)
{
	char name[64];
	int length = snprintf(name, sizeof(name), "@latchd-test-%d", (int)getpid());
	int fd;

	setenv("NOTIFY_SOCKET", name, 1);
	name[0] = '\0';
	fd = listen_at(name, (size_t)length);
	cr_expect_eq(notify_send("STOPPING=1"), 0);
	expect_datagram(fd, "STOPPING=1");
}

Test(notify, without_a_manager_nothing_is_sent)
{
	unsetenv("NOTIFY_SOCKET");
	cr_expect_eq(notify_send("READY=1"), 0);
}

Test(notify, a_failure_is_returned)
{
	setenv("NOTIFY_SOCKET", "relative", 1);
	cr_expect_eq(notify_send("READY=1"), -EINVAL);
	setenv("NOTIFY_SOCKET", scratch_path("absent"), 1);
	cr_expect_eq(notify_send("READY=1"), -ENOENT);
	cr_expect_eq(notify_send("%600d", 1), -E2BIG);
}

Test(notify, the_watchdog_interval_of_this_process_is_halved)
{
	char pid[16];

	unsetenv("WATCHDOG_PID");
	unsetenv("WATCHDOG_USEC");
	cr_expect_eq(notify_watchdog_ms(), 0);
	setenv("WATCHDOG_USEC", "30000000", 1);
	cr_expect_eq(notify_watchdog_ms(), 15000);
	setenv("WATCHDOG_PID", "1", 1);
	cr_expect_eq(notify_watchdog_ms(), 0);
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	setenv("WATCHDOG_PID", pid, 1);
	cr_expect_eq(notify_watchdog_ms(), 15000);
}
