/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Numbers of protocols. The kernel's own names are enumerators, which vmlinux.h has. */
#ifndef LATCH_BPF_DB_PROTOCOLS_H
#define LATCH_BPF_DB_PROTOCOLS_H

#define IPPROTO_TCP_NUMBER  6
#define IPPROTO_UDP_NUMBER  17
#define IPPROTO_ESP_NUMBER  50
#define IPPROTO_AH_NUMBER   51
#define IPPROTO_SCTP_NUMBER 132

#endif
