/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/enforce/links/link_list.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "common/loop.h"
#include "latchd/enforce/pins/link_pins.h"

static struct {
	struct bpf_link_info *links; /* by cgroup */
	size_t count, capacity;
	int err;
	bool known;
	uint64_t read_ms;
} list;

static uint64_t cgroup_of(const struct bpf_link_info *info)
{
	return info->type == BPF_LINK_TYPE_CGROUP ? info->cgroup.cgroup_id : 0;
}

static int compare(const void *left, const void *right)
{
	uint64_t a = cgroup_of(left), b = cgroup_of(right);

	return (a > b) - (a < b);
}

static int grow(void)
{
	size_t capacity = list.capacity ? 2 * list.capacity : 256;
	void *grown = reallocarray(list.links, capacity, sizeof(*list.links));

	if (!grown)
		return -ENOMEM;
	list.links = grown;
	list.capacity = capacity;
	return 0;
}

static int add(uint32_t id)
{
	auto_close int fd = bpf_link_get_fd_by_id(id);
	int err = list.count == list.capacity ? grow() : 0;

	if (fd == -ENOENT)
		return 0;
	if (!err)
		err = fd < 0 ? fd : link_pin_info(fd, &list.links[list.count]);
	list.count += !err;
	return err;
}

static void read_all(void)
{
	__u32 id = 0;
	int err;

	list.count = 0;
	list.err = 0;
	while (!(err = bpf_link_get_next_id(id, &id))) {
		int failed = add(id);

		list.err = list.err ? list.err : failed;
	}
	if (err != -ENOENT)
		list.err = err;
	if (list.count)
		qsort(list.links, list.count, sizeof(*list.links), compare);
	list.known = true;
	list.read_ms = loop_now_ms();
}

static size_t first_of(uint64_t cgroup_id)
{
	size_t low = 0, high = list.count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (cgroup_of(&list.links[middle]) < cgroup_id)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

int link_list_find(uint64_t cgroup_id, link_match_fn match, const void *context)
{
	size_t i;

	if (!list.known || loop_now_ms() - list.read_ms >= LINK_LIST_MS)
		read_all();
	for (i = first_of(cgroup_id); i < list.count && cgroup_of(&list.links[i]) == cgroup_id; i++)
		if (match(context, &list.links[i]))
			return 1;
	return list.err;
}
