/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/enforce/object.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "latchd.skel.h"
#include "latchd/enforce/libbpf_log.h"
#include "latchd/enforce/pins/map_pins.h"
#include "latchd/enforce/pins/pin_paths.h"

/* The kernel writes to this memory only if the verifier refuses a program. */
#define VERIFIER_LOG_SIZE (16U << 20)

/* ---- maps of an earlier latchd ---- */

static bool same_map(const struct bpf_map *map, const struct bpf_map_info *info, bool any_capacity)
{
	return info->type == bpf_map__type(map) && info->key_size == bpf_map__key_size(map) &&
	       info->value_size == bpf_map__value_size(map) &&
	       info->map_flags == bpf_map__map_flags(map) &&
	       (any_capacity || info->max_entries == bpf_map__max_entries(map));
}

static int set_capacity(struct bpf_map *latches, const struct bpf_map_info *info,
			const struct config *config)
{
	if (info->max_entries != config->latch_capacity)
		log_warn("enforce",
			 "map latches keeps its capacity (pinned): %u entries, not latches = %u of "
			 "[enforce]; to change it stop latchd, run latchctl purge, which ends "
			 "every latch, then start latchd",
			 info->max_entries, config->latch_capacity);
	return bpf_map__set_max_entries(latches, info->max_entries);
}

/* A pinned map may be reused only if same_map() finds the shape that this object declares. */
static int check_pinned(struct object *object, struct bpf_map *map, int fd,
			const struct config *config, struct failure *failure)
{
	bool latches = map == object->skeleton->maps.latches;
	struct bpf_map_info info = {0};
	__u32 length = sizeof(info);

	if (bpf_map_get_info_by_fd(fd, &info, &length) || !same_map(map, &info, latches))
		return failure_set(
			failure, -EEXIST,
			"map %s: the map pinned in %s has the shape of another latchd; run latchctl "
			"purge, which ends every latch, then start latchd",
			bpf_map__name(map), PINS_MAPS);
	if (!latches)
		return 0;
	object->adopted = true;
	return set_capacity(map, &info, config);
}

/* The pin is gone, but a program of an earlier latchd still uses the map. */
static int take_back(struct object *object, struct bpf_map *map, int fd, const char *path,
		     const struct config *config, struct failure *failure)
{
	int err = check_pinned(object, map, fd, config, failure);

	if (err)
		return err;
	err = bpf_obj_pin(fd, path);
	if (err)
		return failure_set(failure, err, "map %s: cannot pin it again: %s; check %s",
				   bpf_map__name(map), strerror(-err), PINS_MAPS);
	log_warn("enforce",
		 "map %s pinned again (its pin was missing): taken from the attached "
		 "programs, with its entries",
		 bpf_map__name(map));
	return 0;
}

static int plan_map(struct object *object, struct bpf_map *map, unsigned int index,
		    const struct config *config, struct failure *failure)
{
	char path[PINS_PATH_MAX];
	auto_close int fd = -1;
	int err = pin_paths_join(path, PINS_MAPS, bpf_map__name(map), "");

	if (!err)
		err = bpf_map__set_pin_path(map, path);
	if (err)
		return failure_set(failure, err, "map %s: %s; report this", bpf_map__name(map),
				   strerror(-err));
	fd = bpf_obj_get(path);
	if (fd >= 0)
		return check_pinned(object, map, fd, config, failure);
	if (fd == -EROFS)
		return failure_set(failure, fd,
				   "map %s: cannot open the pin %s: %s; run: mount -o remount,rw "
				   "/sys/fs/bpf",
				   bpf_map__name(map), path, strerror(-fd));
	if (fd != -ENOENT)
		return failure_set(failure, fd,
				   "map %s: cannot open the pin %s: %s; run latchctl purge, then "
				   "start latchd",
				   bpf_map__name(map), path, strerror(-fd));
	fd = map_pins_find(bpf_map__name(map));
	if (fd >= 0)
		return take_back(object, map, fd, path, config, failure);
	object->created |= 1ULL << index;
	return 0;
}

static void log_missing(const struct object *object)
{
	bool earlier = object->adopted || map_pins_have_programs();
	unsigned int index = 0;
	struct bpf_map *map;

	bpf_object__for_each_map (map, object->skeleton->obj) {
		if (earlier && object->created >> index & 1)
			log_warn("enforce", "map %s created, empty (its pin was missing)",
				 bpf_map__name(map));
		index++;
	}
}

static int plan_maps(struct object *object, const struct config *config, struct failure *failure)
{
	unsigned int index = 0;
	struct bpf_map *map;
	int err;

	err = bpf_map__set_max_entries(object->skeleton->maps.latches, config->latch_capacity);
	bpf_object__for_each_map (map, object->skeleton->obj) {
		if (!err && !bpf_map__is_internal(map))
			err = plan_map(object, map, index, config, failure);
		index++;
	}
	return err;
}

/* ---- programs that this kernel needs ---- */

static bool has_function(const struct btf *kernel, const char *name)
{
	return btf__find_by_name_kind(kernel, name, BTF_KIND_FUNC) > 0;
}

/* BPF netfilter programs came with Linux 6.4 and depend on the kernel's configuration. */
static int choose_netfilter(struct latchd_bpf *skeleton, const struct btf *kernel)
{
	bool offered = has_function(kernel, "bpf_nf_link_attach") &&
		       has_function(kernel, "bpf_dynptr_from_skb");
	int err = bpf_program__set_autoload(skeleton->progs.nf_gate_egress, offered);

	return err ? err : bpf_program__set_autoload(skeleton->progs.nf_gate_ingress, offered);
}

/* CONFIG_XFRM_MIGRATE; xfrm_state_migrate_install came with Linux 7.1. */
static int choose_migration(struct latchd_bpf *skeleton, const struct btf *kernel)
{
	int err = bpf_program__set_autoload(skeleton->progs.watch_sa_migrate,
					    has_function(kernel, "xfrm_state_migrate"));

	return err ? err
		   : bpf_program__set_autoload(skeleton->progs.watch_sa_migrate_install,
					       has_function(kernel, "xfrm_state_migrate_install"));
}

int object_choose_programs(struct latchd_bpf *skeleton)
{
	struct btf *kernel = btf__load_vmlinux_btf();
	int err;

	if (!kernel)
		return -errno;
	/* Without IPv6 the next periodic check of the SPD finds a new default action. */
	err = bpf_program__set_autoload(skeleton->progs.watch_spd_default,
					has_function(kernel, "fib6_flush_trees"));
	if (!err)
		err = bpf_program__set_autoload(skeleton->progs.watch_merge_list,
						has_function(kernel, "skb_gro_receive_list"));
	if (!err)
		err = choose_migration(skeleton, kernel);
	if (!err)
		err = choose_netfilter(skeleton, kernel);
	if (!err)
		err = bpf_program__set_autoload(skeleton->progs.watch_datagram_abort,
						has_function(kernel, "udp_abort"));
	/* bpf/packet/typed.h. On Linux 6.2 and 6.3 the programs probe, as on 6.1: not tested there.
	 */
	skeleton->rodata->typed_pointers = has_function(kernel, "bpf_rdonly_cast") &&
					   has_function(kernel, "bpf_dynptr_from_skb");
	btf__free(kernel);
	return err;
}

/* ---- loading ---- */

static int keep_log(const char *log)
{
	size_t left = strlen(log);
	auto_close int fd = -1;
	ssize_t done;

	if (!left)
		return -ENODATA;
	fd = open(OBJECT_VERIFIER_LOG, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	while (left) {
		done = write(fd, log, left);
		if (done <= 0)
			return -errno;
		log += done;
		left -= (size_t)done;
	}
	return 0;
}

/* The warning is "prog 'NAME': BPF program load failed: CAUSE". */
static const struct bpf_program *refused_program(const struct object *object, const char *warning)
{
	char name[64];

	if (sscanf(warning, "prog '%63[^']'", name) != 1)
		return NULL;
	return bpf_object__find_program_by_name(object->skeleton->obj, name);
}

static int explain(const struct object *object, int err, const char *log, struct failure *failure)
{
	const char *warning = libbpf_log_warning();
	const struct bpf_program *program = refused_program(object, warning);
	bool kept = !keep_log(log);
	char name[64];

	if (sscanf(warning, "map '%63[^']'", name) == 1)
		return failure_set(failure, err,
				   "map %s: cannot create: %s; if memory is short lower latches = "
				   "in [enforce]",
				   name, strerror(-err));
	if (program && kept)
		return failure_set(
			failure, err,
			"program %s (%s): cannot load: %s; the verifier's reasons are in "
			"%s, report them with the kernel's version",
			bpf_program__name(program), bpf_program__section_name(program),
			strerror(-err), OBJECT_VERIFIER_LOG);
	if (program)
		return failure_set(failure, err,
				   "program %s (%s): cannot load: %s; use a kernel that the README "
				   "lists, and one that lets root load such programs",
				   bpf_program__name(program), bpf_program__section_name(program),
				   strerror(-err));
	return failure_set(failure, err,
			   "BPF programs: cannot load: %s; use a kernel that the README lists",
			   warning[0] ? warning : strerror(-err));
}

/* ---- programs on which no gate depends */

static const char *const optional[] = {LATCH_ANSWER_PROGRAM, LATCH_WISH_PROGRAM,
				       LATCH_ABORT_PROGRAM};

#define OPTIONAL_COUNT (sizeof(optional) / sizeof(optional[0]))

/* No socket takes wishes where it cannot say why they do not hold. */
static bool is_left_out(const struct object *object, size_t i)
{
	return object->left_out >> i & 1 ||
	       (object->left_out & 1 && !strcmp(optional[i], LATCH_WISH_PROGRAM));
}

static int leave_out(const struct object *object)
{
	const struct bpf_object *programs = object->skeleton->obj;
	size_t i;
	int err = 0;

	for (i = 0; !err && i < OPTIONAL_COUNT; i++)
		if (is_left_out(object, i))
			err = bpf_program__set_autoload(
				bpf_object__find_program_by_name(programs, optional[i]), false);
	return err;
}

/* True: the kernel has refused an optional program. The next load leaves it out. */
static bool refuses_optional(struct object *object, const struct failure *failure)
{
	const struct bpf_program *program = NULL;
	size_t i;

	if (object->skeleton)
		program = refused_program(object, libbpf_log_warning());
	for (i = 0; program && i < OPTIONAL_COUNT; i++) {
		if (strcmp(bpf_program__name(program), optional[i]) || object->left_out >> i & 1)
			continue;
		object->left_out |= 1U << i;
		log_warn("enforce", "%s; connections are latched without it", failure->text);
		return true;
	}
	return false;
}

static int open_skeleton(struct object *object, char *log, struct failure *failure)
{
	LIBBPF_OPTS(bpf_object_open_opts, options, .kernel_log_buf = log,
		    .kernel_log_size = VERIFIER_LOG_SIZE);

	int err;

	object->skeleton = latchd_bpf__open_opts(&options);
	if (!object->skeleton)
		return failure_set(
			failure, -errno,
			"BPF programs: libbpf cannot read them: %m; use libbpf 1.4 or later");
	err = object_choose_programs(object->skeleton);
	if (!err)
		err = leave_out(object);
	if (!err)
		return 0;
	return failure_set(failure, err,
			   "kernel: libbpf cannot read its BTF: %s; use a newer libbpf",
			   strerror(-err));
}

/* Some maps are in no attached program, so without this step only their pins would keep them. */
static int bind_maps(const struct object *object, struct failure *failure)
{
	const struct latchd_bpf *skeleton = object->skeleton;
	int err = map_pins_bind(skeleton->obj, bpf_program__fd(skeleton->progs.watch_sa_add));

	return err ? failure_set(failure, err,
				 "BPF maps: cannot bind them to a program: %s; report this",
				 strerror(-err))
		   : 0;
}

/* After an error libbpf has removed the pins that it made. */
static int try_to_load(struct object *object, const struct config *config, char *log,
		       struct failure *failure)
{
	int err;

	*object = (struct object){.left_out = object->left_out};
	log[0] = '\0';
	libbpf_log_begin();
	err = open_skeleton(object, log, failure);
	if (!err)
		err = plan_maps(object, config, failure);
	if (err)
		return err;
	err = latchd_bpf__load(object->skeleton);
	return err ? explain(object, err, log, failure) : 0;
}

static int load(struct object *object, const struct config *config, char *log,
		struct failure *failure)
{
	int err = try_to_load(object, config, log, failure);

	while (err && refuses_optional(object, failure)) {
		object_release(object);
		err = try_to_load(object, config, log, failure);
	}
	return err;
}

int object_load(const struct config *config, struct object *object, struct failure *failure)
{
	auto_free char *log = malloc(VERIFIER_LOG_SIZE);
	int err;

	*object = (struct object){0};
	if (!log)
		return failure_set(failure, -ENOMEM, "BPF programs: out of memory; free some");
	err = load(object, config, log, failure);
	if (!err) {
		log_missing(object);
		err = bind_maps(object, failure);
	}
	if (err && object->skeleton) {
		object_unpin(object);
		object_release(object);
	}
	return err;
}

void object_unpin(const struct object *object)
{
	char path[PINS_PATH_MAX];
	unsigned int index = 0;
	struct bpf_map *map;

	bpf_object__for_each_map (map, object->skeleton->obj) {
		if (object->created >> index++ & 1 &&
		    !pin_paths_join(path, PINS_MAPS, bpf_map__name(map), ""))
			unlink(path);
	}
}

void object_release(struct object *object)
{
	latchd_bpf__destroy(object->skeleton);
	object->skeleton = NULL;
}

void object_maps(const struct object *object, struct kernel_maps *ret)
{
	const struct latchd_bpf *skeleton = object->skeleton;

	*ret = (struct kernel_maps){
		.latches = bpf_map__fd(skeleton->maps.latches),
		.associations = bpf_map__fd(skeleton->maps.associations),
		.sas = bpf_map__fd(skeleton->maps.sas),
		.params = bpf_map__fd(skeleton->maps.params),
		.identities = bpf_map__fd(skeleton->maps.identities),
		.rules = bpf_map__fd(skeleton->maps.rules),
		.settings = bpf_map__fd(skeleton->maps.settings),
		.spd_stamps = bpf_map__fd(skeleton->maps.spd_stamps),
		.pairs = bpf_map__fd(skeleton->maps.pairs),
		.audits = bpf_map__fd(skeleton->maps.audits),
		.own_keys = bpf_map__fd(skeleton->maps.own_keys),
		.mark_shares = bpf_map__fd(skeleton->maps.mark_shares),
		.audit_shares = bpf_map__fd(skeleton->maps.audit_shares),
		.clock = bpf_map__fd(skeleton->maps.latch_clocks),
		.drops = bpf_map__fd(skeleton->maps.drops),
		.counters = bpf_map__fd(skeleton->maps.counters),
		.events = bpf_map__fd(skeleton->maps.events),
		.control = bpf_program__fd(skeleton->progs.latch_control),
		.timeout = bpf_program__fd(skeleton->progs.timeout_broken),
		.peer_sets = bpf_map__fd(skeleton->maps.peer_sets),
		.peer_facts = bpf_map__fd(skeleton->maps.peer_facts),
		.wishes = bpf_map__fd(skeleton->maps.wishes),
		.wish_search = bpf_map__fd(skeleton->maps.wish_search),
		.find_wish = bpf_program__fd(skeleton->progs.find_wish),
		.news_tokens = bpf_map__fd(skeleton->maps.news_tokens),
		.news_sockets = bpf_map__fd(skeleton->maps.news_sockets),
	};
}

static int loaded_program(const struct bpf_program *program)
{
	return bpf_program__autoload(program) ? bpf_program__fd(program) : -1;
}

static bool is_created(const struct object *object, const struct bpf_map *map)
{
	unsigned int index = 0;
	struct bpf_map *each;

	bpf_object__for_each_map (each, object->skeleton->obj) {
		if (each == map)
			return object->created >> index & 1;
		index++;
	}
	return false;
}

bool object_created_settings(const struct object *object)
{
	return is_created(object, object->skeleton->maps.settings);
}

void object_netfilter_gate(const struct object *object, struct netfilter_gate *ret)
{
	*ret = (struct netfilter_gate){
		.egress = loaded_program(object->skeleton->progs.nf_gate_egress),
		.ingress = loaded_program(object->skeleton->progs.nf_gate_ingress),
		.attach_type =
			bpf_program__expected_attach_type(object->skeleton->progs.nf_gate_egress),
	};
}
