/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Marks on kernel objects by address, in a table of fixed size. If two marked objects share a
 * slot, all objects of that slot count as marked until the mark expires. A flood of marks thus
 * loses no mark; it only marks too many objects.
 *
 * The kernel reuses addresses: a user of marks must clear the mark of every new object.
 */
#ifndef LATCH_BPF_PACKET_OBJECT_MARK_H
#define LATCH_BPF_PACKET_OBJECT_MARK_H

#include "db/maps.h"
#include "db/read_once.h"

#define OBJECT_MARK_ALL ~0u

/* Ages at which a mark expires if it was not cleared. */
struct object_marks {
	void *map;
	__s32 seconds;
	__s32 slot_seconds; /* for the mark of a whole slot, which cannot be cleared */
};

union object_mark {
	__u64 raw; /* 0 = none */
	struct {
		__u32 object; /* its address, hashed; or OBJECT_MARK_ALL */
		__u32 second; /* from 1 on; stops during suspend, as jiffies do */
	};
};

static __always_inline __u32 object_mark_second(void)
{
	return (__u32)(bpf_ktime_get_ns() / 1000000000) + 1;
}

/*
 * The verifier allows no arithmetic on a pointer. Read back from the stack, the pointer is a
 * number.
 */
static __always_inline __u64 object_address(const void *object)
{
	__u64 address = 0;

	bpf_probe_read_kernel(&address, sizeof(address), &object);
	return address;
}

static __always_inline __u32 address_hash(__u64 address)
{
	return (__u32)((address * 0x9e3779b97f4a7c15) >> 32);
}

static __always_inline __u32 object_hash(const void *object)
{
	return address_hash(object_address(object));
}

static __always_inline __u64 *mark_slot(struct object_marks marks, __u32 hash, int foreign)
{
	__u32 key = hash % OBJECT_MARKS + (foreign ? OBJECT_MARKS : 0);

	return bpf_map_lookup_elem(marks.map, &key);
}

/* The mark, or none if it has expired. Another CPU's clock may be a little ahead. */
static __always_inline union object_mark mark_of(struct object_marks marks, __u64 raw)
{
	union object_mark mark = {.raw = raw};
	__s32 limit = mark.object == OBJECT_MARK_ALL ? marks.slot_seconds : marks.seconds;

	if (raw && (__s32)(object_mark_second() - mark.second) > limit)
		mark.raw = 0;
	return mark;
}

/*
 * If another CPU was faster and marked another object in this slot, the whole slot is marked.
 * foreign: any local user can cause such marks, in namespaces of an own user namespace. They have
 * slots of their own, so they neither push out a mark of the host nor mark its objects.
 */
static __always_inline void mark_object(struct object_marks marks, const void *object, int foreign)
{
	union object_mark mark = {.object = object_hash(object), .second = object_mark_second()};
	__u64 *slot = mark_slot(marks, mark.object, foreign), old;
	union object_mark found;

	if (!slot)
		return;
	old = READ_ONCE(*slot);
	found = mark_of(marks, old);
	if (found.raw && found.object != mark.object)
		mark.object = OBJECT_MARK_ALL;
	if (__sync_val_compare_and_swap(slot, old, mark.raw) == old)
		return;
	mark.object = OBJECT_MARK_ALL;
	WRITE_ONCE(*slot, mark.raw);
}

static __always_inline int is_marked_in(struct object_marks marks, __u32 hash, int foreign)
{
	__u64 *slot = mark_slot(marks, hash, foreign);
	union object_mark found;

	if (!slot)
		return 0;
	found = mark_of(marks, READ_ONCE(*slot));
	return found.raw && (found.object == hash || found.object == OBJECT_MARK_ALL);
}

/* The same for any namespace, for a program that has the address as a number. */
static __always_inline int is_marked_at(struct object_marks marks, __u64 address)
{
	__u32 hash = address_hash(address);

	return is_marked_in(marks, hash, 0) || is_marked_in(marks, hash, 1);
}

/* A device may hand a packet from the host's namespaces to a foreign one, never the other way. */
static __always_inline int is_marked(struct object_marks marks, const void *object, int foreign)
{
	__u32 hash = object_hash(object);

	return is_marked_in(marks, hash, 0) || (foreign && is_marked_in(marks, hash, 1));
}

static __always_inline void clear_in(struct object_marks marks, __u32 hash, int foreign)
{
	__u64 *slot = mark_slot(marks, hash, foreign);
	union object_mark found;

	if (!slot)
		return;
	found.raw = READ_ONCE(*slot);
	if (found.raw && found.object == hash)
		__sync_val_compare_and_swap(slot, found.raw, 0);
}

/* The memory of a marked object may be reused in another namespace. */
static __always_inline void mark_clear(struct object_marks marks, const void *object)
{
	__u32 hash = object_hash(object);

	clear_in(marks, hash, 0);
	clear_in(marks, hash, 1);
}

#endif
