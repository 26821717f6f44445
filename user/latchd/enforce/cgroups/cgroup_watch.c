/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/enforce/cgroups/cgroup_watch.h"

#include <errno.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "common/text.h"
#include "latchd/config/config.h"

#define QUIET_MS   20  /* users may create directories in a watched one at any rate */
#define READS_MAX  256 /* the kernel's queue holds 16384 events */
#define WATCH_MASK (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ONLYDIR)

/* Reads the events and ignores their content: each configured path is checked anyway. */
static void drain(int fd)
{
	char buffer[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	int reads;

	for (reads = 0; reads < READS_MAX && read(fd, buffer, sizeof(buffer)) > 0; reads++)
		;
}

static void on_event(void *context, uint32_t events)
{
	struct cgroup_watch *watch = context;

	(void)events;
	drain(watch->fd);
	loop_fd_modify(watch->loop, watch->fd, 0);
	loop_timer_arm(&watch->timer, QUIET_MS);
	watch->changed(watch->context);
}

static void on_timer(void *context)
{
	struct cgroup_watch *watch = context;

	loop_fd_modify(watch->loop, watch->fd, EPOLLIN);
}

int cgroup_watch_start(struct cgroup_watch *watch, struct loop *loop,
		       void (*changed)(void *context), void *context)
{
	int err;

	*watch = (struct cgroup_watch){
		.loop = loop,
		.fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK),
		.changed = changed,
		.context = context,
	};
	if (watch->fd < 0)
		return -errno;
	loop_timer_init(loop, &watch->timer, on_timer, watch);
	err = loop_fd_add(loop, watch->fd, EPOLLIN, on_event, watch);
	if (err)
		close(watch->fd);
	watch->started = !err;
	return err;
}

void cgroup_watch_stop(struct cgroup_watch *watch)
{
	if (!watch->started)
		return;
	loop_timer_cancel(&watch->timer);
	loop_fd_remove(watch->loop, watch->fd);
	close(watch->fd);
	watch->started = false;
}

static bool is_cgroup2(const char *path)
{
	struct statfs fs;

	return !statfs(path, &fs) && fs.f_type == CGROUP2_SUPER_MAGIC;
}

/* Adds watches from the top down: a directory that is created meanwhile is reported by the
 * directory above it. */
void cgroup_watch_path(const struct cgroup_watch *watch, const char *path)
{
	char above[CONFIG_CGROUP_MAX];
	char *slash = above;

	if (!watch->started || text_copy(above, sizeof(above), path) < 0)
		return;
	while ((slash = strchr(slash + 1, '/'))) {
		*slash = '\0';
		if (is_cgroup2(above))
			inotify_add_watch(watch->fd, above, WATCH_MASK);
		*slash = '/';
	}
}
