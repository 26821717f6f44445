/* SPDX-License-Identifier: BSD-2-Clause */
/* In place of libbpf's bpf_endian.h, for a little-endian machine. */
#ifndef LATCHD_SIM_BPF_ENDIAN_H
#define LATCHD_SIM_BPF_ENDIAN_H

#define bpf_ntohl(x) __builtin_bswap32(x)
#define bpf_htonl(x) __builtin_bswap32(x)
#define bpf_ntohs(x) __builtin_bswap16(x)
#define bpf_htons(x) __builtin_bswap16(x)

#endif
