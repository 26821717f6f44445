/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Errors of an answer, from asm-generic/errno.h: BTF has no macros. */
#ifndef LATCH_BPF_API_ERRORS_H
#define LATCH_BPF_API_ERRORS_H

#define EPERM	1
#define ENOENT	2
#define EAGAIN	11
#define ENOMEM	12
#define EINVAL	22
#define ENOSPC	28
#define ERANGE	34
#define ENOSYS	38
#define ENODATA 61
#define EISCONN 106

#endif
