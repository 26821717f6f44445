/* SPDX-License-Identifier: BSD-2-Clause */
/* In place of libbpf's bpf_tracing.h: a tracing program is a function of its arguments. */
#ifndef LATCHD_SIM_BPF_TRACING_H
#define LATCHD_SIM_BPF_TRACING_H

#define BPF_PROG(name, ...) name(__VA_ARGS__)

#endif
