/* SPDX-License-Identifier: BSD-2-Clause */
/* The daemon's control socket, from the other side. */
#ifndef LATCHCTL_CLIENT_H
#define LATCHCTL_CLIENT_H

#include "latchctl/latchctl.h"

typedef enum ctl_exit (*ctl_render_fn)(FILE *out, const struct ctl_options *options,
				       struct json_object *document);

/* Sends the request line. The stream of the answer in *ret_stream, or a message and a code. */
enum ctl_exit client_ask(const struct ctl_options *options, const char *request, FILE **ret_stream);

/*
 * Asks for a document and shows it: unchanged with --json, else rendered. The
 * renderer's exit code counts either way.
 */
enum ctl_exit client_show(const struct ctl_options *options, const char *request,
			  ctl_render_fn render);

/* Whether the daemon answered with an error; then it has been told, and *ret_code is set. */
bool client_told_error(struct json_object *answer, enum ctl_exit *ret_code);

#endif
