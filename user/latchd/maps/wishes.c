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

/*
 * One call walks over all sockets, up to the first that is found. EAGAIN: it has found none among a
 * million, and the next call might miss some of the others.
 */
static int read_first(int fd)
{
	ssize_t length;
	char found;

	do
		length = read(fd, &found, sizeof(found));
	while (length < 0 && errno == EINTR);
	if (length < 0)
		return errno == EAGAIN ? 1 : -errno;
	return length > 0;
}

int wishes_find(const struct kernel_maps *maps, const struct latch_wish_search *search)
{
	auto_close int fd = -1;
	__u32 key = 0;
	int err = bpf_map_update_elem(maps->wish_search, &key, search, BPF_ANY);

	if (err)
		return err;
	fd = open_iterator(maps);
	return fd < 0 ? fd : read_first(fd);
}
