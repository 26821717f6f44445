/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/latch/tcp_timeout.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "latchd/net/netns.h"

#define TIMEOUT_ROUND 64 /* records in one read() */

/* An iterator walks over the sockets of the namespace in which it was created. */
static int make_iterator(void *context)
{
	return bpf_iter_create(*(const int *)context);
}

static int open_iterator(const struct kernel_maps *maps, uint64_t netns_cookie)
{
	auto_close int netns = netns_open(netns_cookie);
	auto_close int link = -1;

	if (netns < 0)
		return netns;
	link = bpf_link_create(maps->timeout, 0, BPF_TRACE_ITER, NULL);
	return link < 0 ? link : netns_call(netns, make_iterator, &link);
}

/* Reads whole records, or to the end. The number of bytes, or a negative errno. */
static ssize_t read_records(int fd, void *records, size_t size)
{
	size_t length = 0;
	ssize_t got;

	do {
		got = read(fd, (char *)records + length, size - length);
		if (got > 0)
			length += (size_t)got;
	} while ((got > 0 && length % sizeof(struct latch_timed_out)) ||
		 (got < 0 && (errno == EINTR || errno == EAGAIN)));
	return got < 0 ? -errno : (ssize_t)length;
}

int timeout_broken(const struct kernel_maps *maps, uint64_t netns, timed_out_fn on_timed_out,
		   void *context)
{
	auto_close int fd = open_iterator(maps, netns);
	struct latch_timed_out records[TIMEOUT_ROUND];
	ssize_t length, i;

	if (fd < 0)
		return fd;
	do {
		length = read_records(fd, records, sizeof(records));
		for (i = 0; i < length / (ssize_t)sizeof(records[0]); i++)
			on_timed_out(context, &records[i]);
	} while (length > 0);
	return (int)length;
}
