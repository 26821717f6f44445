/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/enforce/links.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "latchd/enforce/pin_paths.h"

/* ---- the object's programs ---- */

enum attachment {
	ATTACH_NONE,
	ATTACH_CGROUP,
	ATTACH_FUNCTION,
};

static enum attachment attachment_of(const struct bpf_program *program)
{
	switch (bpf_program__type(program)) {
	case BPF_PROG_TYPE_CGROUP_SKB:
	case BPF_PROG_TYPE_CGROUP_SOCK:
	case BPF_PROG_TYPE_CGROUP_SOCK_ADDR:
	case BPF_PROG_TYPE_CGROUP_SOCKOPT:
	case BPF_PROG_TYPE_SOCK_OPS:
		return ATTACH_CGROUP;
	case BPF_PROG_TYPE_TRACING:
		/* latchd itself runs iterators. */
		return bpf_program__expected_attach_type(program) == BPF_TRACE_ITER
			       ? ATTACH_NONE
			       : ATTACH_FUNCTION;
	case BPF_PROG_TYPE_LSM:
		return ATTACH_FUNCTION;
	default: /* latchd itself runs it, or netfilter_gate.c attaches it to each namespace */
		return ATTACH_NONE;
	}
}

int links_list(const struct bpf_object *object, struct links *ret)
{
	struct bpf_program *program;

	*ret = (struct links){0};
	bpf_object__for_each_program (program, object) {
		enum attachment attachment = attachment_of(program);

		if (attachment == ATTACH_NONE || !bpf_program__autoload(program))
			continue;
		if (ret->count == LINKS_MAX)
			return -E2BIG;
		ret->link[ret->count++] = (struct link){
			.name = bpf_program__name(program),
			.section = bpf_program__section_name(program),
			.program = -1,
			.attach_type = bpf_program__expected_attach_type(program),
			.on_cgroup = attachment == ATTACH_CGROUP,
			.old_link = -1,
			.old_program = -1,
			.new_link = -1,
		};
	}
	return 0;
}

static int fill_programs(struct links *links, const struct bpf_object *object)
{
	size_t i;
	int err = 0;

	for (i = 0; !err && i < links->count; i++) {
		struct link *link = &links->link[i];
		struct bpf_prog_info info = {0};
		__u32 length = sizeof(info);

		link->program =
			bpf_program__fd(bpf_object__find_program_by_name(object, link->name));
		err = bpf_prog_get_info_by_fd(link->program, &info, &length);
		link->program_id = info.id;
	}
	return err;
}

/* ---- links in the kernel ---- */

static int link_info(int fd, struct bpf_link_info *ret)
{
	__u32 length = sizeof(*ret);

	memset(ret, 0, sizeof(*ret));
	return bpf_link_get_info_by_fd(fd, ret, &length);
}

static bool has_target(const struct links *links, const struct link *link,
		       const struct bpf_link_info *info)
{
	if (link->on_cgroup)
		return info->type == BPF_LINK_TYPE_CGROUP &&
		       info->cgroup.attach_type == link->attach_type &&
		       info->cgroup.cgroup_id == links->cgroup_id;
	return info->type == BPF_LINK_TYPE_TRACING &&
	       info->tracing.attach_type == link->attach_type && info->tracing.target_btf_id;
}

bool links_link_is_attached(const struct links *links, const struct link *link)
{
	char path[PINS_PATH_MAX];
	struct bpf_link_info info;
	auto_close int fd =
		pin_paths_join(path, PINS_LINKS, link->name, "") ? -1 : bpf_obj_get(path);

	return fd >= 0 && !link_info(fd, &info) && info.prog_id == link->program_id &&
	       has_target(links, link, &info);
}

/* A removed cgroup detaches its programs. Its id is then in no link. */
static int cgroup_identity(int fd, uint64_t *ret_id)
{
	char buffer[sizeof(struct file_handle) + sizeof(*ret_id)]
		__attribute__((aligned(__alignof__(struct file_handle))));
	struct file_handle *handle = (struct file_handle *)buffer;
	int mount_id;

	handle->handle_bytes = sizeof(*ret_id);
	if (name_to_handle_at(fd, "", handle, &mount_id, AT_EMPTY_PATH))
		return -errno;
	if (handle->handle_bytes != sizeof(*ret_id))
		return -EOPNOTSUPP;
	memcpy(ret_id, handle->f_handle, sizeof(*ret_id));
	return 0;
}

/* ---- leftovers of an interrupted start ---- */

static int rename_pin(const char *name, const char *from, const char *to)
{
	char source[PINS_PATH_MAX], target[PINS_PATH_MAX];
	int err = pin_paths_join(source, PINS_LINKS, name, from);

	if (!err)
		err = pin_paths_join(target, PINS_LINKS, name, to);
	if (!err)
		err = rename(source, target) ? -errno : 0;
	return err;
}

static void unlink_pin(const char *name, const char *suffix)
{
	char path[PINS_PATH_MAX];

	if (!pin_paths_join(path, PINS_LINKS, name, suffix))
		unlink(path);
}

static int open_pin(const char *name, const char *suffix)
{
	char path[PINS_PATH_MAX];
	int err = pin_paths_join(path, PINS_LINKS, name, suffix);

	return err ? err : bpf_obj_get(path);
}

/*
 * The leftover may be the only link that is attached. Without an own pin it becomes the own pin,
 * which the new link replaces. Otherwise it gets another name, and sweep() removes it once the
 * new links are attached.
 */
static int rename_leftover(const struct link *link)
{
	auto_close int leftover = open_pin(link->name, PINS_NEW);
	auto_close int own = open_pin(link->name, "");

	if (leftover < 0)
		return leftover == -ENOENT ? 0 : leftover;
	return rename_pin(link->name, PINS_NEW, own < 0 ? "" : PINS_OLD);
}

static bool is_ours(const struct links *links, const char *name)
{
	size_t i;

	for (i = 0; i < links->count; i++)
		if (!strcmp(links->link[i].name, name))
			return true;
	return false;
}

/* Removes leftovers, and links of programs that this latchd no longer has. */
static void sweep(const struct links *links)
{
	DIR *directory = opendir(PINS_LINKS);
	char names[LINKS_MAX * 2][NAME_MAX + 1];
	struct dirent *entry;
	size_t count = 0;

	/* A removal disturbs the walk, so names come first. The next start removes the rest. */
	while (directory && count < LINKS_MAX * 2 && (entry = readdir(directory)))
		if (entry->d_name[0] != '.' && !is_ours(links, entry->d_name))
			strcpy(names[count++], entry->d_name);
	if (directory)
		closedir(directory);
	while (count--) {
		log_info("enforce", "link %s removed (of an earlier latchd)", names[count]);
		unlink_pin(names[count], "");
	}
}

/* ---- new links beside the old links ---- */

static int fail_attach(const struct link *link, int err, const char *cgroup,
		       struct failure *failure)
{
	if (link->on_cgroup)
		return failure_set(failure, err,
				   "program %s (%s): cannot attach to %s: %s; find the programs "
				   "that exclude others: bpftool cgroup tree",
				   link->name, link->section, cgroup, strerror(-err));
	return failure_set(failure, err,
			   "program %s: cannot attach to %s: %s; read the kernel's log", link->name,
			   link->section, strerror(-err));
}

static int stage_new(struct link *link, int cgroup_fd)
{
	char path[PINS_PATH_MAX];
	int err = pin_paths_join(path, PINS_LINKS, link->name, PINS_NEW);

	if (err)
		return err;
	link->new_link = bpf_link_create(link->program, link->on_cgroup ? cgroup_fd : 0,
					 link->attach_type, NULL);
	if (link->new_link < 0)
		return link->new_link;
	return bpf_obj_pin(link->new_link, path);
}

/* The link of a cgroup can change its program in one step, a link of a function cannot. */
static int stage(const struct links *links, struct link *link, int cgroup_fd)
{
	struct bpf_link_info info;
	int err = rename_leftover(link);

	if (err)
		return err;
	link->old_link = open_pin(link->name, "");
	if (link->old_link < 0 && link->old_link != -ENOENT)
		return link->old_link;
	if (link->on_cgroup && link->old_link >= 0 && !link_info(link->old_link, &info) &&
	    has_target(links, link, &info))
		link->old_program = bpf_prog_get_fd_by_id(info.prog_id);
	return link->old_program >= 0 ? 0 : stage_new(link, cgroup_fd);
}

static int change(struct link *link)
{
	int err = link->old_program >= 0 ? bpf_link_update(link->old_link, link->program, NULL)
					 : rename_pin(link->name, PINS_NEW, "");

	link->changed = !err;
	return err;
}

static void restore(struct link *link)
{
	char path[PINS_PATH_MAX];

	if (link->old_program >= 0)
		bpf_link_update(link->old_link, link->old_program, NULL);
	else if (link->old_link < 0)
		unlink_pin(link->name, "");
	else if (!pin_paths_join(path, PINS_LINKS, link->name, PINS_NEW) &&
		 !bpf_obj_pin(link->old_link, path))
		rename_pin(link->name, PINS_NEW, "");
}

static void undo(struct links *links)
{
	size_t i;

	for (i = 0; i < links->count; i++) {
		struct link *link = &links->link[i];

		if (link->changed)
			restore(link);
		else if (link->new_link >= 0)
			unlink_pin(link->name, PINS_NEW);
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
	}
}

static int attach_all(struct links *links, int cgroup_fd, const char *cgroup,
		      struct failure *failure)
{
	size_t i;
	int err = 0;

	for (i = 0; !err && i < links->count; i++) {
		err = stage(links, &links->link[i], cgroup_fd);
		if (err)
			fail_attach(&links->link[i], err, cgroup, failure);
	}
	for (i = 0; !err && i < links->count; i++) {
		err = change(&links->link[i]);
		if (err)
			fail_attach(&links->link[i], err, cgroup, failure);
	}
	return err;
}

int links_attach(struct links *links, const struct bpf_object *object, const char *cgroup,
		 struct failure *failure)
{
	auto_close int cgroup_fd = open(cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int err = cgroup_fd < 0 ? -errno : cgroup_identity(cgroup_fd, &links->cgroup_id);

	if (err)
		return failure_set(failure, err,
				   "cgroup %s: cannot open it: %s; correct cgroup = in [enforce]",
				   cgroup, strerror(-err));
	err = fill_programs(links, object);
	if (err)
		return failure_set(
			failure, err,
			"BPF programs: cannot read their ids from the kernel: %s; report this",
			strerror(-err));
	err = attach_all(links, cgroup_fd, cgroup, failure);
	if (err)
		undo(links);
	else
		sweep(links);
	finish(links);
	return err;
}
