/* SPDX-License-Identifier: BSD-2-Clause */
/* The client side of latchd's control socket. */
#ifndef LATCHCTL_CLIENT_H
#define LATCHCTL_CLIENT_H

#include "latchctl/latchctl.h"

typedef enum ctl_exit (*ctl_render_fn)(FILE *out, const struct ctl_options *options,
				       struct json_object *document);

/*
 * Connects and sends the request line. After CTL_EXIT_OK the caller owns *ret_stream, the stream
 * of the answer. Any other code: the error is printed.
 */
enum ctl_exit client_send(const struct ctl_options *options, const char *request,
			  FILE **ret_stream);

/* Leaves out rows of a document. True if it did: --json then prints the remaining document. */
typedef bool (*ctl_select_fn)(void *context, struct json_object *document);

/*
 * Requests a document and prints it: unchanged with --json, else through render. The exit code is
 * that of render in both cases.
 */
enum ctl_exit client_show(const struct ctl_options *options, const char *request,
			  ctl_render_fn render);
enum ctl_exit client_show_selected(const struct ctl_options *options, const char *request,
				   ctl_render_fn render, ctl_select_fn select, void *context);

/* True if latchd answered with an error: the error is printed and *ret_code set. */
bool client_print_error(const char *request, struct json_object *answer, enum ctl_exit *ret_code);

#endif
