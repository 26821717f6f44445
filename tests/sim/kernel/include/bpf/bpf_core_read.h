/* SPDX-License-Identifier: BSD-2-Clause */
/* In place of libbpf's bpf_core_read.h: plain reads of the simulated kernel's structures. */
#ifndef LATCHD_SIM_BPF_CORE_READ_H
#define LATCHD_SIM_BPF_CORE_READ_H

#define SIM_READ_1(object, a)		   ((object)->a)
#define SIM_READ_2(object, a, b)	   ((object)->a->b)
#define SIM_READ_3(object, a, b, c)	   ((object)->a->b->c)
#define SIM_READ_OF(_1, _2, _3, name, ...) name

#define BPF_CORE_READ(object, ...)                                                                 \
	SIM_READ_OF(__VA_ARGS__, SIM_READ_3, SIM_READ_2, SIM_READ_1)(object, __VA_ARGS__)
#define BPF_CORE_READ_INTO(to, object, ...)                                                        \
	__builtin_memcpy(to,                                                                       \
			 &SIM_READ_OF(__VA_ARGS__, SIM_READ_3, SIM_READ_2,                         \
				      SIM_READ_1)(object, __VA_ARGS__),                            \
			 sizeof(*(to)))
#define BPF_CORE_READ_BITFIELD_PROBED(object, member) ((object)->member)
#define bpf_core_enum_value(type, value)	      (value)
#define bpf_core_field_offset(type, member)	      __builtin_offsetof(type, member)

#endif
