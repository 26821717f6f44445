/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The feeds of the configuration. The first step of a change makes the new feeds, and can fail. The
 * second step uses them, keeps equal ones running, hands decisions over and ends feeds that are no
 * longer configured.
 */
#ifndef LATCHD_DAEMON_FEEDS_H
#define LATCHD_DAEMON_FEEDS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/failure.h"
#include "common/loop.h"
#include "latchd/config/config.h"
#include "latchd/report/report.h"
#include "latchd/sa/attribution.h"

struct daemon_feed_ended {
	struct feed *feed;
	char socket[CONFIG_PATH_MAX];
};

struct daemon_feeds {		      /* zeroed before daemon_feeds_init() */
	char folder[CONFIG_PATH_MAX]; /* of the files that feeds keep */
	size_t count;
	struct config_feed config[CONFIG_MAX_FEEDS];
	struct feed *feed[CONFIG_MAX_FEEDS];
	struct report_feed report[CONFIG_MAX_FEEDS];
	/* Feeds that are no longer configured. Attribution still has records of them, and a later
	 * feed may take their decisions. */
	struct daemon_feed_ended *ended;
	size_t ended_count, ended_room;
};

/* Feeds keep their files beside the control socket, where the next latchd looks for them. */
void daemon_feeds_init(struct daemon_feeds *feeds, const char *control_socket);

/*
 * Fills ret with a feed for each feed of config: the running feed if all keys are equal, else a
 * new one. 0, or a negative errno, a failure and nothing changed.
 */
int daemon_feeds_prepare(struct daemon_feeds *feeds, struct loop *loop,
			 const struct feed_sink *sink, const struct config *config,
			 struct feed *ret[CONFIG_MAX_FEEDS], struct failure *failure);
/* Frees the new feeds among prepared. */
void daemon_feeds_discard(const struct daemon_feeds *feeds, struct feed *const *prepared,
			  size_t count);
/* Ends the running feeds that are not among prepared. Returns their number. */
size_t daemon_feeds_use(struct daemon_feeds *feeds, struct attribution *attribution,
			const struct config *config, struct feed *const *prepared);

/* Writes the namespaces of the feeds for the programs. 0, or a negative errno. */
int daemon_feeds_write_served(const struct daemon_feeds *feeds,
			      const struct attribution *attribution,
			      const struct kernel_maps *maps);

/* The file in folder for the key manager at this socket. False: its path is too long. */
bool daemon_feeds_decisions_path(const char *folder, const char *socket, char *out, size_t size);

void daemon_feeds_stop(struct daemon_feeds *feeds);
/* After attribution_free(). */
void daemon_feeds_free(struct daemon_feeds *feeds);

#endif
