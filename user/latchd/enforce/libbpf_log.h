/* SPDX-License-Identifier: BSD-2-Clause */
/* Sends libbpf's messages to the log at debug level, and keeps the first warning of a load. */
#ifndef LATCHD_ENFORCE_LIBBPF_LOG_H
#define LATCHD_ENFORCE_LIBBPF_LOG_H

/* Installs the callback, which stays for the life of the process. Clears the kept warning. */
void libbpf_log_begin(void);

/* The first warning since then about a map, a program or a missing kernel function; "" = none. */
const char *libbpf_log_warning(void);

#endif
