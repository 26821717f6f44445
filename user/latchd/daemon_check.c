/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/daemon_check.h"

#include <errno.h>
#include <sys/stat.h>

#include "common/log.h"
#include "latchd/control/control_socket.h"
#include "latchd/enforce/preflight.h"

/* An absent socket is no error: the key manager creates it at its start. */
static int check_feed(const struct config_feed *feed, struct failure *failure)
{
	struct stat st;

	if (stat(feed->socket, &st) || S_ISSOCK(st.st_mode))
		return 0;
	return failure_set(failure, -ENOTSOCK,
			   "feed %s: %s is no socket; correct socket = in [feed %s]", feed->name,
			   feed->socket, feed->name);
}

int daemon_check(const struct config *config, struct failure *failure)
{
	struct preflight_result result;
	size_t i;
	int err;

	err = preflight_cgroup(config, &result, failure);
	/* The hierarchy may be mounted later. */
	if (err == -ENOENT)
		err = -EAGAIN;
	if (!err)
		err = control_socket_check(config->control_socket, config->control_group, failure);
	for (i = 0; !err && i < config->feed_count; i++)
		err = check_feed(&config->feeds[i], failure);
	return err;
}

void daemon_check_warn(const struct config *config, const char *path)
{
	size_t i;

	for (i = 0; i < config->hash_line_count; i++)
		log_warn("config",
			 "%s:%u: the value has a \" #\", which begins no comment here and is part "
			 "of it; put a comment on a line of its own",
			 path, config->hash_lines[i]);
}
