/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A latch that is released while another processor releases it, and starts another latch in the
 * same memory. The test compiles the text of bpf/db/latch_db.h and latch_release.bpf.c on a map of
 * one place.
 *
 *	processor 1: lookup . id . lookup . check of the owner . release
 *	                    ^    at each point
 *	processor 2:        +--- deletes the latch; a new one is in its memory
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdbool.h>
#include <string.h>

#include "latch_abi.h"

/* ---- in place of bpf/db/maps.h ---- */

#define LATCH_BPF_DB_MAPS_H
#define LATCH_BPF_DB_EPOCHS_H
#define OWN_FRAME __attribute__((unused))
#define __noinline

struct bpf_map {
	__u32 max_entries;
};

static struct bpf_map latches = {.max_entries = 16};
static struct latch_clock only_clock;
static struct latch_flow flow_there;
static struct latch place;
static bool is_taken;
static unsigned int lookups, lookups_before_other, closed_events;
static __u64 closed_id;

static void run_other_cpu(void);

static struct latch *bpf_map_lookup_elem(struct bpf_map *map, const struct latch_flow *flow)
{
	struct latch *found = is_taken && !memcmp(flow, &flow_there, sizeof(*flow)) ? &place : NULL;

	(void)map;
	if (++lookups == lookups_before_other)
		run_other_cpu();
	return found;
}

static long bpf_map_update_elem(struct bpf_map *map, const struct latch_flow *flow,
				const struct latch *latch, __u64 flags)
{
	(void)map, (void)flags;
	if (is_taken)
		return -EEXIST;
	flow_there = *flow;
	place = *latch;
	is_taken = true;
	return 0;
}

static long bpf_map_delete_elem(struct bpf_map *map, const struct latch_flow *flow)
{
	(void)map;
	if (!is_taken || memcmp(flow, &flow_there, sizeof(*flow)))
		return -ENOENT;
	is_taken = false;
	return 0;
}

static int flow_changed(const struct latch_flow *flow)
{
	(void)flow;
	return 0;
}

static struct latch_clock *clock_get(void)
{
	return &only_clock;
}

static __u64 bpf_ktime_get_boot_ns(void)
{
	return 1;
}

static void count(enum latch_counter which)
{
	(void)which;
}

static struct latch_event *event_begin(enum latch_event_type type)
{
	static struct latch_event event;

	event = (struct latch_event){.type = type};
	return &event;
}

static void bpf_ringbuf_submit(struct latch_event *event, __u64 flags)
{
	(void)flags;
	if (event->type != LATCH_EVENT_LATCH_CLOSED)
		return;
	closed_events++;
	closed_id = event->latch_id;
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"
#pragma GCC diagnostic ignored "-Wunused-function"
#include "no_marks.h"
#include "db/latch_db.h"
#include "db/latch_release.bpf.c"
#pragma GCC diagnostic pop

/* ---- two processors ---- */

#define OUR_COOKIE   5
#define THEIR_COOKIE 6

static const struct latch_flow here = {.netns = 1, .local_port = 80, .family = 2, .protocol = 6};
static const struct latch_flow elsewhere = {
	.netns = 1, .local_port = 81, .family = 2, .protocol = 6};
static const struct latch_flow *flow_of_other = &here;
static __u64 cookie_of_other;

static void add(const struct latch_flow *flow, __u64 cookie)
{
	const struct rule_decision no_rule = {.index = LATCH_RULE_NONE};

	cr_assert_eq(latch_create(flow, 7, &no_rule, LATCH_DIRECTION_OUT, cookie, 0, 0), 0);
}

static void release_at(const struct latch_flow *flow)
{
	cr_assert_eq(latch_release(flow, &place, place.id), LATCH_CONTROL_DONE);
	cr_assert_not(is_taken);
}

static void run_other_cpu(void)
{
	release_at(&here);
	add(flow_of_other, cookie_of_other);
}

static void start(void)
{
	memset(&only_clock, 0, sizeof(only_clock));
	is_taken = false;
	lookups = lookups_before_other = closed_events = 0;
	add(&here, OUR_COOKIE);
}

TestSuite(latch_release, .init = start);

Test(latch_release, the_latch_with_the_id_is_closed_and_deleted)
{
	__u64 id = place.id;

	cr_expect_eq(latch_release(&here, &place, id), LATCH_CONTROL_DONE);
	cr_expect_not(is_taken);
	cr_expect_eq(closed_events, 1);
	cr_expect_eq(closed_id, id);
}

Test(latch_release, a_second_release_of_a_latch_finds_none)
{
	__u64 id = place.id;

	release_at(&here);
	cr_expect_eq(latch_release(&here, &place, id), LATCH_CONTROL_NOT_FOUND);
	cr_expect_eq(closed_events, 1);
}

static void expect_other_whole(void)
{
	cr_expect(is_taken);
	cr_expect_eq(place.socket_cookie, cookie_of_other);
	cr_expect_eq(place.word.state, LATCH_STATE_ESTABLISHED);
	cr_expect_eq(closed_events, 1, "that of the former latch alone");
}

Test(latch_release, a_latch_that_is_in_the_memory_since_the_check_stays)
{
	__u64 id = 0;
	struct latch *latch = latch_read(&here, &id);

	cookie_of_other = THEIR_COOKIE;
	cr_assert_eq(latch->socket_cookie, OUR_COOKIE);
	run_other_cpu();
	cr_expect_eq(latch_release(&here, latch, id), LATCH_CONTROL_NOT_FOUND);
	expect_other_whole();
}

/* As the callers do it: the id, then the check. */
static void release_as_owner(void)
{
	__u64 id = 0;
	struct latch *latch = latch_read(&here, &id);

	if (latch && latch->socket_cookie == OUR_COOKIE)
		latch_release(&here, latch, id);
}

Test(latch_release, a_latch_of_another_flow_is_released_at_no_interleaving)
{
	unsigned int at;

	for (at = 1; at <= 2; at++) {
		start();
		flow_of_other = &elsewhere;
		cookie_of_other = at == 1 ? THEIR_COOKIE : OUR_COOKIE;
		lookups_before_other = at;
		release_as_owner();
		expect_other_whole();
	}
}
