/* SPDX-License-Identifier: BSD-2-Clause */
/* What break, heal and close share: an order for one latch, which only root may give. */
#ifndef LATCHCTL_REQUEST_H
#define LATCHCTL_REQUEST_H

#include "latchctl/latchctl.h"

/* Sends "VERB ID", after a look at the ID, and shows what became of the latch. */
enum ctl_exit request_latch(const struct ctl_options *options, const char *verb);

/* The daemon's answer for people. */
enum ctl_exit ctl_render_request(FILE *out, const struct ctl_options *options,
				 struct json_object *document);

#endif
