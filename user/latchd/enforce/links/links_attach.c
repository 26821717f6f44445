/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Attaches sets of links in place of an earlier latchd's, as a whole: after an error all links are
 * as they were.
 */
#include "latchd/enforce/links/links.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "latchd/enforce/pins/pin_paths.h"

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
	    !link_pin_info(link->old_link, &info) && links_has_target(links, link, &info))
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
