/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/enforce/links/links.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/text.h"
#include "latch_abi.h"
#include "latchd/enforce/links/link_list.h"
#include "latchd/enforce/pins/pin_paths.h"

/* ---- the object's programs ---- */

static enum links_target target_of_function(const struct bpf_program *program)
{
	return strcmp(bpf_program__name(program), LATCH_ABORT_PROGRAM) ? LINKS_OF_FUNCTIONS
								       : LINKS_OF_ANSWER_FUNCTIONS;
}

bool links_have_program(const struct bpf_program *program, enum links_target *ret_target)
{
	*ret_target = target_of_function(program);
	switch (bpf_program__type(program)) {
	case BPF_PROG_TYPE_CGROUP_SKB:
	case BPF_PROG_TYPE_CGROUP_SOCK:
	case BPF_PROG_TYPE_CGROUP_SOCK_ADDR:
	case BPF_PROG_TYPE_SOCK_OPS:
		*ret_target = LINKS_OF_CGROUP;
		return true;
	case BPF_PROG_TYPE_CGROUP_SOCKOPT:
		*ret_target = LINKS_OF_ANSWERS;
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

static int add_links(const struct bpf_object *object, enum links_target target, struct links *links)
{
	struct bpf_program *program;
	enum links_target its;
	int err = 0;

	bpf_object__for_each_program (program, object)
		if (!err && bpf_program__autoload(program) && links_have_program(program, &its) &&
		    its == target)
			err = add_link(links, program);
	return err;
}

static enum links_target target_in_kernel(enum links_target target)
{
	switch (target) {
	case LINKS_OF_CGROUP:
	case LINKS_OF_ANSWERS:
		return LINKS_OF_CGROUP;
	case LINKS_OF_FUNCTIONS:
	case LINKS_OF_ANSWER_FUNCTIONS:
		break;
	}
	return LINKS_OF_FUNCTIONS;
}

int links_list(const struct bpf_object *object, enum links_target target, uint64_t cgroup_id,
	       const char *cgroup, struct links *ret)
{
	*ret = (struct links){
		.target = target_in_kernel(target),
		.cgroup_id = cgroup_id,
		.cgroup = cgroup,
		.cgroup_fd = -1,
	};
	return add_links(object, target, ret);
}

int links_add_answers(const struct bpf_object *object, struct links *links)
{
	return add_links(object, LINKS_OF_ANSWERS, links);
}

/* ---- links in the kernel ---- */

bool links_has_target(const struct links *links, const struct link *link,
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

struct wanted {
	const struct links *links;
	const struct link *link;
	uint32_t program_id; /* 0: any */
};

static bool is_wanted(const void *context, const struct bpf_link_info *info)
{
	const struct wanted *wanted = context;

	return (!wanted->program_id || info->prog_id == wanted->program_id) &&
	       links_has_target(wanted->links, wanted->link, info);
}

/* 1: the kernel has the link. 0: it has not. Or a negative errno: not known. */
static int is_link(const struct wanted *wanted, int fd)
{
	struct bpf_link_info info;
	int err = fd < 0 ? fd : link_pin_info(fd, &info);

	return err ? err : is_wanted(wanted, &info);
}

/* A pin on a read-only file system cannot be opened. It exists, and the kernel lists its link. */
static int is_listed(const struct wanted *wanted)
{
	char path[PINS_PATH_MAX];
	int err = pin_paths_join(path, PINS_LINKS, wanted->link->pin, "");

	if (!err && access(path, F_OK))
		err = -errno;
	if (err)
		return err == -ENOENT ? 0 : err;
	return link_list_find(wanted->links->target == LINKS_OF_CGROUP ? wanted->links->cgroup_id
								       : 0,
			      is_wanted, wanted);
}

/* 1: the pinned link has its target. 0: the link has no target, or is absent. Or a negative
 * errno. */
static int has_life(const struct links *links, const struct link *link, uint32_t program_id)
{
	const struct wanted wanted = {links, link, program_id};
	auto_close int fd = link_pin_open(link->pin, "");

	if (fd == -ENOENT)
		return 0;
	return fd == -EROFS ? is_listed(&wanted) : is_link(&wanted, fd);
}

bool links_link_is_attached(const struct links *links, const struct link *link)
{
	return link->program_id && has_life(links, link, link->program_id) != 0;
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
		if (has_life(links, &links->link[i], 0) != 0)
			return true;
	return false;
}

/* ---- the end of a set ---- */

static const char *const suffixes[] = {"", PINS_NEW};

#define SUFFIXES (sizeof(suffixes) / sizeof(suffixes[0]))
#define PINS_MAX (LINKS_MAX * SUFFIXES)

static const char *pin_at(const struct links *links, size_t at, const char **ret_suffix)
{
	*ret_suffix = suffixes[at % SUFFIXES];
	return links->link[at / SUFFIXES].pin;
}

/* An absent pin has -ENOENT. */
static int open_pins(const struct links *links, int fds[PINS_MAX])
{
	const char *pin, *suffix;
	size_t i;
	int err = 0;

	for (i = 0; i < links->count * SUFFIXES; i++) {
		pin = pin_at(links, i, &suffix);
		fds[i] = err ? -ENOENT : link_pin_open(pin, suffix);
		if (fds[i] < 0 && fds[i] != -ENOENT)
			err = fds[i];
	}
	return err;
}

static int detach_pin(const struct links *links, size_t at, int fd)
{
	const char *suffix, *pin = pin_at(links, at, &suffix);
	int err = fd < 0 ? 0 : bpf_link_detach(fd);

	return err || fd == -ENOENT ? err : link_pin_remove(pin, suffix);
}

int links_detach(const struct links *links)
{
	int fds[PINS_MAX];
	int opened = open_pins(links, fds), err = opened;
	size_t i;

	for (i = links->count * SUFFIXES; i-- > 0;) {
		if (!opened) {
			int failed = detach_pin(links, i, fds[i]);

			err = err ? err : failed;
		}
		if (fds[i] >= 0)
			close(fds[i]);
	}
	return err;
}
