/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/net/netns_index.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/loop.h"
#include "latchd/net/netns_cookie.h"
#include "latchd/net/netns_mounts.h"

#define SEEN_SLOTS_MIN 64

/* The namespaces that a pass has seen. slot_count is a power of two; at most half are used. */
struct seen {
	struct seen_slot {
		dev_t device;
		ino_t inode; /* 0 = free */
	} * slots;
	size_t slot_count;
	size_t used;
};

struct pass {
	struct netns_index *index;
	struct seen seen;
	size_t foreign, foreign_max;
};

/* ---- namespaces seen in this pass ---- */

static struct seen_slot *seen_find(const struct seen *seen, dev_t device, ino_t inode)
{
	size_t at = (size_t)inode & (seen->slot_count - 1);

	while (seen->slots[at].inode &&
	       (seen->slots[at].inode != inode || seen->slots[at].device != device))
		at = (at + 1) & (seen->slot_count - 1);
	return &seen->slots[at];
}

static int seen_grow(struct seen *seen)
{
	struct seen grown = {
		.slot_count = seen->slot_count ? 2 * seen->slot_count : SEEN_SLOTS_MIN,
		.used = seen->used,
	};
	size_t i;

	grown.slots = calloc(grown.slot_count, sizeof(*grown.slots));
	if (!grown.slots)
		return -ENOMEM;
	for (i = 0; i < seen->slot_count; i++)
		if (seen->slots[i].inode)
			*seen_find(&grown, seen->slots[i].device, seen->slots[i].inode) =
				seen->slots[i];
	free(seen->slots);
	*seen = grown;
	return 0;
}

/* 1: the namespace is new. 0: it was seen before. Or a negative errno. */
static int seen_add(struct seen *seen, int netns_fd)
{
	struct seen_slot *slot;
	struct stat st;
	int err;

	if (fstat(netns_fd, &st))
		return -errno;
	err = 2 * (seen->used + 1) > seen->slot_count ? seen_grow(seen) : 0;
	if (err)
		return err;
	slot = seen_find(seen, st.st_dev, st.st_ino);
	if (slot->inode)
		return 0;
	*slot = (struct seen_slot){st.st_dev, st.st_ino};
	seen->used++;
	return 1;
}

/* ---- holders ---- */

static int add_holder(struct netns_index *index, uint64_t cookie, pid_t pid, const char *path,
		      bool foreign)
{
	size_t capacity = index->capacity ? index->capacity * 2 : 64;
	struct netns_holder *holders;
	char *copy = path ? strdup(path) : NULL;

	if (path && !copy)
		return -ENOMEM;
	if (index->count == index->capacity) {
		holders = reallocarray(index->holders, capacity, sizeof(*holders));
		if (!holders) {
			free(copy);
			return -ENOMEM;
		}
		index->holders = holders;
		index->capacity = capacity;
	}
	index->holders[index->count++] = (struct netns_holder){cookie, pid, foreign, copy};
	return 0;
}

static int note_new(struct pass *pass, int netns_fd, pid_t pid, const char *path)
{
	int foreign = netns_descriptor_is_foreign(netns_fd);
	uint64_t cookie;
	int err;

	if (foreign < 0)
		return foreign;
	if (foreign && pass->foreign++ >= pass->foreign_max)
		return -EUSERS;
	err = netns_of_descriptor(netns_fd, &cookie);
	return err ? err : add_holder(pass->index, cookie, pid, path, foreign);
}

static void note(struct pass *pass, int netns_fd, pid_t pid, const char *path)
{
	int *unread = &pass->index->unread;
	int err;

	err = seen_add(&pass->seen, netns_fd);
	if (err > 0)
		err = note_new(pass, netns_fd, pid, path);
	/* EINVAL, ENOTTY: another file system is mounted over the namespace. */
	if (err && err != -EINVAL && err != -ENOTTY && (err != -EUSERS || !*unread))
		*unread = err;
}

/* ---- the pass ---- */

static void note_process(struct pass *pass, pid_t pid)
{
	auto_close int fd = netns_open_process(pid);

	if (fd >= 0)
		note(pass, fd, pid, NULL);
	else if (fd != -ENOENT && fd != -ESRCH)
		pass->index->unread = fd;
}

static void note_processes(struct pass *pass)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;

	if (!proc) {
		pass->index->unread = -errno;
		return;
	}
	for (errno = 0; (entry = readdir(proc)); errno = 0)
		if (isdigit((unsigned char)entry->d_name[0]))
			note_process(pass, atoi(entry->d_name));
	if (errno)
		pass->index->unread = -errno;
	closedir(proc);
}

static int note_mount(void *context, int netns_fd, const char *path)
{
	note(context, netns_fd, 0, path);
	return -ENOENT;
}

/* Mounts hold a namespace without any process. */
static void note_mounts(struct pass *pass)
{
	int err = netns_mounts_walk("/proc/1", note_mount, pass);

	netns_mounts_walk("/proc/self", note_mount, pass);
	if (err != -ENOENT)
		pass->index->unread = err;
}

static int by_cookie(const void *a, const void *b)
{
	const struct netns_holder *one = a, *other = b;

	return (one->cookie > other->cookie) - (one->cookie < other->cookie);
}

/* ---- namespaces of the host's user namespace */

static size_t count_own(const struct netns_index *index)
{
	size_t count = 0, i;

	for (i = 0; i < index->count; i++)
		count += !index->holders[i].foreign;
	return count;
}

/* Both lists are in order. */
static size_t merge_own(const struct netns_index *index, bool with_earlier, uint64_t *merged)
{
	size_t count = 0, earlier = with_earlier ? 0 : index->own_count, i;

	for (i = 0; i < index->count; i++) {
		uint64_t cookie = index->holders[i].cookie;

		if (index->holders[i].foreign)
			continue;
		while (earlier < index->own_count && index->own[earlier] < cookie)
			merged[count++] = index->own[earlier++];
		earlier += earlier < index->own_count && index->own[earlier] == cookie;
		merged[count++] = cookie;
	}
	while (earlier < index->own_count)
		merged[count++] = index->own[earlier++];
	return count;
}

/* If memory is short, only the earlier cookies stay. That is safe: a namespace that is not
 * in the list counts as one that may exist. */
static void note_own(struct netns_index *index)
{
	size_t now = count_own(index);
	bool with_earlier = now + index->own_count <= NETNS_INDEX_OWN_MAX;
	uint64_t *merged = calloc(now + index->own_count + 1, sizeof(*merged));

	if (!merged)
		return;
	index->own_count = merge_own(index, with_earlier, merged);
	free(index->own);
	index->own = merged;
}

static int by_value(const void *a, const void *b)
{
	const uint64_t *one = a, *other = b;

	return (*one > *other) - (*one < *other);
}

int netns_index_absence(const struct netns_index *index, uint64_t cookie)
{
	bool known = index->own_count &&
		     bsearch(&cookie, index->own, index->own_count, sizeof(cookie), by_value);

	if (!index->unread || (index->unread == -EUSERS && known))
		return -ENOENT;
	return index->unread;
}

/* ---- netns_index.h */

static void clear(struct netns_index *index)
{
	size_t i;

	for (i = 0; i < index->count; i++)
		free(index->holders[i].path);
	free(index->holders);
	index->holders = NULL;
	index->count = index->capacity = 0;
	index->unread = 0;
}

void netns_index_build(struct netns_index *index, size_t foreign_max)
{
	struct pass pass = {.index = index, .foreign_max = foreign_max};

	clear(index);
	index->begun_ms = loop_now_ms();
	note_processes(&pass);
	note_mounts(&pass);
	free(pass.seen.slots);
	if (index->count)
		qsort(index->holders, index->count, sizeof(*index->holders), by_cookie);
	note_own(index);
}

struct netns_holder *netns_index_find(const struct netns_index *index, uint64_t cookie)
{
	const struct netns_holder wanted = {.cookie = cookie};

	if (!index->count)
		return NULL;
	return bsearch(&wanted, index->holders, index->count, sizeof(wanted), by_cookie);
}

void netns_index_remove(struct netns_index *index, struct netns_holder *holder)
{
	size_t after = index->count - (size_t)(holder - index->holders) - 1;

	free(holder->path);
	memmove(holder, holder + 1, after * sizeof(*holder));
	index->count--;
}

void netns_index_release(struct netns_index *index)
{
	clear(index);
	free(index->own);
	*index = (struct netns_index){0};
}
