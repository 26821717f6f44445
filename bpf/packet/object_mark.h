/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Marks on objects of the kernel, by their address, in a table of fixed size. Where two
 * marked ones meet in a place, all that belong there count as marked until that mark is
 * old: a flood of marks loses none, it only marks too many.
 *
 * Addresses are used again: whoever marks objects has to clear those that begin anew.
 */
#ifndef LATCH_BPF_PACKET_OBJECT_MARK_H
#define LATCH_BPF_PACKET_OBJECT_MARK_H

#include "db/maps.h"
#include "db/read_once.h"

#define OBJECT_MARK_ALL ~0u

/* seconds: after which a mark says nothing any more, though nobody has cleared it. */
struct object_marks {
	void *map;
	__s32 seconds;
};

union object_mark {
	__u64 raw; /* 0 = none */
	struct {
		__u32 object;	   /* its address, hashed; or OBJECT_MARK_ALL */
		__u32 second : 31; /* from 1 on, of a clock that stops with the machine, as jiffies
				      do */
		__u32 yields : 1;  /* to any other mark */
	};
};

static __always_inline __u32 object_mark_second(void)
{
	return (__u32)(bpf_ktime_get_ns() / 1000000000) + 1;
}

/* The verifier lets nobody reckon with a pointer; read back from the stack, it is a number. */
static __always_inline __u32 object_hash(const void *object)
{
	__u64 address = 0;

	bpf_probe_read_kernel(&address, sizeof(address), &object);
	return (__u32)((address * 0x9e3779b97f4a7c15) >> 32);
}

static __always_inline __u64 *mark_place(struct object_marks marks, __u32 hash)
{
	__u32 key = hash % OBJECT_MARKS;

	return bpf_map_lookup_elem(marks.map, &key);
}

/* What it says now. Another CPU's clock may be a little ahead. */
static __always_inline union object_mark mark_of(struct object_marks marks, __u64 raw)
{
	union object_mark mark = {.raw = raw};

	if (raw && (__s32)(object_mark_second() - mark.second) > marks.seconds)
		mark.raw = 0;
	return mark;
}

/*
 * Who was quicker at this place may have marked another: then both are. A mark that
 * yields is made only where there is none, so that whoever has no right to disturb others
 * cannot make them all.
 */
static __always_inline void mark_object(struct object_marks marks, const void *object, int yields)
{
	union object_mark mark = {.object = object_hash(object), .second = object_mark_second()};
	__u64 *place = mark_place(marks, mark.object), old;
	union object_mark found;

	if (!place)
		return;
	old = READ_ONCE(*place);
	found = mark_of(marks, old);
	mark.yields = !!yields;
	if (found.raw && found.object != mark.object && yields)
		return;
	if (found.raw && found.object != mark.object && !found.yields)
		mark.object = OBJECT_MARK_ALL;
	if (__sync_val_compare_and_swap(place, old, mark.raw) == old || yields)
		return;
	mark.object = OBJECT_MARK_ALL;
	WRITE_ONCE(*place, mark.raw);
}

static __always_inline int is_marked(struct object_marks marks, const void *object)
{
	__u32 hash = object_hash(object);
	__u64 *place = mark_place(marks, hash);
	union object_mark found;

	if (!place)
		return 0;
	found = mark_of(marks, READ_ONCE(*place));
	return found.raw && (found.object == hash || found.object == OBJECT_MARK_ALL);
}

static __always_inline void mark_clear(struct object_marks marks, const void *object)
{
	__u32 hash = object_hash(object);
	__u64 *place = mark_place(marks, hash);
	union object_mark found;

	if (!place)
		return;
	found.raw = READ_ONCE(*place);
	if (found.raw && found.object == hash)
		__sync_val_compare_and_swap(place, found.raw, 0);
}

#endif
