/* SPDX-License-Identifier: BSD-2-Clause */
/* What libbpf has to say goes to our log at debug level; a load's first complaint is kept. */
#ifndef LATCHD_ENFORCE_LIBBPF_LOG_H
#define LATCHD_ENFORCE_LIBBPF_LOG_H

/* From now on, and for good. Forgets an earlier complaint. */
void libbpf_log_begin(void);

/* The first warning since then about a map, a program or a missing kernel function; "" = none. */
const char *libbpf_log_complaint(void);

#endif
