/* SPDX-License-Identifier: BSD-2-Clause */
/* The parts of the daemon: daemon.c starts and stops them, daemon_events.c connects them. */
#ifndef LATCHD_DAEMON_PARTS_H
#define LATCHD_DAEMON_PARTS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/notify.h"
#include "common/walk_pace.h"
#include "latchd/control/admin.h"
#include "latchd/sa/attribution.h"
#include "latchd/config/config.h"
#include "latchd/control/control.h"
#include "latchd/enforce/netfilter/netfilter_netns.h"
#include "latchd/history/history.h"
#include "latchd/latch/disposition.h"
#include "latchd/enforce/enforcement.h"
#include "latchd/maps/event_ring.h"
#include "latchd/latch/listeners.h"
#include "latchd/enforce/preflight.h"
#include "latchd/latch/reaper.h"
#include "latchd/news/lost_events.h"
#include "latchd/news/news.h"
#include "latchd/report/log_news.h"
#include "latchd/report/monitor_news.h"
#include "latchd/report/report.h"
#include "latchd/report/report_attention.h"
#include "latchd/report/report_counts.h"
#include "latchd/daemon_feeds.h"
#include "latchd/spd/spd_watch.h"
#include "latchd/subscribers/subscriber_news.h"
#include "latchd/subscribers/subscribers.h"

struct daemon {
	struct config *config; /* in force; owned */
	const char *config_path;
	bool config_named; /* the user named the file, so it must exist */
	struct failure *failure;

	struct preflight_result preflight;
	int lock;
	struct enforcement *enforcement;
	struct identities *identities;
	struct loop *loop;
	struct control *control;
	struct daemon_feeds feeds;
	struct report_source source;
	struct news_bus news;
	struct log_news log_news;
	struct monitor_news monitor_news;
	struct history *history;
	struct netns_names netns_names;
	struct walk_pace explain_pace;
	struct news_subscriber reactions;
	struct lost_events lost_events;
	struct attribution *attribution;
	struct netfilter_netns *netfilter_netns;
	struct disposition disposition;
	struct admin admin;
	struct reaper reaper;
	struct spd_watch spd_watch;
	struct listeners listeners;
	struct subscribers subscribers;
	struct subscriber_news subscriber_news;
	struct event_ring *ring;
	struct loop_timer housekeeping;
	struct notify_watchdog watchdog;
	unsigned int rounds;
	bool identities_damaged; /* at the start: not repaired yet */
	bool recovery_unfinished;
	struct report_recent recent;
	struct report_counts counts;
	bool was_on;
	bool served_unwritten; /* the programs do not know where the feeds are */
};

#endif
