/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/daemon.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/lockfile.h"
#include "common/log.h"
#include "common/notify.h"
#include "common/text.h"
#include "latchd/administrator.h"
#include "latchd/announce.h"
#include "latchd/attribution.h"
#include "latchd/control.h"
#include "latchd/coverage.h"
#include "latchd/disposition.h"
#include "latchd/kernel/enforcement.h"
#include "latchd/kernel/event_ring.h"
#include "latchd/kernel/rules.h"
#include "latchd/kernel/socket_diag.h"
#include "latchd/kernel/tables.h"
#include "latchd/listeners.h"
#include "latchd/preflight.h"
#include "latchd/reaper.h"
#include "latchd/recovery.h"
#include "latchd/refusal.h"
#include "latchd/report.h"
#include "latchd/spd_watch.h"

#define HOUSEKEEPING_MS 1000
#define RESYNC_ROUNDS	300 /* of housekeeping: what no event tells is found then */

struct daemon {
	const struct config *config;
	const char *config_path;
	char *failure;
	size_t failure_size;

	struct preflight_result preflight;
	int lock;
	struct enforcement *enforcement;
	struct identities *identities;
	struct loop *loop;
	struct control *control;
	struct report_feed feeds[CONFIG_MAX_FEEDS];
	struct feed *started[CONFIG_MAX_FEEDS];
	struct report_source source;
	struct announcer announcer;
	struct attribution_observer observer;
	struct attribution *attribution;
	struct coverage *coverage;
	struct disposition disposition;
	struct administrator administrator;
	struct reaper reaper;
	struct spd_observer spd_observer;
	struct spd_watch spd_watch;
	struct listeners listeners;
	struct event_ring *ring;
	struct loop_timer housekeeping;
	unsigned int watchdog_ms, watchdog_due_ms;
	unsigned int rounds;
	bool was_on;
};

/* ---- events */

static void on_latch_broken(void *context, const struct latch_flow *flow, const struct latch *latch,
			    uint8_t reasons, uint16_t got)
{
	struct daemon *d = context;

	announce_latch_broken(&d->announcer, flow, latch, reasons, got);
	disposition_run_soon(&d->disposition);
}

static void on_spd_broken(void *context, const struct latch_flow *flow, const struct latch *latch,
			  enum policy_direction direction, const struct policy_verdict *verdict)
{
	struct daemon *d = context;

	announce_spd_broken(&d->announcer, flow, latch, direction, verdict);
	disposition_run_soon(&d->disposition);
}

static void on_latch_held(void *context, const struct latch_flow *flow, const struct latch *latch,
			  enum policy_direction direction, const struct policy_verdict *verdict)
{
	struct daemon *d = context;

	announce_latch_held(&d->announcer, flow, latch, direction, verdict);
}

static void on_latch_released(void *context, const struct latch_flow *flow,
			      const struct latch *latch)
{
	struct daemon *d = context;

	announce_latch_released(&d->announcer, flow, latch);
}

static void on_latch_healed(void *context, const struct latch_flow *flow,
			    const struct latch *latch, uint8_t reasons)
{
	struct daemon *d = context;

	announce_latch_healed(&d->announcer, flow, latch, reasons);
}

static void on_sa_bound(void *context, const struct latch_sa_key *key, const struct latch_sa *sa,
			uint16_t params, const char *feed, const char *evidence)
{
	struct daemon *d = context;

	announce_sa_bound(&d->announcer, key, sa, params, feed, evidence);
}

static void on_netns_served(void *context, uint64_t netns_cookie)
{
	struct daemon *d = context;

	coverage_add(d->coverage, netns_cookie);
}

static void on_reset(void *context, const struct latch_flow *flow, const struct latch *latch,
		     int error, bool again)
{
	struct daemon *d = context;

	if (!error || !again)
		announce_latch_reset(&d->announcer, flow, latch, error);
}

static void on_refused(struct daemon *d, const struct latch_event *event)
{
	int err = refusal_end_connect(enforcement_maps(d->enforcement), event);

	announce_refused(&d->announcer, event, err);
}

static void on_ordered_break(void *context, const struct latch_flow *flow,
			     const struct latch *latch, const struct administrator_who *who)
{
	struct daemon *d = context;

	announce_latch_ordered(&d->announcer, CONTROL_ACT_BREAK, flow, latch, who, 0);
	disposition_run_soon(&d->disposition);
}

static void on_ordered_heal(void *context, const struct latch_flow *flow,
			    const struct latch *latch, const struct administrator_who *who)
{
	struct daemon *d = context;

	announce_latch_ordered(&d->announcer, CONTROL_ACT_HEAL, flow, latch, who, 0);
}

static void on_ordered_close(void *context, const struct latch_flow *flow,
			     const struct latch *latch, const struct administrator_who *who,
			     int error)
{
	struct daemon *d = context;

	announce_latch_ordered(&d->announcer, CONTROL_ACT_CLOSE, flow, latch, who, error);
}

static void on_kernel_event(void *context, const struct latch_event *event)
{
	struct daemon *d = context;

	announce_kernel_event(&d->announcer, event);
	switch (event->type) {
	case LATCH_EVENT_SA_PENDING:
		coverage_add(d->coverage, event->sa.netns);
		attribution_sa_pending(d->attribution, &event->sa);
		return;
	case LATCH_EVENT_SA_GONE:
		attribution_sa_gone(d->attribution, &event->sa);
		return;
	case LATCH_EVENT_LATCH_ESTABLISHED:
		coverage_add(d->coverage, event->flow.netns);
		attribution_latch_born(d->attribution, &event->flow);
		spd_watch_latch_born(&d->spd_watch, &event->flow);
		return;
	case LATCH_EVENT_LATCH_CLOSED:
		spd_watch_latch_closed(&d->spd_watch, &event->flow);
		return;
	case LATCH_EVENT_POLICY_CHANGED:
		spd_watch_edited(&d->spd_watch, event->flow.netns);
		return;
	case LATCH_EVENT_REFUSED:
		on_refused(d, event);
		return;
	case LATCH_EVENT_LATCH_BROKEN:
	case LATCH_EVENT_LATCH_HEALED:
	case LATCH_EVENT_DROP:
		return;
	}
}

/* ---- once a second */

static void watch_enforcement(struct daemon *d)
{
	bool on = enforcement_is_on(d->enforcement);

	if (on == d->was_on)
		return;
	d->was_on = on;
	if (on)
		log_info("enforce", "all programs are attached again");
	else
		log_error("enforce", "a program is no longer attached; see latchctl status, then "
				     "restart latchd");
	notify_send("STATUS=enforcement is %s", on ? "on" : "OFF");
}

static void feed_watchdog(struct daemon *d)
{
	if (!d->watchdog_ms)
		return;
	d->watchdog_due_ms += HOUSEKEEPING_MS;
	if (d->watchdog_due_ms < d->watchdog_ms)
		return;
	d->watchdog_due_ms = 0;
	notify_send("WATCHDOG=1");
}

static void resync_now_and_then(struct daemon *d)
{
	size_t i;

	if (++d->rounds % RESYNC_ROUNDS)
		return;
	for (i = 0; i < d->config->feed_count; i++)
		if (d->started[i]->state == FEED_STATE_SYNCED)
			d->started[i]->resync(d->started[i]);
}

static void on_housekeeping(void *context)
{
	struct daemon *d = context;

	if (announce_lost_events(&d->announcer))
		attribution_reconcile(d->attribution);
	resync_now_and_then(d);
	watch_enforcement(d);
	feed_watchdog(d);
	loop_timer_arm(&d->housekeeping, HOUSEKEEPING_MS);
}

/* ---- documents */

static void write_status(void *context, struct json_writer *w)
{
	const struct daemon *d = context;

	report_status(w, &d->source);
}

static void write_list(void *context, struct json_writer *w)
{
	const struct daemon *d = context;

	report_list(w, &d->source);
}

static void write_sa(void *context, struct json_writer *w)
{
	const struct daemon *d = context;

	report_sa(w, &d->source);
}

static void take_order(void *context, const struct control_order *order, struct json_writer *w)
{
	const struct daemon *d = context;

	administrator_order(&d->administrator, order, w);
}

/* ---- start, each step with what it needs from those before */

static int fail(struct daemon *d, int err, const char *text)
{
	text_copy(d->failure, d->failure_size, text);
	return err;
}

static int check_functions(struct daemon *d)
{
	struct enforcement_functions functions;
	int err;

	err = enforcement_functions(&functions);
	if (err) {
		snprintf(d->preflight.failure, sizeof(d->preflight.failure),
			 "BPF object: cannot be opened: %s; free some memory", strerror(-err));
		return err;
	}
	return preflight_functions(functions.names, functions.count, &d->preflight);
}

static int start_enforcement(struct daemon *d)
{
	int err;

	err = preflight_run(d->config, &d->preflight);
	if (!err)
		err = check_functions(d);
	if (!err)
		d->lock = preflight_lock(LOCKFILE_DEFAULT_PATH, &d->preflight);
	if (!err && d->lock < 0)
		err = d->lock;
	if (err)
		return fail(d, err, d->preflight.failure);
	return enforcement_start(d->config, d->preflight.cgroup, &d->enforcement, d->failure,
				 d->failure_size);
}

static int start_coverage(struct daemon *d)
{
	d->coverage = coverage_new(d->loop, enforcement_maps(d->enforcement),
				   enforcement_netfilter_gate(d->enforcement));
	return d->coverage ? 0 : fail(d, -ENOMEM, "out of memory; free some");
}

static int start_control(struct daemon *d)
{
	const struct control_handlers handlers = {
		.context = d,
		.status = write_status,
		.list = write_list,
		.sa = write_sa,
		.order = take_order,
	};
	int err;

	d->source = (struct report_source){
		.maps = enforcement_maps(d->enforcement),
		.identities = d->identities,
		.enforcement = d->enforcement,
		.coverage = d->coverage,
		.cgroup = d->preflight.cgroup,
		.config_path = d->config_path,
		.started_boot_ns = clock_boot_ns(),
		.feeds = d->feeds,
		.feed_count = d->config->feed_count,
		.rules = d->config->rules,
		.rule_count = d->config->rule_count,
	};
	err = rules_in_force(d->source.maps, &d->source.rule_set);
	if (err)
		return fail(d, err, "map settings: cannot read; restart latchd");
	d->administrator = (struct administrator){
		.maps = d->source.maps,
		.broken = on_ordered_break,
		.healed = on_ordered_heal,
		.closed = on_ordered_close,
		.context = d,
	};
	d->control = control_new(d->loop, d->config->control_socket, d->config->control_group,
				 &handlers, d->failure, d->failure_size);
	return d->control ? 0 : -EADDRNOTAVAIL;
}

/* Not to be asked of the kernel in words: its number is always the first. */
static bool cgroup_is_root(const char *path)
{
	struct stat st;

	return !stat(path, &st) && st.st_ino == 1;
}

static int start_attribution(struct daemon *d)
{
	const struct kernel_maps *maps = enforcement_maps(d->enforcement);
	int err;

	d->announcer = (struct announcer){.control = d->control, .source = &d->source};
	announce_from_now(&d->announcer);
	d->observer = (struct attribution_observer){
		.conflict = {d, on_latch_broken, on_latch_healed},
		.sa_bound = on_sa_bound,
		.netns_served = on_netns_served,
	};
	d->attribution = attribution_new(d->loop, maps, d->identities, &d->observer);
	if (!d->attribution)
		return fail(d, -ENOMEM, "out of memory; free some");
	d->disposition = (struct disposition){.maps = maps, .reset = on_reset, .context = d};
	disposition_start(&d->disposition, d->loop);
	d->spd_observer = (struct spd_observer){d, on_spd_broken, on_latch_healed, on_latch_held,
					       on_latch_released};
	d->spd_watch = (struct spd_watch){
		.maps = maps,
		.identities = d->identities,
		.observer = &d->spd_observer,
	};
	spd_watch_start(&d->spd_watch, d->loop);
	d->reaper = (struct reaper){.maps = maps};
	reaper_start(&d->reaper, d->loop);
	d->listeners = (struct listeners){
		.maps = maps,
		.adopt = cgroup_is_root(d->preflight.cgroup),
	};
	listeners_start(&d->listeners, d->loop);
	err = event_ring_new(d->loop, maps->events, on_kernel_event, d, &d->ring);
	if (err)
		snprintf(d->failure, d->failure_size,
			 "event ring: cannot read it: %s; free some memory", strerror(-err));
	return err;
}

static int start_feed(struct daemon *d, size_t i)
{
	const struct config_feed *config = &d->config->feeds[i];

	d->feeds[i] = (struct report_feed){
		.name = config->name,
		.socket = config->socket,
	};
	switch (config->type) {
	case CONFIG_FEED_VICI:
		d->feeds[i].type = "vici";
		d->started[i] = feed_vici_new(d->loop, config->name, config->socket,
					      attribution_sink(d->attribution));
		break;
	}
	if (!d->started[i]) {
		snprintf(d->failure, d->failure_size,
			 "feed %s: cannot start: %m; check its socket =", config->name);
		return -errno;
	}
	d->feeds[i].feed = d->started[i];
	return 0;
}

static int start_all(struct daemon *d)
{
	size_t i;
	int err;

	err = start_enforcement(d);
	if (err)
		return err;
	err = socket_diag_prepare();
	if (err)
		log_warn("latch", "sock_diag: %s; broken connections cannot be reset, only cut off",
			 strerror(-err));
	err = recovery_load_identities(enforcement_maps(d->enforcement), &d->identities);
	if (err) {
		snprintf(d->failure, d->failure_size,
			 "identity table: cannot read the pinned maps: %s; run: latchctl purge",
			 strerror(-err));
		return err;
	}
	d->loop = loop_new();
	if (!d->loop)
		return fail(d, -ENOMEM, "event loop: out of memory or descriptors; free some");
	err = loop_stop_on_signals(d->loop);
	if (err)
		return fail(d, err, "event loop: cannot wait for signals; free some descriptors");
	err = start_coverage(d);
	if (!err)
		err = start_control(d);
	if (!err)
		err = start_attribution(d);
	for (i = 0; !err && i < d->config->feed_count; i++)
		err = start_feed(d, i);
	return err;
}

static int run(struct daemon *d)
{
	int err;

	d->was_on = enforcement_is_on(d->enforcement);
	d->watchdog_ms = notify_watchdog_ms();
	loop_timer_init(d->loop, &d->housekeeping, on_housekeeping, d);
	loop_timer_arm(&d->housekeeping, HOUSEKEEPING_MS);
	log_info("enforce", "on at cgroup %s%s", d->preflight.cgroup,
		 enforcement_adopted(d->enforcement) ? ", with the latches of an earlier latchd"
						     : "");
	notify_send("READY=1\nSTATUS=enforcement is %s", d->was_on ? "on" : "OFF");
	err = loop_run(d->loop);
	notify_send("STOPPING=1");
	if (err)
		snprintf(d->failure, d->failure_size, "event loop: %s; restart latchd",
			 strerror(-err));
	else
		log_info("enforce",
			 "latchd ends; its latches stay enforced (latchctl purge ends that)");
	return err;
}

static void stop_all(struct daemon *d)
{
	size_t i;

	for (i = 0; i < d->config->feed_count; i++)
		if (d->started[i])
			d->started[i]->destroy(d->started[i]);
	if (d->loop)
		loop_timer_cancel(&d->housekeeping);
	event_ring_free(d->ring);
	if (d->attribution) {
		reaper_stop(&d->reaper);
		spd_watch_stop(&d->spd_watch);
		listeners_stop(&d->listeners);
		disposition_stop(&d->disposition);
	}
	attribution_free(d->attribution);
	control_free(d->control);
	coverage_free(d->coverage);
	loop_free(d->loop);
	identities_free(d->identities);
	enforcement_free(d->enforcement);
	if (d->lock >= 0)
		close(d->lock);
}

int daemon_run(const struct config *config, const char *config_path, char *failure,
	       size_t failure_size)
{
	struct daemon d = {
		.config = config,
		.config_path = config_path,
		.failure = failure,
		.failure_size = failure_size,
		.lock = -1,
	};
	int err;

	err = start_all(&d);
	if (!err)
		err = run(&d);
	stop_all(&d);
	return err;
}
