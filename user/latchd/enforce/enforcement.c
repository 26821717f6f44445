/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/enforce/enforcement.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/text.h"
#include "latch_mode.h"
#include "latchd.skel.h"
#include "latchd/enforce/cgroups/cgroup_watch.h"
#include "latchd/enforce/libbpf_log.h"
#include "latchd/enforce/mode.h"
#include "latchd/enforce/links/links.h"
#include "latchd/enforce/pins/map_pins.h"
#include "latchd/enforce/object.h"
#include "latchd/enforce/pins/pin_paths.h"
#include "latchd/enforce/rules.h"
#include "latchd/maps/latch_control.h"
#include "latchd/maps/tables.h"

#define DROP_EVENT_INTERVAL_NS 1000000000ULL

/* The settings and rules that put_in_force() has replaced. */
struct former {
	struct latch_settings settings;
	struct rules_change rules;
};

struct enforcement {
	struct object object;
	struct kernel_maps maps;
	struct links functions;
	struct links answer_functions; /* optional */
	struct cgroups *cgroups;
	struct cgroup_watch watch;
	struct netfilter_gate netfilter_gate;
	struct former former; /* of the start */
	bool attached;
	bool was_audit; /* before this latchd; valid if the settings are of an earlier one */
};

/*
 * The settings are in force at once, also for the programs of an earlier latchd. *settings gets the
 * former ones, for a start that fails. An existing mode stays: latch_mode_switch() changes it.
 */
static int exchange_settings(const struct kernel_maps *maps, struct latch_settings *settings)
{
	struct latch_settings before = {0};
	__u32 key = 0;
	int err = bpf_map_lookup_elem(maps->settings, &key, &before);

	settings->rule_count = before.rule_count;
	settings->rule_stamp = before.rule_stamp;
	memcpy(settings->served, before.served, sizeof(settings->served));
	settings->all_feeds_seen = before.all_feeds_seen;
	if (!settings->mode || before.mode) {
		settings->mode = before.mode;
		settings->mode_since = before.mode_since;
	}
	if (!err)
		err = bpf_map_update_elem(maps->settings, &key, settings, BPF_ANY);
	if (!err)
		*settings = before;
	return err;
}

/* ---- links */

/* No gate depends on these programs. Without them a reset UDP socket has no answer about the
 * reason. */
static void attach_answer_functions(struct enforcement *enforcement)
{
	const struct bpf_object *object = enforcement->object.skeleton->obj;
	struct links *set = &enforcement->answer_functions;
	struct failure failure = {""};
	int err = links_list(object, LINKS_OF_ANSWER_FUNCTIONS, 0, NULL, set);

	if (!err && set->count)
		err = links_attach(&set, 1, &failure);
	if (err && cgroups_answer(enforcement->cgroups))
		log_warn(
			"enforce",
			"program of UDP errors not attached (%s): UDP sockets that are reset report no reason",
			failure.text[0] ? failure.text : strerror(-err));
}

static int attach_links(struct enforcement *enforcement, struct failure *failure)
{
	const struct bpf_object *object = enforcement->object.skeleton->obj;
	int err = links_list(object, LINKS_OF_FUNCTIONS, 0, NULL, &enforcement->functions);

	if (err)
		return failure_set(
			failure, err,
			"BPF programs: cannot read their ids from the kernel: %s; report this",
			strerror(-err));
	err = cgroups_attach(enforcement->cgroups, &enforcement->functions, failure);
	if (!err)
		attach_answer_functions(enforcement);
	return err;
}

static void note_cgroups(void *context)
{
	enforcement_check(context);
}

void enforcement_watch(struct enforcement *enforcement, struct loop *loop)
{
	int err = cgroup_watch_start(&enforcement->watch, loop, note_cgroups, enforcement);

	if (err)
		log_warn("enforce",
			 "cgroup directories not watched (%s): a cgroup that comes "
			 "is noticed within a second; free some descriptors and "
			 "restart latchd",
			 strerror(-err));
	cgroups_end_needless_answers(enforcement->cgroups);
	enforcement_check(enforcement);
}

void enforcement_check(struct enforcement *enforcement)
{
	struct cgroup_entry entries[CONFIG_MAX_CGROUPS];
	size_t count = cgroups_list(enforcement->cgroups, entries, CONFIG_MAX_CGROUPS), i;

	for (i = 0; i < count && i < CONFIG_MAX_CGROUPS; i++)
		cgroup_watch_path(&enforcement->watch, entries[i].path);
	cgroups_check(enforcement->cgroups);
}

size_t enforcement_cgroups(const struct enforcement *enforcement, struct cgroup_entry *entries,
			   size_t max)
{
	return cgroups_list(enforcement->cgroups, entries, max);
}

bool enforcement_has_cgroup(const struct enforcement *enforcement)
{
	struct cgroup_entry entries[CONFIG_MAX_CGROUPS + CGROUPS_FORMER_MAX];
	size_t count =
		cgroups_list(enforcement->cgroups, entries, sizeof(entries) / sizeof(entries[0]));
	size_t i;

	for (i = 0; i < count; i++)
		if (entries[i].state != CGROUP_ABSENT && entries[i].state != CGROUP_REMOVED)
			return true;
	return false;
}

bool enforcement_sees_all(const struct enforcement *enforcement)
{
	return cgroups_have_root(enforcement->cgroups);
}

bool enforcement_pins_are_fixed(void)
{
	struct statvfs fs;

	return !statvfs(PINS_MAPS, &fs) && fs.f_flag & ST_RDONLY;
}

/* ---- settings and rules */

static bool is_new(const struct enforcement *enforcement)
{
	return !enforcement->attached && object_created_settings(&enforcement->object);
}

/* If a map was created anew, its counts of shares may not fit. Deletes the rows of the audit and
 * their counts. Clears the counts of marks if the latches are new, too. */
static int clear_lost_audit(const struct enforcement *enforcement)
{
	int err = 0;

	if (!enforcement->object.created)
		return 0;
	if (!enforcement->object.adopted)
		err = mark_shares_clear(&enforcement->maps);
	return err ? err : audits_clear(&enforcement->maps);
}

static bool is_first(const struct enforcement *enforcement)
{
	return is_new(enforcement) && !enforcement->object.adopted;
}

static int set_mode(const struct enforcement *enforcement, const struct config *config)
{
	bool first = is_first(enforcement);
	struct latch_settings now = {0};
	int err = settings_read(&enforcement->maps, &now);

	if (!err)
		err = latch_mode_switch(&enforcement->maps,
					mode_is_audit_after(config, &now, first));
	return err < 0 ? err : 0;
}

/* The mode is not restored: it changes last, and its word does not return (latch_mode.h). */
static void restore(const struct enforcement *enforcement, struct former *former)
{
	rules_undo(&enforcement->maps, &former->rules);
	exchange_settings(&enforcement->maps, &former->settings);
}

static int put_in_force(struct enforcement *enforcement, const struct config *config,
			struct former *ret_former, struct failure *failure)
{
	struct latch_settings settings = {
		.pending_limit = config->pending_ms * 1000000ULL,
		.drop_event_interval = DROP_EVENT_INTERVAL_NS,
		.answers = config->answers,
	};
	int err;

	if (is_new(enforcement) && enforcement->object.adopted)
		log_warn("enforce", "map settings lost, with its mode: enforcement is in "
				    "force; to change it: latchctl mode audit");
	if (is_new(enforcement))
		mode_begin(&settings, enforcement->object.adopted, clock_boot_ns());
	err = exchange_settings(&enforcement->maps, &settings);
	if (!enforcement->attached)
		enforcement->was_audit = latch_mode_is_audit(settings.mode);
	if (err)
		return failure_set(failure, err,
				   "map settings: cannot write: %s; run latchctl purge, then start "
				   "latchd",
				   strerror(-err));
	err = rules_load(&enforcement->maps, config, cgroups_have_root(enforcement->cgroups),
			 &ret_former->rules);
	if (err) {
		exchange_settings(&enforcement->maps, &settings);
		return failure_set(failure, err,
				   "map rules: cannot write: %s; run latchctl purge, then start "
				   "latchd",
				   strerror(-err));
	}
	ret_former->settings = settings;
	return 0;
}

static int put_mode_in_force(const struct enforcement *enforcement, const struct config *config,
			     struct failure *failure)
{
	int err = set_mode(enforcement, config);

	return err ? failure_set(failure, err,
				 "mode: cannot put it in force: %s; run latchctl purge, then start "
				 "latchd",
				 strerror(-err))
		   : 0;
}

int enforcement_change(struct enforcement *enforcement, const struct config *config,
		       struct failure *failure)
{
	struct former former;
	int err = put_in_force(enforcement, config, &former, failure);

	if (err)
		return err;
	err = put_mode_in_force(enforcement, config, failure);
	if (err)
		restore(enforcement, &former);
	else
		cgroups_set_answers(enforcement->cgroups, config->answers);
	return err;
}

/* ---- start and end */

int enforcement_attach(struct enforcement *enforcement, const struct config *config,
		       const char *cgroup, struct failure *failure)
{
	const struct bpf_object *object = enforcement->object.skeleton->obj;
	int err;

	enforcement->cgroups = cgroups_new(object, &enforcement->maps, config, cgroup);
	if (!enforcement->cgroups)
		return failure_set(failure, -ENOMEM, "cgroups: out of memory; free some");
	err = clear_lost_audit(enforcement);
	if (err)
		return failure_set(
			failure, err,
			"map audits: cannot be emptied: %s; run latchctl purge, then start "
			"latchd",
			strerror(-err));
	err = put_in_force(enforcement, config, &enforcement->former, failure);
	if (err)
		return err;
	/* At a first start the mode of the configuration is in force before the first packet. */
	if (is_first(enforcement))
		err = put_mode_in_force(enforcement, config, failure);
	if (!err)
		err = attach_links(enforcement, failure);
	if (err) {
		restore(enforcement, &enforcement->former);
		return err;
	}
	err = put_mode_in_force(enforcement, config, failure);
	enforcement->attached = true;
	if (err)
		enforcement_undo(enforcement);
	return err;
}

void enforcement_undo(struct enforcement *enforcement)
{
	if (!enforcement->former.settings.answers)
		cgroups_set_answers(enforcement->cgroups, false);
	restore(enforcement, &enforcement->former);
}

int enforcement_load(const struct config *config, struct enforcement **ret, struct failure *failure)
{
	struct enforcement *enforcement = calloc(1, sizeof(*enforcement));
	int err;

	if (!enforcement)
		return failure_set(failure, -ENOMEM, "BPF programs: out of memory; free some");
	err = pin_paths_check_versions(failure);
	if (!err)
		err = pin_paths_create_directories(failure);
	if (!err)
		err = object_load(config, &enforcement->object, failure);
	if (err) {
		pin_paths_remove_directories();
		free(enforcement);
		return err;
	}
	object_maps(&enforcement->object, &enforcement->maps);
	object_netfilter_gate(&enforcement->object, &enforcement->netfilter_gate);
	*ret = enforcement;
	return 0;
}

int enforcement_start(const struct config *config, const char *cgroup, struct enforcement **ret,
		      struct failure *failure)
{
	struct enforcement *enforcement;
	int err = enforcement_load(config, &enforcement, failure);

	if (err)
		return err;
	err = enforcement_attach(enforcement, config, cgroup, failure);
	if (err)
		enforcement_free(enforcement);
	else
		*ret = enforcement;
	return err;
}

void enforcement_free(struct enforcement *enforcement)
{
	if (!enforcement)
		return;
	cgroup_watch_stop(&enforcement->watch);
	if (!enforcement->attached)
		object_unpin(&enforcement->object);
	cgroups_free(enforcement->cgroups);
	object_release(&enforcement->object);
	if (!enforcement->attached)
		pin_paths_remove_directories();
	free(enforcement);
}

unsigned int enforcement_keep_pins(const struct enforcement *enforcement)
{
	return map_pins_keep(enforcement->object.skeleton->obj);
}

const struct kernel_maps *enforcement_maps(const struct enforcement *enforcement)
{
	return &enforcement->maps;
}

const struct netfilter_gate *enforcement_netfilter_gate(const struct enforcement *enforcement)
{
	return &enforcement->netfilter_gate;
}

bool enforcement_mode_was(const struct enforcement *enforcement, bool *ret_audit)
{
	*ret_audit = enforcement->was_audit;
	return !object_created_settings(&enforcement->object);
}

bool enforcement_adopted(const struct enforcement *enforcement)
{
	return enforcement->object.adopted;
}

/* ---- the functions to attach to ---- */

static int add_function(struct enforcement_functions *functions, const char *name)
{
	size_t i;
	int err;

	for (i = 0; i < functions->count; i++)
		if (!strcmp(functions->text[i], name))
			return 0;
	if (functions->count == ENFORCEMENT_FUNCTIONS_MAX)
		return -E2BIG;
	err = text_copy(functions->text[i], sizeof(functions->text[i]), name);
	functions->names[i] = functions->text[i];
	functions->count++;
	return err < 0 ? err : 0;
}

int enforcement_functions(struct enforcement_functions *ret)
{
	struct latchd_bpf *skeleton;
	struct links links;
	size_t i;
	int err;

	ret->count = 0;
	libbpf_log_begin();
	skeleton = latchd_bpf__open();
	if (!skeleton)
		return -errno;
	err = object_choose_programs(skeleton);
	if (!err)
		err = links_list(skeleton->obj, LINKS_OF_FUNCTIONS, 0, NULL, &links);
	for (i = 0; !err && i < links.count; i++) {
		const char *slash = strchr(links.link[i].section, '/');

		if (slash)
			err = add_function(ret, slash + 1);
	}
	latchd_bpf__destroy(skeleton);
	return err;
}

/* ---- the attached programs ---- */

static bool is_attached(const struct enforcement *enforcement, const struct links *links,
			const struct link *link)
{
	return links->target == LINKS_OF_CGROUP
		       ? cgroups_have_program(enforcement->cgroups, link->name)
		       : links_link_is_attached(links, link);
}

static size_t list_programs(const struct enforcement *enforcement, const struct links *links,
			    struct enforcement_program *programs, size_t max)
{
	size_t i;

	for (i = 0; i < links->count && i < max; i++)
		programs[i] = (struct enforcement_program){
			.name = links->link[i].name,
			.hook = links->link[i].section,
			.attached = is_attached(enforcement, links, &links->link[i]),
		};
	return links->count;
}

/* Names and hooks only: the links are in the table of cgroups. */
static int list_cgroup_programs(const struct enforcement *enforcement, struct links *ret)
{
	return links_list(enforcement->object.skeleton->obj, LINKS_OF_CGROUP, 0, NULL, ret);
}

static int list_reported_programs(const struct enforcement *enforcement, struct links *ret)
{
	int err = list_cgroup_programs(enforcement, ret);

	return err || !cgroups_answer(enforcement->cgroups)
		       ? err
		       : links_add_answers(enforcement->object.skeleton->obj, ret);
}

size_t enforcement_programs(const struct enforcement *enforcement,
			    struct enforcement_program *programs, size_t max)
{
	size_t count = list_programs(enforcement, &enforcement->functions, programs, max);
	struct links links;

	/* This program is attached with [api] off, too: [api] may be switched on. */
	if (cgroups_answer(enforcement->cgroups) ||
	    links_are_attached(&enforcement->answer_functions))
		count += list_programs(enforcement, &enforcement->answer_functions,
				       programs + (count < max ? count : max),
				       count < max ? max - count : 0);
	if (list_reported_programs(enforcement, &links))
		return count;
	return count + list_programs(enforcement, &links, programs + (count < max ? count : max),
				     count < max ? max - count : 0);
}

bool enforcement_keeps_answers(const struct enforcement *enforcement)
{
	return !cgroups_answer(enforcement->cgroups) ||
	       links_are_attached(&enforcement->answer_functions);
}

bool enforcement_is_on(const struct enforcement *enforcement)
{
	struct links links;
	size_t i;

	if (!links_are_attached(&enforcement->functions) ||
	    list_cgroup_programs(enforcement, &links) || !links.count)
		return false;
	for (i = 0; i < links.count; i++)
		if (!cgroups_have_program(enforcement->cgroups, links.link[i].name))
			return false;
	return true;
}
