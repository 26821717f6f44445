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

int wishes_exist(const struct kernel_maps *maps)
{
	auto_close int fd = open_iterator(maps);
	ssize_t length;
	char one;

	if (fd < 0)
		return fd;
	do {
		length = read(fd, &one, sizeof(one));
	} while (length < 0 && (errno == EINTR || errno == EAGAIN));
	return length < 0 ? -errno : length > 0;
}
