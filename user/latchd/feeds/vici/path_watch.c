/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/feeds/vici/path_watch.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "common/loop.h"

static const char *file_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static bool is_about_path(const struct path_watch *watch, const struct inotify_event *event)
{
	return event->mask & IN_Q_OVERFLOW ||
	       (event->len && !strcmp(event->name, file_name(watch->path)));
}

static void on_inotify(void *context, uint32_t epoll_events)
{
	struct path_watch *watch = context;
	_Alignas(struct inotify_event) char buffer[4096];
	const struct inotify_event *event;
	bool matches = false;
	ssize_t got, at;

	(void)epoll_events;
	got = read(watch->fd, buffer, sizeof(buffer));
	for (at = 0; at < got; at += (ssize_t)(sizeof(*event) + event->len)) {
		event = (const struct inotify_event *)(buffer + at);
		matches = matches || is_about_path(watch, event);
	}
	if (matches)
		watch->appeared(watch->context);
}

int path_watch_start(struct path_watch *watch, struct loop *loop, const char *path,
		     void (*appeared)(void *context), void *context)
{
	int err;

	*watch = (struct path_watch){loop, path, -1, appeared, context};
	watch->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (watch->fd < 0)
		return -errno;
	err = loop_fd_add(loop, watch->fd, EPOLLIN, on_inotify, watch);
	if (err) {
		close(watch->fd);
		watch->fd = -1;
	}
	return err;
}

/* To add a directory that is watched already changes nothing. */
void path_watch_renew(struct path_watch *watch)
{
	size_t length = (size_t)(file_name(watch->path) - watch->path);
	char directory[PATH_MAX];

	if (watch->fd < 0 || length >= sizeof(directory))
		return;
	snprintf(directory, sizeof(directory), "%.*s", (int)length, watch->path);
	inotify_add_watch(watch->fd, length ? directory : ".", IN_CREATE | IN_MOVED_TO);
}

void path_watch_stop(struct path_watch *watch)
{
	if (watch->fd < 0)
		return;
	loop_fd_remove(watch->loop, watch->fd);
	close(watch->fd);
	watch->fd = -1;
}
