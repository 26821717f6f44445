/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/daemon.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/lockfile.h"
#include "common/log.h"
#include "common/text.h"
#include "common/notify.h"
#include "latchd/choice/choice_load.h"
#include "latchd/daemon_events.h"
#include "latchd/daemon_explain.h"
#include "latchd/daemon_mode.h"
#include "latchd/daemon_parts.h"
#include "latchd/daemon_reload.h"
#include "latchd/net/socket_diag.h"
#include "latchd/maps/tables.h"
#include "latchd/latch/recovery.h"

#define HOUSEKEEPING_MS 1000
#define RESYNC_ROUNDS	300 /* of housekeeping: finds changes that no event reported */
#define IDENTITY_ROUNDS 10  /* of housekeeping: compares the pinned identities with the copy */

/* ---- once a second */

static void watch_enforcement(struct daemon *d)
{
	bool on = enforcement_is_on(d->enforcement);

	if (on == d->was_on)
		return;
	d->was_on = on;
	if (on)
		log_info("enforce", "enforcement on: all programs are attached");
	else
		log_error("enforce",
			  enforcement_has_cgroup(d->enforcement)
				  ? "enforcement off (a program is no longer attached): see "
				    "latchctl status, then restart latchd"
				  : "enforcement off (no cgroup = of [enforce] exists): "
				    "waiting for one");
	notify_send("STATUS=enforcement is %s", daemon_state_text(d));
}

/* Counts by the clock, since a busy loop runs the housekeeping less often. */
static void resync_feeds(struct daemon *d)
{
	size_t i;

	if (d->rounds % RESYNC_ROUNDS)
		return;
	for (i = 0; i < d->feeds.count; i++)
		if (d->feeds.feed[i]->state == FEED_STATE_SYNCED)
			d->feeds.feed[i]->resync(d->feeds.feed[i]);
}

/* R-2.6-1: the gates need no identities, but reports and a later latchd do. */
static void check_identities(struct daemon *d)
{
	int result;

	if (d->rounds % IDENTITY_ROUNDS && !d->recovery_unfinished)
		return;
	result = recovery_check_identities(enforcement_maps(d->enforcement), d->identities,
					   &d->recovery_unfinished);
	if (result == RECOVERY_DAMAGED) {
		attribution_rebind(d->attribution);
		subscribers_tell_lost(&d->subscribers);
	} else if (result) {
		log_warn("latch", "identity table not checked (%s); next attempt in %d s",
			 strerror(-result), d->recovery_unfinished ? 1 : IDENTITY_ROUNDS);
	}
}

static void on_housekeeping(void *context)
{
	struct daemon *d = context;

	d->rounds++;
	check_identities(d);
	lost_events_check(&d->lost_events, &d->news);
	report_recent_note(&d->recent, d->source.maps, loop_now_ms());
	resync_feeds(d);
	if (d->served_unwritten)
		daemon_write_served(d);
	enforcement_check(d->enforcement);
	watch_enforcement(d);
	d->source.fixed_pins = enforcement_pins_are_fixed();
	d->source.missing_pins = enforcement_keep_pins(d->enforcement);
	notify_watchdog_feed(&d->watchdog, loop_now_ms());
	loop_timer_arm(&d->housekeeping, HOUSEKEEPING_MS);
}

/* ---- documents */

static void write_status(void *context, bool for_root, struct json_writer *w)
{
	struct daemon *d = context;

	d->source.fresh = for_root;
	report_status(w, &d->source);
}

static bool write_list(void *context, struct map_cursor *cursor, struct json_writer *w)
{
	struct daemon *d = context;

	if (!cursor->begun)
		netns_names_refresh(&d->netns_names);
	return report_list(w, &d->source, cursor);
}

static bool write_sa(void *context, struct map_cursor *cursor, struct json_writer *w)
{
	struct daemon *d = context;

	if (!cursor->begun)
		netns_names_refresh(&d->netns_names);
	return report_sa(w, &d->source, cursor);
}

static bool write_audit(void *context, struct map_cursor *cursor, struct json_writer *w)
{
	const struct daemon *d = context;

	return report_audit(w, &d->source, cursor);
}

static void take_request(void *context, const struct control_request *request,
			 struct json_writer *w)
{
	const struct daemon *d = context;
	struct admin_result result = admin_request(&d->admin, request);

	report_request(w, &result);
}

/* ---- start: each step needs the ones before it */

static int check_functions(struct daemon *d)
{
	struct enforcement_functions functions;
	int err;

	err = enforcement_functions(&functions);
	if (err)
		return failure_set(d->failure, err,
				   "BPF programs: cannot open them: %s; free some memory",
				   strerror(-err));
	return preflight_functions(functions.names, functions.count, d->failure);
}

static int load_enforcement(struct daemon *d)
{
	int err;

	err = preflight_run(d->config, &d->preflight, d->failure);
	if (!err)
		err = check_functions(d);
	if (!err)
		d->lock = preflight_lock(LOCKFILE_DEFAULT_PATH, d->failure);
	if (!err && d->lock < 0)
		err = d->lock;
	if (err)
		return err;
	err = enforcement_load(d->config, &d->enforcement, d->failure);
	if (err)
		return err;
	err = recovery_load_identities(enforcement_maps(d->enforcement), &d->identities,
				       &d->identities_damaged);
	if (err)
		failure_set(d->failure, err,
			    "identity table: cannot read the pinned maps: %s; run: latchctl purge",
			    strerror(-err));
	return err;
}

static int start_loop(struct daemon *d)
{
	int err;

	d->loop = loop_new();
	if (!d->loop)
		return failure_set(
			d->failure, -ENOMEM,
			"event loop: cannot create it: out of memory or descriptors; free some");
	err = loop_stop_on_signals(d->loop);
	if (err)
		return failure_set(d->failure, err,
				   "event loop: cannot wait for signals: %s; free some descriptors",
				   strerror(-err));
	loop_on_hangup(d->loop, daemon_reload, d);
	return 0;
}

static bool rival_of(const void *context, const struct latch_sa_key *key, struct news_rival *ret)
{
	const struct daemon *d = context;

	return d->attribution && attribution_rival(d->attribution, key, ret);
}

static const char *refusal_of(const void *context, const struct latch_sa_key *key)
{
	const struct daemon *d = context;

	return d->attribution ? attribution_refusal(d->attribution, key) : NULL;
}

static int start_control(struct daemon *d)
{
	const struct control_handlers handlers = {
		.context = d,
		.status = write_status,
		.list = write_list,
		.sa = write_sa,
		.explain = daemon_explain,
		.audit = write_audit,
		.request = take_request,
		.mode = daemon_take_mode,
	};

	d->source = (struct report_source){
		.maps = enforcement_maps(d->enforcement),
		.identities = d->identities,
		.enforcement = d->enforcement,
		.netfilter_netns = d->netfilter_netns,
		.cgroup = d->preflight.cgroup,
		.config_path = d->config_path,
		.started_boot_ns = clock_boot_ns(),
		.recent = &d->recent,
		.refusal = refusal_of,
		.refusal_context = d,
		.rival = rival_of,
		.counts = &d->counts,
	};
	if (daemon_explain_start(d))
		return failure_set(d->failure, -ENOMEM, "latchd: out of memory; free some");
	d->admin = (struct admin){.maps = d->source.maps, .news = &d->news};
	return control_new(d->loop, d->config->control_socket, d->config->control_group, &handlers,
			   &d->control, d->failure);
}

static int last_edit(void *context, uint64_t netns, uint64_t *ret_ns)
{
	return spd_last_edit(context, netns, ret_ns);
}

static int start_attribution(struct daemon *d)
{
	const struct kernel_maps *maps = enforcement_maps(d->enforcement);
	int err;

	daemon_subscribe(d);
	lost_events_start(&d->lost_events, maps);
	d->attribution = attribution_new(d->loop, maps, d->identities, &d->news);
	if (!d->attribution)
		return failure_set(d->failure, -ENOMEM, "latchd: out of memory; free some");
	err = attribution_watch_choice(d->attribution, d->loop,
				       &(struct choice_source){
					       .load = choice_load,
					       .load_devices = choice_load_devices,
					       .open_links = choice_open_links,
					       .last_edit = last_edit,
					       .context = (void *)maps,
				       });
	if (err)
		return failure_set(d->failure, err, "latchd: out of memory; free some");
	attribution_set_policy_grace(d->attribution, d->config->policy_grace_ms);
	err = event_ring_new(d->loop, maps->events, daemon_kernel_event, d, &d->ring);
	if (err)
		return failure_set(d->failure, err,
				   "event ring: cannot map it: %s; free some memory",
				   strerror(-err));
	return 0;
}

static int start_feeds(struct daemon *d)
{
	struct feed *feeds[CONFIG_MAX_FEEDS];
	int err;

	daemon_feeds_init(&d->feeds, d->config->control_socket);
	err = daemon_feeds_prepare(&d->feeds, d->loop, attribution_sink(d->attribution), d->config,
				   feeds, d->failure);
	if (!err)
		daemon_feeds_use(&d->feeds, d->attribution, d->config, feeds);
	return err;
}

/* Ends connections, so it comes after the last step that can fail, and before an SA is
 * attributed. */
static int repair_identities(struct daemon *d)
{
	int err = d->identities_damaged ? recovery_repair_identities(
						  enforcement_maps(d->enforcement), d->identities)
					: 0;

	return err ? failure_set(d->failure, err,
				 "identity table: damaged, and its latches cannot be closed: %s; "
				 "run: latchctl purge",
				 strerror(-err))
		   : 0;
}

/* Only the last two steps change the state of an earlier latchd. A failed start undoes the first of
 * them. */
static int start_all(struct daemon *d)
{
	int err;

	err = load_enforcement(d);
	if (!err)
		err = start_loop(d);
	if (err)
		return err;
	d->netfilter_netns = netfilter_netns_new(d->loop, enforcement_maps(d->enforcement),
						 enforcement_netfilter_gate(d->enforcement));
	if (!d->netfilter_netns)
		return failure_set(d->failure, -ENOMEM, "latchd: out of memory; free some");
	err = start_control(d);
	if (!err)
		err = start_attribution(d);
	if (!err)
		err = start_feeds(d);
	if (!err)
		err = daemon_prepare_sets(d, d->config, d->failure);
	if (!err)
		err = enforcement_attach(d->enforcement, d->config, d->preflight.cgroup,
					 d->failure);
	if (err)
		return err;
	identities_use_sets(d->identities, d->config);
	err = repair_identities(d);
	if (err)
		enforcement_undo(d->enforcement);
	return err;
}

/* ---- after the start: none of these can fail */

static void start_watching(struct daemon *d)
{
	const struct kernel_maps *maps = enforcement_maps(d->enforcement);
	int err = socket_diag_prepare();

	if (err)
		log_warn("latch",
			 "sock_diag not available (%s): broken connections are "
			 "blocked, but cannot be reset",
			 strerror(-err));
	daemon_show_config(d);
	daemon_write_served(d);
	netfilter_netns_start(d->netfilter_netns);
	d->disposition = (struct disposition){.maps = maps, .news = &d->news};
	disposition_start(&d->disposition, d->loop);
	d->spd_watch = (struct spd_watch){
		.maps = maps,
		.identities = d->identities,
		.news = &d->news,
		.grace_ms = d->config->policy_grace_ms,
	};
	spd_watch_start(&d->spd_watch, d->loop);
	d->reaper = (struct reaper){.maps = maps};
	reaper_start(&d->reaper, d->loop);
	d->listeners = (struct listeners){
		.maps = maps,
		.adopt = enforcement_sees_all(d->enforcement),
	};
	listeners_start(&d->listeners, d->loop);
	subscribers_start(&d->subscribers, d->loop, maps, d->config->news_socket);
	subscribers_enable(&d->subscribers, d->config->answers);
	loop_timer_init(d->loop, &d->housekeeping, on_housekeeping, d);
	loop_timer_arm(&d->housekeeping, HOUSEKEEPING_MS);
}

static void stop_watching(struct daemon *d)
{
	loop_timer_cancel(&d->housekeeping);
	subscribers_stop(&d->subscribers);
	reaper_stop(&d->reaper);
	spd_watch_stop(&d->spd_watch);
	listeners_stop(&d->listeners);
	disposition_stop(&d->disposition);
}

static int run(struct daemon *d)
{
	int err;

	start_watching(d);
	enforcement_watch(d->enforcement, d->loop);
	d->was_on = enforcement_is_on(d->enforcement);
	d->watchdog.every_ms = notify_watchdog_ms();
	log_info("enforce", "enforcement %s: cgroup %s%s%s", d->was_on ? "on" : "off",
		 d->preflight.cgroup, d->config->cgroup_count > 1 ? " and others" : "",
		 enforcement_adopted(d->enforcement) ? ", with the latches of an earlier latchd"
						     : "");
	daemon_log_start(d);
	notify_send("READY=1\nSTATUS=enforcement is %s", daemon_state_text(d));
	err = loop_run(d->loop);
	notify_send("STOPPING=1");
	daemon_feeds_stop(&d->feeds);
	daemon_keep_served(d);
	stop_watching(d);
	if (err)
		failure_set(d->failure, err,
			    "event loop: cannot wait for events: %s; restart latchd",
			    strerror(-err));
	else
		log_info("enforce", "latchd ends: its latches stay enforced; latched "
				    "connections stall from the next rekey until latchd runs "
				    "again (latchctl purge ends both)");
	return err;
}

static void stop_all(struct daemon *d)
{
	daemon_feeds_stop(&d->feeds);
	event_ring_free(d->ring);
	attribution_free(d->attribution);
	daemon_feeds_free(&d->feeds);
	control_free(d->control);
	netfilter_netns_free(d->netfilter_netns);
	enforcement_free(d->enforcement);
	loop_free(d->loop);
	daemon_explain_stop(d);
	identities_free(d->identities);
	if (d->lock >= 0)
		close(d->lock);
	free(d->config);
}

int daemon_run(const struct config *config, const char *config_path, bool config_named,
	       struct failure *failure)
{
	struct daemon d = {
		.config = malloc(sizeof(*config)),
		.config_path = config_path,
		.config_named = config_named,
		.failure = failure,
		.lock = -1,
	};
	int err;

	if (!d.config)
		return failure_set(failure, -ENOMEM, "latchd: out of memory; free some");
	*d.config = *config;
	err = start_all(&d);
	if (!err)
		err = run(&d);
	stop_all(&d);
	return err;
}
