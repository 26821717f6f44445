/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/maps/wishes.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <unistd.h>

#include "common/cleanup.h"

static int open_iterator(const struct kernel_maps *maps)
{
	union bpf_iter_link_info info = {.map.map_fd = (__u32)maps->wishes};
	LIBBPF_OPTS(bpf_link_create_opts, options, .iter_info = &info,
		    .iter_info_len = sizeof(info));
	auto_close int link = bpf_link_create(maps->find_wish, 0, BPF_TRACE_ITER, &options);

	return link < 0 ? link : bpf_iter_create(link);
}

/* 1, 0 at the end, or a negative errno. The kernel may return a part of a record. */
static int next_place(int fd, struct latch_wish_place *place)
{
	size_t filled = 0;

	while (filled < sizeof(*place)) {
		ssize_t length = read(fd, (char *)place + filled, sizeof(*place) - filled);

		if (length < 0 && errno != EINTR && errno != EAGAIN)
			return -errno;
		if (!length)
			return filled ? -EIO : 0;
		filled += length > 0 ? (size_t)length : 0;
	}
	return 1;
}

int wishes_walk(const struct kernel_maps *maps, wish_fn visit, void *context)
{
	auto_close int fd = open_iterator(maps);
	struct latch_wish_place place;
	int err = fd < 0 ? fd : 0, more = 1;

	while (!err && more) {
		more = next_place(fd, &place);
		if (more < 0)
			err = more;
		else if (more)
			err = visit(context, &place);
	}
	return err;
}
