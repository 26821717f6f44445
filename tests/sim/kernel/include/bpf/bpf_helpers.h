/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * In place of libbpf's bpf_helpers.h, when the programs of bpf/ are compiled as a part of the
 * simulated kernel. A helper works on the tables of kernel_table.h. Every helper call is a point at
 * which another processor may act (sim_point() of sim.h).
 */
#ifndef LATCHD_SIM_BPF_HELPERS_H
#define LATCHD_SIM_BPF_HELPERS_H

#define SEC(name)
#undef __always_inline
#undef __noinline
#define __always_inline inline __attribute__((always_inline))
#define __noinline	__attribute__((noinline))
#undef __ksym
#define __ksym
#define __weak __attribute__((weak))
#define NULL   ((void *)0)

/* A map is known by its address. The room is for struct bpf_map, which gives its max_entries. */
#define __uint(name, value)                                                                        \
	union {                                                                                    \
		int (*name)[value];                                                                \
		char room_##name[256];                                                             \
	}
#define __type(name, value) __typeof__(value) *name

/* latchd's calls of these names go to doors/calls.c. */
#define bpf_map_lookup_elem helper_lookup
#define bpf_map_update_elem helper_update
#define bpf_map_delete_elem helper_delete

void *bpf_map_lookup_elem(const void *map, const void *key);
long bpf_map_update_elem(const void *map, const void *key, const void *value, __u64 flags);
long bpf_map_delete_elem(const void *map, const void *key);
void *bpf_ringbuf_reserve(const void *ring, __u64 size, __u64 flags);
void bpf_ringbuf_submit(void *record, __u64 flags);
__u64 bpf_ktime_get_boot_ns(void);
/* ctx: what the traced function has returned. */
long bpf_get_func_ret(void *ctx, __u64 *value);
__u64 bpf_ktime_get_ns(void);
long bpf_probe_read_kernel(void *to, __u32 size, const void *from);
long bpf_probe_read_kernel_str(void *to, __u32 size, const void *from);
long bpf_loop(__u32 times, void *function, void *context, __u64 flags);

#endif
