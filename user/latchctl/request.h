/* SPDX-License-Identifier: BSD-2-Clause */
/* Shared by break, heal and close: a request to change one latch. latchd accepts it from root only.
 */
#ifndef LATCHCTL_REQUEST_H
#define LATCHCTL_REQUEST_H

#include "latchctl/latchctl.h"

/* Checks the ID, sends "VERB ID" and prints the new state of the latch. */
enum ctl_exit request_latch(const struct ctl_options *options, const char *verb);

/* Renders latchd's answer. */
enum ctl_exit ctl_render_request(FILE *out, const struct ctl_options *options,
				 struct json_object *document);

#endif
