/* SPDX-License-Identifier: BSD-2-Clause */
/* Lost kernel events, counted in a real map. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <criterion/criterion.h>
#include <errno.h>

#include "fake/kernel_maps.h"
#include "latchd/news/lost_events.h"

static struct kernel_maps maps;
static struct lost_events lost;
static unsigned int published;
static uint64_t last_count;

static void on_news(void *context, const struct news *news)
{
	(void)context;
	cr_expect_eq(news->kind, NEWS_EVENTS_LOST);
	published++;
	last_count = news->count;
}

static struct news_subscriber subscriber = {.fn = on_news};
static const struct news_bus bus = {.first = &subscriber};

static void set_up(void)
{
	int err = fake_kernel_maps_make(&maps);

	if (err == -EPERM)
		cr_skip_test("no privilege to make BPF maps");
	cr_assert_eq(err, 0);
	lost_events_start(&lost, &maps);
}

static void tear_down(void)
{
	fake_kernel_maps_close(&maps);
}

TestSuite(lost_events, .init = set_up, .fini = tear_down, .timeout = 60);

static void lose_events(uint64_t sum)
{
	__u32 key = LATCH_COUNTER_EVENTS_LOST;
	int cpus = libbpf_num_possible_cpus();
	__u64 values[1024] = {0};

	cr_assert(cpus > 0 && cpus <= 1024);
	values[cpus - 1] = sum;
	cr_assert_eq(bpf_map_update_elem(maps.counters, &key, values, BPF_ANY), 0);
}

/* True: published, and so many are new. */
static bool check(uint64_t count)
{
	unsigned int before = published;

	lost_events_check(&lost, &bus);
	return published == before + 1 && last_count == count;
}

Test(lost_events, lost_events_are_published_once)
{
	lost_events_check(&lost, &bus);
	cr_expect_eq(published, 0);
	lose_events(5);
	cr_expect(check(5));
	lost_events_check(&lost, &bus);
	cr_expect_eq(published, 1);
	lose_events(7);
	cr_expect(check(2));
}

Test(lost_events, events_lost_by_an_earlier_latchd_are_not_published)
{
	lose_events(5);
	lost_events_start(&lost, &maps);
	lost_events_check(&lost, &bus);
	cr_expect_eq(published, 0);
	lose_events(6);
	cr_expect(check(1));
}

Test(lost_events, an_unreadable_counter_publishes_no_lost_event)
{
	struct kernel_maps none = maps;

	none.counters = -1;
	lost.maps = &none;
	lost.known = 3;
	lost_events_check(&lost, &bus);
	cr_expect_eq(published, 0);
	cr_expect_eq(lost.known, 3);
}
