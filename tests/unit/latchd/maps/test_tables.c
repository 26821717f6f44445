/* SPDX-License-Identifier: BSD-2-Clause */
/* Maps of the test, filled with latches of one port each, and walks over them. */
#include <criterion/criterion.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <net/if.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fake/kernel_maps.h"
#include "latchd/maps/map_walk.h"
#include "latchd/maps/tables.h"

static struct kernel_maps maps;

static void make_maps(void)
{
	int err = fake_kernel_maps_make(&maps);

	if (err == -EPERM)
		cr_skip_test("BPF maps need root");
	cr_assert_eq(err, 0, "%s", strerror(-err));
}

static void close_maps(void)
{
	fake_kernel_maps_close(&maps);
}

TestSuite(tables, .init = make_maps, .fini = close_maps, .timeout = 60);

static struct latch_flow flow_of(uint16_t port)
{
	return (struct latch_flow){.netns = 7, .local_port = port, .family = 2, .protocol = 6};
}

static void put_latch(uint16_t port)
{
	struct latch_flow flow = flow_of(port);
	struct latch latch = {.id = port};

	cr_assert_eq(bpf_map_update_elem(maps.latches, &flow, &latch, BPF_ANY), 0);
}

/* The number of visits to each port's latch. */
static unsigned int seen[FAKE_LATCHES_MAX + 1];

static int note(void *context, const struct latch_flow *flow, const struct latch *latch)
{
	unsigned int *budget = context;

	if (!budget)
		cr_assert_eq(latch->id, flow->local_port);
	seen[flow->local_port]++;
	return budget && !--*budget ? 42 : 0;
}

static int note_raw(void *context, const void *key, const void *value)
{
	return note(context, key, value);
}

static void expect_all_seen(unsigned int count)
{
	unsigned int port;

	for (port = 1; port <= count; port++)
		cr_expect_eq(seen[port], 1, "port %u was visited %u times", port, seen[port]);
}

Test(tables, a_walk_over_an_empty_table_visits_nothing)
{
	cr_expect_eq(latches_walk(&maps, note, NULL), 0);
	cr_expect_eq(map_walk_keys(maps.latches, sizeof(struct latch_flow), sizeof(struct latch),
				   note_raw, NULL),
		     0);
}

Test(tables, a_walk_visits_each_entry_of_a_full_table_once)
{
	uint16_t port;

	for (port = 1; port <= FAKE_LATCHES_MAX; port++)
		put_latch(port);
	cr_expect_eq(latches_walk(&maps, note, NULL), 0);
	expect_all_seen(FAKE_LATCHES_MAX);
}

Test(tables, a_walk_by_keys_visits_each_entry_of_a_full_table_once)
{
	uint16_t port;

	for (port = 1; port <= FAKE_LATCHES_MAX; port++)
		put_latch(port);
	cr_expect_eq(map_walk_keys(maps.latches, sizeof(struct latch_flow), sizeof(struct latch),
				   note_raw, NULL),
		     0);
	expect_all_seen(FAKE_LATCHES_MAX);
}

Test(tables, a_non_zero_result_of_the_visitor_ends_the_walk)
{
	unsigned int budget = 3;
	uint16_t port;

	for (port = 1; port <= 10; port++)
		put_latch(port);
	cr_expect_eq(latches_walk(&maps, note, &budget), 42);
	budget = 3;
	cr_expect_eq(map_walk_keys(maps.latches, sizeof(struct latch_flow), sizeof(struct latch),
				   note_raw, &budget),
		     42);
}

static int count_one(void *context, const void *key, const void *value)
{
	(void)key;
	(void)value;
	++*(unsigned int *)context;
	return 0;
}

/* 5000 entries are more than a batch. At about two entries a bucket, many buckets hold several. */
Test(tables, a_walk_over_many_batches_visits_each_entry)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_NO_PREALLOC);
	int fd = bpf_map_create(BPF_MAP_TYPE_HASH, "many", 4, 8, 5000, &options);
	unsigned int count = 0;
	uint64_t value = 1;
	uint32_t key;

	cr_assert_geq(fd, 0);
	for (key = 0; key < 5000; key++)
		cr_assert_eq(bpf_map_update_elem(fd, &key, &value, BPF_ANY), 0);
	cr_expect_eq(map_walk(fd, 4, 8, count_one, &count), 0);
	cr_expect_eq(count, 5000);
	close(fd);
}

/* A devmap hash has no batch operations in the kernel. */
Test(tables, a_map_without_batches_is_walked_by_keys)
{
	int fd = bpf_map_create(BPF_MAP_TYPE_DEVMAP_HASH, "devices", 4, 4, 16, NULL);
	uint32_t key, loopback = if_nametoindex("lo"), values[16], keys[16], next, batch = 16;
	unsigned int count = 0;

	cr_assert_geq(fd, 0);
	for (key = 0; key < 10; key++)
		cr_assert_eq(bpf_map_update_elem(fd, &key, &loopback, BPF_ANY), 0);
	if (bpf_map_lookup_batch(fd, NULL, &next, keys, values, &batch, NULL) == -ENOENT)
		cr_skip_test("this kernel has batches for a devmap hash");
	cr_expect_eq(map_walk(fd, 4, 4, count_one, &count), 0);
	cr_expect_eq(count, 10);
	close(fd);
}

static int delete_it(void *context, const struct latch_flow *flow, const struct latch *latch)
{
	(void)latch;
	++*(unsigned int *)context;
	return bpf_map_delete_elem(maps.latches, flow);
}

static int delete_raw(void *context, const void *key, const void *value)
{
	return delete_it(context, key, value);
}

Test(tables, the_visitor_may_delete_entries)
{
	unsigned int count = 0;
	uint16_t port;

	for (port = 1; port <= 100; port++)
		put_latch(port);
	cr_expect_eq(latches_walk(&maps, delete_it, &count), 0);
	cr_expect_eq(count, 100);
	for (port = 1; port <= 100; port++)
		put_latch(port);
	cr_expect_eq(map_walk_keys(maps.latches, sizeof(struct latch_flow), sizeof(struct latch),
				   delete_raw, &count),
		     0);
	cr_expect_eq(count, 200);
}

/* Each visit deletes its key and adds it again, so that the walk by keys may not advance. */
static int churn(void *context, const void *key, const void *value)
{
	++*(unsigned int *)context;
	cr_assert_eq(bpf_map_delete_elem(maps.latches, key), 0);
	return bpf_map_update_elem(maps.latches, key, value, BPF_ANY);
}

Test(tables, a_walk_by_keys_ends_although_every_key_is_replaced)
{
	unsigned int count = 0;
	int result;
	uint16_t port;

	for (port = 1; port <= FAKE_LATCHES_MAX; port++)
		put_latch(port);
	result = map_walk_keys(maps.latches, sizeof(struct latch_flow), sizeof(struct latch), churn,
			       &count);
	cr_expect(result == 0 || result == -EAGAIN, "%d", result);
	cr_expect_leq(count, (FAKE_LATCHES_MAX + 1) * 8);
}

/* The kernel lists the keys of such an array and refuses to look one up (ENOTSUPP, 524). */
Test(tables, a_walk_by_keys_fails_when_a_look_up_fails)
{
	int map = bpf_map_create(BPF_MAP_TYPE_PERF_EVENT_ARRAY, "no_look_up", sizeof(__u32),
				 sizeof(__u32), 4, NULL);
	unsigned int count = 0;

	cr_assert_geq(map, 0, "%s", strerror(-map));
	cr_expect_eq(map_walk_keys(map, sizeof(__u32), sizeof(__u32), churn, &count), -524);
	cr_expect_eq(count, 0);
	close(map);
}

static atomic_bool churning = true;

static void *churn_others(void *context)
{
	uint16_t port = 101;

	(void)context;
	while (churning) {
		struct latch_flow flow = flow_of(port);
		struct latch latch = {.id = port};

		bpf_map_update_elem(maps.latches, &flow, &latch, BPF_ANY);
		bpf_map_delete_elem(maps.latches, &flow);
		port = port == FAKE_LATCHES_MAX ? 101 : port + 1;
	}
	return NULL;
}

Test(tables, entries_that_stay_are_visited_while_others_come_and_go)
{
	pthread_t thread;
	uint16_t port;
	int round;

	for (port = 1; port <= 100; port++)
		put_latch(port);
	cr_assert_eq(pthread_create(&thread, NULL, churn_others, NULL), 0);
	for (round = 0; round < 200; round++) {
		memset(seen, 0, sizeof(seen));
		cr_assert_eq(latches_walk(&maps, note, NULL), 0);
		for (port = 1; port <= 100; port++)
			cr_assert_geq(seen[port], 1, "round %d, port %d", round, port);
	}
	churning = false;
	pthread_join(thread, NULL);
}

static int count_sa(void *context, const struct latch_sa_key *key, const struct latch_sa *sa)
{
	cr_expect_eq(key->spi, sa->reqid);
	return count_one(context, key, sa);
}

Test(tables, an_sa_is_read_by_its_key_and_by_a_walk)
{
	struct latch_sa_key key = {.spi = 0x1001, .protocol = 50};
	struct latch_sa sa = {.reqid = 0x1001}, got;
	unsigned int count = 0;

	cr_expect_eq(sa_get(&maps, &key, &got), -ENOENT);
	cr_assert_eq(bpf_map_update_elem(maps.sas, &key, &sa, BPF_ANY), 0);
	cr_assert_eq(sa_get(&maps, &key, &got), 0);
	cr_expect_eq(memcmp(&got, &sa, sizeof(sa)), 0);
	cr_expect_eq(sas_walk(&maps, count_sa, &count), 0);
	cr_expect_eq(count, 1);
}

Test(tables, a_latch_is_read_by_its_flow)
{
	struct latch_flow flow = flow_of(9);
	struct latch got = {0};

	cr_expect_eq(latch_get(&maps, &flow, &got), -ENOENT);
	put_latch(9);
	cr_assert_eq(latch_get(&maps, &flow, &got), 0);
	cr_expect_eq(got.id, 9);
}

Test(tables, counts_are_sums_over_all_cpus)
{
	int cpus = libbpf_num_possible_cpus(), cpu;
	struct latch_drop_count *drops = calloc((size_t)cpus, sizeof(*drops));
	uint64_t *counts = calloc((size_t)cpus, sizeof(*counts)), all[LATCH_COUNTER_COUNT];
	struct latch_drop_count dropped[LATCH_DROP_COUNT];
	uint32_t reason = LATCH_DROP_CONFLICT, which = LATCH_COUNTER_SLOW_PATH;

	for (cpu = 0; cpu < cpus; cpu++) {
		drops[cpu] = (struct latch_drop_count){.egress = 1, .ingress = 10};
		counts[cpu] = 100;
	}
	cr_assert_eq(bpf_map_update_elem(maps.drops, &reason, drops, BPF_ANY), 0);
	cr_assert_eq(bpf_map_update_elem(maps.counters, &which, counts, BPF_ANY), 0);
	cr_assert_eq(drops_read(&maps, dropped), 0);
	cr_assert_eq(counters_read(&maps, all), 0);
	cr_expect_eq(dropped[reason].egress, (uint64_t)cpus);
	cr_expect_eq(dropped[reason].ingress, (uint64_t)cpus * 10);
	cr_expect_eq(dropped[LATCH_DROP_PLAINTEXT].egress, 0);
	cr_expect_eq(all[which], (uint64_t)cpus * 100);
	cr_expect_eq(all[LATCH_COUNTER_EVENTS_LOST], 0);
	free(drops);
	free(counts);
}

Test(tables, the_capacity_is_max_entries_or_0_for_a_closed_map)
{
	cr_expect_eq(latches_capacity(&maps), FAKE_LATCHES_MAX);
	fake_kernel_maps_close(&maps);
	cr_expect_eq(latches_capacity(&maps), 0);
}

Test(tables, closed_maps_give_an_error)
{
	struct latch_drop_count dropped[LATCH_DROP_COUNT];
	struct latch_flow flow = flow_of(9);
	struct latch got;

	fake_kernel_maps_close(&maps);
	cr_expect_eq(latches_walk(&maps, note, NULL), -EBADF);
	cr_expect_eq(latch_get(&maps, &flow, &got), -EBADF);
	cr_expect_eq(drops_read(&maps, dropped), -EBADF);
}
