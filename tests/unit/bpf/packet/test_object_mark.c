/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Marks by address: the very text of bpf/packet/object_mark.h, on a table of this test's own, a
 * clock that stands until it is moved, and another processor that comes in between.
 */
#include <criterion/criterion.h>
#include <linux/types.h>
#include <stdbool.h>
#include <string.h>

/* ---- in place of bpf/db/maps.h ---- */

#define LATCH_BPF_DB_MAPS_H
#define OBJECT_MARKS 4

static __u64 table[OBJECT_MARKS];
static __u64 now;
static const char *comes_between; /* whom another processor marks when the clock is next asked */

static void let_another_mark(void);

static void *bpf_map_lookup_elem(void *map, const __u32 *key)
{
	return *key < OBJECT_MARKS ? (__u64 *)map + *key : NULL;
}

static __u64 bpf_ktime_get_ns(void)
{
	let_another_mark();
	return now;
}

static long bpf_probe_read_kernel(void *to, __u32 size, const void *from)
{
	memcpy(to, from, size);
	return 0;
}

#include "packet/object_mark.h"

#define SECONDS 10
#define OBJECTS 64

static const struct object_marks marks = {table, SECONDS};
static const char objects[OBJECTS];

/* The clock is asked for the mark itself first, then for what stands in its place. */
static unsigned int asked;

static void let_another_mark(void)
{
	const char *whom = comes_between;

	if (!whom || ++asked < 2)
		return;
	comes_between = NULL;
	mark_object(marks, whom, 0);
}

static void pass(unsigned int seconds)
{
	now += seconds * 1000000000ull;
}

/* Another one than object, of the same place, or of another. */
static const char *neighbour(const char *object, bool same_place)
{
	__u32 place = object_hash(object) % OBJECT_MARKS;
	const char *other = objects;

	while (other == object || (object_hash(other) % OBJECT_MARKS == place) != same_place)
		cr_assert_lt(++other, objects + OBJECTS);
	return other;
}

static void begin(void)
{
	memset(table, 0, sizeof(table));
	now = asked = 0;
	comes_between = NULL;
}

TestSuite(object_mark, .init = begin);

Test(object_mark, one_that_is_marked_until_it_is_cleared)
{
	const char *object = objects, *near = neighbour(object, true),
		   *far = neighbour(object, false);

	mark_object(marks, object, 0);
	cr_expect(is_marked(marks, object));
	cr_expect_not(is_marked(marks, near));
	cr_expect_not(is_marked(marks, far));
	mark_clear(marks, near);
	cr_expect(is_marked(marks, object));
	mark_clear(marks, object);
	cr_expect_not(is_marked(marks, object));
}

Test(object_mark, where_two_meet_all_are_marked_and_nobody_clears_it)
{
	const char *object = objects, *near = neighbour(object, true),
		   *far = neighbour(object, false);

	mark_object(marks, object, 0);
	mark_object(marks, near, 0);
	mark_clear(marks, near);
	mark_clear(marks, object);
	cr_expect(is_marked(marks, object));
	cr_expect(is_marked(marks, near));
	cr_expect_not(is_marked(marks, far));
}

Test(object_mark, the_same_one_again_is_still_one)
{
	mark_object(marks, objects, 0);
	pass(SECONDS / 2);
	mark_object(marks, objects, 0);
	pass(SECONDS);
	cr_expect(is_marked(marks, objects), "it is as old as its last mark");
	mark_clear(marks, objects);
	cr_expect_not(is_marked(marks, objects));
}

Test(object_mark, what_is_old_says_nothing_and_gives_its_place_away)
{
	const char *near = neighbour(objects, true);

	mark_object(marks, objects, 0);
	pass(SECONDS);
	cr_expect(is_marked(marks, objects));
	pass(1);
	cr_expect_not(is_marked(marks, objects));
	mark_object(marks, near, 0);
	cr_expect(is_marked(marks, near));
	cr_expect_not(is_marked(marks, objects));
}

Test(object_mark, where_all_are_marked_it_ends_with_time)
{
	mark_object(marks, objects, 0);
	mark_object(marks, neighbour(objects, true), 0);
	pass(SECONDS + 1);
	cr_expect_not(is_marked(marks, objects));
}

Test(object_mark, a_clock_that_is_behind_ends_no_mark)
{
	pass(5);
	mark_object(marks, objects, 0);
	now -= 2000000000ull;
	cr_expect(is_marked(marks, objects));
}

Test(object_mark, one_that_yields_disturbs_no_other)
{
	const char *near = neighbour(objects, true);

	mark_object(marks, objects, 0);
	mark_object(marks, near, 1);
	cr_expect(is_marked(marks, objects));
	cr_expect_not(is_marked(marks, near), "it has yielded");
	mark_clear(marks, objects);
	cr_expect_not(is_marked(marks, near), "they are not all marked");
}

Test(object_mark, one_that_yields_gives_its_place_to_another)
{
	const char *near = neighbour(objects, true);

	mark_object(marks, near, 1);
	cr_expect(is_marked(marks, near));
	mark_object(marks, objects, 0);
	cr_expect(is_marked(marks, objects));
	cr_expect_not(is_marked(marks, near));
	mark_clear(marks, objects);
	cr_expect_not(is_marked(marks, objects));
}

/* Both have found the place free: neither mark may be lost. */
Test(object_mark, two_processors_at_one_place)
{
	const char *near = neighbour(objects, true);

	table[object_hash(objects) % OBJECT_MARKS] = 1; /* old: so that the clock is asked */
	pass(100);
	comes_between = near;
	mark_object(marks, objects, 0);
	cr_expect_null(comes_between, "nobody came in between");
	cr_expect(is_marked(marks, objects));
	cr_expect(is_marked(marks, near));
}
