/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The kernel's structures by typed pointers: one load a member, where a probe is a call. Since
 * Linux 6.2; has_typed_pointers() is a constant to the verifier.
 */
#ifndef LATCH_BPF_PACKET_TYPED_H
#define LATCH_BPF_PACKET_TYPED_H

#include "db/maps.h"

extern void *bpf_cast_to_kern_ctx(void *context) __ksym __weak;
extern void *bpf_rdonly_cast(const void *object, __u32 btf_id) __ksym __weak;

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

static __always_inline int has_typed_pointers(void)
{
	return bpf_ksym_exists(bpf_cast_to_kern_ctx) && bpf_ksym_exists(bpf_rdonly_cast);
}

#endif
