/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/net/netns_names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/loop.h"
#include "common/text.h"
#include "latchd/net/netns_cookie.h"
#include "latchd/net/netns_mounts.h"

#define PROCESS	  "/proc/1"
#define LOOK_MS	  1000
#define LOOK_TIME 10 /* readings get at most this fraction of the time */
#define NAMES_MAX 65536

static struct netns_name *next_name(struct netns_names *names)
{
	size_t capacity = names->capacity ? names->capacity * 2 : 16;
	struct netns_name *more;

	if (names->count == names->capacity) {
		more = reallocarray(names->names, capacity, sizeof(*more));
		if (!more)
			return NULL;
		names->names = more;
		names->capacity = capacity;
	}
	return &names->names[names->count];
}

const char *netns_names_of_path(const char *path)
{
	static const char *const folders[] = {
		PROCESS "/root/run/netns/",
		PROCESS "/root/var/run/netns/", /* if it is no link to /run */
	};
	size_t i;

	for (i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
		if (!strncmp(path, folders[i], strlen(folders[i])))
			return path + strlen(folders[i]);
	return NULL;
}

static int note(void *context, int netns_fd, const char *path)
{
	struct netns_names *names = context;
	const char *text = netns_names_of_path(path);
	struct netns_name *name = text && names->count < NAMES_MAX ? next_name(names) : NULL;

	if (name && text_copy(name->name, sizeof(name->name), text) > 0 &&
	    !strchr(name->name, '/') && !netns_of_descriptor(netns_fd, &name->cookie))
		names->count++;
	return -ENOENT;
}

static int compare(const void *one, const void *other)
{
	const struct netns_name *a = one, *b = other;

	if (a->cookie != b->cookie)
		return a->cookie < b->cookie ? -1 : 1;
	return strcmp(a->name, b->name);
}

void netns_names_refresh(struct netns_names *names)
{
	uint64_t begun_ms = loop_now_ms(), took_ms;

	if (begun_ms < names->due_ms)
		return;
	names->count = 0;
	netns_mounts_walk(PROCESS, note, names);
	if (names->count)
		qsort(names->names, names->count, sizeof(*names->names), compare);
	took_ms = loop_now_ms() - begun_ms;
	names->due_ms = begun_ms + LOOK_MS + LOOK_TIME * took_ms;
}

void netns_names_release(struct netns_names *names)
{
	free(names->names);
	*names = (struct netns_names){0};
}

/* The first entry with this cookie or a larger one. */
static size_t search(const struct netns_names *names, uint64_t cookie)
{
	size_t low = 0, high = names->count, middle;

	while (low < high) {
		middle = low + (high - low) / 2;
		if (names->names[middle].cookie < cookie)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

const char *netns_names_of(const struct netns_names *names, uint64_t cookie)
{
	size_t at = search(names, cookie);

	return at < names->count && names->names[at].cookie == cookie ? names->names[at].name
								      : NULL;
}

int netns_names_find(const struct netns_names *names, const char *word, uint64_t *ret_cookie)
{
	size_t i, digits = strspn(word, "0123456789");

	if (digits && digits <= 19 && !word[digits]) {
		*ret_cookie = strtoull(word, NULL, 10);
		return 0;
	}
	for (i = 0; i < names->count; i++) {
		if (strcmp(names->names[i].name, word) != 0)
			continue;
		*ret_cookie = names->names[i].cookie;
		return 0;
	}
	return -ENOENT;
}
