/* SPDX-License-Identifier: BSD-2-Clause */
/* The ini file, read once at start: parsed whole and checked before anything uses it. */
#ifndef LATCHD_CONFIG_CONFIG_H
#define LATCHD_CONFIG_CONFIG_H

#include <stddef.h>

#include "latch_abi.h"
#include "common/failure.h"

#define CONFIG_DEFAULT_PATH "/etc/latchd/latchd.conf"
#define CONFIG_MAX_FEEDS    64
#define CONFIG_NAME_MAX	    32
#define CONFIG_PATH_MAX	    108 /* a Unix socket's sun_path */

enum config_feed_type {
	CONFIG_FEED_VICI,
};

struct config_feed {
	char name[CONFIG_NAME_MAX];
	enum config_feed_type type;
	char socket[CONFIG_PATH_MAX];
};

struct config_rule {
	char name[CONFIG_NAME_MAX];
	struct latch_rule rule;
};

struct config {
	char cgroup[256];	 /* [enforce] cgroup; "" = find the v2 root */
	unsigned int pending_ms; /* [enforce] pending-limit, e.g. 5s; default 5000 (100..60000) */
	unsigned int latch_capacity;	      /* [enforce] latches; default 65536 (64..4194304) */
	char control_socket[CONFIG_PATH_MAX]; /* [control] socket; default /run/latchd/latchd.sock
					       */
	char control_group[CONFIG_NAME_MAX];  /* [control] group; "" = root only */
	size_t feed_count;
	struct config_feed feeds[CONFIG_MAX_FEEDS]; /* no [feed] at all: one, "charon", vici,
						       charon's default socket */
	size_t rule_count;
	struct config_rule rules[LATCH_RULES_MAX]; /* the first that matches decides */
};

/*
 * Fills *config with defaults, then the file at path. A missing file is an
 * error (-ENOENT) only if the path was named by the user. -EINVAL and a failure
 * ("FILE:LINE: fault; expected ...") for a bad line, an unknown section, key or value, a duplicate,
 * a name that is too long; *config is then unspecified.
 */
int config_load(const char *path, int named_by_user, struct config *config,
		struct failure *failure);

#endif
