/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Reads the kernel's structures by typed pointers: one load for each member, where a probe is a
 * call. The kernel functions for it came with Linux 6.2, but 6.2 and 6.3 refuse a program that
 * tests for them. So latchd sets a constant before loading, and the verifier removes the unused
 * way.
 */
#ifndef LATCH_BPF_PACKET_TYPED_H
#define LATCH_BPF_PACKET_TYPED_H

#include "db/maps.h"

extern void *bpf_cast_to_kern_ctx(void *context) __ksym __weak;
extern void *bpf_rdonly_cast(const void *object, __u32 btf_id) __ksym __weak;

extern const volatile __u8 typed_pointers;

#define TYPED(address, type)                                                                       \
	((const type *)bpf_rdonly_cast((const void *)(address), bpf_core_type_id_kernel(type)))

/*
 * The pointer at place as a number. The verifier allows no arithmetic on a typed pointer, but a
 * struct rb_node begins with a number.
 */
static __always_inline __u64 number_at(const void *place)
{
	return TYPED(place, struct rb_node)->__rb_parent_color;
}

#endif
