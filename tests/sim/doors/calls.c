/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * latchd's bpf() calls, and the ring of events. A descriptor of a table is a small number that no
 * file has.
 *
 * Each call may fail for lack of memory: the kernel copies keys and values of every table, also for
 * a deletion. So may the ring at the start of latchd, connect() (charon.c), netlink and the
 * destruction of a socket (net.c), and each allocation of latchd (memory.c). Never for lack of
 * memory: epoll and eventfd, files, reads and writes of a connected socket, the search of a socket,
 * and all that has no door (sim.mk).
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "doors/doors.h"
#include "kernel/helpers.h"
#include "kernel/table.h"
#include "kernel/traffic.h"
#include "sim.h"
#include "world.h"

#define FD_FIRST   1000
#define FD_CONTROL 1100
#define FD_RING	   1101

#define FD(id) (FD_FIRST + (id))

const struct kernel_maps sim_maps = {
	.latches = FD(TABLE_LATCHES),
	.associations = FD(TABLE_ASSOCIATIONS),
	.sas = FD(TABLE_SAS),
	.params = FD(TABLE_PARAMS),
	.identities = FD(TABLE_IDENTITIES),
	.own_keys = FD(TABLE_OWN_KEYS),
	.rules = FD(TABLE_RULES),
	.settings = FD(TABLE_SETTINGS),
	.spd_stamps = FD(TABLE_SPD_STAMPS),
	.pairs = FD(TABLE_PAIRS),
	.audits = FD(TABLE_AUDITS),
	.mark_shares = FD(TABLE_MARK_SHARES),
	.audit_shares = FD(TABLE_AUDIT_SHARES),
	.clock = FD(TABLE_CLOCK),
	.drops = FD(TABLE_DROPS),
	.counters = FD(TABLE_COUNTERS),
	.events = FD_RING,
	.control = FD_CONTROL,
	.peer_sets = FD(TABLE_PEER_SETS),
	.peer_facts = FD(TABLE_PEER_FACTS),
	.timeout = -1,
	.wishes = -1,
	.wish_search = -1,
	.find_wish = -1,
	.news_tokens = FD(TABLE_NEWS_TOKENS),
	.news_sockets = FD(TABLE_NEWS_SOCKETS),
};

static enum table_id table_of(int fd)
{
	if (fd < FD_FIRST || fd >= FD(TABLES))
		sim_fail("latchd uses descriptor %d as a table", fd);
	return (enum table_id)(fd - FD_FIRST);
}

int __wrap_bpf_map_lookup_elem(int fd, const void *key, void *value);
int __wrap_bpf_map_update_elem(int fd, const void *key, const void *value, __u64 flags);
int __wrap_bpf_map_delete_elem(int fd, const void *key);
int __wrap_bpf_map_get_next_key(int fd, const void *key, void *next);
int __wrap_bpf_map_lookup_batch(int fd, void *in, void *out, void *keys, void *values, __u32 *count,
				const struct bpf_map_batch_opts *options);
int __wrap_bpf_map_get_info_by_fd(int fd, struct bpf_map_info *info, __u32 *length);
int __wrap_bpf_prog_test_run_opts(int fd, struct bpf_test_run_opts *options);
int __wrap_libbpf_num_possible_cpus(void);

int __wrap_bpf_map_lookup_elem(int fd, const void *key, void *value)
{
	enum table_id id = table_of(fd);
	void *found;

	sim_point("lookup");
	if (sim_call_fails("lookup"))
		return -ENOMEM;
	found = table_find(id, key);
	if (!found)
		return -ENOENT;
	memcpy(value, found, tables[id].value_size);
	return 0;
}

int __wrap_bpf_map_update_elem(int fd, const void *key, const void *value, __u64 flags)
{
	enum table_id id = table_of(fd);

	sim_point("update");
	if (sim_call_fails("update"))
		return -ENOMEM;
	sim_trace("latchd writes %s", tables[id].name);
	return table_set(id, key, value, flags);
}

int __wrap_bpf_map_delete_elem(int fd, const void *key)
{
	enum table_id id = table_of(fd);

	sim_point("delete");
	if (sim_call_fails("delete"))
		return -ENOMEM;
	sim_trace("latchd deletes from %s", tables[id].name);
	return table_delete(id, key);
}

/* A key that is gone sends the walk back to the start, as in the kernel. */
int __wrap_bpf_map_get_next_key(int fd, const void *key, void *next)
{
	enum table_id id = table_of(fd);
	unsigned char *found = key ? table_find(id, key) : NULL;
	uint32_t at = 0;

	sim_point("next key");
	if (sim_call_fails("next key"))
		return -ENOMEM;
	if (found)
		at = (uint32_t)((found - tables[id].values) / tables[id].value_size) + 1;
	if (!table_next(id, &at))
		return -ENOENT;
	memcpy(next, table_key(id, at), tables[id].key_size);
	return 0;
}

/*
 * The kernel returns as many whole buckets as fit. The position is a bucket, and a bucket is one
 * place here. A batch is short now and then, so that the table can change between two batches.
 */
int __wrap_bpf_map_lookup_batch(int fd, void *in, void *out, void *keys, void *values, __u32 *count,
				const struct bpf_map_batch_opts *options)
{
	enum table_id id = table_of(fd);
	uint32_t at = 0, room = *count, limit;

	(void)options;
	sim_point("batch");
	*count = 0;
	if (sim_call_fails("batch"))
		return -ENOMEM;
	if (in)
		memcpy(&at, in, sizeof(at));
	limit = !sim.quiet && sim_chance(4) ? 1 + sim_draw(3) : room;
	for (; *count < limit && table_next(id, &at); at++, ++*count) {
		memcpy((char *)keys + *count * tables[id].key_size, table_key(id, at),
		       tables[id].key_size);
		memcpy((char *)values + *count * tables[id].value_size, table_value(id, at),
		       tables[id].value_size);
	}
	memcpy(out, &at, sizeof(at));
	return table_next(id, &at) ? 0 : -ENOENT;
}

int __wrap_bpf_map_get_info_by_fd(int fd, struct bpf_map_info *info, __u32 *length)
{
	const struct table *table = &tables[table_of(fd)];

	(void)length;
	*info = (struct bpf_map_info){
		.type = table->is_array ? BPF_MAP_TYPE_ARRAY : BPF_MAP_TYPE_HASH,
		.key_size = table->key_size,
		.value_size = table->value_size,
		.max_entries = table->max,
	};
	return 0;
}

int __wrap_libbpf_num_possible_cpus(void)
{
	return 1;
}

/* The kernel copies the context in and out. */
int __wrap_bpf_prog_test_run_opts(int fd, struct bpf_test_run_opts *options)
{
	struct latch_control control;

	if (fd != FD_CONTROL || options->ctx_size_in != sizeof(control))
		sim_fail("latchd runs another program than latch_control");
	sim_point("control");
	if (sim_call_fails("control"))
		return -ENOMEM;
	memcpy(&control, options->ctx_in, sizeof(control));
	traffic_control(&control);
	memcpy((void *)(uintptr_t)options->ctx_in, &control, sizeof(control));
	world_trace_control(&control);
	world_check();
	sim_point("control done");
	return 0;
}

/* ---- the ring */

struct ring_buffer {
	ring_buffer_sample_fn sample;
	void *context;
	int fd;
};

static struct ring_buffer *reader;

struct ring_buffer *__wrap_ring_buffer__new(int fd, ring_buffer_sample_fn sample, void *context,
					    const struct ring_buffer_opts *options);
void __wrap_ring_buffer__free(struct ring_buffer *ring);
int __wrap_ring_buffer__epoll_fd(const struct ring_buffer *ring);
int __wrap_ring_buffer__consume(struct ring_buffer *ring);

void helpers_wake(void)
{
	if (reader)
		eventfd_write(reader->fd, 1);
}

struct ring_buffer *__wrap_ring_buffer__new(int fd, ring_buffer_sample_fn sample, void *context,
					    const struct ring_buffer_opts *options)
{
	struct ring_buffer *ring = malloc(sizeof(*ring));

	(void)options;
	if (fd != FD_RING || !ring || sim_call_fails("ring")) {
		errno = ENOMEM;
		free(ring);
		return NULL;
	}
	*ring = (struct ring_buffer){sample, context, eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
	reader = ring;
	if (ring_first())
		helpers_wake();
	return ring;
}

void __wrap_ring_buffer__free(struct ring_buffer *ring)
{
	if (!ring)
		return;
	reader = NULL;
	close(ring->fd);
	free(ring);
}

int __wrap_ring_buffer__epoll_fd(const struct ring_buffer *ring)
{
	return ring->fd;
}

/* As libbpf: an event counts as read when the function has returned, whatever it returned. */
int __wrap_ring_buffer__consume(struct ring_buffer *ring)
{
	struct latch_event event;
	const void *first;
	eventfd_t value;
	int result = 0;

	eventfd_read(ring->fd, &value);
	while (result >= 0 && (first = ring_first())) {
		memcpy(&event, first, sizeof(event));
		sim_trace("latchd takes event %d", event.type);
		if (event.type == LATCH_EVENT_POLICY_CHANGED && event.flow.netns != SIM_NETNS)
			sim_fail("an edit of the SPD is reported for namespace %llu",
				 (unsigned long long)event.flow.netns);
		result = ring->sample(ring->context, &event, sizeof(event));
		ring_pop();
	}
	if (ring_first())
		helpers_wake();
	return result;
}

void calls_release(void)
{
	reader = NULL;
}
