/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sockets of one LISTENER that come and go at once, step by step: the very text of
 * bpf/db/listener.h, on maps of this test's own. At each of its calls in turn another
 * comes in between. On the kernel's maps (test_gate_listener) that takes two
 * processors with nothing else to do, and luck.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdbool.h>
#include <string.h>

#include "latch_abi.h"

#define PLACES 4

/* ---- who comes in between, and when ---- */

static struct {
	unsigned int moments; /* of the first one, so far */
	unsigned int at;
	const char *left; /* the other's steps that are still to be taken */
	bool done;
} between;

static void let_the_other_go_on(void);

static void moment(void)
{
	if (!between.done && ++between.moments == between.at) {
		between.done = true;
		let_the_other_go_on();
	}
}

/* ---- in place of bpf/db/maps.h ---- */

#define LATCH_BPF_DB_MAPS_H
#define OWN_FRAME __attribute__((unused))

struct bpf_map {
	__u32 max_entries;
};

/* As the kernel's: what is deleted is used again, by whoever comes next. */
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
	moment();
	place = place_of(flow);
	moment();
	return place ? &place->latch : NULL;
}

static long bpf_map_update_elem(struct bpf_map *map, const struct latch_flow *flow,
				const struct latch *latch, __u64 flags)
{
	struct place *place = places;

	(void)map;
	moment();
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
	moment();
	place = place_of(flow);
	if (!place)
		return -ENOENT;
	place->taken = false;
	return 0;
}

static struct latch_clock *clock_get(void)
{
	moment();
	return &only_clock;
}

static __u64 bpf_ktime_get_boot_ns(void)
{
	moment();
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

/* Nothing of a LISTENER is counted here or told. */
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
#include "db/listener.h"
#pragma GCC diagnostic pop

/* ---- sockets ---- */

static const struct latch_flow here = {.netns = 1, .local_port = 80, .family = 2, .protocol = 6};
static const struct latch_flow elsewhere = {
	.netns = 1, .local_port = 81, .family = 2, .protocol = 6};

/* '+' begins to listen here, '-' ends, '!' begins to listen elsewhere. Non-zero: it has to wait. */
static int take_step(char step)
{
	if (step != '-')
		return listener_join(step == '+' ? &here : &elsewhere, 5);
	listener_leave(&here);
	return 0;
}

/* Who joins waits for one that is being released, and so cannot go on before that one. */
static void let_the_other_go_on(void)
{
	while (*between.left && !take_step(*between.left))
		between.left++;
}

static unsigned int steps_in(const char *steps, char which)
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
	between.done = true;
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

/* Whether the other came in between at all: the first one has only so many moments. */
static bool try_at(unsigned int at, unsigned int sockets, char first, const char *other)
{
	unsigned int at_last = sockets + (first == '+') - (first == '-') + steps_in(other, '+') -
			       steps_in(other, '-');
	unsigned int beside = steps_in(other, '!');

	start(sockets);
	between.moments = 0;
	between.at = at;
	between.left = other;
	between.done = false;
	cr_assert_eq(take_step(first), 0);
	if (!between.done)
		return false;
	let_the_other_go_on();
	cr_assert_eq(*between.left, '\0', "of '%s' there is left '%s'", other, between.left);
	cr_assert_eq(sockets_at(&here), at_last,
		     "%u sockets, '%c' and at its call %u '%s': %u are counted, not %u", sockets,
		     first, at, other, sockets_at(&here), at_last);
	cr_assert_eq(sockets_at(&elsewhere), beside, "%u sockets, '%c' and at its call %u '%s'",
		     sockets, first, at, other);
	cr_assert_eq(only_clock.listeners, (at_last > 0) + beside);
	return true;
}

static void try_at_each_moment(unsigned int sockets, char first, const char *other)
{
	unsigned int at = 1;

	if (steps_in(other, '-') + (first == '-') > sockets)
		return;
	while (try_at(at, sockets, first, other))
		at++;
	cr_expect_gt(at, 3, "between reading and writing there are moments");
}

static void try_all(char first)
{
	static const char *const others[] = {"+", "-", "++", "+-", "-+", "--", "-!", "--+", "--!"};
	unsigned int sockets;
	size_t i;

	for (sockets = 0; sockets <= 4; sockets++)
		for (i = 0; i < sizeof(others) / sizeof(others[0]); i++)
			try_at_each_moment(sockets, first, others[i]);
}

Test(listener_steps, L_2_3_4_one_after_the_other)
{
	start(3);
	cr_expect_eq(sockets_at(&here), 3);
	cr_expect_eq(take_step('-') + take_step('-') + take_step('+'), 0);
	cr_expect_eq(sockets_at(&here), 2);
	cr_expect_eq(take_step('-') + take_step('-'), 0);
	cr_expect_null(place_of(&here));
	cr_expect_eq(only_clock.listeners, 0);
}

Test(listener_steps, L_2_3_4_whoever_comes_is_counted_whatever_others_do_meanwhile)
{
	try_all('+');
}

Test(listener_steps, L_2_3_4_whoever_goes_is_no_longer_counted_whatever_others_do_meanwhile)
{
	try_all('-');
}
