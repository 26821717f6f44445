/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/daemon_reload.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/notify.h"
#include "latchd/config/config_load.h"
#include "latchd/daemon_check.h"
#include "latchd/daemon_events.h"
#include "latchd/daemon_mode.h"
#include "latchd/daemon_parts.h"
#include "latchd/enforce/rules.h"
#include "latchd/maps/tables.h"

void daemon_show_config(struct daemon *d)
{
	int err = rules_in_force(enforcement_maps(d->enforcement), &d->source.rule_set);

	if (err)
		log_warn("config", "map settings not read (%s): the rules of latches are not shown",
			 strerror(-err));
	d->source.feeds = d->feeds.report;
	d->source.feed_count = d->feeds.count;
	d->source.rules = d->config->rules;
	d->source.rule_count = err ? 0 : d->config->rule_count;
	d->source.wants_audit = d->config->mode == CONFIG_MODE_AUDIT;
	d->source.wants_enforce = d->config->mode == CONFIG_MODE_ENFORCE;
}

/* ---- keys that a start alone can change */

struct fixed_key {
	const char *name;
	bool differs;
};

static bool same_cgroups(const struct config *now, const struct config *next)
{
	size_t i;

	if (now->cgroup_count != next->cgroup_count)
		return false;
	for (i = 0; i < now->cgroup_count; i++)
		if (strcmp(now->cgroups[i], next->cgroups[i]))
			return false;
	return true;
}

static void warn_fixed(const struct daemon *d, const struct config *next)
{
	const struct config *now = d->config;
	const struct fixed_key keys[] = {
		{"cgroup", !same_cgroups(now, next)},
		{"latches", now->latch_capacity != next->latch_capacity},
		{"socket (of [control])", strcmp(now->control_socket, next->control_socket) != 0},
		{"news-socket", strcmp(now->news_socket, next->news_socket) != 0},
		{"group", strcmp(now->control_group, next->control_group) != 0},
	};
	char names[128] = "";
	size_t i;

	for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		size_t used = strlen(names);

		if (keys[i].differs)
			snprintf(names + used, sizeof(names) - used, "%s%s", used ? ", " : "",
				 keys[i].name);
	}
	if (names[0])
		log_warn(NULL, "config %s: %s not changed (fixed at the start); restart latchd",
			 d->config_path, names);
}

/* The next reload compares with what is in force. */
static void keep_fixed(const struct config *now, struct config *next)
{
	memcpy(next->cgroups, now->cgroups, sizeof(next->cgroups));
	next->cgroup_count = now->cgroup_count;
	next->latch_capacity = now->latch_capacity;
	memcpy(next->control_socket, now->control_socket, sizeof(next->control_socket));
	memcpy(next->news_socket, now->news_socket, sizeof(next->news_socket));
	memcpy(next->control_group, now->control_group, sizeof(next->control_group));
}

/* ---- the change */

static void log_reloaded(const struct daemon *d, size_t feeds_before, size_t ended)
{
	log_info(NULL, "config %s reloaded: %zu rules, %zu feeds (%zu new, %zu ended)",
		 d->config_path, d->config->rule_count, d->feeds.count,
		 d->feeds.count + ended - feeds_before, ended);
}

int daemon_prepare_sets(struct daemon *d, const struct config *next, struct failure *failure)
{
	int err = identities_prepare_sets(d->identities, next);

	return err ? failure_set(failure, err,
				 "map peer_facts: cannot write the sets of peers: %s; run latchctl "
				 "purge, then start latchd",
				 strerror(-err))
		   : 0;
}

/* Takes next over. New feeds connect from the loop, after the rules are in force. */
static int change(struct daemon *d, struct config *next, struct failure *failure)
{
	struct feed *feeds[CONFIG_MAX_FEEDS];
	uint32_t mode = mode_read(enforcement_maps(d->enforcement));
	size_t before = d->feeds.count, ended;
	int err;

	err = daemon_feeds_prepare(&d->feeds, d->loop, attribution_sink(d->attribution), next,
				   feeds, failure);
	if (err)
		return err;
	err = daemon_prepare_sets(d, next, failure);
	if (!err)
		err = enforcement_change(d->enforcement, next, failure);
	if (err) {
		daemon_feeds_discard(&d->feeds, feeds, next->feed_count);
		return err;
	}
	warn_fixed(d, next);
	keep_fixed(d->config, next);
	ended = daemon_feeds_use(&d->feeds, d->attribution, next, feeds);
	identities_use_sets(d->identities, next);
	free(d->config);
	d->config = next;
	d->spd_watch.grace_ms = next->policy_grace_ms;
	attribution_set_policy_grace(d->attribution, next->policy_grace_ms);
	subscribers_enable(&d->subscribers, next->answers);
	daemon_show_config(d);
	daemon_write_served(d);
	log_reloaded(d, before, ended);
	daemon_note_mode(d, mode);
	return 0;
}

static int reload(struct daemon *d, struct failure *failure)
{
	struct config *next = calloc(1, sizeof(*next));
	int err;

	if (!next)
		return failure_set(failure, -ENOMEM, "out of memory; free some");
	err = config_load(d->config_path, d->config_named, next, failure);
	if (!err)
		err = daemon_check(next, failure);
	if (!err)
		err = change(d, next, failure);
	if (err)
		free(next);
	return err;
}

void daemon_reload(void *context)
{
	struct daemon *d = context;
	struct failure failure;

	if (reload(d, &failure))
		log_error(NULL, "config %s not reloaded, nothing changed: %s", d->config_path,
			  failure.text);
	notify_send("READY=1");
}
