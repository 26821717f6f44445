/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Marks of kernel objects by address. The test compiles the text of bpf/packet/object_mark.h, with
 * a table of four slots for each kind of namespace and a clock of its own. In one test another
 * processor marks an object between two steps.
 */
#include <criterion/criterion.h>
#include <linux/types.h>
#include <stdbool.h>
#include <string.h>

/* ---- in place of bpf/db/maps.h ---- */

#define LATCH_BPF_DB_MAPS_H
#define OBJECT_MARKS 4

static __u64 table[2 * OBJECT_MARKS];
static __u64 now;
static const char *marked_by_other_cpu; /* the next read of the clock runs the other processor */

static void run_other_cpu(void);

static void *bpf_map_lookup_elem(void *map, const __u32 *key)
{
	return *key < 2 * OBJECT_MARKS ? (__u64 *)map + *key : NULL;
}

static __u64 bpf_ktime_get_ns(void)
{
	run_other_cpu();
	return now;
}

static long bpf_probe_read_kernel(void *to, __u32 size, const void *from)
{
	memcpy(to, from, size);
	return 0;
}

#include "packet/object_mark.h"

#define SECONDS	     60
#define SLOT_SECONDS 10
#define OBJECTS	     64

static const struct object_marks marks = {table, SECONDS, SLOT_SECONDS};
static const char objects[OBJECTS];

/* The first read is for the new mark's time, the second for the age of the mark in its slot. */
static unsigned int clock_reads;

static void run_other_cpu(void)
{
	const char *object = marked_by_other_cpu;

	if (!object || ++clock_reads < 2)
		return;
	marked_by_other_cpu = NULL;
	mark_object(marks, object, 0);
}

static void advance_clock(unsigned int seconds)
{
	now += seconds * 1000000000ull;
}

/* Another object, in the same slot of the table or in another slot. */
static const char *neighbour(const char *object, bool same_slot)
{
	__u32 slot = object_hash(object) % OBJECT_MARKS;
	const char *other = objects;

	while (other == object || (object_hash(other) % OBJECT_MARKS == slot) != same_slot)
		cr_assert_lt(++other, objects + OBJECTS);
	return other;
}

static void begin(void)
{
	memset(table, 0, sizeof(table));
	now = clock_reads = 0;
	marked_by_other_cpu = NULL;
}

TestSuite(object_mark, .init = begin);

Test(object_mark, an_object_is_marked_until_its_mark_is_cleared)
{
	const char *object = objects, *near = neighbour(object, true),
		   *far = neighbour(object, false);

	mark_object(marks, object, 0);
	cr_expect(is_marked(marks, object, 0));
	cr_expect_not(is_marked(marks, near, 0));
	cr_expect_not(is_marked(marks, far, 0));
	mark_clear(marks, near);
	cr_expect(is_marked(marks, object, 0));
	mark_clear(marks, object);
	cr_expect_not(is_marked(marks, object, 0));
}

Test(object_mark, two_marks_in_one_slot_mark_all_its_objects_and_cannot_be_cleared)
{
	const char *object = objects, *near = neighbour(object, true),
		   *far = neighbour(object, false);

	mark_object(marks, object, 0);
	mark_object(marks, near, 0);
	mark_clear(marks, near);
	mark_clear(marks, object);
	cr_expect(is_marked(marks, object, 0));
	cr_expect(is_marked(marks, near, 0));
	cr_expect_not(is_marked(marks, far, 0));
}

Test(object_mark, marking_an_object_again_renews_its_mark)
{
	mark_object(marks, objects, 0);
	advance_clock(SECONDS / 2);
	mark_object(marks, objects, 0);
	advance_clock(SECONDS);
	cr_expect(is_marked(marks, objects, 0), "the mark has the time of the last call");
	mark_clear(marks, objects);
	cr_expect_not(is_marked(marks, objects, 0));
}

Test(object_mark, an_expired_mark_does_not_count_and_is_replaced_by_the_next_mark)
{
	const char *near = neighbour(objects, true);

	mark_object(marks, objects, 0);
	advance_clock(SECONDS);
	cr_expect(is_marked(marks, objects, 0));
	advance_clock(1);
	cr_expect_not(is_marked(marks, objects, 0));
	mark_object(marks, near, 0);
	cr_expect(is_marked(marks, near, 0));
	cr_expect_not(is_marked(marks, objects, 0));
}

Test(object_mark, the_mark_of_a_slot_with_two_objects_expires)
{
	mark_object(marks, objects, 0);
	mark_object(marks, neighbour(objects, true), 0);
	advance_clock(SLOT_SECONDS);
	cr_expect(is_marked(marks, objects, 0));
	advance_clock(1);
	cr_expect_not(is_marked(marks, objects, 0));
}

Test(object_mark, a_mark_does_not_expire_by_a_clock_that_is_behind)
{
	advance_clock(5);
	mark_object(marks, objects, 0);
	now -= 2000000000ull;
	cr_expect(is_marked(marks, objects, 0));
}

Test(object_mark, a_mark_of_a_foreign_namespace_finds_the_place_of_a_mark_of_the_host_free)
{
	const char *near = neighbour(objects, true);

	mark_object(marks, objects, 0);
	mark_object(marks, near, 1);
	cr_expect(is_marked(marks, near, 1));
	cr_expect(is_marked(marks, objects, 0));
	mark_clear(marks, objects);
	cr_expect(is_marked(marks, near, 1), "the mark in the foreign namespace is lost");
	cr_expect_not(is_marked(marks, objects, 0));
}

Test(object_mark, marks_of_foreign_namespaces_mark_no_object_of_the_host)
{
	const char *object = objects, *near = neighbour(objects, true);

	mark_object(marks, object, 1);
	mark_object(marks, near, 1);
	cr_expect_not(is_marked(marks, object, 0));
	cr_expect_not(is_marked(marks, near, 0));
	mark_object(marks, object, 0);
	mark_clear(marks, object);
	cr_expect_not(is_marked(marks, object, 0), "the whole place of the host is marked");
}

Test(object_mark, two_foreign_marks_in_one_slot_mark_all_its_foreign_objects)
{
	const char *object = objects, *near = neighbour(objects, true),
		   *far = neighbour(objects, false);

	mark_object(marks, object, 1);
	mark_object(marks, near, 1);
	cr_expect(is_marked(marks, object, 1));
	cr_expect(is_marked(marks, near, 1));
	cr_expect_not(is_marked(marks, far, 1));
}

/* Its device was moved, or hands it on. */
Test(object_mark, an_object_that_the_host_marked_is_marked_in_a_foreign_namespace)
{
	mark_object(marks, objects, 0);
	cr_expect(is_marked(marks, objects, 1));
}

Test(object_mark, memory_that_another_namespace_reuses_is_not_marked)
{
	mark_object(marks, objects, 1);
	mark_clear(marks, objects);
	cr_expect_not(is_marked(marks, objects, 1));
}

/* Both processors have found the slot free. */
Test(object_mark, two_processors_that_mark_one_slot_lose_no_mark)
{
	const char *near = neighbour(objects, true);

	table[object_hash(objects) % OBJECT_MARKS] = 1; /* expired: its age needs the clock */
	advance_clock(100);
	marked_by_other_cpu = near;
	mark_object(marks, objects, 0);
	cr_expect_null(marked_by_other_cpu, "the other processor did not run");
	cr_expect(is_marked(marks, objects, 0));
	cr_expect(is_marked(marks, near, 0));
}
