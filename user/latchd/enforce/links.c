/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/enforce/links.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "common/text.h"
#include "latchd/enforce/pin_paths.h"

/* ---- the object's programs ---- */

/* False: latchd itself runs it, or netfilter_gate.c attaches it to each namespace. */
static bool has_link(const struct bpf_program *program, enum links_target *ret_target)
{
	*ret_target = LINKS_OF_FUNCTIONS;
	switch (bpf_program__type(program)) {
	case BPF_PROG_TYPE_CGROUP_SKB:
	case BPF_PROG_TYPE_CGROUP_SOCK:
	case BPF_PROG_TYPE_CGROUP_SOCK_ADDR:
	case BPF_PROG_TYPE_CGROUP_SOCKOPT:
	case BPF_PROG_TYPE_SOCK_OPS:
		*ret_target = LINKS_OF_CGROUP;
		return true;
	case BPF_PROG_TYPE_TRACING:
		/* latchd itself runs iterators. */
		return bpf_program__expected_attach_type(program) != BPF_TRACE_ITER;
	case BPF_PROG_TYPE_LSM:
		return true;
	default:
		return false;
	}
}

static int name_pin(const struct links *links, struct link *link)
{
	int err;

	if (links->target == LINKS_OF_CGROUP)
		return link_pin_name(link->pin, link->name, links->cgroup_id);
	err = text_copy(link->pin, sizeof(link->pin), link->name);
	return err < 0 ? err : 0;
}

static int fill_program(struct link *link, const struct bpf_program *program)
{
	struct bpf_prog_info info = {0};
	__u32 length = sizeof(info);
	int err = 0;

	link->program = bpf_program__fd(program);
	if (link->program >= 0)
		err = bpf_prog_get_info_by_fd(link->program, &info, &length);
	link->program_id = info.id;
	return err;
}

static int add_link(struct links *links, const struct bpf_program *program)
{
	struct link *link = &links->link[links->count];
	int err;

	if (links->count == LINKS_MAX)
		return -E2BIG;
	*link = (struct link){
		.name = bpf_program__name(program),
		.section = bpf_program__section_name(program),
		.attach_type = bpf_program__expected_attach_type(program),
		.old_link = -1,
		.old_program = -1,
		.new_link = -1,
	};
	err = name_pin(links, link);
	if (!err)
		err = fill_program(link, program);
	links->count += !err;
	return err;
}

int links_list(const struct bpf_object *object, enum links_target target, uint64_t cgroup_id,
	       const char *cgroup, struct links *ret)
{
	struct bpf_program *program;
	enum links_target its;
	int err = 0;

	*ret = (struct links){
		.target = target,
		.cgroup_id = cgroup_id,
		.cgroup = cgroup,
		.cgroup_fd = -1,
	};
	bpf_object__for_each_program (program, object)
		if (!err && bpf_program__autoload(program) && has_link(program, &its) &&
		    its == target)
			err = add_link(ret, program);
	return err;
}

/* ---- links in the kernel ---- */

static bool has_target(const struct links *links, const struct link *link,
		       const struct bpf_link_info *info)
{
	/* A removed cgroup detaches its programs. Its id is then in no link. */
	if (links->target == LINKS_OF_CGROUP)
		return info->type == BPF_LINK_TYPE_CGROUP &&
		       info->cgroup.attach_type == link->attach_type &&
		       info->cgroup.cgroup_id == links->cgroup_id;
	return info->type == BPF_LINK_TYPE_TRACING &&
	       info->tracing.attach_type == link->attach_type && info->tracing.target_btf_id;
}

/* program_id 0: any. */
static bool is_link(const struct links *links, const struct link *link, uint32_t program_id, int fd)
{
	struct bpf_link_info info;

	return fd >= 0 && !link_pin_info(fd, &info) &&
	       (!program_id || info.prog_id == program_id) && has_target(links, link, &info);
}

/* A pin on a read-only file system cannot be opened. It exists, and the kernel lists its link. */
static bool is_listed(const struct links *links, const struct link *link, uint32_t program_id)
{
	char path[PINS_PATH_MAX];
	bool found = false;
	__u32 id = 0;

	if (pin_paths_join(path, PINS_LINKS, link->pin, "") || access(path, F_OK))
		return false;
	while (!found && !bpf_link_get_next_id(id, &id)) {
		auto_close int fd = bpf_link_get_fd_by_id(id);

		found = is_link(links, link, program_id, fd);
	}
	return found;
}

static bool is_alive(const struct links *links, const struct link *link, uint32_t program_id)
{
	auto_close int fd = link_pin_open(link->pin, "");

	return fd == -EROFS ? is_listed(links, link, program_id)
			    : is_link(links, link, program_id, fd);
}

bool links_link_is_attached(const struct links *links, const struct link *link)
{
	return link->program_id && is_alive(links, link, link->program_id);
}

bool links_are_attached(const struct links *links)
{
	size_t i;

	for (i = 0; i < links->count; i++)
		if (!links_link_is_attached(links, &links->link[i]))
			return false;
	return links->count > 0;
}

bool links_are_alive(const struct links *links)
{
	size_t i;

	for (i = 0; i < links->count; i++)
		if (is_alive(links, &links->link[i], 0))
			return true;
	return false;
}

void links_detach(const struct links *links)
{
	size_t i;

	for (i = 0; i < links->count; i++) {
		link_pin_remove(links->link[i].pin, "");
		link_pin_remove(links->link[i].pin, PINS_NEW);
	}
}

/* ---- new links beside the old links ---- */

/*
 * The leftover of an interrupted start may be the only link that is attached. Without an own pin it
 * becomes the own pin, which the new link replaces. Otherwise it gets another name, and the sweep
 * removes it once the new links are attached.
 */
static int rename_leftover(const struct link *link)
{
	auto_close int leftover = link_pin_open(link->pin, PINS_NEW);
	auto_close int own = link_pin_open(link->pin, "");

	if (leftover < 0)
		return leftover == -ENOENT ? 0 : leftover;
	return link_pin_rename(link->pin, PINS_NEW, own < 0 ? "" : PINS_OLD);
}

static int stage_new(const struct links *links, struct link *link)
{
	char path[PINS_PATH_MAX];
	int err = pin_paths_join(path, PINS_LINKS, link->pin, PINS_NEW);

	if (err)
		return err;
	link->new_link = bpf_link_create(link->program,
					 links->target == LINKS_OF_CGROUP ? links->cgroup_fd : 0,
					 link->attach_type, NULL);
	if (link->new_link < 0)
		return link->new_link;
	return bpf_obj_pin(link->new_link, path);
}

static bool has_no_cgroup(const struct links *links)
{
	return links->target == LINKS_OF_CGROUP && links->cgroup_fd < 0;
}

/* The link of a cgroup can change its program in one step, a link of a function cannot. */
static int stage(const struct links *links, struct link *link)
{
	struct bpf_link_info info;
	int err = rename_leftover(link);

	if (err)
		return err;
	link->old_link = link_pin_open(link->pin, "");
	if (link->old_link < 0 && link->old_link != -ENOENT)
		return link->old_link;
	if (links->target == LINKS_OF_CGROUP && link->old_link >= 0 &&
	    !link_pin_info(link->old_link, &info) && has_target(links, link, &info))
		link->old_program = bpf_prog_get_fd_by_id(info.prog_id);
	return link->old_program >= 0 || has_no_cgroup(links) ? 0 : stage_new(links, link);
}

static int change(struct link *link)
{
	int err = 0;

	if (link->old_program >= 0)
		err = bpf_link_update(link->old_link, link->program, NULL);
	/* The cgroup was removed meanwhile, and with it all that the program could see. */
	if (err == -ENOLINK)
		err = 0;
	else if (link->old_program < 0 && link->new_link >= 0)
		err = link_pin_rename(link->pin, PINS_NEW, "");
	link->changed = !err;
	return err;
}

static void restore(struct link *link)
{
	char path[PINS_PATH_MAX];

	if (link->old_program >= 0)
		bpf_link_update(link->old_link, link->old_program, NULL);
	else if (link->new_link < 0)
		return;
	else if (link->old_link < 0)
		link_pin_remove(link->pin, "");
	else if (!pin_paths_join(path, PINS_LINKS, link->pin, PINS_NEW) &&
		 !bpf_obj_pin(link->old_link, path))
		link_pin_rename(link->pin, PINS_NEW, "");
}

static void undo(struct links *links)
{
	size_t i;

	for (i = 0; i < links->count; i++) {
		struct link *link = &links->link[i];

		if (link->changed)
			restore(link);
		else if (link->new_link >= 0)
			link_pin_remove(link->pin, PINS_NEW);
	}
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void finish(struct links *links)
{
	size_t i;

	for (i = 0; i < links->count; i++) {
		close_fd(&links->link[i].old_link);
		close_fd(&links->link[i].old_program);
		close_fd(&links->link[i].new_link);
		links->link[i].changed = false;
	}
}

static int fail_attach(const struct links *links, const struct link *link, int err,
		       struct failure *failure)
{
	if (err == -EROFS)
		return failure_set(
			failure, err,
			"program %s (%s): cannot pin its link: /sys/fs/bpf is read-only; "
			"run: mount -o remount,rw /sys/fs/bpf",
			link->name, link->section);
	if (links->target == LINKS_OF_CGROUP)
		return failure_set(failure, err,
				   "program %s (%s): cannot attach to %s: %s; find the programs "
				   "that exclude others: bpftool cgroup tree",
				   link->name, link->section, links->cgroup, strerror(-err));
	return failure_set(failure, err,
			   "program %s: cannot attach to %s: %s; read the kernel's log", link->name,
			   link->section, strerror(-err));
}

static int stage_set(struct links *links, struct failure *failure)
{
	size_t i;
	int err = 0;

	for (i = 0; !err && i < links->count; i++) {
		err = stage(links, &links->link[i]);
		if (err)
			fail_attach(links, &links->link[i], err, failure);
	}
	return err;
}

static int change_set(struct links *links, struct failure *failure)
{
	size_t i;
	int err = 0;

	for (i = 0; !err && i < links->count; i++) {
		err = change(&links->link[i]);
		if (err)
			fail_attach(links, &links->link[i], err, failure);
	}
	return err;
}

int links_attach(struct links *const *sets, size_t count, struct failure *failure)
{
	int err = 0;
	size_t i;

	for (i = 0; !err && i < count; i++)
		err = stage_set(sets[i], failure);
	for (i = 0; !err && i < count; i++)
		err = change_set(sets[i], failure);
	for (i = 0; i < count; i++) {
		if (err)
			undo(sets[i]);
		finish(sets[i]);
	}
	return err;
}

/* ---- pins of an earlier latchd ---- */

/* Is the text of this length the name of a program with links of this target? */
static bool is_program(const struct bpf_object *object, const char *name, size_t length,
		       enum links_target target)
{
	struct bpf_program *program;
	enum links_target its;

	bpf_object__for_each_program (program, object)
		if (bpf_program__autoload(program) && has_link(program, &its) && its == target &&
		    strlen(bpf_program__name(program)) == length &&
		    !strncmp(bpf_program__name(program), name, length))
			return true;
	return false;
}

static int adopt_name(void *context, const char *pin)
{
	char path[PINS_PATH_MAX], name[LINK_PIN_MAX], target[PINS_PATH_MAX];
	struct bpf_link_info info;
	auto_close int link = -1;
	int err;

	if (!is_program(context, pin, strlen(pin), LINKS_OF_CGROUP))
		return 0;
	link = link_pin_open(pin, "");
	if (link < 0 || link_pin_info(link, &info) || info.type != BPF_LINK_TYPE_CGROUP ||
	    !info.cgroup.cgroup_id)
		return 0;
	err = link_pin_name(name, pin, info.cgroup.cgroup_id);
	if (!err)
		err = pin_paths_join(path, PINS_LINKS, pin, "");
	if (!err)
		err = pin_paths_join(target, PINS_LINKS, name, "");
	if (!err && access(target, F_OK) && rename(path, target))
		err = -errno;
	return err;
}

int links_adopt_names(const struct bpf_object *object)
{
	return link_pins_walk(adopt_name, (void *)object);
}

struct cgroup_walk {
	const struct bpf_object *object;
	links_cgroup_fn visit;
	void *context;
};

/* The cgroup of a pin whose link still has it, or 0. */
static uint64_t living_cgroup(const struct bpf_object *object, const char *pin)
{
	struct bpf_link_info info;
	auto_close int link = -1;
	uint64_t id;
	size_t length;

	if (!link_pin_cgroup(pin, &length, &id) ||
	    !is_program(object, pin, length, LINKS_OF_CGROUP))
		return 0;
	link = link_pin_open(pin, "");
	if (link < 0 || link_pin_info(link, &info) || info.type != BPF_LINK_TYPE_CGROUP)
		return 0;
	return info.cgroup.cgroup_id == id ? id : 0;
}

static int visit_cgroup(void *context, const char *pin)
{
	const struct cgroup_walk *walk = context;
	uint64_t id = living_cgroup(walk->object, pin);

	return id ? walk->visit(walk->context, id) : 0;
}

int links_walk_cgroups(const struct bpf_object *object, links_cgroup_fn visit, void *context)
{
	struct cgroup_walk walk = {object, visit, context};

	return link_pins_walk(visit_cgroup, &walk);
}

static int sweep_pin(void *context, const char *pin)
{
	const struct bpf_object *object = context;

	if (is_program(object, pin, strlen(pin), LINKS_OF_FUNCTIONS) || living_cgroup(object, pin))
		return 0;
	log_info("enforce", "link %s removed (of an earlier latchd or a removed cgroup)", pin);
	link_pin_remove(pin, "");
	return 0;
}

void links_sweep(const struct bpf_object *object)
{
	int err = link_pins_walk(sweep_pin, (void *)object);

	if (err)
		log_warn("enforce", "links of an earlier latchd not removed (%s); restart latchd",
			 strerror(-err));
}
