/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/enforce/enforcement.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/text.h"
#include "latchd.skel.h"
#include "latchd/enforce/libbpf_log.h"
#include "latchd/enforce/links.h"
#include "latchd/enforce/map_pins.h"
#include "latchd/enforce/object.h"
#include "latchd/enforce/pin_paths.h"
#include "latchd/enforce/rules.h"

#define DROP_EVENT_INTERVAL_NS 1000000000ULL

struct enforcement {
	struct object object;
	struct kernel_maps maps;
	struct links links;
	struct netfilter_gate netfilter_gate;
	bool attached;
	bool all_sockets; /* the cgroup is the root */
};

/*
 * The settings are in force at once, for the programs of an earlier latchd too. *settings gets
 * the former ones, for a start that fails.
 */
static int exchange_settings(const struct kernel_maps *maps, struct latch_settings *settings)
{
	struct latch_settings before = {0};
	__u32 key = 0;
	int err = bpf_map_lookup_elem(maps->settings, &key, &before);

	settings->rule_count = before.rule_count;
	settings->rule_stamp = before.rule_stamp;
	if (!err)
		err = bpf_map_update_elem(maps->settings, &key, settings, BPF_ANY);
	if (!err)
		*settings = before;
	return err;
}

/* The inode number of the root of a cgroup hierarchy. Programs there see all sockets. */
#define CGROUP_ROOT_INO 1

static bool is_root(const char *cgroup)
{
	struct stat st;

	return !stat(cgroup, &st) && st.st_ino == CGROUP_ROOT_INO;
}

static int attach_links(struct enforcement *enforcement, const char *cgroup,
			struct failure *failure)
{
	const struct bpf_object *object = enforcement->object.skeleton->obj;
	int err = links_list(object, &enforcement->links);

	if (err)
		return failure_set(failure, err, "BPF programs: more than %d; report this",
				   LINKS_MAX);
	return links_attach(&enforcement->links, object, cgroup, failure);
}

/* ---- settings and rules */

/* What put_in_force() has replaced. */
struct former {
	struct latch_settings settings;
	struct rules_change rules;
};

static int put_in_force(struct enforcement *enforcement, const struct config *config,
			struct former *ret_former, struct failure *failure)
{
	struct latch_settings settings = {
		.pending_limit = config->pending_ms * 1000000ULL,
		.drop_event_interval = DROP_EVENT_INTERVAL_NS,
	};
	int err = exchange_settings(&enforcement->maps, &settings);

	if (err)
		return failure_set(failure, err,
				   "map settings: cannot write: %s; run latchctl purge, then start "
				   "latchd",
				   strerror(-err));
	err = rules_load(&enforcement->maps, config, enforcement->all_sockets, &ret_former->rules);
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

static void restore(struct enforcement *enforcement, struct former *former)
{
	rules_undo(&enforcement->maps, &former->rules);
	exchange_settings(&enforcement->maps, &former->settings);
}

int enforcement_change(struct enforcement *enforcement, const struct config *config,
		       struct failure *failure)
{
	struct former former;

	return put_in_force(enforcement, config, &former, failure);
}

/* ---- start and end */

int enforcement_attach(struct enforcement *enforcement, const struct config *config,
		       const char *cgroup, struct failure *failure)
{
	struct former former;
	int err;

	enforcement->all_sockets = is_root(cgroup);
	err = put_in_force(enforcement, config, &former, failure);
	if (err)
		return err;
	err = attach_links(enforcement, cgroup, failure);
	if (err)
		restore(enforcement, &former);
	enforcement->attached = !err;
	return err;
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
	if (!enforcement->attached)
		object_unpin(&enforcement->object);
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
		err = links_list(skeleton->obj, &links);
	for (i = 0; !err && i < links.count; i++) {
		const char *slash = strchr(links.link[i].section, '/');

		if (slash && !links.link[i].on_cgroup)
			err = add_function(ret, slash + 1);
	}
	latchd_bpf__destroy(skeleton);
	return err;
}

/* ---- the attached programs ---- */

size_t enforcement_programs(const struct enforcement *enforcement,
			    struct enforcement_program *programs, size_t max)
{
	const struct links *links = &enforcement->links;
	size_t i;

	for (i = 0; i < links->count && i < max; i++)
		programs[i] = (struct enforcement_program){
			.name = links->link[i].name,
			.hook = links->link[i].section,
			.attached = links_link_is_attached(links, &links->link[i]),
		};
	return links->count;
}

bool enforcement_is_on(const struct enforcement *enforcement)
{
	const struct links *links = &enforcement->links;
	size_t i;

	for (i = 0; i < links->count; i++)
		if (!links_link_is_attached(links, &links->link[i]))
			return false;
	return links->count > 0;
}
