/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Concurrent listen() and close() of the sockets of one LISTENER, step by step. The test compiles
 * the text of bpf/db/listener.h on maps of its own. At each helper call of one socket in turn,
 * another processor acts. On the kernel's maps (test_gate_listener) such an interleaving needs two
 * idle processors and luck.
 *
 *	socket A: lookup . update . lookup ...      (listener_join or listener_leave)
 *	                 ^ at each point
 *	socket B:        +--- its whole sequence, such as "+-"
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdbool.h>
#include <string.h>

#include "latch_abi.h"

#define PLACES 4

/* ---- the other processor's steps, and the point at which they run ---- */

static struct {
	unsigned int points; /* that the first processor has passed */
	unsigned int at;
	const char *left; /* steps that have not run yet */
	bool done;
} other_cpu;

static void run_other_cpu(void);

static void preemption_point(void)
{
	if (!other_cpu.done && ++other_cpu.points == other_cpu.at) {
		other_cpu.done = true;
		run_other_cpu();
	}
}

/* ---- in place of bpf/db/maps.h ---- */

#define LATCH_BPF_DB_MAPS_H
#define LATCH_BPF_DB_EPOCHS_H
#define OWN_FRAME __attribute__((unused))

struct bpf_map {
	__u32 max_entries;
};

/* As in a hash map of the kernel: the next insertion uses the place of a deleted element again. */
struct place {
	bool taken;
	struct latch_flow flow;
	struct latch latch;
};

static struct bpf_map latches = {.max_entries = 4 * PLACES};
static struct place places[PLACES];
static struct latch_clock only_clock;

static struct place *place_of(const struct latch_flow *flow)
{
	struct place *place;

	for (place = places; place < places + PLACES; place++)
		if (place->taken && !memcmp(&place->flow, flow, sizeof(*flow)))
			return place;
	return NULL;
}

static struct latch *bpf_map_lookup_elem(struct bpf_map *map, const struct latch_flow *flow)
{
	struct place *place;

	(void)map;
	preemption_point();
	place = place_of(flow);
	preemption_point();
	return place ? &place->latch : NULL;
}

static long bpf_map_update_elem(struct bpf_map *map, const struct latch_flow *flow,
				const struct latch *latch, __u64 flags)
{
	struct place *place = places;

	(void)map;
	preemption_point();
	cr_assert_eq(flags, BPF_NOEXIST);
	if (place_of(flow))
		return -EEXIST;
	while (place->taken)
		cr_assert_lt(++place, places + PLACES);
	*place = (struct place){true, *flow, *latch};
	return 0;
}

static long bpf_map_delete_elem(struct bpf_map *map, const struct latch_flow *flow)
{
	struct place *place;

	(void)map;
	preemption_point();
	place = place_of(flow);
	if (!place)
		return -ENOENT;
	place->taken = false;
	return 0;
}

static struct latch_clock *clock_get(void)
{
	preemption_point();
	return &only_clock;
}

static __u64 bpf_ktime_get_boot_ns(void)
{
	preemption_point();
	return 1;
}

struct listener_step;

static long bpf_loop(__u32 tries, long (*try_once)(__u32, struct listener_step *),
		     struct listener_step *step, __u64 flags)
{
	__u32 i;

	(void)flags;
	for (i = 0; i < tries && !try_once(i, step); i++)
		;
	return i;
}

/* No socket remembers a pass of a LISTENER's flow. */
static int flow_changed(const struct latch_flow *flow)
{
	(void)flow;
	return 0;
}

/* The operations on a LISTENER that run here count nothing and send no event. */
static void count(enum latch_counter which)
{
	cr_assert_fail("counter %d", which);
}

static struct latch_event *event_begin(enum latch_event_type type)
{
	cr_assert_fail("event %d", type);
	return NULL;
}

static void bpf_ringbuf_submit(struct latch_event *event, __u64 flags)
{
	(void)event;
	(void)flags;
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"
#include "no_marks.h"
#include "db/listener.h"
#pragma GCC diagnostic pop

/* ---- sockets ---- */

static const struct latch_flow here = {.netns = 1, .local_port = 80, .family = 2, .protocol = 6};
static const struct latch_flow elsewhere = {
	.netns = 1, .local_port = 81, .family = 2, .protocol = 6};

/* '+': a socket listens here; '-': one ends; '!': one listens elsewhere. Non-zero: try again. */
static int take_step(char step)
{
	if (step != '-')
		return listener_join(step == '+' ? &here : &elsewhere, 5);
	listener_leave(&here);
	return 0;
}

/* listener_join() waits while a LISTENER is being released: its step may run only after that. */
static void run_other_cpu(void)
{
	while (*other_cpu.left && !take_step(*other_cpu.left))
		other_cpu.left++;
}

static unsigned int count_steps(const char *steps, char which)
{
	unsigned int found = 0;

	for (; *steps; steps++)
		found += *steps == which;
	return found;
}

static void start(unsigned int sockets)
{
	memset(places, 0, sizeof(places));
	memset(&only_clock, 0, sizeof(only_clock));
	other_cpu.done = true;
	while (sockets--)
		cr_assert_eq(listener_join(&here, 5), 0);
}

static unsigned int sockets_at(const struct latch_flow *flow)
{
	const struct place *place = place_of(flow);

	if (!place)
		return 0;
	cr_expect_eq(place->latch.word.state, LATCH_STATE_LISTENER);
	return place->latch.word.params;
}

/* False if the first step has fewer preemption points: the other processor did not run. */
static bool try_at(unsigned int at, unsigned int sockets, char first, const char *other)
{
	unsigned int expected = sockets + (first == '+') - (first == '-') +
				count_steps(other, '+') - count_steps(other, '-');
	unsigned int expected_elsewhere = count_steps(other, '!');

	start(sockets);
	other_cpu.points = 0;
	other_cpu.at = at;
	other_cpu.left = other;
	other_cpu.done = false;
	cr_assert_eq(take_step(first), 0);
	if (!other_cpu.done)
		return false;
	run_other_cpu();
	cr_assert_eq(*other_cpu.left, '\0', "steps '%s' of '%s' did not run", other_cpu.left,
		     other);
	cr_assert_eq(sockets_at(&here), expected,
		     "%u sockets, '%c', '%s' at point %u: %u are counted, not %u", sockets, first,
		     other, at, sockets_at(&here), expected);
	cr_assert_eq(sockets_at(&elsewhere), expected_elsewhere,
		     "%u sockets, '%c', '%s' at point %u", sockets, first, other, at);
	cr_assert_eq(only_clock.listeners, (expected > 0) + expected_elsewhere);
	return true;
}

static void try_at_each_point(unsigned int sockets, char first, const char *other)
{
	unsigned int at = 1;

	if (count_steps(other, '-') + (first == '-') > sockets)
		return;
	while (try_at(at, sockets, first, other))
		at++;
	cr_expect_gt(at, 3, "there are too few preemption points");
}

static void try_all(char first)
{
	static const char *const others[] = {"+", "-", "++", "+-", "-+", "--", "-!", "--+", "--!"};
	unsigned int sockets;
	size_t i;

	for (sockets = 0; sockets <= 4; sockets++)
		for (i = 0; i < sizeof(others) / sizeof(others[0]); i++)
			try_at_each_point(sockets, first, others[i]);
}

Test(listener_steps, L_2_3_4_sequential_joins_and_leaves_are_counted)
{
	start(3);
	cr_expect_eq(sockets_at(&here), 3);
	cr_expect_eq(take_step('-') + take_step('-') + take_step('+'), 0);
	cr_expect_eq(sockets_at(&here), 2);
	cr_expect_eq(take_step('-') + take_step('-'), 0);
	cr_expect_null(place_of(&here));
	cr_expect_eq(only_clock.listeners, 0);
}

Test(listener_steps, L_2_3_4_a_joining_socket_is_counted_at_any_interleaving)
{
	try_all('+');
}

Test(listener_steps, L_2_3_4_a_leaving_socket_is_uncounted_at_any_interleaving)
{
	try_all('-');
}
