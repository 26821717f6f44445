/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/enforce/cgroups/cgroups.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "common/loop.h"
#include "latchd/enforce/cgroups/cgroup_answers.h"
#include "latchd/enforce/cgroups/cgroup_formers.h"
#include "latchd/enforce/cgroups/cgroup_paths.h"
#include "latchd/enforce/cgroups/cgroup_programs.h"
#include "latchd/enforce/cgroups/cgroup_table.h"

/* ---- configured cgroups */

/* A removed cgroup gets its own entry: another cgroup may get the path. */
static void keep_removed(struct cgroups *cgroups, const struct cgroup *cgroup, uint64_t id)
{
	struct cgroup *removed = cgroup_table_find(cgroups, id)
					 ? NULL
					 : cgroup_table_add(cgroups, cgroup->path, false);

	if (!removed)
		return;
	removed->id = id;
	removed->state = CGROUP_REMOVED;
	removed->links = cgroup->links;
	removed->links.cgroup = removed->path;
}

/* Sockets of the old directory may be left. The kernel detaches the programs after the last one. */
static void note_removed(struct cgroups *cgroups, struct cgroup *cgroup)
{
	uint64_t id = cgroup->id;

	if (cgroup_programs_may_log(cgroup))
		log_info("enforce", "cgroup %s (id %" PRIu64 ") removed", cgroup->path, id);
	cgroup->id = 0;
	cgroup->state = CGROUP_ABSENT;
	if (links_are_alive(&cgroup->links) || links_detach(&cgroup->links))
		keep_removed(cgroups, cgroup, id);
	cgroup->links.count = 0;
	cgroup->logged = 0;
}

/* The owner of a directory above may deny access at any time. That does not remove the cgroup. */
static void note_unreadable(struct cgroup *cgroup, int err)
{
	if (cgroup->state == CGROUP_ABSENT ||
	    (cgroup->state == CGROUP_ATTACHED && !links_are_alive(&cgroup->links)))
		cgroup->state = CGROUP_FAILED;
	cgroup_programs_log(cgroup, err,
			    cgroup->state == CGROUP_FAILED
				    ? "has no programs: cannot open it"
				    : "keeps its programs, but latchd cannot open it",
			    strerror(-err));
}

static bool is_below(const struct cgroup *cgroup, const struct cgroup *above)
{
	uint64_t id;
	auto_close int fd = cgroup_open(cgroup->path, &id);

	return fd >= 0 && cgroup_is_within(fd, above->id) > 0;
}

/* This covers symbolic links and other mounts only: the configuration has no cgroup below
 * another. */
static void cover_others(struct cgroups *cgroups, const struct cgroup *above)
{
	size_t i;

	for (i = 0; i < cgroups->count; i++) {
		struct cgroup *cgroup = cgroups->listed[i];

		if (!cgroup->configured || cgroup == above ||
		    (!cgroup_has_programs(cgroup) && cgroup->state != CGROUP_FAILED) ||
		    !is_below(cgroup, above))
			continue;
		if (!cgroup_programs_release(cgroups, cgroup))
			cgroup->state = CGROUP_COVERED;
	}
}

/* The cgroup may have its own pins, from an earlier configuration. */
static void cover(struct cgroups *cgroups, struct cgroup *cgroup)
{
	if (cgroup->state == CGROUP_COVERED)
		return;
	if (cgroup_programs_may_log(cgroup))
		log_info("enforce", "cgroup %s covered: a cgroup above it has the programs",
			 cgroup->path);
	if (!cgroup_list_links(cgroups, cgroup))
		cgroup_programs_release(cgroups, cgroup);
	cgroup->state = CGROUP_COVERED;
}

static void check_present(struct cgroups *cgroups, struct cgroup *cgroup, int fd)
{
	if (cgroup_cover(cgroups, cgroup, fd)) {
		cover(cgroups, cgroup);
		return;
	}
	cgroup_programs_attach(cgroups, cgroup, fd);
	if (cgroup->state == CGROUP_ATTACHED)
		cover_others(cgroups, cgroup);
}

/* The cgroup is also listed as a former or removed one. The pins now belong to this entry. */
static void take_over(struct cgroups *cgroups, const struct cgroup *cgroup)
{
	size_t i;

	for (i = 0; i < cgroups->count; i++)
		if (!cgroups->listed[i]->configured && cgroups->listed[i]->id == cgroup->id)
			cgroups->listed[i]->ending = true;
}

static void check_opened(struct cgroups *cgroups, struct cgroup *cgroup, int fd, uint64_t id)
{
	if (cgroup->state == CGROUP_ATTACHED) {
		cgroup->logged = 0;
		return;
	}
	cgroup->id = id;
	take_over(cgroups, cgroup);
	check_present(cgroups, cgroup, fd);
}

static void check_configured(struct cgroups *cgroups, struct cgroup *cgroup)
{
	uint64_t id = 0;
	auto_close int fd = cgroup_open(cgroup->path, &id);

	if (cgroup->id && (fd == -ENOENT || (fd >= 0 && cgroup->id != id)))
		note_removed(cgroups, cgroup);
	cgroup->unreadable = fd < 0 && fd != -ENOENT;
	if (fd == -ENOENT)
		cgroup->state = CGROUP_ABSENT;
	else if (fd < 0)
		note_unreadable(cgroup, fd);
	else
		check_opened(cgroups, cgroup, fd, id);
}

static void check_all_configured(struct cgroups *cgroups)
{
	size_t i;

	for (i = 0; i < cgroups->count; i++)
		if (cgroups->listed[i]->configured)
			check_configured(cgroups, cgroups->listed[i]);
}

/* ---- former and removed cgroups */

static void note_removed_former(struct cgroup *cgroup)
{
	uint64_t id = 0;
	auto_close int fd = cgroup->path[0] ? cgroup_open(cgroup->path, &id) : -EBADF;

	if (fd == -ENOENT || (fd >= 0 && id != cgroup->id) ||
	    (fd < 0 && !links_are_alive(&cgroup->links)))
		cgroup->state = CGROUP_REMOVED;
}

/* True: a configured cgroup has no programs. Or it cannot be opened, so that it may still depend on
 * the programs of a former cgroup above it. */
static bool some_may_lack_programs(const struct cgroups *cgroups)
{
	size_t i;

	for (i = 0; i < cgroups->count; i++) {
		const struct cgroup *cgroup = cgroups->listed[i];

		if (cgroup->configured && (cgroup->state == CGROUP_FAILED ||
					   (cgroup->state == CGROUP_COVERED && cgroup->unreadable)))
			return true;
	}
	return false;
}

/* Covered cgroups get their own programs before this cgroup loses its programs. */
static void end_former(struct cgroups *cgroups, struct cgroup *cgroup)
{
	if (some_may_lack_programs(cgroups) || !cgroup_programs_may_end(cgroup))
		return;
	cgroup->ending = true;
	check_all_configured(cgroups);
	if (!some_may_lack_programs(cgroups) && cgroup_programs_end(cgroups, cgroup))
		return;
	cgroup->ending = false;
	if (cgroup->state == CGROUP_FORMER)
		cover_others(cgroups, cgroup);
}

/* If the kernel does not answer, pins and entry stay. */
static void end_dead(struct cgroup *cgroup)
{
	cgroup->ending = !links_are_alive(&cgroup->links) && !links_detach(&cgroup->links);
}

static void retry_former(struct cgroups *cgroups, struct cgroup *cgroup)
{
	cgroup_programs_return(cgroups, cgroup);
	if (cgroup->state == CGROUP_FORMER)
		cover_others(cgroups, cgroup);
}

/* ---- the pace of searches: local users choose how many sockets have wishes */

static bool others_come_first(const struct cgroups *cgroups, const struct cgroup *cgroup)
{
	size_t i;

	for (i = 0; i < cgroups->count; i++) {
		const struct cgroup *other = cgroups->listed[i];

		if (other->state == CGROUP_FORMER && other->turn &&
		    (!cgroup->turn || other->turn < cgroup->turn))
			return true;
	}
	return false;
}

/* A former cgroup that has to wait keeps its programs. Each gets its turn. */
static bool may_search(struct cgroups *cgroups, struct cgroup *cgroup)
{
	if (walk_pace_wait_ms(&cgroups->searches) || others_come_first(cgroups, cgroup)) {
		if (!cgroup->turn)
			cgroup->turn = ++cgroups->turns;
		return false;
	}
	cgroup->turn = 0;
	return true;
}

static void end_if_needless(struct cgroups *cgroups, struct cgroup *cgroup)
{
	if (may_search(cgroups, cgroup) && !cgroup_is_needed(cgroups, cgroup))
		end_former(cgroups, cgroup);
}

static void check_former(struct cgroups *cgroups, struct cgroup *cgroup)
{
	if (cgroup->state == CGROUP_FAILED)
		retry_former(cgroups, cgroup);
	if (cgroup->state == CGROUP_FORMER || cgroup->state == CGROUP_FAILED)
		note_removed_former(cgroup);
	if (cgroup->state == CGROUP_FORMER)
		end_if_needless(cgroups, cgroup);
	if (cgroup->state == CGROUP_COVERED)
		cgroup->ending = !cgroup_programs_release(cgroups, cgroup);
	if (cgroup->state == CGROUP_REMOVED)
		end_dead(cgroup);
}

/* ---- cgroups without a place in the list */

/* Local users choose the number of pins that a search opens. */
#define SEARCH_GAP_MS 60000

static void search_unlisted(struct cgroups *cgroups)
{
	size_t i = cgroups->count;
	int err;

	/* Removes the pins of cgroups that are gone. */
	links_sweep(cgroups->object);
	cgroups->unlisted = false;
	err = cgroup_formers_list(cgroups);
	cgroups->unlisted = cgroups->unlisted || err;
	/* The new entries may have the programs of an earlier latchd. */
	for (; i < cgroups->count; i++)
		if (cgroups->listed[i]->state == CGROUP_FORMER)
			retry_former(cgroups, cgroups->listed[i]);
}

static void check_unlisted(struct cgroups *cgroups)
{
	uint64_t now = loop_now_ms();

	if (!cgroups->unlisted ||
	    (cgroups->searched_ms && now - cgroups->searched_ms < SEARCH_GAP_MS))
		return;
	if (!cgroups->searched_ms)
		log_warn("enforce",
			 "cgroups not all listed (more than %d are removed or no "
			 "longer configured): further ones keep their programs; to "
			 "end them: latchctl purge",
			 CGROUPS_FORMER_MAX);
	cgroups->searched_ms = now;
	search_unlisted(cgroups);
}

void cgroups_check(struct cgroups *cgroups)
{
	size_t i;

	check_all_configured(cgroups);
	for (i = cgroups->count; i-- > 0;) {
		struct cgroup *cgroup = cgroups->listed[i];

		if (!cgroup->configured && !cgroup->ending)
			check_former(cgroups, cgroup);
		if (cgroup->ending)
			cgroup_table_forget(cgroups, i);
	}
	check_unlisted(cgroups);
	cgroup_answers_begin(cgroups);
}

/* ---- cgroups.h */

struct cgroups *cgroups_new(const struct bpf_object *object, const struct kernel_maps *maps,
			    const struct config *config, const char *root)
{
	struct cgroups *cgroups = calloc(1, sizeof(*cgroups));
	bool added = cgroups;
	size_t i;

	if (!cgroups)
		return NULL;
	cgroups->object = object;
	cgroups->maps = maps;
	cgroups->answers = config->answers;
	if (!config->cgroup_count)
		added = cgroup_table_add(cgroups, root, true);
	for (i = 0; added && i < config->cgroup_count; i++)
		added = cgroup_table_add(cgroups, config->cgroups[i], true);
	if (added)
		return cgroups;
	cgroups_free(cgroups);
	return NULL;
}

void cgroups_free(struct cgroups *cgroups)
{
	while (cgroups && cgroups->count)
		cgroup_table_forget(cgroups, cgroups->count - 1);
	free(cgroups);
}

void cgroups_set_answers(struct cgroups *cgroups, bool answers)
{
	if (answers == cgroups->answers)
		return;
	log_info("enforce", answers ? "api enabled: sockets report their latches"
				    : "api disabled: sockets report no latches");
	cgroups->answers = answers;
	if (answers)
		cgroup_answers_begin(cgroups);
	else
		cgroup_answers_end(cgroups);
}

void cgroups_end_needless_answers(struct cgroups *cgroups)
{
	if (!cgroups->answers)
		cgroup_answers_end(cgroups);
}

bool cgroups_answer(const struct cgroups *cgroups)
{
	return cgroups->answers;
}

size_t cgroups_list(const struct cgroups *cgroups, struct cgroup_entry *entries, size_t max)
{
	size_t i;

	for (i = 0; i < cgroups->count && i < max; i++)
		entries[i] = (struct cgroup_entry){
			.path = cgroups->listed[i]->path,
			.id = cgroups->listed[i]->id,
			.state = cgroups->listed[i]->state,
			.unanswered = cgroups->answers && cgroup_has_programs(cgroups->listed[i]) &&
				      !cgroups->listed[i]->answers,
		};
	return cgroups->count;
}

static bool has_program(const struct links *links, const char *name)
{
	size_t i;

	for (i = 0; i < links->count; i++)
		if (!strcmp(links->link[i].name, name))
			return links_link_is_attached(links, &links->link[i]);
	return false;
}

bool cgroups_have_program(const struct cgroups *cgroups, const char *name)
{
	bool any = false;
	size_t i;

	for (i = 0; i < cgroups->count; i++) {
		const struct cgroup *cgroup = cgroups->listed[i];

		if (cgroup->state == CGROUP_FAILED)
			return false;
		if (cgroup_has_programs(cgroup) && !has_program(&cgroup->links, name))
			return false;
		any |= cgroup_has_programs(cgroup);
	}
	return any;
}

/* The kernel has no call for this, but the root of a cgroup hierarchy always has inode 1. */
#define CGROUP_ROOT_INO 1

bool cgroups_have_root(const struct cgroups *cgroups)
{
	struct stat st;
	size_t i;

	for (i = 0; i < cgroups->count; i++)
		if (cgroups->listed[i]->configured && !stat(cgroups->listed[i]->path, &st) &&
		    st.st_ino == CGROUP_ROOT_INO)
			return true;
	return false;
}
