/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/notify.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/cleanup.h"

#define NOTIFY_TEXT_MAX 512

static int notify_address(struct sockaddr_un *address, socklen_t *ret_length)
{
	const char *path = getenv("NOTIFY_SOCKET");
	size_t length = path ? strlen(path) : 0;

	if (!length)
		return -ENOENT;
	if ((path[0] != '/' && path[0] != '@') || length >= sizeof(address->sun_path))
		return -EINVAL;
	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	memcpy(address->sun_path, path, length);
	if (path[0] == '@')
		address->sun_path[0] = '\0'; /* an abstract name has no NUL at its end */
	*ret_length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
	return 0;
}

int notify_send(const char *format, ...)
{
	auto_close int fd = -1;
	char text[NOTIFY_TEXT_MAX];
	struct sockaddr_un address;
	socklen_t address_length;
	va_list args;
	int err, length;

	err = notify_address(&address, &address_length);
	if (err)
		return err == -ENOENT ? 0 : err;
	va_start(args, format);
	length = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (length < 0 || length >= (int)sizeof(text))
		return -E2BIG;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (sendto(fd, text, (size_t)length, MSG_NOSIGNAL, (struct sockaddr *)&address,
		   address_length) < 0)
		return -errno;
	return 0;
}

unsigned int notify_watchdog_ms(void)
{
	const char *limit = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
	unsigned long long half_ms;

	if (!limit || (pid && strtol(pid, NULL, 10) != getpid()))
		return 0;
	half_ms = strtoull(limit, NULL, 10) / 2000;
	return half_ms < UINT_MAX ? (unsigned int)half_ms : UINT_MAX;
}

void notify_watchdog_feed(struct notify_watchdog *watchdog, uint64_t now_ms)
{
	if (!watchdog->every_ms || now_ms - watchdog->sent_ms < watchdog->every_ms)
		return;
	watchdog->sent_ms = now_ms;
	notify_send("WATCHDOG=1");
}
