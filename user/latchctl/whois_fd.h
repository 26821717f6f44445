/* SPDX-License-Identifier: BSD-2-Clause */
/* The answer of a process's socket, asked on a copy of its descriptor. */
#ifndef LATCHCTL_WHOIS_FD_H
#define LATCHCTL_WHOIS_FD_H

#include "latchctl/client.h"

/* options->pid and options->fd are given. Without latchd. render shows the row as text. */
enum ctl_exit ctl_whois_fd(const struct ctl_options *options, ctl_render_fn render);

#endif
