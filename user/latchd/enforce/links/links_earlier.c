/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The pins of an earlier latchd: names of its time, and the cgroups that still have programs. Links
 * without target, and those of programs that this latchd does not have, are removed.
 */
#include "latchd/enforce/links/links.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "latchd/enforce/pins/pin_paths.h"

/* ---- pins of an earlier latchd ---- */

/* Is the text of this length the name of a program with links of this target? */
static bool is_program(const struct bpf_object *object, const char *name, size_t length,
		       enum links_target target)
{
	struct bpf_program *program;
	enum links_target its;

	bpf_object__for_each_program (program, object)
		if (bpf_program__autoload(program) && links_have_program(program, &its) &&
		    its == target && strlen(bpf_program__name(program)) == length &&
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
	err = link < 0 ? link : link_pin_info(link, &info);
	if (err)
		return err == -ENOENT ? 0 : err;
	if (info.type != BPF_LINK_TYPE_CGROUP || !info.cgroup.cgroup_id)
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

/* The cgroup of a pin; 0: its link has lost the cgroup. An error is no sign of that. */
static uint64_t living_cgroup(const struct bpf_object *object, const char *pin)
{
	struct bpf_link_info info;
	auto_close int link = -1;
	uint64_t id;
	size_t length;
	int err;

	if (!link_pin_cgroup(pin, &length, &id) ||
	    (!is_program(object, pin, length, LINKS_OF_CGROUP) &&
	     !is_program(object, pin, length, LINKS_OF_ANSWERS)))
		return 0;
	link = link_pin_open(pin, "");
	err = link < 0 ? link : link_pin_info(link, &info);
	if (err)
		return err == -ENOENT ? 0 : id;
	return info.type == BPF_LINK_TYPE_CGROUP && info.cgroup.cgroup_id == id ? id : 0;
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
	int err;

	if (is_program(object, pin, strlen(pin), LINKS_OF_FUNCTIONS) ||
	    is_program(object, pin, strlen(pin), LINKS_OF_ANSWER_FUNCTIONS) ||
	    living_cgroup(object, pin))
		return 0;
	err = link_pin_remove(pin, "");
	if (!err)
		log_info("enforce", "link %s removed (of an earlier latchd or a removed cgroup)",
			 pin);
	return err;
}

void links_sweep(const struct bpf_object *object)
{
	int err = link_pins_walk(sweep_pin, (void *)object);

	if (err)
		log_warn("enforce", "links of an earlier latchd not removed (%s); restart latchd",
			 strerror(-err));
}
